"""DataFusion: COPY to one JSON file."""

import datafusion

from task import Task, run

task = Task()


def convert():
    config = datafusion.SessionConfig().with_target_partitions(task.threads)
    context = datafusion.SessionContext(config)
    folder = task.glob.removesuffix("*.parquet")
    context.register_parquet("input", folder)
    context.sql(
        f"COPY input TO '{task.output}' STORED AS JSON "
        f"OPTIONS ('format.compression' '{task.compression_name}')"
    ).collect()


task.compression_name = (
    None if task.only_start else {"none": "uncompressed"}.get(task.compression, task.compression)
)
run(datafusion.__version__, convert, task)
