"""What one variant's outputs have that the others' do not: phrases, lengths, layout.

A rater who has seen ten outputs of a variant may know the eleventh by it, whatever the sheet hides.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

VariantTexts = Mapping[str, Sequence[str]]
"""Variant -> what it wrote, item by item in the same order for all."""

OFTEN, HARDLY = 0.20, 0.02  # shares of outputs: with a telling phrase, and at most of the others'
FEWEST = 10  # items below which a gap may well be chance
MOST_PHRASES = 5
BUDGET = 3_000_000  # characters looked through for phrases: a few seconds
LENGTH_RATIO = 1.5  # of medians
LONGER = 0.8  # share of items on which one is the longer of two
LAYOUT_GAP = 0.3  # between the shares of two variants

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_HEADING = re.compile(r"^#{1,6}\s", re.MULTILINE)
_LIST = re.compile(r"^[ \t]*(?:[-*•–]|\d{1,3}[.)])[ \t]", re.MULTILINE)
_FINAL = frozenset(".!?…。！？؟۔।")
_CLOSING = "\"'”’»›)]}*_`"


@dataclass(frozen=True)
class Habit:
    """A phrase or line start that gives a variant away."""

    words: str  # what it is, as it would be searched for
    starts: bool  # whether it begins a line; else it may stand anywhere, in any case
    variant: str  # whose it is
    count: int  # its outputs that have it
    elsewhere: int  # most outputs of any other variant that have it
    seen: int  # outputs looked at, of each variant


def telling_phrases(outputs: VariantTexts, *, budget: int = BUDGET) -> list[Habit]:
    """Phrases of three words, and line starts, that one variant uses often and others hardly ever.

    Often is in 20 % of its outputs or more, hardly ever in 2 % or less of every other variant's.
    Of long exports every k-th item is looked at, so that ``budget`` characters are read.

    Returns:
        The five strongest, by the gap between the shares; of overlapping ones only the strongest.
        None with fewer than 10 items or two variants.
    """
    n = len(next(iter(outputs.values()), ()))
    if n < FEWEST or len(outputs) < 2:
        return []
    size = sum(len(text) for texts in outputs.values() for text in texts)
    step = min(max(1, math.ceil(size / budget)), n // FEWEST)
    counts = {name: _document_counts(texts[::step]) for name, texts in outputs.items()}
    seen = len(range(0, n, step))
    habits = []
    for name, mine in counts.items():
        others = [count for other, count in counts.items() if other != name]
        for (starts, words), count in mine.items():
            if count < OFTEN * seen:
                continue
            elsewhere = max(other[starts, words] for other in others)
            if elsewhere <= HARDLY * seen:
                habits.append(Habit(" ".join(words), starts, name, count, elsewhere, seen))
    habits.sort(key=lambda h: (h.elsewhere - h.count, -len(h.words), h.words, h.variant))
    return _distinct(habits)[:MOST_PHRASES]


_Phrase = tuple[bool, tuple[str, ...]]


def _document_counts(texts: Sequence[str]) -> Counter[_Phrase]:
    counts: Counter[_Phrase] = Counter()
    for text in texts:
        counts.update(set(_phrases(text)))
    return counts


def _phrases(text: str) -> Iterator[_Phrase]:
    words = _WORD.findall(text.lower())
    for phrase in zip(words, words[1:], words[2:], strict=False):
        yield False, phrase
    for line in text.splitlines():
        start = tuple(line.split(maxsplit=3)[:3])
        for length in range(1, len(start) + 1):
            yield True, start[:length]


def _distinct(habits: Sequence[Habit]) -> list[Habit]:
    """Without those that say again what a stronger one of the same variant says."""
    kept: list[Habit] = []
    for habit in habits:
        if not any(h.variant == habit.variant and _overlap(h, habit) for h in kept):
            kept.append(habit)
    return kept


def _overlap(stronger: Habit, other: Habit) -> bool:
    first, second = (
        _WORD.findall(habit.words.lower()) or habit.words.split() for habit in (stronger, other)
    )
    if first[0] == second[0] and (len(first) == 1 or (stronger.starts and other.starts)):
        return True
    return not set(pairwise(first)).isdisjoint(pairwise(second))


@dataclass(frozen=True)
class LengthGap:
    """Two variants of which one writes longer texts, by which raters may know it."""

    longer: str  # the variant whose texts are longer
    shorter: str  # the other
    ratio: float  # of the median lengths; infinite where the shorter's is zero
    share: float  # items on which the longer's text is the longer one, ties half


def length_gaps(outputs: VariantTexts) -> tuple[dict[str, float], list[LengthGap]]:
    """Median characters of each variant, and the pairs with a clear gap, the largest first.

    Clear is a ratio of medians above 1.5, or one being the longer on 80 % of the items, as it is
    under normality where the mean of the differences is 0.84 of their standard deviation.
    """
    lengths = {
        name: np.array([len(text.strip()) for text in texts]) for name, texts in outputs.items()
    }
    medians = {name: float(np.median(values)) for name, values in lengths.items() if len(values)}
    gaps = []
    names = list(medians)
    if len(next(iter(lengths.values()), ())) < FEWEST:
        return medians, []
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            difference = lengths[first] - lengths[second]
            share = float(np.mean(difference > 0) + np.mean(difference == 0) / 2)
            high, low = max(medians[first], medians[second]), min(medians[first], medians[second])
            ratio = high / low if low else (math.inf if high else 1.0)
            if ratio <= LENGTH_RATIO and max(share, 1 - share) < LONGER:
                continue
            # by medians where these tell, else by the items
            ahead = medians[first] > medians[second] if ratio > LENGTH_RATIO else share > 0.5
            gap = (first, second, ratio, share) if ahead else (second, first, ratio, 1 - share)
            gaps.append(LengthGap(*gap))
    return medians, sorted(gaps, key=lambda gap: (-gap.ratio, -gap.share))


def _unfinished(text: str) -> bool:
    end = text.rstrip().rstrip(_CLOSING)[-1:]
    return bool(text.strip()) and end not in _FINAL


LAYOUT: dict[str, Callable[[str], bool]] = {
    "headings": lambda text: "#" in text and _HEADING.search(text) is not None,
    "lists": lambda text: _LIST.search(text) is not None,
    "bold or code marks": lambda text: "**" in text or "`" in text,
    "several lines": lambda text: "\n" in text.strip(),
    "no final punctuation (cut off?)": _unfinished,
    "white space at the start or end": lambda text: text != text.strip(),
}
"""Features of an output that show at a glance."""


def layout_gaps(outputs: VariantTexts) -> dict[str, dict[str, int]]:
    """Features that some variant has far more often: feature -> variant -> outputs that have it.

    Far more is by 30 of 100 outputs; none with fewer than 10 items or two variants.
    """
    n = len(next(iter(outputs.values()), ()))
    if n < FEWEST or len(outputs) < 2:
        return {}
    gaps = {}
    for feature, has in LAYOUT.items():
        counts = {name: sum(map(has, texts)) for name, texts in outputs.items()}
        if max(counts.values()) - min(counts.values()) >= LAYOUT_GAP * n:
            gaps[feature] = counts
    return gaps
