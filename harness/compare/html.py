"""A comparison of runs as one offline page in the look of the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from harness.compare.charts import forest_chart, loss_charts, style_of
from harness.compare.view import RunSummary, RunsView, SettingDifference
from harness.compare.words import (
    HOW,
    READING,
    cautions,
    headline,
    loss,
    not_compared,
    same_hardware,
    support,
)
from harness.render.numbers import NONE, estimate
from harness.render.pages import render_page
from harness.render.table import Cell, Head
from harness.render.text import marked
from harness.report.html import report_environment
from harness.report.view.records import MatrixCell, MatrixRow
from harness.report.words.scores import score_cell, score_table
from harness.schema import Comparison

_SETTING_CHARS = 600
_SIDES = {True: "better", False: "worse", None: "open"}


@dataclass(frozen=True)
class _Line:
    """One run in the first table."""

    run: RunSummary
    style: str
    value: Cell
    gain: Cell  # against the reference
    n: str
    how: str
    over_base: tuple[str, str, str]  # difference, interval, side
    other_hardware: bool


def render_runs_html(view: RunsView) -> str:
    """Write a comparison as one page that loads nothing and trusts no text."""
    claimed = [row for row in view.rows if row.split != "select"]
    whole = [row for row in claimed if row.task == row.suite_task]
    leaves = [row for row in claimed if row.task != row.suite_task]
    select = [row for row in view.rows if row.split == "select"]
    own = [row for row in view.base_rows if row.split != "select"]
    bases = [row for row in own if row.task == row.suite_task]
    heads = [_head(view, run, run.variant) for run in view.runs]
    base_heads = [_head(view, run, run.baseline) for run in view.runs]
    environment = report_environment()
    environment.filters |= {
        "loss": loss,
        "setting": _setting,
    }
    values = dict(
        view=view,
        headline=headline(view),
        support=support(view),
        cautions=cautions(view),
        row=view.deciding,
        lines=[_line(view, run) for run in view.runs],
        priced=any(run.costs.currency for run in view.runs),
        memory_names=list(
            dict.fromkeys(run.costs.memory_name for run in view.runs if run.costs.memory_name)
        ),
        several=len(view.others) > 1,
        matrix=score_table("Results by run and metric", heads, whole, _score_cell),
        leaves=score_table("Results by subject", heads, leaves, _score_cell),
        select=score_table("Results on the select split", heads, select, _score_cell),
        bases=score_table("Results of the baselines", base_heads, bases, _score_cell),
        swatches={run.label: style_of(view, run) for run in view.runs},
        refused=not_compared(view, whole),
        forest=forest_chart(view),
        curves=loss_charts(view),
        groups=list(_grouped(view.differences)),
        reading=READING,
    )
    return render_page(environment, "runs.html.j2", values, styles=("report.css", "runs.css"))


def _head(view: RunsView, run: RunSummary, variant: str) -> Head:
    role = ", reference" if run is view.reference else ""
    return Head(run.label, f"{variant}{role}", style="run-name")


def _score_cell(cell: MatrixCell, row: MatrixRow) -> Cell:
    """A score, with its own n where that is not the row's."""
    shown = score_cell(cell, row)
    if cell.figure is None or cell.figure.n == row.n:
        return shown
    return replace(shown, beyond=f"n = {cell.figure.n:,}")


def _setting(text: str) -> Markup:
    """A setting's value, which may be a whole prompt."""
    return marked(text, _SETTING_CHARS)


def _line(view: RunsView, run: RunSummary) -> _Line:
    row = view.deciding
    cell = row.cell(run.label) if row else None
    shown = score_cell(cell, row) if cell and row else Cell(NONE)
    return _Line(
        run=run,
        style=style_of(view, run),
        value=replace(shown, side="", words="", change=""),
        gain=_gain(shown, cell),
        n=f"{cell.figure.n:,}" if cell and cell.figure else NONE,
        how=HOW[run.how],
        over_base=_over_base(run.over_base, row),
        other_hardware=not same_hardware(view.reference, run),
    )


def _gain(shown: Cell, cell: MatrixCell | None) -> Cell:
    """The paired difference of a score, on its own."""
    delta = cell.comparison.delta if cell and cell.comparison else None
    return replace(shown, text="", interval="", more=(), strong=False, raw=delta, pad="")


def _over_base(found: Comparison | None, row: MatrixRow | None) -> tuple[str, str, str]:
    """What a run gains over its own base: difference, interval and side."""
    if found is None or row is None or found.delta is None:
        return NONE, (found.reason or "") if found else "", "none"
    if found.identical:
        return "=", "identical", "open"
    shown = estimate(found.delta, found.low, found.high, row.scale, signed=True)
    return *shown, _SIDES[found.better]


def _grouped(
    differences: Sequence[SettingDifference],
) -> Iterator[tuple[str, list[SettingDifference]]]:
    """Settings by group, in order."""
    for group in dict.fromkeys(item.group for item in differences):
        yield group, [item for item in differences if item.group == group]
