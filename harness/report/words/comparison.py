"""What a comparison of two variants says: its difference, its equivalence, what it may miss."""

from __future__ import annotations

from scipy import special

from harness.render.numbers import estimate, metric_name
from harness.report.view.records import MatrixRow
from harness.schema import Comparison, Equivalence
from harness.stats.intervals import TAIL
from harness.stats.power import mde
from harness.suite.rules import in_points


def difference_words(comparison: Comparison, row: MatrixRow) -> str:
    """A paired difference, such as ``ROUGE-L +12.3 [10.1, 14.6]``."""
    value, bounds = estimate(
        comparison.delta, comparison.low, comparison.high, row.scale, signed=True
    )
    return " ".join(part for part in (metric_name(row.metric), value, bounds) if part)


def equivalence_words(found: Equivalence, row: MatrixRow) -> str:
    """Whether two variants are shown to be as good as each other, with n and the margin."""
    margin = f"{in_points(found.margin, row.scale):.4g}"  # as it was asked for
    within = f"{margin} {'point' if margin == '1' else 'points'}" if row.scale else margin
    if found.delta is None:
        return f"{found.second} was not compared with {found.first}: {found.reason}."
    if found.identical:
        short = "" if found.equivalent else f"; so few do not show equivalence within {within}"
        return (
            f"{found.second} scores exactly as {found.first} does on every example of the report "
            f"split (n = {found.n:,}){short}."
        )
    value, bounds = estimate(found.delta, found.low, found.high, row.scale, signed=True)
    difference = f"difference {value}" + (f", 90 % interval {bounds}" if bounds else "")
    known = f"({difference}, n = {found.n:,})"
    if found.equivalent:
        return f"{found.second} is equivalent to {found.first} within {within} {known}."
    if found.equivalent is False:
        side = "better" if found.no_worse else "worse"
        return f"{found.second} is {side} than {found.first} by more than {within} {known}."
    if found.no_worse:
        return f"{found.second} is no worse than {found.first} within {within} {known}."
    more = f"; that needs about n = {found.needed_n:,}" if found.needed_n else ""
    why = f" ({found.reason})" if found.reason else ""
    return (
        f"{found.second} is not shown equivalent to {found.first} within {within} "
        f"{known}{more}{why}."
    )


def detectable(comparison: Comparison) -> float | None:
    """Smallest true difference that such a comparison finds in 80 of 100 cases.

    From the width of its interval: (z of the two-sided 5 % test + z of 80 % power) standard
    errors.

    Source:
        Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, ch. 2.
    """
    if comparison.low is None or comparison.high is None or comparison.high <= comparison.low:
        return None
    error = (comparison.high - comparison.low) / (2 * float(special.ndtri(1 - TAIL)))
    return mde(error, None, TAIL)
