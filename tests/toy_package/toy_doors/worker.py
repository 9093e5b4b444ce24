"""What the executor's processes run: a job from standard input, its outcome to standard output."""

from __future__ import annotations

import sys

from harness.console import Reporter
from harness.run.executors import CellJob, CellOutcome
from harness.run.local import local_workers

if __name__ == "__main__":
    job = CellJob.model_validate_json(sys.stdin.read())
    with local_workers(Reporter(-1)) as workers:
        for event in workers.compute([job]):
            if isinstance(event, CellOutcome):
                print(event.model_dump_json())  # noqa: T201  # this is the answer
