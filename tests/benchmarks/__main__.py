"""Times and peak memory of the main jobs, written to docs/performance.md.

``nox -s bench`` runs them all; ``nox -s bench -- help validate`` only some. Machines are shared
and noisy, so these are figures to read, not tests.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
START, END = "<!-- bench:main-jobs -->", "<!-- /bench:main-jobs -->"


@dataclass(frozen=True)
class Job:
    """A command, how often to run it, and what it should cost.

    Attributes:
        fresh: Whether each run starts with an empty store; otherwise it follows a finished one.
    """

    name: str
    title: str
    args: tuple[str, ...]
    target: str
    repeats: int = 5
    fresh: bool = False


JOBS = (
    Job("help", "`harness --help`", ("--help",), "≤ 0.3 s"),
    Job("validate", "`harness validate demo`", ("validate", "demo"), "≤ 1 s"),
    Job("tiny", "`harness eval tiny`, from nothing", ("eval", "tiny"), "≤ 3 min", 1, fresh=True),
    Job("tiny-again", "`harness eval tiny` again", ("eval", "tiny"), "≤ 10 s", 3),
    Job("demo", "`harness eval demo`, from nothing", ("eval", "demo"), "≤ 12 min, ≤ 6 GB", 1, True),
    Job("demo-again", "`harness eval demo` again", ("eval", "demo"), "≤ 10 s", 3),
)


def run(args: tuple[str, ...], runs: Path) -> tuple[float, int]:
    """Wall seconds and peak resident bytes (largest process) of one command."""
    takes_runs = args[0] in ("eval", "validate")
    command = [sys.executable, "-m", "harness", *args]
    command += ["--runs-dir", str(runs)] if takes_runs else []
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"{' '.join(command)} failed")
    return seconds, usage.ru_maxrss * 1024


def row(job: Job, runs: Path) -> str:
    """One line of the table: median of the repeats."""
    times, peaks = [], []
    for _ in range(job.repeats):
        if job.fresh:
            shutil.rmtree(runs, ignore_errors=True)
        seconds, peak = run(job.args, runs)
        times.append(seconds)
        peaks.append(peak)
    median = statistics.median(times)
    shown = f"{median:.2f} s" if median < 60 else f"{median / 60:.1f} min"
    return f"| {job.title} | {job.repeats} | {shown} | {max(peaks) / 1e9:.2f} GB | {job.target} |"


def machine() -> str:
    """The machine in one line."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}"


def write_page(lines: list[str]) -> None:
    """Replace the table between the marks."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + START + "\n" + "\n".join(lines) + "\n" + END + after, "utf-8")


def main() -> None:
    """Run the jobs asked for; with all of them, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", nargs="*", help=", ".join(job.name for job in JOBS))
    wanted = parser.parse_args().jobs
    unknown = set(wanted) - {job.name for job in JOBS}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    lines = [
        f"{machine()}; {time.strftime('%Y-%m-%d')}; command: `nox -s bench`.",
        "",
        "| job | runs | time (median) | peak memory | target |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for job in JOBS:
            if wanted and job.name not in wanted:
                continue
            lines.append(row(job, Path(folder) / job.args[-1]))
            sys.stdout.write(lines[-1] + "\n")
            sys.stdout.flush()
    if not wanted:
        write_page(lines)


if __name__ == "__main__":
    main()
