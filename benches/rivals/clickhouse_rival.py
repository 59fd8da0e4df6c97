"""ClickHouse in process: file to file, with parallel formatting."""

import chdb

from task import Task, run

task = Task()


def convert():
    settings = {
        "max_threads": task.threads,
        "max_parsing_threads": task.threads,
        "session_timezone": "'UTC'",
        "output_format_parallel_formatting": 1,
        "output_format_json_escape_forward_slashes": 0,
        "output_format_json_quote_64bit_integers": 0,
        "engine_file_truncate_on_insert": 1,
    }
    listed = ", ".join(f"{name} = {value}" for name, value in settings.items())
    chdb.query(
        f"INSERT INTO FUNCTION file('{task.output}', 'JSONEachRow', 'auto', '{task.compression}') "
        f"SELECT * FROM file('{task.glob}', 'Parquet') SETTINGS {listed}"
    )


run(chdb.engine_version, convert, task)
