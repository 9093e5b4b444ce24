"""Row: scored examples held against training rows, at 100,000 rows against 10,000."""

import itertools
import random
import resource
import time
from collections.abc import Sequence

from harness.data.clusters import words_of
from harness.data.overlap import LONG_RUN_WORDS, overlaps
from harness.schema import Example, Split
from tests.benchmarks.results import Goal, Result, Settings
from tests.benchmarks.timing import in_turn

HEADER = (
    "| goal | target | measured | | ours | reference | outputs |",
    "|---|---|---|---|---|---|---|",
)
_WORDS = [f"w{n}" for n in range(50_000)]
_FREQUENCY = list(itertools.accumulate(1 / (n + 10) for n in range(len(_WORDS))))  # as Zipf has it
_ROW = 110  # words of a text


def measure(settings: Settings) -> Result:
    """Time and memory at full size; a tenth of it against a dictionary of all runs of 13 words."""
    n = 2_000 if settings.quick else 100_000
    trained, scored = _examples(n // 10)
    ways = {
        "ours": lambda: lambda: {o.example_id for o in overlaps(trained, scored)},
        "plain": lambda: lambda: _plain(trained, scored),
    }
    timed = in_turn(ways, settings.repeats, settings.device)
    found, plain = timed["ours"].result, timed["plain"].result
    trained, scored = _examples(n)
    started = time.perf_counter()
    full = overlaps(trained, scored)
    seconds = time.perf_counter() - started
    levels = [sum(o.level == level for o in full) for level in ("exact", "near", "contained")]
    right = levels == [len(scored) // 20] * 3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # Linux counts in KiB
    sizes = f"{n:,} × {len(scored):,}"
    return Result.of_goals(
        [
            Goal(
                f"time of {sizes} rows", 180, seconds, at_most=True, unit=" s", agree=right,
                outputs=f"{levels[0]:,} equal, {levels[1]:,} near, {levels[2]:,} with common runs, "
                f"{'all that were made' if right else 'not those that were made'}",
            ),
            Goal(f"memory of {sizes} rows, examples included", 1.5, peak, at_most=True, unit=" GB"),
            Goal(
                f"a tenth of it against a dictionary of all runs of {LONG_RUN_WORDS} words",
                None, timed["plain"].seconds / timed["ours"].seconds,
                ours=f"{timed['ours'].seconds:.1f} s", reference=f"{timed['plain'].seconds:.1f} s",
                outputs="equal" if found == plain else f"{len(found ^ plain)} examples differ",
            ),
        ],
        ("A twentieth of the examples each is equal to a training row, has four words changed, and "
         "holds 20 words of one. Rows have 110 words and a template; words are drawn as Zipf has "
         "it.",),
        {name: way.figures() for name, way in timed.items()} | {"seconds": seconds, "peak": peak},
    )  # fmt: skip


def _examples(n: int) -> tuple[list[Example], list[Example]]:
    rng = random.Random(0)
    texts = [rng.choices(_WORDS, cum_weights=_FREQUENCY, k=_ROW) for _ in range(n)]
    trained = [_example("train", place, text) for place, text in enumerate(texts)]
    scored = []
    for place in range(n // 10):
        source, text = list(rng.choice(texts)), rng.choices(_WORDS, cum_weights=_FREQUENCY, k=_ROW)
        if place % 20 == 1:
            for _ in range(4):
                source[rng.randrange(_ROW)] = "changed"
        elif place % 20 == 2:
            source = text[:40] + source[30:50] + text[40:]
        scored.append(_example("report", place, source if place % 20 < 3 else text))
    return trained, scored


def _example(split: Split, place: int, words: Sequence[str]) -> Example:
    prompt = f"Summarise this text in one line, please.\n\n{' '.join(words)}\n\nSummary:"
    return Example(
        id=f"{split}-{place}", prompt=prompt, completion="", references=(), cluster=str(place),
        split=split,
    )  # fmt: skip


def _plain(trained: Sequence[Example], scored: Sequence[Example]) -> set[str]:
    """Examples that share a run of 13 words with a training row, by all runs in a dictionary."""
    known: dict[tuple[str, ...], str] = {}
    for example in trained:
        known.update(dict.fromkeys(_runs(example), example.id))
    return {example.id for example in scored if any(run in known for run in _runs(example))}


def _runs(example: Example) -> list[tuple[str, ...]]:
    words = words_of(example.prompt)
    return list(zip(*(words[start:] for start in range(LONG_RUN_WORDS)), strict=False))
