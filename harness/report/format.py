"""Numbers and units as people read them; the only place where records are formatted."""

from __future__ import annotations

import math

from harness.rules import in_points

MINUS = "\u2212"
EN_DASH = "\u2013"
NONE = "\u2014"

_FINE = 0.1  # points, below which an uncertainty would vanish with one decimal

_NAMES = {
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "rougeLsum": "ROUGE-Lsum",
    "bleu": "BLEU",
    "chrf": "chrF",
    "chrf++": "chrF++",
    "ter": "TER",
    "meteor": "METEOR",
    "exact_match": "exact match",
    "f1": "F1",
    "macro_f1": "macro F1",
    "eval_loss": "eval loss",
}


def metric_name(name: str) -> str:
    """A metric's usual name in print."""
    return _NAMES.get(name, name)


def decimals_for(reach: float) -> int:
    """Decimals that leave two significant digits of an uncertainty (half an interval's width).

    >>> decimals_for(2.25), decimals_for(0.013), decimals_for(15.0)
    (1, 3, 0)
    """
    if not reach > 0 or not math.isfinite(reach):
        return 2
    return min(6, max(0, 1 - math.floor(math.log10(reach))))


def plain_decimals(value: float) -> int:
    """Decimals that leave three significant digits of a value without an uncertainty."""
    if value == 0 or not math.isfinite(value):
        return 1
    exponent = int(f"{value:.2e}".partition("e")[2])  # of the rounded value: 999.7 is 1.00e3
    return min(6, max(0, 2 - exponent))


def number(value: float | None, decimals: int | None = None, *, signed: bool = False) -> str:
    """A number with a true minus sign and separated thousands; an em dash for None."""
    if value is None:
        return NONE
    places = plain_decimals(value) if decimals is None else decimals
    text = f"{abs(value):,.{places}f}"
    zero = not any(digit in text for digit in "123456789")
    if value < 0 and not zero:
        return MINUS + text
    return f"+{text}" if signed and not zero else text


def span(low: float, high: float, decimals: int, *, signed: bool = False) -> str:
    """An interval in brackets."""
    bounds = (number(bound, decimals, signed=signed) for bound in (low, high))
    return f"[{', '.join(bounds)}]"


def estimate(
    value: float | None,
    low: float | None,
    high: float | None,
    scale: float | None,
    *,
    signed: bool = False,
) -> tuple[str, str]:
    """A value and its interval, both rounded alike: points to a tenth, else by the uncertainty.

    Args:
        value: In the metric's own unit.
        low: Lower bound, or None.
        high: Upper bound, or None.
        scale: The metric's best value, or None.
        signed: Show a plus sign; for differences.

    Returns:
        The value and the bracketed interval, which is empty where there is none.
    """
    if value is None:
        return NONE, ""
    shown = in_points(value, scale)
    if low is None or high is None:
        return number(shown, 1 if scale else None, signed=signed), ""
    bounds = in_points(low, scale), in_points(high, scale)
    reach = (bounds[1] - bounds[0]) / 2
    if scale:  # points have one decimal, so that a row's differences add up as shown
        places = decimals_for(reach) if 0 < reach < _FINE else 1
    else:
        places = decimals_for(reach) if reach > 0 else plain_decimals(shown)
    across = signed and bounds[0] < 0 < bounds[1]  # signs help where the bounds differ in it
    return number(shown, places, signed=signed), span(*bounds, places, signed=across)


def size(value: float | None) -> str:
    """Bytes in decimal units, three significant digits.

    >>> size(612_000_000), size(1_500_000_000), size(950)
    ('612 MB', '1.50 GB', '950 B')
    """
    if value is None:
        return NONE
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= 0.9995 * factor:
            return f"{number(value / factor)} {unit}"
    return f"{number(value, 0)} B"


def duration(value: float | None) -> str:
    """Seconds in the unit that fits: ms, s, min or h.

    >>> duration(0.0123), duration(3.14159), duration(754)
    ('12.3 ms', '3.14 s', '12 min 34 s')
    """
    if value is None:
        return NONE
    if value == 0:
        return "0 s"
    if abs(value) < 0.9995:
        return f"{number(value * 1e3)} ms"
    if value < 59.95:
        return f"{number(value)} s"
    minutes, seconds = divmod(round(value), 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{minutes} min {seconds} s"


def quantity(value: float | None, unit: str) -> str:
    """A measured value with its unit."""
    if value is None:
        return NONE
    if unit == "bytes":
        return size(value)
    if unit == "s":
        return duration(value)
    return f"{number(value)} {unit}".strip()


def quantity_range(low: float, high: float, unit: str) -> str:
    """Two measured values with their unit, which is named once where it is the same.

    >>> quantity_range(0.0211, 0.0213, "s")
    '21.1–21.3 ms'
    """
    ends = [quantity(end, unit) for end in (low, high)]
    first, _, first_unit = ends[0].rpartition(" ")
    if first and first_unit == ends[1].rpartition(" ")[2] and " " not in first:
        return f"{first}{EN_DASH}{ends[1]}"
    return f" {EN_DASH} ".join(ends)


def count(value: int | None, noun: str, plural: str | None = None) -> str:
    """A count with its noun.

    >>> count(1, "row"), count(1200, "row")
    ('1 row', '1,200 rows')
    """
    if value is None:
        return NONE
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"


def percent(part: float, whole: float) -> str:
    """A share in percent."""
    return f"{number(100 * part / whole)} %" if whole else NONE
