"""What a comparison of two variants says: its difference, its equivalence, what it may miss."""

from scipy import special

from harness.render.numbers import estimate, joined, metric_name, number
from harness.report.view.records import Figure, MatrixRow
from harness.schema import Comparison, Equivalence
from harness.stats.intervals import TAIL
from harness.stats.power import mde
from harness.suite.rules import in_points


def figure_words(figure: Figure, row: MatrixRow) -> tuple[str, str]:
    """A value and its interval, as they are shown."""
    return estimate(figure.value, figure.low, figure.high, row.scale)


def change_words(difference: Comparison | Equivalence, row: MatrixRow) -> tuple[str, str]:
    """A paired difference and its interval, both with their signs."""
    bounds = (difference.low, difference.high)
    return estimate(difference.delta, *bounds, row.scale, signed=True)


def difference_words(comparison: Comparison, row: MatrixRow) -> str:
    """A paired difference, such as ``ROUGE-L +12.3 [10.1, 14.6]``."""
    return joined(metric_name(row.metric), *change_words(comparison, row))


def equivalence_words(test: Equivalence, row: MatrixRow) -> str:
    """Whether two variants are shown to be as good as each other, with n and the margin."""
    margin = f"{in_points(test.margin, row.scale):.4g}"  # as it was asked for
    unit = row.unit
    if row.scale:
        unit = "point" if margin == "1" else "points"
    within = f"{margin} {unit}".rstrip()
    if test.delta is None:
        return f"{test.second} was not compared with {test.first}: {test.reason}."
    if test.identical:
        short = "" if test.equivalent else f"; so few do not show equivalence within {within}"
        return (
            f"{test.second} scores exactly as {test.first} does on every example of the report "
            f"split (n = {test.n:,}){short}."
        )
    value, bounds = change_words(test, row)
    difference = f"difference {value}" + (f", 90 % interval {bounds}" if bounds else "")
    known = f"({difference}, n = {test.n:,})"
    if test.equivalent:
        return f"{test.second} is equivalent to {test.first} within {within} {known}."
    if test.equivalent is False:
        side = "better" if test.no_worse else "worse"
        return f"{test.second} is {side} than {test.first} by more than {within} {known}."
    if test.no_worse:
        return f"{test.second} is no worse than {test.first} within {within} {known}."
    more = f"; that needs about n = {test.needed_n:,}" if test.needed_n else ""
    why = f" ({test.reason})" if test.reason else ""
    return (
        f"{test.second} is not shown equivalent to {test.first} within {within} {known}{more}{why}."
    )


def detectable(comparison: Comparison | None) -> float | None:
    """Smallest true difference that such a comparison finds in 80 of 100 cases.

    From the width of its interval: (z of the two-sided 5 % test + z of 80 % power) standard
    errors. None where there is no interval.

    Source:
        Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, ch. 2.
    """
    low, high = (comparison.low, comparison.high) if comparison else (None, None)
    if low is None or high is None or high <= low:
        return None
    return mde((high - low) / (2 * float(special.ndtri(1 - TAIL))), None, TAIL)


def detectable_words(comparison: Comparison | None, row: MatrixRow, n: int) -> list[str]:
    """How small a difference such a comparison finds; nothing where it has no interval."""
    smallest = detectable(comparison)
    if smallest is None:
        return []
    shown = number(in_points(smallest, row.scale), 1 if row.scale else None)
    return [
        f"With n = {n:,}, a true difference of {shown} in {metric_name(row.metric)} "
        "is found in 80 of 100 such runs; smaller ones are often missed."
    ]
