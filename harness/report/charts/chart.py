"""What every chart is: a drawing on the server as SVG, with the table it was drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.render.numbers import number
from harness.render.svg import Axis, Canvas, make_axis
from harness.render.table import Table, make_table, numbers, texts
from harness.schema import LogEntry

WIDTH, WIDE, HEIGHT = 380.0, 470.0, 236.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 14.0, 14.0, 36.0


@dataclass(frozen=True)
class Chart:
    """A drawing with its caption and the table of its data."""

    ident: str
    title: str
    note: str
    svg: Markup
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    legend: tuple[tuple[str, str], ...] = ()  # (class of the swatch, words)

    @property
    def table(self) -> Table:
        """The data it was drawn from."""
        first, *others = self.header
        return make_table(f"{self.title}, data", (*texts(first), *numbers(*others)), self.rows)


def frame(canvas: Canvas, y: Axis) -> None:
    """Grid lines and labels of the value axis."""
    for tick in y.ticks:
        canvas.line(LEFT, y(tick), canvas.width - RIGHT, y(tick), "grid")
        canvas.text(LEFT - 6, y(tick) + 4, y.tick_text(tick), "tick", "end")


def step_axis(last: float, width: float) -> Axis:
    """From zero to the end of training."""
    return Axis(0.0, (last or 1.0) * 1.03, LEFT + 6, width - RIGHT - 8, ())


def logged(log: Sequence[LogEntry], field: str) -> list[tuple[int, float]]:
    """Step and value of what a training logged, where it did."""
    return [(e.step, value) for e in log if (value := getattr(e, field)) is not None]


@dataclass(frozen=True)
class Curve:
    """What was logged over the steps of a training."""

    style: str  # classes that give it its colour
    label: str  # what it is
    points: Sequence[tuple[int, float]]  # step and value
    dotted: bool = False  # whether each point is marked, and not the line alone


def curve_chart(
    ident: str,
    title: str,
    what: str,
    note: str,
    curves: Sequence[Curve],
    *,
    last: float = 0.0,
    zero: bool = False,
) -> Chart:
    """Draw what was logged over the steps of training.

    Args:
        ident: The drawing's id, unique on its page.
        title: Of the chart.
        what: The drawing in a sentence, for those who do not see it.
        note: Quieter than the title; empty for the number of logged steps.
        curves: At least one, each with at least one point.
        last: The last step, where that is further than the curves reach.
        zero: Whether the value axis begins at zero.
    """
    canvas = Canvas(ident, WIDE, HEIGHT, title, what)
    steps = sorted({step for curve in curves for step, _ in curve.points})
    y = make_axis([v for c in curves for _, v in c.points], HEIGHT - BOTTOM, TOP, zero=zero)
    x = step_axis(max(last, steps[-1]), WIDE)
    frame(canvas, y)
    for tick in make_axis([0, x.high], 0, 1).ticks:
        if tick <= x.high:
            canvas.text(x(tick), HEIGHT - BOTTOM + 15, number(tick, 0), "tick", "middle")
    canvas.text((LEFT + WIDE - RIGHT) / 2, HEIGHT - 5, "training step", "axis", "middle")
    for curve in curves:
        at = [(x(step), y(value)) for step, value in curve.points]
        canvas.path(at, f"line {curve.style}")
        for cx, cy in at if curve.dotted or len(at) == 1 else ():
            canvas.add("circle", cx=cx, cy=cy, r=3.4, class_=f"dot {curve.style}")
    values = [dict(curve.points) for curve in curves]
    rows = tuple(
        (f"{step:,}", *(f"{own[step]:.4g}" if step in own else "" for own in values))
        for step in steps
    )
    header = ("step", *(curve.label for curve in curves))
    legend = tuple((curve.style, curve.label) for curve in curves)
    note = note or f"{len(rows):,} logged steps"
    return Chart(ident, title, note, canvas.render(), header, rows, legend)
