"""Numbers and units as people read them; the only place where records are formatted."""

import math
from collections.abc import Sequence

from harness.metrics import names
from harness.suite.rules import in_points

MINUS = "\u2212"
EN_DASH = "\u2013"
NONE = "\u2014"
FIGURE_SPACE = "\u2007"  # as wide as a digit
POINT_SPACE = "\u2008"  # as wide as a point

_FINE = 0.1  # points, below which an uncertainty would vanish with one decimal
_MOST_DECIMALS = 6
_LONG = 10_000  # hours, of which minutes say nothing
_HUGE = 1e15  # from here on digits would be a float's rounding

metric_name = names.metric_name


def decimals_for(reach: float) -> int:
    """Decimals that leave two significant digits of an uncertainty (half an interval's width).

    >>> decimals_for(2.25), decimals_for(0.013), decimals_for(15.0)
    (1, 3, 0)
    """
    if not reach > 0 or not math.isfinite(reach):
        return 2
    return min(_MOST_DECIMALS, max(0, 1 - math.floor(math.log10(reach))))


def plain_decimals(value: float) -> int:
    """Decimals that leave three significant digits of a value without an uncertainty."""
    if value == 0 or not math.isfinite(value):
        return 1
    exponent = int(f"{value:.2e}".partition("e")[2])  # of the rounded value: 999.7 is 1.00e3
    return min(_MOST_DECIMALS, max(0, 2 - exponent))


def number(value: float | None, decimals: int | None = None, *, signed: bool = False) -> str:
    """A number with a true minus sign and separated thousands; an em dash for None.

    One that would take more than fifteen digits, or that six decimals would make zero, is shown
    with its power of ten.

    >>> number(-1234.5), number(2e-9), number(5e29)
    ('−1,234', '2.00e−9', '5.00e29')
    """
    if value is None:
        return NONE
    places = plain_decimals(value) if decimals is None else decimals
    text = f"{abs(value):,.{places}f}"
    vanishes = places == _MOST_DECIMALS and 0 < abs(value) < 0.5 * 10**-_MOST_DECIMALS
    if vanishes or abs(value) >= _HUGE:
        digits, power = f"{abs(value):.2e}".split("e")
        text = f"{digits}e{int(power)}".replace("-", MINUS)
    zero = not any(digit in text for digit in "123456789")
    if value < 0 and not zero:
        return MINUS + text
    return f"+{text}" if signed and not zero else text


def span(low: float, high: float, decimals: int, *, signed: bool = False) -> str:
    """An interval in brackets."""
    bounds = (number(bound, decimals, signed=signed) for bound in (low, high))
    return f"[{', '.join(bounds)}]"


def joined(*parts: str) -> str:
    """Those that are not empty, with spaces between them."""
    return " ".join(part for part in parts if part)


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
        signed: Show plus signs, of the bounds too; for differences.

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
    return number(shown, places, signed=signed), span(*bounds, places, signed=signed)


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
    if hours >= _LONG:
        return f"{number(float(hours))} h"
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


_UNITS = {
    "bytes": ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")),
    "s": ((1.0, "s"), (1e-3, "ms")),
}


def quantities(values: Sequence[float | None], unit: str) -> list[str]:
    """Measured values that are compared: one unit and the same number of decimals for all.

    The unit is that of the largest. It has three significant digits; more decimals are shown where
    the smallest would be left with fewer than two.

    >>> quantities([963_000, 1_270_000, None], "bytes"), quantities([0.0166, 0.0056], "s")
    (['0.96 MB', '1.27 MB', '—'], ['16.6 ms', '5.6 ms'])
    """
    known = [abs(value) for value in values if value is not None]
    most = max(known, default=0.0)
    if unit == "s" and most >= 59.95:  # minutes have no decimals
        return [duration(value) for value in values]
    factor, name = next(
        (scale for scale in _UNITS.get(unit, ()) if most >= 0.9995 * scale[0]),
        (_UNITS[unit][-1] if unit in _UNITS else (1.0, unit)),
    )
    least = min((value for value in known if value), default=0.0)
    places = max(plain_decimals(most / factor), plain_decimals(least / factor) - 1)
    if name == "B" or not most:
        places = 0
    return [
        NONE if value is None else f"{number(value / factor, places)} {name}".strip()
        for value in values
    ]


def aligned(texts: Sequence[str]) -> list[str]:
    """Numbers of a column, padded to the right so that their decimal points stand in a line.

    The padding is as wide as digits and points are where a font has them of one width, which the
    style asks for. Texts that are no numbers stay as they are.

    >>> [text.replace("\u2007", "_").replace("\u2008", ".") for text in aligned(["8.1", "79", "a"])]
    ['8.1', '79._', 'a']
    """
    tails = [len(text.partition(".")[2]) for text in texts if _is_number(text)]
    most = max(tails, default=0)
    return [_padded(text, most) if most and _is_number(text) else text for text in texts]


def _is_number(text: str) -> bool:
    return bool(text) and all(part in "0123456789,.+" + MINUS for part in text)


def _padded(text: str, places: int) -> str:
    whole, point, rest = text.partition(".")
    gap = FIGURE_SPACE * (places - len(rest))
    return f"{whole}{point or POINT_SPACE}{rest}{gap}"


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


def p_words(value: float | None) -> str:
    """A p value as it is printed: never as 0."""
    if value is None:
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.2g}"
