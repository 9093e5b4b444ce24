"""What the executor's process runs: jobs from standard input, what becomes of them to output."""

from __future__ import annotations

import sys

from harness.console import Reporter
from harness.run.executors import CellJob
from harness.run.local import local_workers

if __name__ == "__main__":
    jobs = [CellJob.model_validate_json(line) for line in sys.stdin]
    with local_workers(Reporter(-1)) as workers:
        for event in workers.compute(jobs):
            print(event.model_dump_json())  # noqa: T201  # this is the answer
