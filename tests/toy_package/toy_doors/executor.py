"""An executor: every cell is computed in a process of its own, which gets a line of JSON."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from harness.console import Reporter
from harness.errors import UsageError
from harness.run.executors import CellJob, CellOutcome, CellStart, Workers


class ProcessExecutor:
    @contextmanager
    def start(self, address: str, reporter: Reporter) -> Iterator[Workers]:
        yield _Processes()


EXECUTOR = ProcessExecutor()


class _Processes:
    def compute(self, jobs: Sequence[CellJob]) -> Iterator[CellStart | CellOutcome]:
        for job in jobs:
            yield CellStart(variant=job.variant.id, task=job.task)
            done = subprocess.run(
                [sys.executable, "-m", "toy_doors.worker"],
                input=job.model_dump_json(),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise UsageError(done.stderr.strip().splitlines()[-1])
            yield CellOutcome.model_validate_json(done.stdout.splitlines()[-1])
