"""Rows: times and peak memory of the main jobs, as whole processes."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from tests.benchmarks.results import ROOT, Result, Settings

HEADER = ("| job | runs | time (median) | peak memory | target |", "|---|---|---|---|---|")


@dataclass(frozen=True)
class Job:
    """A command, how often to run it, and what it should cost.

    Attributes:
        seconds: Most that the median should take.
        gigabytes: Most that the largest process should hold.
        fresh: Whether each run starts with an empty store; otherwise it follows a finished one.
    """

    title: str
    args: tuple[str, ...]
    seconds: float
    gigabytes: float | None = None
    repeats: int = 5
    fresh: bool = False

    @property
    def target(self) -> str:
        """What it should cost, in words."""
        time_ = f"≤ {self.seconds:g} s" if self.seconds < 60 else f"≤ {self.seconds / 60:g} min"
        return time_ if self.gigabytes is None else f"{time_}, ≤ {self.gigabytes:g} GB"


JOBS = {
    "help": Job("`harness --help`", ("--help",), 0.3),
    "validate": Job("`harness validate demo`", ("validate", "demo"), 1),
    "tiny": Job("`harness eval tiny`, from nothing", ("eval", "tiny"), 180, None, 1, fresh=True),
    "tiny-again": Job("`harness eval tiny` again", ("eval", "tiny"), 10, None, 3),
    "demo": Job("`harness eval demo`, from nothing", ("eval", "demo"), 720, 6, 1, fresh=True),
    "demo-again": Job("`harness eval demo` again", ("eval", "demo"), 10, None, 3),
}


def measure(name: str, settings: Settings) -> Result:
    """Run a job as often as it says; the median of its times and the largest of its peaks.

    Jobs of the same suite share a folder of runs, so that ``again`` follows a finished one; where
    it was not run before, it is now, untimed.
    """
    job = JOBS[name]
    runs = settings.folder.parent / f"jobs-{job.args[-1].strip('-')}"
    if name.endswith("-again") and not any(runs.glob("*/*/manifest.json")):
        run(job.args, runs)
    times, peaks = [], []
    for _ in range(1 if settings.quick else job.repeats):
        if job.fresh:
            shutil.rmtree(runs, ignore_errors=True)
        seconds, peak = run(job.args, runs)
        times.append(seconds)
        peaks.append(peak)
    median, peak = statistics.median(times), max(peaks)
    shown = f"{median:.2f} s" if median < 60 else f"{median / 60:.1f} min"
    line = f"| {job.title} | {len(times)} | {shown} | {peak / 1e9:.2f} GB | {job.target} |"
    passed = median <= job.seconds and (job.gigabytes is None or peak <= job.gigabytes * 1e9)
    return Result([line], (), {"wall_s": times, "peak_bytes": peaks}, passed)


def run(args: tuple[str, ...], runs: Path) -> tuple[float, int]:
    """Wall seconds and peak resident bytes (largest process) of one command."""
    takes_runs = args[0] in ("eval", "validate")
    command = [sys.executable, "-m", "harness", *args]
    command += ["--runs-dir", str(runs)] if takes_runs else []
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise HarnessError(f"`{' '.join(command)}` failed with exit code {process.returncode}.")
    return seconds, usage.ru_maxrss * 1024
