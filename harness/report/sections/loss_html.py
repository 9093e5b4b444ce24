"""What the section on losses shows beside its words: bars of gains, and marked outputs."""

from __future__ import annotations

from markupsafe import Markup

from harness.render.svg import Axis, Canvas
from harness.render.worddiff import Compared, compare_words
from harness.report.view.records import Losses, LostExample
from harness.report.words.losses import LossRow, loss_rows
from harness.results.losses import LossSummary
from harness.suite.rules import in_points

_WIDTH, _HEIGHT = 150.0, 18.0
_MARGIN = 6.0


def barred_rows(summary: LossSummary, ident: str) -> list[tuple[LossRow, Markup]]:
    """Each group's line with its gain and interval drawn, all on one axis.

    Args:
        summary: The analysis.
        ident: Begins the names of the drawings' parts; unique within the page.
    """
    rows = loss_rows(summary)
    ends = [0.0]
    for row in rows:
        ends += [end for end in _ends(summary, row) if end is not None]
    low, high = min(ends), max(ends)
    if low == high:  # nothing but zeros
        low, high = -1.0, 1.0
    axis = Axis(low, high, _MARGIN, _WIDTH - _MARGIN, ())
    return [(row, _bar(summary, row, axis, f"{ident}-{place}")) for place, row in enumerate(rows)]


def _ends(summary: LossSummary, row: LossRow) -> tuple[float | None, ...]:
    item = row.stratum
    return tuple(
        None if value is None else in_points(value, summary.scale)
        for value in (item.low, item.gain, item.high)
    )


def _bar(summary: LossSummary, row: LossRow, axis: Axis, ident: str) -> Markup:
    low, gain, high = _ends(summary, row)
    if gain is None:
        return Markup("")
    title = f"{row.stratum.kind}, {row.name}"
    canvas = Canvas(ident, _WIDTH, _HEIGHT, title, " ".join(row.gain))
    middle = _HEIGHT / 2
    canvas.line(axis(0), 0, axis(0), _HEIGHT, "zero")
    if low is not None and high is not None:
        canvas.line(axis(low), middle, axis(high), middle, f"whisker {row.side}")
    canvas.add("circle", cx=axis(gain), cy=middle, r=3.6, class_=f"mark {row.side}")
    return canvas.render()


def marked_words(item: LostExample) -> Compared | None:
    """The example's texts with their words marked; None where nothing was generated."""
    if item.baseline is None or item.candidate is None:
        return None
    return compare_words(item.references, item.baseline.text, item.candidate.text)


def lost_places(losses: Losses) -> dict[str, int]:
    """Number of each example that the section shows, by id."""
    items = losses.primary.worst if losses.primary else ()
    return {item.id: place for place, item in enumerate(items, start=1)}
