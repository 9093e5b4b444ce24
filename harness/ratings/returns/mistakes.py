"""Mistakes of returned files: each with its cell, and many of one kind summed up for people."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

NAMED = 5
"""So many of one kind are named with their cells; the others are counted."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake."""

    words: str  # file, place, what was found, what was needed, how to mend it
    # equal for mistakes that are mended alike: file, column, what was needed; None for one that
    # stands alone
    kind: Hashable = None
    file: str = ""  # the file's path
    column: str = ""  # where mistakes of this kind are, such as ``column F of Ratings``
    entries: int = 0  # how many entries were not taken for it


def summed_up(mistakes: Sequence[Mistake]) -> tuple[str, ...]:
    """Mistakes in words, in their order: of many of one kind the first ones, and how many more.

    Args:
        mistakes: All of them. Up to ``NAMED + 1`` of a kind are named; a line that says "and 1
            more" would be no shorter.
    """
    kinds: dict[Hashable, list[Mistake]] = {}
    for place, mistake in enumerate(mistakes):
        kinds.setdefault(place if mistake.kind is None else mistake.kind, []).append(mistake)
    lines: list[str] = []
    seen: set[Hashable] = set()
    for mistake in mistakes:
        alike = [mistake] if mistake.kind is None else kinds[mistake.kind]
        if len(alike) <= NAMED + 1:
            lines.append(mistake.words)
        elif mistake.kind not in seen:
            seen.add(mistake.kind)
            lines += [one.words for one in alike[:NAMED]]
            more = len(alike) - NAMED
            lines.append(f"{mistake.file}: and {more:,} more like it in {mistake.column}.")
    return tuple(lines)
