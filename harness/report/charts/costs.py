"""Charts of what a choice costs: quality against memory and speed."""

from collections.abc import Mapping, Sequence

import numpy as np

from harness.render.numbers import count, metric_name, number, size
from harness.render.palette import shades
from harness.render.svg import Canvas, make_axis
from harness.report.charts.chart import BOTTOM, LEFT, RIGHT, TOP, WIDE, Chart, frame
from harness.report.charts.metrics import bounds_of, points_of, whisker
from harness.report.view.records import MatrixRow, TradeOffPoint, View
from harness.report.words.comparison import figure_words
from harness.stats import pareto

APART = 14.0  # pixels from point to point: a marker beside a ring, a number of two digits
MOST_NUMBERS = 12  # in a legend; of more variants those that matter to the choice have one


def trade_off_charts(view: View) -> list[Chart]:
    """Quality against memory, and against decode speed."""
    row = view.primary_row
    if row is None:
        return []
    charts = []
    scored = [point for point in view.trade_off.points if point.quality.value is not None]
    if any(point.memory_bytes is not None for point in scored):
        where = [(p, None if p.memory_bytes is None else p.memory_bytes / 1e9) for p in scored]
        title = f"{metric_name(row.metric)} against memory"
        charts.append(_scatter(view, row, "cost-memory", title, "peak memory, GB", where))
    if any(point.decode_tokens_per_s is not None for point in scored):
        speeds = [(point, point.decode_tokens_per_s) for point in scored]
        title = f"{metric_name(row.metric)} against speed"
        charts.append(_scatter(view, row, "cost-speed", title, "decode speed, tok/s", speeds))
    return charts


def _scatter(
    view: View,
    row: MatrixRow,
    ident: str,
    title: str,
    label: str,
    where: Sequence[tuple[TradeOffPoint, float | None]],
) -> Chart:
    points = [(p, at) for p, at in where if at is not None and p.quality.value is not None]
    width, height = WIDE, 290.0
    bottom = height - BOTTOM
    canvas = Canvas(ident, width, height, title, f"Each variant by {row.metric} and {label}.")
    y = make_axis([b for p, _ in points for b in bounds_of(p.quality, row)], bottom, TOP)
    values = [at for _, at in points]
    whole = min(values) <= max(values) / 2  # else all would stand on one spot
    x = make_axis(values, LEFT + 20, width - RIGHT - 20, zero=whole)
    frame(canvas, y)
    for tick in x.ticks:
        canvas.text(x(tick), bottom + 15, x.tick_text(tick), "tick", "middle")
    canvas.text((LEFT + width - RIGHT) / 2, height - 5, label, "axis", "middle")
    kinds = {variant.id: variant.kind for variant in view.variants}
    shade = shades(view.variants, view.baseline, view.verdict.chosen)
    places = [x(at) for _, at in points]
    columns = side_by_side(places, x.start, x.end)
    heights = [y(points_of(point.quality.value, row)) for point, _ in points]
    spots = {p.variant: (at, top) for (p, _), at, top in zip(points, columns, heights, strict=True)}
    for point, _ in points:
        whisker(canvas, spots[point.variant][0], point.quality, row, y, shade[point.variant])
    best = _front(row, points, less_is_better=ident == "cost-memory")
    canvas.path(sorted((left, top) for name, (left, top) in spots.items() if name in best), "front")
    for name, (left, top) in spots.items():
        ring = name == view.verdict.chosen
        canvas.marker(left, top, kinds[name], shade[name], ring=ring, name=name)
    numbers = _numbers(view, [point.variant for point, _ in points])
    for point, _ in points:
        if point.variant in numbers:
            left, middle = spots[point.variant]
            top = min(middle - 8, *(y(bound) for bound in bounds_of(point.quality, row)))
            canvas.text(left, top - 4, numbers[point.variant], "tag", "middle")
    rows = tuple(
        (
            _numbered(point.variant, numbers),
            *figure_words(point.quality, row),
            size(point.memory_bytes),
            number(point.decode_tokens_per_s),
            "yes" if point.efficient else "no",
        )
        for point, _ in points
    )
    header = ("variant", metric_name(row.metric), "95 % interval", "memory", "tok/s", "efficient")
    left = len(spots) - len(numbers)
    note = f"{row.split} split; bars are 95 % intervals; the dotted line joins what nothing beats"
    note += "" if whole else f"; {label.split(',', maxsplit=1)[0]} does not begin at zero"
    note += "; points in one place stand side by side" if not np.allclose(columns, places) else ""
    note += f"; {count(left, 'variant')} without a number" if left else ""
    legend = tuple((f"{kinds[v]} {shade[v]}", _numbered(v, numbers)) for v in numbers)
    return Chart(ident, title, note, canvas.render(), header, rows, legend)


def side_by_side(places: Sequence[float], low: float, high: float) -> list[float]:
    """Move points that would cover each other apart, so that each has a column of its own.

    No two stand nearer to each other than a marker is wide, as far as there is room; those that
    would are moved half to the left and half to the right.

    Args:
        places: Pixels, in any order.
        low: Where the first may stand.
        high: Where the last may stand.

    Returns:
        The places, in the order given; equal ones from left to right in that order.
    """
    order = np.argsort(places, kind="stable")
    steps = np.arange(len(order)) * min(APART, (high - low) / max(1, len(order) - 1))
    wanted = np.asarray(places)[order] - steps
    # rising, and the places themselves where those rise; scipy.optimize takes 0.3 s to import
    moved = (np.maximum.accumulate(wanted) + np.minimum.accumulate(wanted[::-1])[::-1]) / 2
    columns = np.empty(len(order))
    columns[order] = np.clip(moved, low, high - steps[-1]) + steps
    return [float(column) for column in columns]


def _front(
    row: MatrixRow, points: Sequence[tuple[TradeOffPoint, float]], *, less_is_better: bool
) -> set[str]:
    """The variants that no other one beats in both quantities of the chart."""
    quality = {point.variant: point.quality.value for point, _ in points}
    cost = {point.variant: at for point, at in points}
    return pareto.efficient(
        [
            pareto.Objective("quality", quality, row.higher_is_better),
            pareto.Objective("cost", cost, higher_is_better=not less_is_better),
        ]
    )


def _numbers(view: View, names: Sequence[str]) -> dict[str, str]:
    """Numbers of variants in the legend: of many, of those that matter to the choice."""
    if len(names) > MOST_NUMBERS:
        front = [point.variant for point in view.trade_off.points if point.efficient]
        ends = view.baseline, view.verdict.chosen or "", view.verdict.shipped or ""
        names = [name for name in names if name in {*ends, *front[:3]}]
    return {name: str(place) for place, name in enumerate(names, start=1)}


def _numbered(name: str, numbers: Mapping[str, str]) -> str:
    return f"{numbers[name]} {name}" if name in numbers else name
