"""Ways of doing the same thing, timed in turn on one machine."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Timed:
    """What one way took and gave.

    Attributes:
        wall: Seconds by the clock, one per repeat.
        cpu: Seconds of all threads of this process, one per repeat.
        result: What the last repeat gave.
    """

    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    result: Any

    @property
    def seconds(self) -> float:
        """Median by the clock."""
        return statistics.median(self.wall)

    def figures(self) -> dict[str, Any]:
        """All repeats, for the record."""
        return {"wall_s": self.wall, "cpu_s": self.cpu}


def in_turn(
    ways: Mapping[str, Callable[[], Callable[[], Any]]], repeats: int, device: str
) -> dict[str, Timed]:
    """Time each way in turn (A B A B ...), so that a drift of the machine falls on all alike.

    Args:
        ways: By name, a function that prepares a repeat, untimed, and returns what to time.
        repeats: How often each is timed.
        device: Where it runs; a GPU is waited for before each reading of the clock.
    """
    walls: dict[str, list[float]] = {name: [] for name in ways}
    cpus: dict[str, list[float]] = {name: [] for name in ways}
    results: dict[str, Any] = {}
    for repeat in range(repeats):
        for name, prepare in ways.items():
            work = prepare()
            gc.collect()
            _wait_for(device)
            cpu, wall = time.process_time(), time.perf_counter()
            results[name] = work()
            _wait_for(device)
            walls[name].append(time.perf_counter() - wall)
            cpus[name].append(time.process_time() - cpu)
            say(f"  {repeat + 1}/{repeats} {name}: {walls[name][-1]:.1f} s")
    return {name: Timed(tuple(walls[name]), tuple(cpus[name]), results[name]) for name in ways}


def say(text: str) -> None:
    """Report progress beside the results."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def shown_seconds(seconds: float) -> str:
    """Seconds, or minutes from two on."""
    return f"{seconds:.2f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _wait_for(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()
