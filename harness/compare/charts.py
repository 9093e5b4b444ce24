"""Charts of a comparison of runs: losses over steps, and differences from the reference.

Runs are told apart by colour and, beyond eight, by a dashed line; the legend and the table under
each chart name them.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.compare.view import RunSummary, RunsView
from harness.render.numbers import number
from harness.render.palette import COLOURS
from harness.render.svg import Canvas, make_axis
from harness.report.charts.forest import Contestant, forest, gain
from harness.report.charts.metrics import Chart

_WIDTH, _HEIGHT = 540.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 50.0, 14.0, 14.0, 36.0
_MOST_ROWS = 12  # rows of a forest; the matrix has the rest


def style_of(view: RunsView, run: RunSummary) -> str:
    """The classes that give a run its colour and line, the same on the whole page.

    The reference is the first run and has the baseline's colour. The second eight are dashed; more
    runs begin again.
    """
    again, place = divmod(view.runs.index(run), len(COLOURS))
    return f"of-run {COLOURS[place]}" + (" dashed" if again % 2 else "")


def loss_charts(view: RunsView) -> list[Chart]:
    """Training loss and eval loss of all runs on one step axis each."""
    charts = []
    for field, title in (("loss", "Training loss"), ("eval_loss", "Eval loss")):
        curves = [(run, points) for run in view.runs if (points := _logged(run, field))]
        if curves:
            charts.append(_curves(view, curves, f"runs-{field}".replace("_", "-"), title))
    return charts


def _logged(run: RunSummary, field: str) -> list[tuple[int, float]]:
    log = run.training.log if run.training else ()
    return [(entry.step, value) for entry in log if (value := getattr(entry, field)) is not None]


def _curves(
    view: RunsView,
    curves: Sequence[tuple[RunSummary, Sequence[tuple[int, float]]]],
    ident: str,
    title: str,
) -> Chart:
    canvas = Canvas(ident, _WIDTH, _HEIGHT, title, f"{title} of each run over training steps.")
    y = make_axis([v for _, points in curves for _, v in points], _HEIGHT - _BOTTOM, _TOP)
    steps = [float(step) for _, points in curves for step, _ in points]
    x = make_axis([0.0, *steps], _LEFT + 6, _WIDTH - _RIGHT - 8)
    for tick in y.ticks:
        canvas.line(_LEFT, y(tick), _WIDTH - _RIGHT, y(tick), "grid")
        canvas.text(_LEFT - 6, y(tick) + 4, y.tick_text(tick), "tick", "end")
    for tick in x.ticks:
        canvas.text(x(tick), _HEIGHT - _BOTTOM + 15, number(tick, 0), "tick", "middle")
    canvas.text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 5, "training step", "axis", "middle")
    few = all(len(points) <= 20 for _, points in curves)
    for run, points in curves:
        style = style_of(view, run)
        canvas.path([(x(step), y(value)) for step, value in points], f"line {style}")
        for step, value in points if few or len(points) == 1 else ():
            canvas.add("circle", cx=x(step), cy=y(value), r=3, class_=f"dot {style}")
    values = [dict(points) for _, points in curves]
    every = sorted({step for points in values for step in points})
    rows = tuple(
        (f"{step:,}", *(f"{p[step]:.4g}" if step in p else "" for p in values)) for step in every
    )
    header = ("step", *(run.label for run, _ in curves))
    legend = tuple((style_of(view, run), run.label) for run, _ in curves)
    return Chart(ident, title, "as logged while training", canvas.render(), header, rows, legend)


def forest_chart(view: RunsView) -> Chart | None:
    """Paired differences of all runs from the reference, of scores with a best value."""
    rows = [
        row
        for row in view.rows
        if row.scale
        and row.split != "select"
        and row.task == row.suite_task
        and any(gain(row, run.label, view.reference.label) for run in view.others)
    ]
    rows = sorted(rows, key=lambda row: not row.primary)[:_MOST_ROWS]
    if not rows:
        return None
    drawn = [Contestant(run.label, "", style_of(view, run)) for run in view.others]
    title = f"Every run against {view.reference.label}"
    note = "difference on the same examples; what is not compared is not drawn"
    label = view.reference.label
    return forest("runs-forest", title, note, "points of 100", rows, drawn, label)
