"""Texts that nobody who reads them can take for a good output: what attention is checked with."""

from collections.abc import Collection, Sequence

from harness.ratings.design.chance import Chance

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_FEW_WORDS = 4  # of fewer words, any order may pass for an answer
_FEW_CHARACTERS = 12  # likewise for the letters of a text without blanks, as Chinese has none
_TRIES = 8


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
