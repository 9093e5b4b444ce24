"""Words, cells and marks of the section on human ratings."""

from __future__ import annotations

from harness.ratings.records import Estimate, HumanResults, Wins
from harness.ratings.stats.alpha import RELIABLE, TENTATIVE
from harness.render.numbers import NONE, number, span
from harness.render.table import Side
from harness.schema import HUMAN

EVEN = 0.5  # share of comparisons won where neither is better


def alpha_word(alpha: float) -> str:
    """What an alpha allows, in a word."""
    if alpha >= RELIABLE:
        return "good"
    return "tentative" if alpha >= TENTATIVE else "low"


def value_words(found: Estimate, *, signed: bool = False) -> tuple[str, str]:
    """A value and its interval, in points of a scale or logarithms, with two decimals."""
    if found.value is None:
        return NONE, ""
    value = number(found.value, 2, signed=signed)
    if found.low is None or found.high is None:
        return value, ""
    return value, span(found.low, found.high, 2, signed=signed)


def share_words(found: Estimate) -> tuple[str, str]:
    """A share in per cent, and its interval."""
    if found.value is None:
        return NONE, ""
    value = 100 * found.value
    if found.low is None or found.high is None:
        return f"{number(value, 0)} %", ""
    low, high = 100 * found.low, 100 * found.high
    places = 0 if high - low >= 4 else 1
    return f"{number(value, places)} %", span(low, high, places)


def same_words(kind: str) -> tuple[str, str]:
    """How equal values on every item are called, in brief and in full.

    Raters who see no difference look at different texts: these are alike to them, not identical.

    Args:
        kind: Of the cells: ``human`` for ratings.
    """
    if kind == HUMAN:
        return "rated alike", "rated alike on every item"
    return "identical", "identical on every example"


def side_of(found: Estimate | None, even: float = 0.0) -> Side:
    """On which side of ``even`` the whole interval lies."""
    if found is None or found.low is None or found.high is None:
        return ""
    if found.low == found.high == even:
        return "same"
    if found.low > even:
        return "better"
    return "worse" if found.high < even else "open"


def turned(found: Estimate) -> Estimate:
    """A share as the other of the two has it."""

    def other(value: float | None) -> float | None:
        return None if value is None else 1 - value

    changed = {"value": other(found.value), "low": other(found.high), "high": other(found.low)}
    return found.model_copy(update=changed)


def met(results: HumanResults, variant: str, other: str) -> Wins | None:
    """How two variants fared against each other; None where they were not compared."""
    wins = results.preference.wins if results.preference is not None else ()
    return next((w for w in wins if {w.first, w.second} == {variant, other}), None)


def together(parts: tuple[str, str]) -> str:
    """A value and its interval in a sentence."""
    return " ".join(part for part in parts if part)
