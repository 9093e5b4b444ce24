"""Gains against losses: paired differences of every metric with their intervals, on one axis."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.render.numbers import joined, metric_name
from harness.render.palette import shades
from harness.render.svg import Canvas, make_axis, shortened
from harness.report.charts.chart import BOTTOM, Chart
from harness.report.charts.metrics import shown_rows
from harness.report.view.records import MatrixRow, View
from harness.report.words.comparison import change_words

_LEFT, _RIGHT, _WIDTH = 200.0, 190.0, 790.0
_STEP = 13.0  # from one difference of a metric to the next


@dataclass(frozen=True)
class Contestant:
    """Whose differences from the reference are drawn."""

    name: str  # its name in the rows
    kind: str  # kind of the variant, which gives the shape of its mark; empty for a dot
    style: str  # classes of its colour


def forest_charts(view: View) -> list[Chart]:
    """Paired differences of the choice and its merged form from the baseline, all metrics."""
    chosen = view.variant(view.verdict.chosen or "")
    if chosen is None:
        return []
    twins = [v for v in view.variants if v.is_merged_of(chosen)]
    shade = shades(view.variants, view.baseline, chosen.id)
    drawn = [Contestant(v.id, v.kind, shade[v.id]) for v in (chosen, *twins)]
    rows = [row for row in shown_rows(view) if gain(row, chosen.id, view.baseline)]
    title = f"What {chosen.id} gains and loses against {view.baseline}"
    note = "difference from the baseline on the same examples; right of zero is better"
    titles = {True: title, False: "The same for metrics without a best value"}
    units = {True: "points of 100", False: f"% of the value of {view.baseline}"}
    idents = {True: "forest", False: "forest-relative"}
    return [
        forest(idents[scaled], titles[scaled], note, units[scaled], own, drawn, view.baseline)
        for scaled in (True, False)
        if (own := [row for row in rows if bool(row.scale) == scaled])
    ]


def forest(
    ident: str,
    title: str,
    note: str,
    unit: str,
    rows: Sequence[MatrixRow],
    drawn: Sequence[Contestant],
    reference: str,
) -> Chart:
    """Draw paired differences, turned so that the right is better.

    Args:
        ident: Unique within the page.
        title: Of the chart.
        note: Below it.
        unit: Of the axis.
        rows: The metrics.
        drawn: Whose differences.
        reference: What they are differences from.
    """
    pitch = 20.0 + _STEP * len(drawn)
    height = 30.0 + pitch * len(rows) + BOTTOM
    what = "Paired differences with 95 % intervals; to the right of zero is better."
    canvas = Canvas(ident, _WIDTH, height, title, what)
    gains = {
        (row.task, row.metric, item.name): bounds
        for row in rows
        for item in drawn
        if (bounds := gain(row, item.name, reference)) is not None
    }
    right, bottom = _WIDTH - _RIGHT, height - BOTTOM
    x = make_axis([0.0, *(end for ends in gains.values() for end in ends)], _LEFT, right, count=6)
    for tick in x.ticks:
        canvas.line(x(tick), 24, x(tick), bottom, "grid")
        label = "0" if not tick else ("+" if tick > 0 else "") + x.tick_text(tick)
        canvas.text(x(tick), bottom + 15, label, "tick", "middle")
    canvas.line(x(0), 18, x(0), bottom, "zero")
    canvas.text(x(0) - 8, 14, "← worse", "axis", "end")
    canvas.text(x(0) + 8, 14, "better →", "axis")
    canvas.text((_LEFT + right) / 2, height - 5, unit, "axis", "middle")
    table = []
    for index, row in enumerate(rows):
        top, name = 30 + index * pitch, f"{row.task}: {metric_name(row.metric)}"
        canvas.text(0, top + pitch / 2, shortened(name, 30), "row")
        if not row.higher_is_better:
            canvas.text(0, top + pitch / 2 + _STEP, "(lower is better)", "axis")
        for place, item in enumerate(drawn, start=1):
            bounds = gains.get((row.task, row.metric, item.name))
            comparison = row.comparison(item.name)
            if bounds is None or comparison is None:
                continue
            y, (low, middle, high) = top + _STEP * place, bounds
            words = ("identical", "") if comparison.identical else change_words(comparison, row)
            canvas.line(x(low), y, x(high), y, f"whisker {item.style}")
            said = f"{item.name}: {joined(*words)}"
            canvas.marker(x(middle), y, item.kind, item.style, name=said)
            canvas.text(right + 10, y + 4, joined(*words), "value")
            table.append((name, item.name, *words))
    header = ("metric", "of", "difference", "95 % interval")
    legend = tuple((f"{item.kind} {item.style}".strip(), item.name) for item in drawn)
    return Chart(ident, title, note, canvas.render(), header, tuple(table), legend)


def gain(row: MatrixRow, name: str, reference: str) -> tuple[float, float, float] | None:
    """Low, middle and high of a difference, turned so that more is better.

    In points of 100; in percent of the reference's value where there is no best value.
    """
    comparison, base = row.comparison(name), row.figure(reference)
    whole = row.scale or abs((base.value if base else None) or 0.0)
    if comparison is None or comparison.delta is None or not whole:
        return None
    low = comparison.delta if comparison.low is None else comparison.low
    high = comparison.delta if comparison.high is None else comparison.high
    unit = (100.0 if row.higher_is_better else -100.0) / whole
    ends = sorted((low * unit, high * unit))
    return ends[0], comparison.delta * unit, ends[1]
