"""Spark in local mode, the ancestor: the third conversion of a warm JVM, and
the first beside it.

Spark's defaults would leave nulls out and cut timestamps to milliseconds; here
it writes the same rows as everybody else.
"""

import json
import os
import time

import pyspark
from pyspark.sql import SparkSession

from task import Task

CONVERSIONS = 3
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

task = Task()
before = time.monotonic()
spark = (
    SparkSession.builder.master(f"local[{task.threads}]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.memory", "4g")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.sql.parquet.inferTimestampNTZ.enabled", "true")
    .getOrCreate()
)
answer = {"version": pyspark.__version__, "start_seconds": time.monotonic() - before}
jvm = spark.sparkContext._gateway.proc


def cpu_seconds():
    """Of the JVM: this process does nothing but wait."""
    with open(f"/proc/{jvm.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def convert():
    codec = "none" if task.compression == "none" else task.compression
    micros = "yyyy-MM-dd'T'HH:mm:ss.SSSSSS"
    (
        spark.read.parquet(task.input)
        .write.mode("overwrite")
        .option("ignoreNullFields", "false")
        .option("timestampFormat", micros)
        .option("timestampNTZFormat", micros)
        .option("compression", codec)
        .json(task.output)
    )


if not task.only_start:
    for conversion in range(CONVERSIONS):
        wall, cpu = time.monotonic(), cpu_seconds()
        convert()
        wall, cpu = time.monotonic() - wall, cpu_seconds() - cpu
        if conversion == 0:
            answer |= {"cold_wall_seconds": wall, "cold_cpu_seconds": cpu}
    answer |= {"wall_seconds": wall, "cpu_seconds": cpu}

print(json.dumps(answer), flush=True)
# The JVM is waited for, so that its memory is counted as this process's child's.
gateway = spark.sparkContext._gateway
spark.stop()
gateway.shutdown()
jvm.stdin.close()
jvm.wait()
