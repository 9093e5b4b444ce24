"""In what order a rater judges: rows of one item lie far apart, and checks lie among the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from harness.ratings.design.chance import Chance
from harness.ratings.records import Purpose, RowKind

APART = 10  # rows, at least, between a row and its repetition
_TRIES = 20


@dataclass(frozen=True, eq=False, slots=True)  # two alike are still two rows
class Draft:
    """A row before it has a place and a token.

    Attributes:
        kind: As in :class:`harness.ratings.records.SheetRow`.
        item: Place of its item in the export.
        variants: As in the record.
        swapped: Likewise.
        purpose: Likewise.
        spoilt: Likewise.
        repeats: The row that this one shows again.
    """

    kind: RowKind
    item: int
    variants: tuple[str, ...]
    swapped: bool = False
    purpose: Purpose = "main"
    spoilt: str | None = None
    repeats: Draft | None = None


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
    slots = _Slots(main, chance)
    for row in checks:
        slots.put(row, min(1, len(main)))  # the first row is a usual one
    for place in chance.shuffled(range(len(main) - APART + 1))[:repeats]:
        slots.put(_again(main[place]), place + APART)
    return slots.rows()


def _again(row: Draft) -> Draft:
    """The same row with sides swapped, so that a rater who always says A is not called steady."""
    swapped = row.kind == "pair" and not row.swapped
    return Draft(row.kind, row.item, row.variants, swapped, purpose="repeat", repeats=row)


class _Slots:
    """The gaps between main rows, and what is put into them; gap i lies before main row i.

    Args:
        main: The main rows in their order.
        chance: Picks gaps.
    """

    def __init__(self, main: Sequence[Draft], chance: Chance) -> None:
        self._main = main
        self._chance = chance
        self._put: dict[int, list[Draft]] = {}

    def put(self, row: Draft, first: int) -> None:
        """Put a row into a gap from ``first`` on, into an empty one beside other items if it can.

        Gaps are tried at random, and one after the other only where that has found none.
        """
        count = len(self._main) + 1 - first
        for _ in range(_TRIES):
            gap = first + self._chance.below(count)
            if gap not in self._put and self._fits(gap, row):
                self._put[gap] = [row]
                return
        fit = [gap for gap in range(first, first + count) if self._fits(gap, row)]
        gap = next((gap for gap in fit if gap not in self._put), fit[0] if fit else gap)
        self._put.setdefault(gap, []).append(row)

    def _fits(self, gap: int, row: Draft) -> bool:
        around = [*self._main[max(0, gap - 1) : gap + 1], *self._put.get(gap, ())]
        return all(other.item != row.item for other in around)

    def rows(self) -> list[Draft]:
        """All rows in order."""
        found: list[Draft] = []
        for gap in range(len(self._main) + 1):
            found += self._put.get(gap, ())
            found += self._main[gap : gap + 1]
        return found
