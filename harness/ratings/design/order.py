"""In what order a rater judges: rows of one item lie far apart, and checks lie among the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.ratings.design.chance import Chance
from harness.ratings.records import RowKind, RowPurpose

APART = 10  # rows, at least, between a row and its repetition
_TRIES = 20


@dataclass(frozen=True, eq=False, slots=True)  # two alike are still two rows
class Draft:
    """A row before it has a place and a token."""

    kind: RowKind  # as in :class:`harness.ratings.records.SheetRow`
    item: int  # place of its item in the export
    variants: tuple[str, ...]  # as in the record
    swapped: bool = False  # likewise
    purpose: RowPurpose = "main"  # likewise
    spoilt: str | None = None  # likewise
    repeats: Draft | None = None  # the row that this one shows again


def spread(rows: Sequence[Draft], chance: Chance) -> list[Draft]:
    """Shuffle rows such that those of one item lie far apart.

    An item with two rows has one in the first and one in the second half of the sheet, one with
    three in each third, and so on; and all of them in the same half of these parts, so the last
    item of one part is not the first of the next.
    """
    by_item: dict[int, list[Draft]] = defaultdict(list)
    for row in rows:
        by_item[row.item].append(row)
    placed: list[tuple[float, Draft]] = []
    for place, item in enumerate(chance.shuffled(by_item)):
        own = chance.shuffled(by_item[item])
        half = place % 2 / 2
        placed += [
            ((part + half + chance.point() / 2) / len(own), row) for part, row in enumerate(own)
        ]
    return [row for _, row in sorted(placed, key=lambda pair: pair[0])]


def insert_checks(
    main: Sequence[Draft], checks: Sequence[Draft], repeats: int, chance: Chance
) -> list[Draft]:
    """Put checks and repetitions among the main rows, not beside rows of the same item if it can.

    Args:
        main: The main rows in their order.
        checks: Rows of other purposes.
        repeats: How many main rows are to be shown again, at least :data:`APART` rows later.
        chance: Decides where, and which are repeated.

    Returns:
        All rows; fewer are repeated than asked for where too few are followed by enough others.
    """
    gaps: dict[int, list[Draft]] = {}  # gap i lies before main row i
    for row in checks:
        gap = _gap(row, min(1, len(main)), main, gaps, chance)  # the first row is a usual one
        gaps.setdefault(gap, []).append(row)
    for place in chance.shuffled(range(len(main) - APART + 1))[:repeats]:
        again = _again(main[place])
        gaps.setdefault(_gap(again, place + APART, main, gaps, chance), []).append(again)
    return [
        row
        for place in range(len(main) + 1)
        for row in (*gaps.get(place, ()), *main[place : place + 1])
    ]


def _again(row: Draft) -> Draft:
    """The same row with sides swapped, so that a rater who always says A is not called steady."""
    swapped = row.kind == "pair" and not row.swapped
    return Draft(row.kind, row.item, row.variants, swapped, purpose="repeat", repeats=row)


def _gap(
    row: Draft,
    first: int,
    main: Sequence[Draft],
    gaps: Mapping[int, Sequence[Draft]],
    chance: Chance,
) -> int:
    """A gap from ``first`` on, an empty one beside other items if there is one.

    Gaps are tried at random, and one after the other only where that has found none.
    """

    def fits(gap: int) -> bool:
        around = [*main[max(0, gap - 1) : gap + 1], *gaps.get(gap, ())]
        return all(other.item != row.item for other in around)

    count = len(main) + 1 - first
    for _ in range(_TRIES):
        gap = first + chance.below(count)
        if gap not in gaps and fits(gap):
            return gap
    fit = [gap for gap in range(first, first + count) if fits(gap)]
    return next((gap for gap in fit if gap not in gaps), fit[0] if fit else gap)
