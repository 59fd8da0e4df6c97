"""DuckDB: COPY, allowed to reorder rows, which is its faster mode by far."""

import duckdb

from task import Task, run

task = Task()
connection = duckdb.connect()


def convert():
    connection.execute(f"SET threads = {task.threads}")
    connection.execute("SET preserve_insertion_order = false")
    compression = "uncompressed" if task.compression == "none" else task.compression
    connection.execute(
        f"COPY (FROM read_parquet('{task.glob}')) TO '{task.output}' "
        f"(FORMAT json, COMPRESSION {compression}, USE_TMP_FILE false)"
    )


run(duckdb.__version__, convert, task)
