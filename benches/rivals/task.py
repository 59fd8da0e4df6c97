"""What every rival's program is told, and how it answers.

usage: RIVAL.py INPUT OUTPUT THREADS none|gzip|zstd
       RIVAL.py start

INPUT is a parquet file or a folder of them. The answer is one line of JSON on
standard output. `start` loads the engine and converts nothing.
"""

import json
import os
import sys
import time


class Task:
    def __init__(self):
        self.only_start = sys.argv[1] == "start"
        if self.only_start:
            self.threads = os.cpu_count()
            return
        self.input, self.output = sys.argv[1], sys.argv[2]
        self.threads = int(sys.argv[3])
        self.compression = sys.argv[4]

    @property
    def glob(self):
        """INPUT as a pattern that matches files."""
        if os.path.isdir(self.input):
            return os.path.join(self.input, "*.parquet")
        return self.input


def run(version, convert, task):
    """Times `convert`, unless only the start was asked for."""
    answer = {"version": version}
    if not task.only_start:
        before = time.monotonic()
        convert()
        answer["wall_seconds"] = time.monotonic() - before
    print(json.dumps(answer), flush=True)
