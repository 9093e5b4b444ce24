"""Rows: what it costs to prove what figures rest on, as a share of a whole run."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from typing import Any

from harness.console import Reporter
from harness.run.pipeline import run_suite
from harness.run.state import Options
from harness.store.runs import Store
from harness.validate.suite import read_suite
from tests.benchmarks.results import Goal, Result, Settings

# what does nothing but prove; what is written and scored anyway is no cost of a proof
_PARTS = {
    "forward passes of sequences alone": ("engines.alone:Alone.logits",),
    "engines on a small tree": ("engines.probe:_choose",),
    "base and adapters": (
        "models.adapters:AdapterSet._answer",
        "models.adapters:AdapterSet.effect",
        "models.adapters:AdapterSet.change",
        "models.causality:Causality._moves_of",
    ),
    "merged models": ("train.merge_proof:read", "train.merge_proof:gaps"),
    "packed rows": ("train.packing:keep_rows_apart",),
    "perfect answers": ("tasks.perfect:perfect_answers", "tasks.perfect:prove"),
    "precision": ("models.precision:read_back", "models.precision:batch_proof"),
}


class _Clock:
    """Seconds spent in functions, those within each other counted once."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._within = False

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time added to a part."""

        def run(*args: Any, **options: Any) -> Any:
            if self._within:
                return function(*args, **options)
            started, self._within = time.perf_counter(), True
            try:
                return function(*args, **options)
            finally:
                self._within = False
                self.seconds[part] += time.perf_counter() - started

        return run

    def watch(self, part: str, place: str) -> None:
        """Time a function or method wherever the harness calls it."""
        module_name, _, path = place.partition(":")
        owner: Any = import_module(f"harness.{module_name}")
        *outer, name = path.split(".")
        for attribute in outer:
            owner = getattr(owner, attribute)
        function = getattr(owner, name)
        timed = self.timed(part, function)
        modules = [module for key, module in sys.modules.items() if key.startswith("harness.")]
        for holder in (owner, *modules):  # those that imported it by name, too
            if vars(holder).get(name) is function:
                setattr(holder, name, timed)


def tiny(settings: Settings) -> Result:
    """The suite ``tiny``, in seconds."""
    whole, clock = _run("tiny", settings)
    spent = clock.seconds.total()
    return _result("all probes of `tiny`", 8.0, spent, " s", whole, clock)


def demo(settings: Settings) -> Result:
    """The suite ``demo``, as a share of its time."""
    whole, clock = _run("tiny" if settings.quick else "demo", settings)
    share = 100 * clock.seconds.total() / whole
    return _result("all probes of `demo`, share of its time", 5.0, share, " %", whole, clock)


def _result(
    name: str, target: float, measured: float, unit: str, whole: float, clock: _Clock
) -> Result:
    parts = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in clock.seconds.most_common())
    goal = Goal(
        name, target, measured, at_most=True, unit=unit, ours=f"{whole:.0f} s", reference=parts
    )
    figures = {"seconds": dict(clock.seconds), "whole": whole}
    return Result.of_goals([goal], figures=figures, columns=6)


def _run(suite: str, settings: Settings) -> tuple[float, _Clock]:
    """Wall seconds of a whole run from nothing in this process, and of its probes."""
    clock = _Clock()
    for module in ("tasks.generation", "train.merge", "train.qlora", "run.pipeline", "run.local"):
        import_module(f"harness.{module}")
    for part, places in _PARTS.items():
        for place in places:
            clock.watch(part, place)
    started = time.perf_counter()
    run_suite(read_suite(suite), Store(settings.folder / suite), Options(), Reporter(-1))
    return time.perf_counter() - started, clock
