"""Row: clusters of near-identical rows, where rows share system prompts and where they do not."""

import itertools
import random
import resource
import time
from collections.abc import Callable

from harness.data.clusters import near_clusters
from tests.benchmarks.results import Goal, Result, Settings

HEADER = (
    "| goal | target | measured | | clusters |",
    "|---|---|---|---|---|",
)
_WORDS = [f"w{n}" for n in range(50_000)]
_FREQUENCY = list(itertools.accumulate(1 / (n + 10) for n in range(len(_WORDS))))  # as Zipf has it
_SIZES = (12_500, 25_000, 50_000)


def measure(settings: Settings) -> Result:
    """Processor time of growing numbers of rows, and memory of the most."""
    sizes, full = ((500,), 1_000) if settings.quick else (_SIZES, 200_000)
    goals = [_goal(n, kind, None) for kind in _KINDS for n in sizes]
    goals += [_goal(full, kind, 120) for kind in _KINDS]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # Linux counts in KiB
    goals.append(Goal(f"memory of {full:,} rows", 2.5, peak, at_most=True, unit=" GB"))
    note = (
        "Processor time of one thread. Words are drawn as Zipf has it; one row in a hundred is "
        "another with a word changed. Those of two system prompts are alike by 0.72 at least."
    )
    return Result.of_goals(goals, (note,), columns=5)


def _goal(n: int, kind: str, target: float | None) -> Goal:
    rng = random.Random(0)
    text = _KINDS[kind](rng)
    rows = [text(i) for i in range(n - n // 100)]
    rows += [f"{row.rsplit(' ', 1)[0]} changed" for row in rows[: n // 100]]
    started = time.process_time()
    clusters = len(set(near_clusters(rows)))
    seconds = time.process_time() - started
    right = clusters == n - n // 100
    return Goal(
        f"{n:,} rows, {kind}", target, seconds, at_most=True, unit=" s", agree=right,
        ours=f"{clusters:,}{'' if right else ', not those that were made'}",
    )  # fmt: skip


def _drawn(rng: random.Random, n: int) -> str:
    return " ".join(rng.choices(_WORDS, cum_weights=_FREQUENCY, k=n))


def _headed(rng: random.Random, heads: int, words: int) -> Callable[[int], str]:
    texts = [_drawn(rng, 100) for _ in range(heads)] or [""]
    return lambda i: f"{texts[i % len(texts)]} {_drawn(rng, words)}".strip()


_KINDS: dict[str, Callable[[random.Random], Callable[[int], str]]] = {
    "nothing in common": lambda rng: _headed(rng, 0, 110),
    "one system prompt": lambda rng: _headed(rng, 1, 40),
    "two system prompts": lambda rng: _headed(rng, 2, 16),
}
