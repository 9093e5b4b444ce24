"""Words, cells and marks of the section on human ratings."""

from typing import Any

from harness.ratings.records import Estimate, HumanResults, Wins
from harness.ratings.stats.alpha import RELIABLE, TENTATIVE
from harness.render.numbers import NONE, number, span
from harness.render.table import Cell, Side
from harness.schema import HUMAN

EVEN = 0.5  # share of comparisons won where neither is better


def alpha_word(alpha: float | None) -> str:
    """What an alpha allows, in a word."""
    if alpha is None:
        return "not known"
    if alpha >= RELIABLE:
        return "good"
    return "tentative" if alpha >= TENTATIVE else "low"


def value_words(estimate: Estimate, *, signed: bool = False) -> tuple[str, str]:
    """A value and its interval, in points of a scale or logarithms, with two decimals."""
    if estimate.value is None:
        return NONE, ""
    value = number(estimate.value, 2, signed=signed)
    if estimate.low is None or estimate.high is None:
        return value, ""
    return value, span(estimate.low, estimate.high, 2, signed=signed)


def share_words(estimate: Estimate) -> tuple[str, str]:
    """A share in per cent, and its interval."""
    if estimate.value is None:
        return NONE, ""
    value = 100 * estimate.value
    if estimate.low is None or estimate.high is None:
        return f"{number(value, 0)} %", ""
    low, high = 100 * estimate.low, 100 * estimate.high
    places = 0 if high - low >= 4 else 1
    return f"{number(value, places)} %", span(low, high, places)


def estimate_cell(shown: tuple[str, str], /, *more: str, **marks: Any) -> Cell:
    """A cell of a value above its interval, above other lines; empty lines are left out."""
    value, bounds = shown
    return Cell(value, tuple(line for line in (bounds, *more) if line), **marks)


def same_words(kind: str) -> tuple[str, str]:
    """How equal values on every item are called, in brief and in full.

    Raters who see no difference look at different texts: these are alike to them, not identical.

    Args:
        kind: Of the cells: ``human`` for ratings.
    """
    if kind == HUMAN:
        return "rated alike", "rated alike on every item"
    return "identical", "identical on every example"


def side_of(estimate: Estimate | None, even: float = 0.0) -> Side:
    """On which side of ``even`` the whole interval lies."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    if estimate.low == estimate.high == even:
        return "same"
    if estimate.low > even:
        return "better"
    return "worse" if estimate.high < even else "open"


def turned(estimate: Estimate) -> Estimate:
    """A share as the other of the two has it."""
    ends = (estimate.value, estimate.high, estimate.low)
    value, low, high = (None if end is None else 1 - end for end in ends)
    return estimate.model_copy(update={"value": value, "low": low, "high": high})


def met(results: HumanResults, variant: str, other: str) -> Wins | None:
    """How two variants fared against each other; None where they were not compared."""
    wins = results.preference.wins if results.preference is not None else ()
    return next((w for w in wins if {w.first, w.second} == {variant, other}), None)


def together(parts: tuple[str, str]) -> str:
    """A value and its interval in a sentence."""
    return " ".join(part for part in parts if part)
