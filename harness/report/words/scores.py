"""Scores as cells of a table: the value, its interval, and the difference from the reference."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from harness.ratings.report.words import same_words
from harness.render.labels import split_words
from harness.render.numbers import NONE, joined, metric_name
from harness.render.table import Band, Cell, Head, Table, texts, with_points_aligned
from harness.report.view.records import MatrixCell, MatrixRow
from harness.report.words.comparison import change_words, figure_words

_MARKS = {"best": "best", "tied": "not distinguishable from the best"}
_SIDES = {True: "better", False: "worse", None: "not distinguishable"}


def score_cell(cell: MatrixCell, row: MatrixRow) -> Cell:
    """A score with its interval, its mark, and the paired difference from the reference."""
    figure, comparison = cell.figure, cell.comparison
    if figure is None:
        why = cell.missing or ""
        failed = ("failed",) if why.startswith("failed") else ()
        return Cell(NONE, failed, note=why, style="missing")
    value, bounds = figure_words(figure, row)
    no_interval = not bounds and figure.reason
    notes = [_MARKS[cell.mark] if cell.mark else "", (figure.reason or "") if no_interval else ""]
    shown = Cell(
        value,
        interval=bounds,
        more=("no interval",) if no_interval else (),
        strong=cell.mark is not None,
        raw=figure.value,
    )
    if comparison is None:
        return _noted(shown, notes)
    if comparison.delta is None:
        notes.append(f"not compared: {comparison.reason}")
        return _noted(shown, notes, change="not compared")
    if comparison.identical:
        brief, full = same_words(row.kind)
        return _noted(shown, [*notes, full], change=brief, side="same")
    change, side = joined(*change_words(comparison, row)), _SIDES[comparison.better]
    notes.append(f"{metric_name(row.metric)} {change} against {comparison.baseline}, {side}")
    mark = "open" if comparison.better is None else side
    return _noted(shown, notes, change=change, side=mark, words=side)


def _noted(cell: Cell, notes: Sequence[str], **changes: Any) -> Cell:
    return replace(cell, note="; ".join(filter(None, notes)), **changes)


def metric_cell(row: MatrixRow) -> Cell:
    """What a row of scores is about."""
    member = f"{row.task.removeprefix(f'{row.suite_task}/')} " * (row.task != row.suite_task)
    return Cell(
        f"{member}{metric_name(row.metric)}",
        () if row.higher_is_better else ("lower is better",),
        tag="decides" if row.primary else "",
    )


def score_table(
    caption: str,
    heads: Sequence[Head],
    rows: Sequence[MatrixRow],
    show: Callable[[MatrixCell, MatrixRow], Cell] = score_cell,
) -> Table:
    """Metrics down, what is compared across, under headings that name task, split and n.

    Args:
        caption: Of the table.
        heads: One column for each of a row's cells.
        rows: Those of one task and split stand together.
        show: Makes the cell of a score.
    """
    bands: list[Band] = []
    last = None
    for place, row in enumerate(rows):
        if (row.suite_task, row.split) != last:
            last = (row.suite_task, row.split)
            shots = f", {row.num_fewshot}-shot" if row.num_fewshot is not None else ""
            bands.append(
                Band(place, row.suite_task, f"{split_words(row.split)}, n = {row.n:,}{shots}")
            )
    table = Table(
        caption,
        (*texts("Metric"), *heads),
        tuple((metric_cell(row), *_cells(row, heads, show)) for row in rows),
        tuple(bands),
        over="Task",
    )
    return with_points_aligned(table)


def _cells(
    row: MatrixRow, heads: Sequence[Head], show: Callable[[MatrixCell, MatrixRow], Cell]
) -> Iterator[Cell]:
    for cell, head in zip(row.cells, heads, strict=True):
        shown = show(cell, row)
        yield replace(shown, style=f"{shown.style} {head.style}".strip())
