"""Killed at any moment, a run goes on from what was finished."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator

from tests.faults.power import go_on
from tests.faults.table import Row
from tests.faults.world import World


def kill_runs(world: World, *, quick: bool) -> Iterator[Row]:
    """Runs of their own, each killed once, at moments drawn evenly over what a run takes."""
    row, draw = Row("a run killed (SIGKILL) at a random moment"), random.Random(5)
    for moment in range(2 if quick else 60):
        runs = world.folder / "killed"
        group, seconds = world.start(runs), draw.random() * world.seconds
        time.sleep(seconds)
        os.killpg(group, signal.SIGKILL)
        os.waitpid(group, 0)
        runs.mkdir(exist_ok=True)
        go_on(world, row, runs, f"kill {moment}, after {seconds:.1f} s")
    yield row
