"""The report's charts, drawn on the server as SVG; each carries the table it was drawn from."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.render.labels import split_words
from harness.render.numbers import joined, metric_name
from harness.render.palette import COLOURS, shades
from harness.render.svg import Axis, Canvas, make_axis
from harness.report.charts.chart import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Chart,
    Curve,
    curve_chart,
    frame,
    logged,
    step_axis,
)
from harness.report.view.records import Figure, MatrixRow, View
from harness.report.words.comparison import figure_words
from harness.schema import LogEntry, Variant
from harness.suite.deciding import CANDIDATES
from harness.suite.rules import in_points

_TICK_CHAR = 6.6  # pixels of a character
MOST_METRICS = 24  # metric-by-checkpoint charts; the matrix has the rest


def shown_rows(view: View) -> list[MatrixRow]:
    """Rows of whole tasks that figures are claimed from, the primary metric first."""
    rows = [row for row in view.rows if row.split != "select" and row.task == row.suite_task]
    return sorted(rows, key=lambda row: not row.primary)


def checkpoint_charts(view: View) -> list[Chart]:
    """The first metrics over the checkpoints, a chart each, with the baseline as reference."""
    trained = _trained(view)
    return [
        _checkpoint_chart(view, row, trained, f"by-step-{index}")
        for index, row in enumerate(_rows_by_step(view)[:MOST_METRICS])
    ]


def undrawn_words(view: View) -> str:
    """How many metrics have no chart over the checkpoints; empty where each has one."""
    left = len(_rows_by_step(view)) - MOST_METRICS
    if left <= 0:
        return ""
    noun = "metric is" if left == 1 else "metrics are"
    return f"{left:,} more {noun} not drawn; the matrix above has them."


def _trained(view: View) -> list[Variant]:
    return [variant for variant in view.variants if variant.kind in CANDIDATES]


def _rows_by_step(view: View) -> list[MatrixRow]:
    """Rows with a figure of any checkpoint."""
    trained = _trained(view)
    return [row for row in shown_rows(view) if any(_figure(row, v) for v in trained)]


def _checkpoint_chart(view: View, row: MatrixRow, trained: Sequence[Variant], ident: str) -> Chart:
    name = metric_name(row.metric)
    title = f"{row.task}: {name}" + ("" if row.higher_is_better else " (lower is better)")
    what = f"{name} of each checkpoint, {split_words(row.split)}."
    canvas = Canvas(ident, WIDTH, HEIGHT, title, what)
    places = _places(trained)
    merged = [variant for variant in view.variants if variant.kind == "merged"]
    base = view.variant(view.baseline)
    drawn = [*trained, *merged, *([base] if base else [])]
    figures = {v.id: figure for v in drawn if (figure := _figure(row, v)) is not None}
    bounds = [bound for figure in figures.values() for bound in bounds_of(figure, row)]
    y = make_axis(bounds, HEIGHT - BOTTOM, TOP)
    x = _step_axis(view, places, WIDTH)
    frame(canvas, y)
    known = all(variant.step is not None for variant in trained)
    _step_labels(canvas, x, places, "training step" if known else "checkpoint, by name")
    if base is not None and base.id in figures:
        _reference(canvas, row, figures[base.id], y)
    line = [
        (x(places[v.id][0]), y(points_of(figures[v.id].value, row)))
        for v in trained
        if v.id in figures
    ]
    canvas.path(line, "line adapter")
    sources = {m.id: v.id for v in trained for m in merged if m.is_merged_of(v)}
    shade = shades(view.variants, view.baseline, view.verdict.chosen)
    for variant in [*trained, *merged]:
        source = variant.id if variant.id in places else sources.get(variant.id, "")
        if variant.id not in figures or source not in places:
            continue
        figure, own = figures[variant.id], shade[variant.id]
        left = x(places[source][0]) + (9.0 if variant.kind == "merged" else 0.0)
        whisker(canvas, left, figure, row, y, own)
        said = f"{variant.id}: {joined(*figure_words(figure, row))}"
        ring = variant.id == view.verdict.chosen
        top = y(points_of(figure.value, row))
        canvas.marker(left, top, variant.kind, own, ring=ring, name=said)
    legend = [("adapter", "checkpoint")]
    if any(variant.id in figures for variant in merged):
        legend.append(("merged", "merged"))
    if base is not None and base.id in figures:
        legend.append(("reference", f"{base.id} (baseline)"))
    if view.verdict.chosen in figures:
        legend.append(("chosen", "the choice"))
    return Chart(
        ident,
        title,
        f"{split_words(row.split)}, n = {row.n:,}; bars are 95 % intervals",
        canvas.render(),
        ("variant", name, "95 % interval"),
        tuple((v.id, *figure_words(figures[v.id], row)) for v in drawn if v.id in figures),
        tuple(legend),
    )


def _step_labels(canvas: Canvas, x: Axis, places: dict[str, tuple[float, str]], axis: str) -> None:
    """The steps below the axis, as far as there is room."""
    free = 0.0  # where the next label fits
    for place, label in sorted(places.values()):
        half = _TICK_CHAR * len(label) / 2
        if x(place) - half >= free:
            canvas.text(x(place), HEIGHT - BOTTOM + 15, label, "tick", "middle")
            free = x(place) + half + _TICK_CHAR
    canvas.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, axis, "axis", "middle")


def _places(trained: Sequence[Variant]) -> dict[str, tuple[float, str]]:
    """Where each checkpoint stands on the step axis: its step, or its order.

    The order where a step is unknown, and for those of several trainings, which share steps.
    """
    if all(variant.step is not None and not variant.training for variant in trained):
        return {v.id: (float(v.step or 0), f"{v.step:,}") for v in trained}
    return {v.id: (float(index), v.id) for index, v in enumerate(trained, start=1)}


def _step_axis(view: View, places: dict[str, tuple[float, str]], width: float) -> Axis:
    """The same axis for all charts over steps: from zero to the end of training."""
    log = view.training.log if view.training else ()
    last = [*(place for place, _ in places.values()), *(float(entry.step) for entry in log)]
    return step_axis(max(last, default=1.0), width)


def training_charts(view: View) -> list[Chart]:
    """Loss and learning rate over the steps of the training; of several, their losses."""
    if view.trainings:
        return list(_charts_of_several(view))
    log = view.training.log if view.training else ()
    losses = [
        Curve("train", "training loss", logged(log, "loss")),
        Curve("eval", "eval loss", logged(log, "eval_loss"), dotted=True),
    ]
    rates = [Curve("rate", "learning rate", logged(log, "learning_rate"))]
    charts = [
        _training_chart(log, "loss", "Training and eval loss", losses),
        _training_chart(log, "rate", "Learning rate", rates),
    ]
    return [chart for chart in charts if chart is not None]


def _charts_of_several(view: View) -> Iterator[Chart]:
    """A curve per training, coloured and, beyond as many as there are colours, dashed."""
    for field, title in (("loss", "Training loss"), ("eval_loss", "Eval loss")):
        curves = [
            Curve(_style(place), name, points)
            for place, (name, run) in enumerate(view.trainings.items())
            if (points := logged(run.log, field))
        ]
        if curves:
            ident = f"trainings-{field}".replace("_", "-")
            what = f"{title} of each training over its steps."
            yield curve_chart(
                ident, title, what, "as the trainer has it, over each one's steps", curves
            )


def _style(place: int) -> str:
    again, colour = divmod(place, len(COLOURS))
    return f"of-run {COLOURS[colour]}" + (" dashed" if again % 2 else "")


def _training_chart(
    log: Sequence[LogEntry], ident: str, title: str, curves: Sequence[Curve]
) -> Chart | None:
    curves = [curve for curve in curves if curve.points]
    if not curves:
        return None
    what = f"{' and '.join(curve.label for curve in curves)} over training steps."
    last, zero = max(float(entry.step) for entry in log), ident == "rate"
    chart = curve_chart(ident, title, what, "", curves, last=last, zero=zero)
    if all(curve.style != "eval" for curve in curves):
        return chart
    own = "eval loss as the trainer has it: a mean over batches, of the rows it kept"
    return replace(chart, note=f"{chart.note}; {own}")  # it is not the matrix's figure


def _reference(canvas: Canvas, row: MatrixRow, figure: Figure, y: Axis) -> None:
    low, high = bounds_of(figure, row)[0], bounds_of(figure, row)[-1]
    width = canvas.width - RIGHT - LEFT
    if high > low:
        canvas.add("rect", x=LEFT, y=y(high), width=width, height=y(low) - y(high), class_="band")
    at = y(points_of(figure.value, row))
    canvas.line(LEFT, at, canvas.width - RIGHT, at, "reference")


def whisker(canvas: Canvas, x: float, figure: Figure, row: MatrixRow, y: Axis, shade: str) -> None:
    """An interval as an upright bar with ends, in the colour of its variant."""
    if figure.low is None or figure.high is None:
        return
    low, high = y(points_of(figure.low, row)), y(points_of(figure.high, row))
    canvas.line(x, low, x, high, f"whisker {shade}")
    for end in (low, high):
        canvas.line(x - 3, end, x + 3, end, f"whisker {shade}")


def _figure(row: MatrixRow, variant: Variant) -> Figure | None:
    figure = row.figure(variant.id)
    return figure if figure is not None and figure.value is not None else None


def points_of(value: float | None, row: MatrixRow) -> float:
    """A value as it is drawn: of 100 where the metric has a best value."""
    return in_points(value or 0.0, row.scale)


def bounds_of(figure: Figure, row: MatrixRow) -> list[float]:
    """Lower bound, value and upper bound that there are, as shown."""
    bounds = (figure.low, figure.value, figure.high)
    return [in_points(value, row.scale) for value in bounds if value is not None]
