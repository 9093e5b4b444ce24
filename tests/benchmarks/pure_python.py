"""Row: the pure-Python and numpy parts that are called most, measured by pytest-benchmark."""

from __future__ import annotations

import json
import subprocess
import sys

from harness.errors import HarnessError
from tests.benchmarks.results import ROOT, Result, Settings

HEADER = ("| operation | median | IQR | rounds |", "|---|---|---|---|")


def measure(settings: Settings) -> Result:
    """Run ``tests/benchmarks/test_*.py``; one line per benchmark."""
    out = settings.folder / "benchmark.json"
    command = [sys.executable, "-m", "pytest", "tests/benchmarks", "-q", "-p", "no:cacheprovider"]
    command += ["--benchmark-only", "--benchmark-disable-gc", f"--benchmark-json={out}"]
    if settings.quick:
        command += ["--benchmark-min-rounds=1", "--benchmark-max-time=0.01"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HarnessError(f"`{' '.join(command)}` failed:\n{done.stdout[-3000:]}")
    found = json.loads(out.read_text("utf-8"))["benchmarks"]
    lines = []
    for one in found:
        stats, title = one["stats"], one["extra_info"]["title"]
        lines.append(
            f"| {title} | {1000 * stats['median']:.1f} ms | {1000 * stats['iqr']:.1f} ms | "
            f"{stats['rounds']} |"
        )
    figures = {one["name"]: {**one["stats"], "data": None} for one in found}
    return Result(lines, (), figures)
