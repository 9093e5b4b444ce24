"""Rows that are about the rater: a text that nobody who reads calls good, one beside itself."""

import itertools
from collections.abc import Collection, Iterator, Sequence

from harness.ratings.design.chance import Chance
from harness.ratings.design.order import Draft
from harness.ratings.records import Item, RowKind
from harness.suite.ratings import REFERENCES

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_FEW_WORDS = 4  # of fewer words, any order may pass for an answer
_FEW_CHARACTERS = 12  # likewise for the letters of a text without blanks, as Chinese has none
_TRIES = 8


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


def spoil(text: str, avoid: Collection[str], chance: Chance) -> str:
    """Make a text unreadable.

    Its words are shuffled; where there are too few of them, its characters; and where there are
    too few of these (a label, a number, nothing at all) the result is words of random letters, for
    a shuffled number would be another number.

    Args:
        text: An output for another prompt.
        avoid: Real outputs, which the result must not equal.
        chance: Decides the order.
    """
    taken = {other.strip() for other in (*avoid, text, " ".join(text.split()))}
    words = text.split()
    if len(words) >= _FEW_WORDS:
        parts, glue = words, " "
    else:
        parts, glue = [character for word in words for character in word], ""
    if glue or len(parts) >= _FEW_CHARACTERS:
        spoilt = _shuffled(parts, glue, taken, chance)
        if spoilt is not None:
            return spoilt
    return _letters(taken, chance)


def _shuffled(parts: Sequence[str], glue: str, taken: set[str], chance: Chance) -> str | None:
    """The parts in another order; None where there hardly is one, as in "the the the the"."""
    if len(set(parts)) < _FEW_WORDS:
        return None
    for _ in range(_TRIES):
        made = glue.join(chance.shuffled(parts)).strip()
        if made not in taken:
            return made
    return None


def _letters(taken: set[str], chance: Chance) -> str:
    while True:
        sizes = [3 + chance.below(6) for _ in range(4 + chance.below(5))]
        made = " ".join("".join(chance.pick(_LETTERS) for _ in range(size)) for size in sizes)
        if made not in taken:
            return made
