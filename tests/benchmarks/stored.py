"""Rows: what it costs to verify what is read, and to have the disk hold what is written."""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

from harness.report.browser.view import AllExamples
from harness.report.build import build_view
from harness.report.html import render_html
from harness.store.results import KINDS
from tests.benchmarks.report_page import large_run
from tests.benchmarks.results import ROOT, Goal, Result, Settings

HEADER = ("| goal | target | measured | | it | the whole |", "|---|---|---|---|---|---|")
_COLUMNS = 6


def verified(settings: Settings) -> Result:
    """Every file of a large run hashed, against what a repeated eval of it does at the least."""
    store, manifest = large_run(settings)
    shares, hashed, read = [], [], []
    for _ in range(settings.repeats):
        started = time.process_time()
        render_html(build_view(store, manifest), AllExamples(store, manifest))
        read.append(time.process_time() - started)
        started = time.process_time()
        damages = [store.damage(kind, key, anew=True) for kind in KINDS for key in store.keys(kind)]
        hashed.append(time.process_time() - started)
        shares.append(100 * hashed[-1] / read[-1])
    goal = Goal(
        "verifying all of 10,000 examples × 8 variants, of a repeated eval",
        3,
        statistics.median(shares),
        at_most=True,
        unit=" %",
        ours=f"{statistics.median(hashed):.3f} s",
        reference=f"{statistics.median(read):.2f} s",
        agree=not any(damages),
    )
    note = (
        "Verifying: CPU seconds of hashing every file anew, as the first eval of a process does; "
        "against making the report alone, which is most of an eval that computes nothing."
    )
    return Result.of_goals([goal], [note], {"hashed_s": hashed, "read_s": read}, columns=_COLUMNS)


def synced(settings: Settings) -> Result:
    """Seconds that ``eval tiny`` waits for the disk, of all its seconds."""
    from tests.faults.world import command

    waited: list[float] = []
    fsync = os.fsync

    def timed(descriptor: int) -> None:
        started = time.perf_counter()
        fsync(descriptor)
        waited.append(time.perf_counter() - started)

    figures: dict[str, Any] = {"waited_s": [], "seconds": [], "calls": []}
    for place in range(settings.repeats):
        waited.clear()
        os.fsync = timed
        try:
            runs = settings.folder / f"tiny-{place}"
            done = command("eval", str(ROOT / "suites/tiny.yaml"), "--runs-dir", str(runs), "-q")
        finally:
            os.fsync = fsync
        if done.code != 0:
            raise RuntimeError(done.text)
        figures["waited_s"].append(sum(waited))
        figures["seconds"].append(done.seconds)
        figures["calls"].append(len(waited))
    shares = [100 * w / s for w, s in zip(figures["waited_s"], figures["seconds"], strict=True)]
    goal = Goal(
        "having the disk hold what `eval tiny` writes",
        2,
        statistics.median(shares),
        at_most=True,
        unit=" %",
        ours=f"{statistics.median(figures['waited_s']):.2f} s, {figures['calls'][0]} fsyncs",
        reference=f"{statistics.median(figures['seconds']):.1f} s",
    )
    note = "Syncing: seconds inside fsync, summed although several wait at once: an upper bound."
    return Result.of_goals([goal], [note], figures, columns=_COLUMNS)
