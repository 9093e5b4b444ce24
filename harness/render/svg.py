"""A small SVG writer: elements, linear axes with round ticks, and markers by kind of variant.

Colours are CSS classes, so that light, dark and print styles need no second drawing. No style
attributes, which a strict content security policy would refuse.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from harness.printable import visible
from harness.render.numbers import number


class Canvas:
    """An SVG drawing under construction.

    Args:
        ident: Unique within the page; names title and description for screen readers.
        width: In CSS pixels.
        height: In CSS pixels.
        title: Short name, read first.
        description: What the drawing shows, in a sentence.
    """

    def __init__(self, ident: str, width: float, height: float, title: str, description: str):
        self.width, self.height = width, height
        self._parts = [
            Markup(
                '<svg class="chart" viewBox="0 0 {w} {h}" role="img" '
                'aria-labelledby="{id}-t {id}-d"><title id="{id}-t">{title}</title>'
                '<desc id="{id}-d">{description}</desc>'
            ).format(
                w=_short(width),
                h=_short(height),
                id=ident,
                title=visible(title),
                description=visible(description),
            )
        ]

    def add(self, tag: str, text: str | None = None, **attributes: float | str) -> None:
        """Add an element; ``class_`` is ``class``, underscores are hyphens."""
        pairs = Markup("").join(
            Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), _short(value))
            for name, value in attributes.items()
        )
        body = text if isinstance(text, Markup) else escape(visible(text or ""))
        self._parts.append(Markup("<{}{}>{}</{}>").format(tag, pairs, body, tag))

    def line(self, x1: float, y1: float, x2: float, y2: float, class_: str) -> None:
        """A straight line."""
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)

    def text(self, x: float, y: float, text: str, class_: str = "", anchor: str = "start") -> None:
        """A line of text."""
        self.add("text", text, x=x, y=y, class_=f"label {class_}".strip(), text_anchor=anchor)

    def path(self, points: Sequence[tuple[float, float]], class_: str) -> None:
        """A line through points."""
        if points:
            steps = " L".join(f"{_short(x)} {_short(y)}" for x, y in points)
            self.add("path", d=f"M{steps}", class_=class_)

    def marker(
        self, x: float, y: float, kind: str, shade: str = "", *, ring: bool = False, name: str = ""
    ) -> None:
        """A data point: circle for checkpoints, square for merged models, diamond for bases.

        Args:
            x: Its middle.
            y: Its middle.
            kind: Kind of the variant, which gives the shape; empty for a plain dot.
            shade: Classes of the variant's colour.
            ring: Whether to draw a ring around it.
            name: Shown while a pointer rests on it.
        """
        if ring:
            self.add("circle", cx=x, cy=y, r=8.4, class_="ring")
        class_ = f"mark {kind} {shade}".strip() if kind else f"dot {shade}"
        tag, place = "circle", dict[str, float | str](cx=x, cy=y, r=4.6)
        if kind == "merged":
            tag, place = "rect", {"x": x - 4.5, "y": y - 4.5, "width": 9, "height": 9}
        elif kind == "base":
            corners = ((x, y - 5.8), (x + 5.8, y), (x, y + 5.8), (x - 5.8, y))
            points = " ".join(f"{_short(at)},{_short(down)}" for at, down in corners)
            tag, place = "polygon", {"points": points}
        title = Markup("<title>{}</title>").format(visible(name)) if name else None
        self.add(tag, title, class_=class_, **place)

    def render(self) -> Markup:
        """The finished drawing."""
        return Markup("").join([*self._parts, Markup("</svg>")])


@dataclass(frozen=True)
class Axis:
    """A linear axis: from data to pixels, with round ticks."""

    low: float  # data value at ``start``
    high: float  # data value at ``end``
    start: float  # pixel of ``low``
    end: float  # pixel of ``high``
    ticks: tuple[float, ...]  # round values within

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def tick_text(self, value: float) -> str:
        """A tick's label, with as many decimals as the ticks' distance needs."""
        step = abs(self.ticks[1] - self.ticks[0]) if len(self.ticks) > 1 else abs(value) or 1.0
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        if decimals > 4:
            mantissa, exponent = f"{value:.1e}".split("e")
            return f"{mantissa.removesuffix('.0')}e{int(exponent)}" if value else "0"
        return number(value, decimals)


def make_axis(
    values: Sequence[float], start: float, end: float, *, count: int = 5, zero: bool = False
) -> Axis:
    """An axis over all values, widened to round ticks.

    Args:
        values: What must fit; may be empty.
        start: Pixel of the low end.
        end: Pixel of the high end.
        count: About how many ticks.
        zero: Begin at zero.
    """
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if zero:
        low, high = min(0.0, low), max(0.0, high)
    if high - low <= 1e-12 * max(1.0, abs(high)):
        low, high = low - (abs(low) * 0.05 or 0.5), high + (abs(high) * 0.05 or 0.5)
    step = _round_step((high - low) / max(1, count - 1))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(index * step for index in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], start, end, ticks)


def shortened(text: str, most: int) -> str:
    """A name that fits its place; the end stays, which tells checkpoints apart.

    >>> shortened("a-very-long-experiment-checkpoint-40", 20)
    'a-very…checkpoint-40'
    """
    if len(text) <= most:
        return text
    tail = 2 * (most - 1) // 3 + 1
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"


def _round_step(rough: float) -> float:
    """The nearest of 1, 2, 5 times a power of ten that is not smaller."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _short(value: float | str) -> str:
    """A pixel position without needless digits."""
    if isinstance(value, str):
        return value
    return f"{value:.1f}".removesuffix(".0")
