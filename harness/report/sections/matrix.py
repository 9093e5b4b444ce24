"""The results: every score of every variant, with intervals and paired differences."""

from collections.abc import Iterator, Sequence
from typing import Any

from harness.render import table
from harness.render.delimited import Raw
from harness.render.markdown import paragraphs, plain
from harness.render.numbers import NONE, number
from harness.report.parts.contents import RunContents
from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import MatrixCell, MatrixRow, View
from harness.report.words.scores import score_table

_OF_FIGURE = ("n", "value", "low", "high", "stderr", "method")
_OF_COMPARISON = ("baseline", "delta", "low", "high", "better", "identical", "method")
_COLUMNS = (
    *("task", "metric", "split", "variant", *_OF_FIGURE),
    *("baseline", "delta", "delta_low", "delta_high", "better", "identical", "delta_method"),
    *("mark", "unit", "scale", "higher_is_better", "num_fewshot", "signature", "reason"),
)


class MatrixSection(ReportSection):
    """Metrics down, variants across."""

    name, title, label = "matrix", "Results", "Results"

    def build(self, run: RunContents) -> dict[str, Any]:
        return {"rows": run.matrix[0]}

    def html(self, view: View, page: PageContext) -> str:
        whole, leaves = _claimed(view)
        heads = [_head(view, variant.id) for variant in view.variants]
        select = [row for row in view.rows if row.split == "select"]
        return page.render(
            "matrix.html.j2",
            matrix=score_table("Results by variant and metric", heads, whole),
            leaves=score_table("Results by subject", heads, leaves),
            select=score_table("Results on the select split", heads, select),
            lm_eval=_lm_eval_table(view),
            signatures=_signatures(view.rows),
        )

    def markdown(self, view: View) -> str:
        whole, _ = _claimed(view)
        if not whole:
            return ""
        heads = [table.Head(variant.id) for variant in view.variants]
        return paragraphs(
            "Value and 95 % interval; below, the paired difference from "
            f"{plain(view.baseline)} and its interval. Bold: best, or not distinguishable from "
            "it, where at least one variant is distinguishably worse. Scores with a best value "
            "are of 100.",
            table.to_markdown(score_table("Results", heads, whole), caption=False),
        )

    def tables(self, view: View) -> dict[str, table.Table]:
        return {"scores": table.data_table("Scores", _COLUMNS, _lines(view))}


def _claimed(view: View) -> tuple[list[MatrixRow], list[MatrixRow]]:
    """Rows that no choice was made by: of whole tasks, and of the members of groups."""
    rows = [row for row in view.rows if row.split != "select"]
    whole = [row for row in rows if row.task == row.suite_task]
    return whole, [row for row in rows if row.task != row.suite_task]


def _head(view: View, name: str) -> table.Head:
    """A variant's column: what it is, and what it is here."""
    verdict, variant = view.verdict, view.variant(name)
    role = {verdict.shipped: "to ship", verdict.chosen: "the choice", view.baseline: "baseline"}
    about = (variant.kind, variant.precision, role.get(name)) if variant else ()
    quiet = ", ".join(filter(None, about))
    return table.Head(name, quiet, style="chosen" if name == verdict.chosen else "")


def _lm_eval_table(view: View) -> table.Table:
    """Values as lm-eval prints them, with its own standard errors."""
    return table.make_table(
        "lm-eval results: value and its own standard error",
        (
            *table.texts("Task", "Metric"),
            *table.numbers("Shots", "n", *(v.id for v in view.variants)),
        ),
        (
            (
                *(row.task, row.metric),
                NONE if row.num_fewshot is None else str(row.num_fewshot),
                f"{row.n:,}",
                *(_lm_eval_cell(cell) for cell in row.cells),
            )
            for row in view.rows
            if row.kind == "lm_eval"
        ),
    )


def _lm_eval_cell(cell: MatrixCell) -> table.Cell:
    figure = cell.figure
    if figure is None or figure.value is None:
        why = cell.missing or (figure.reason if figure else "") or ""
        return table.Cell(NONE, note=why, style="missing")
    error = f"± {number(figure.stderr, 4)}" if figure.stderr is not None else ""
    return table.Cell(number(figure.value, 4), interval=error, raw=figure.value)


def _signatures(rows: Sequence[MatrixRow]) -> table.Table:
    """Task, metric and signature, once each."""
    known = {(row.task, row.metric): row.signature for row in rows if row.signature}
    lines = ((task, metric, table.Cell(text, code=True)) for (task, metric), text in known.items())
    return table.make_table(
        "Signature of each metric", table.texts("Task", "Metric", "Signature"), lines
    )


def _lines(view: View) -> Iterator[tuple[Raw, ...]]:
    for row in view.rows:
        for cell in row.cells:
            yield (
                *(row.task, row.metric, row.split, cell.variant),
                *table.raw_fields(cell.figure, *_OF_FIGURE),
                *table.raw_fields(cell.comparison, *_OF_COMPARISON),
                *(cell.mark, row.unit, row.scale, row.higher_is_better, row.num_fewshot),
                *(row.signature, cell.reason),
            )


SECTION = MatrixSection()
