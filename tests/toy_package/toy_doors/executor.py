"""An executor: cells are computed in another process, which gets a line of JSON for each."""

from __future__ import annotations

import json
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
        yield _Process()


EXECUTOR = ProcessExecutor()


class _Process:
    def compute(self, jobs: Sequence[CellJob]) -> Iterator[CellStart | CellOutcome]:
        done = subprocess.run(
            [sys.executable, "-m", "toy_doors.worker"],
            input="\n".join(job.model_dump_json() for job in jobs),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise UsageError(done.stderr.strip().splitlines()[-1])
        for line in done.stdout.splitlines():
            event = CellOutcome if "seconds" in json.loads(line) else CellStart
            yield event.model_validate_json(line)
