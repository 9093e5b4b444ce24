"""Rows that are about the rater: a spoilt output, and a text beside itself."""

import itertools
from collections.abc import Iterator, Sequence

from harness.ratings.design.chance import Chance
from harness.ratings.design.order import Draft
from harness.ratings.design.spoil import spoil
from harness.ratings.records import Item, RowKind
from harness.suite.ratings import REFERENCES


def attention_rows(
    kind: RowKind,
    count: int,
    items: Sequence[Item],
    mine: Sequence[int],
    baseline: str | None,
    chance: Chance,
) -> list[Draft]:
    """Rows with a spoilt text: alone (``scale``), or beside a real output (``pair``).

    Beside it stands the reference where references are rated, else an output of another variant
    than the baseline, which may itself be hard to read.

    Args:
        kind: Of the rows.
        count: How many.
        items: All items; spoilt texts are made of other items' outputs.
        mine: Places of the rater's items.
        baseline: The baseline, where it is among the variants.
        chance: Decides.

    Returns:
        That many rows, the spoilt text half the times as A; none where every output is blank.
    """
    swapped = chance.point() < 0.5
    rows = []
    for place in itertools.islice(_turns(mine, items, kind, chance), count):
        item = items[place]
        own = [*item.outputs.values(), *([item.reference] if item.reference else [])]
        variant = chance.pick(list(item.outputs))
        if kind == "pair":
            variant = _readable(item, baseline, chance)
        spoilt = spoil(_elsewhere(items, place, chance), own, chance)
        shown = (variant,) if kind == "scale" else (variant, variant)
        turned = swapped and kind == "pair"
        rows.append(Draft(kind, place, shown, turned, purpose="attention", spoilt=spoilt))
        swapped = not swapped
    return rows


def same_rows(
    count: int, items: Sequence[Item], mine: Sequence[int], chance: Chance
) -> list[Draft]:
    """Comparisons of a text with itself; none where every output is blank."""
    rows = []
    for place in itertools.islice(_turns(mine, items, "pair", chance), count):
        variant = chance.pick(_wrote(items[place]))
        rows.append(Draft("pair", place, (variant, variant), purpose="same"))
    return rows


def _turns(
    mine: Sequence[int], items: Sequence[Item], kind: RowKind, chance: Chance
) -> Iterator[int]:
    """The rater's items in random order, over and over; those without any text only for scales."""
    fit = [place for place in mine if kind == "scale" or _wrote(items[place])]
    return itertools.cycle(chance.shuffled(fit))


def _wrote(item: Item) -> list[str]:
    """Variants whose output is not blank."""
    return [name for name, text in item.outputs.items() if text.strip()]


def _readable(item: Item, baseline: str | None, chance: Chance) -> str:
    """A variant whose output should win against nonsense."""
    wrote = _wrote(item)
    if REFERENCES in wrote:
        return REFERENCES
    return chance.pick([name for name in wrote if name != baseline] or wrote)


def _elsewhere(items: Sequence[Item], place: int, chance: Chance) -> str:
    """An output for another item; nothing where there is no other."""
    if len(items) == 1:
        return ""
    other = chance.below(len(items) - 1)
    return chance.pick(list(items[other + (other >= place)].outputs.values()))
