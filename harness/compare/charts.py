"""Charts of a comparison of runs: losses over steps, and differences from the reference.

Runs are told apart by colour and, beyond eight, by a dashed line; the legend and the table under
each chart name them.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.compare.view import RunSummary, RunsView
from harness.render.numbers import estimate, metric_name, number
from harness.render.palette import COLOURS
from harness.render.svg import Canvas, make_axis
from harness.report.charts.metrics import Chart
from harness.report.view.records import MatrixRow
from harness.schema import Comparison
from harness.suite.rules import in_points

_WIDTH, _HEIGHT = 540.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 50.0, 14.0, 14.0, 36.0
_FOREST_WIDTH, _FOREST_LEFT, _FOREST_RIGHT = 790.0, 210.0, 176.0
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
        and any(_difference(row, run) for run in view.others)
    ]
    rows = sorted(rows, key=lambda row: not row.primary)[:_MOST_ROWS]
    if not rows:
        return None
    pitch = 22.0 + 13.0 * len(view.others)
    height = 30.0 + pitch * len(rows) + _BOTTOM
    title = f"Every run against {view.reference.label}"
    what = "Paired differences with 95 % intervals; to the right of zero is better."
    canvas = Canvas("runs-forest", _FOREST_WIDTH, height, title, what)
    gains = [g for row in rows for run in view.others if (g := _gain(row, run)) is not None]
    right, bottom = _FOREST_WIDTH - _FOREST_RIGHT, height - _BOTTOM
    x = make_axis([0.0, *(end for gain in gains for end in gain)], _FOREST_LEFT, right, count=6)
    for tick in x.ticks:
        canvas.line(x(tick), 24, x(tick), bottom, "grid")
        label = "0" if not tick else ("+" if tick > 0 else "") + x.tick_text(tick)
        canvas.text(x(tick), bottom + 15, label, "tick", "middle")
    canvas.line(x(0), 18, x(0), bottom, "zero")
    canvas.text(x(0) - 8, 14, "← worse", "axis", "end")
    canvas.text(x(0) + 8, 14, "better →", "axis")
    canvas.text((_FOREST_LEFT + right) / 2, height - 5, "points of 100", "axis", "middle")
    table = []
    for index, row in enumerate(rows):
        top = 30 + index * pitch
        name = f"{row.task}: {metric_name(row.metric)}"
        canvas.text(0, top + pitch / 2 + 2, name if len(name) < 34 else f"{name[:32]}…", "row")
        for place, run in enumerate(view.others):
            gain, difference = _gain(row, run), _difference(row, run)
            if gain is None or difference is None:
                continue
            at = top + 13.0 * (place + 1)
            style = style_of(view, run)
            canvas.line(x(gain[0]), at, x(gain[2]), at, f"line {style}")
            canvas.add("circle", cx=x(gain[1]), cy=at, r=4, class_=f"dot {style}")
            bounds = (difference.delta, difference.low, difference.high)
            words = estimate(*bounds, row.scale, signed=True)
            words = ("identical", "") if difference.identical else words
            canvas.text(right + 10, at + 4, " ".join(filter(None, words)), "value")
            table.append((name, run.label, *words))
    return Chart(
        "runs-forest",
        title,
        "difference on the same examples; what is not compared is not drawn",
        canvas.render(),
        ("metric", "run", "difference", "95 % interval"),
        tuple(table),
        tuple((style_of(view, run), run.label) for run in view.others),
    )


def _difference(row: MatrixRow, run: RunSummary) -> Comparison | None:
    cell = row.cell(run.label)
    comparison = cell.comparison if cell else None
    return comparison if comparison is not None and comparison.delta is not None else None


def _gain(row: MatrixRow, run: RunSummary) -> tuple[float, float, float] | None:
    """Low, middle and high of a difference in points, turned so that more is better."""
    difference = _difference(row, run)
    if difference is None or difference.delta is None:
        return None
    sign = 1.0 if row.higher_is_better else -1.0
    low = difference.delta if difference.low is None else difference.low
    high = difference.delta if difference.high is None else difference.high
    ends = sorted(sign * in_points(end, row.scale) for end in (low, high))
    return ends[0], sign * in_points(difference.delta, row.scale), ends[1]
