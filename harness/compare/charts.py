"""Charts of a comparison of runs: losses over steps, and differences from the reference.

Runs are told apart by colour and, beyond eight, by a dashed line; the legend and the table under
each chart name them.
"""

from harness.compare.view import RunSummary, RunsView
from harness.render.palette import COLOURS
from harness.report.charts.chart import Chart, Curve, curve_chart, logged
from harness.report.charts.forest import Contestant, forest, gain

_FEW = 20  # points up to here are marked
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
        trained = [(run, run.training.log) for run in view.runs if run.training]
        series = [(run, points) for run, log in trained if (points := logged(log, field))]
        few = all(len(points) <= _FEW for _, points in series)
        curves = [Curve(style_of(view, run), run.label, points, few) for run, points in series]
        if curves:
            ident = f"runs-{field}".replace("_", "-")
            what = f"{title} of each run over training steps."
            charts.append(curve_chart(ident, title, what, "as logged while training", curves))
    return charts


def forest_chart(view: RunsView) -> Chart | None:
    """Paired differences of all runs from the reference, of scores with a best value."""
    label = view.reference.label
    rows = [
        row
        for row in view.whole
        if row.scale and any(gain(row, run.label, label) for run in view.others)
    ]
    rows = sorted(rows, key=lambda row: not row.primary)[:_MOST_ROWS]
    if not rows:
        return None
    drawn = [Contestant(run.label, "", style_of(view, run)) for run in view.others]
    note = "difference on the same examples; what is not compared is not drawn"
    title = f"Every run against {label}"
    return forest("runs-forest", title, note, "points of 100", rows, drawn, label)
