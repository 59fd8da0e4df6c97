"""Polars: lazy scan into its streaming NDJSON sink."""

import os

from task import Task, run

task = Task()
os.environ["POLARS_MAX_THREADS"] = str(task.threads)

import polars


def convert():
    compression = "uncompressed" if task.compression == "none" else task.compression
    frame = polars.scan_parquet(task.glob)
    frame.sink_ndjson(task.output, compression=compression, check_extension=False)


run(polars.__version__, convert, task)
