"""A comparison of runs as one offline page in the look of the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.compare.charts import forest_chart, loss_charts, style_of
from harness.compare.view import Difference, RunFacts, RunsView
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
from harness.render.numbers import NONE, aligned, estimate
from harness.render.pages import render_page
from harness.render.text import marked
from harness.report.html import report_environment
from harness.report.view.records import MatrixCell, MatrixRow
from harness.schema import Comparison

_SETTING_CHARS = 600
_SIDES = {True: "better", False: "worse", None: "open"}


@dataclass(frozen=True)
class _Line:
    """One run in the first table."""

    run: RunFacts
    style: str
    cell: MatrixCell | None
    how: str
    over_base: tuple[str, str, str]  # difference, interval, side
    other_hardware: bool


def render_runs_html(view: RunsView) -> str:
    """Write a comparison as one page that loads nothing and trusts no text."""
    claimed = [row for row in view.rows if row.split != "select"]
    whole = [row for row in claimed if row.task == row.suite_task]
    environment = report_environment()
    environment.filters |= {
        "loss": loss,
        "setting": _setting,
    }
    environment.globals |= {"aligned_values": aligned_values}
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
        matrix=whole,
        leaves=[row for row in claimed if row.task != row.suite_task],
        select_rows=[row for row in view.rows if row.split == "select"],
        base_rows=[
            row for row in view.base_rows if row.split != "select" and row.task == row.suite_task
        ],
        refused=not_compared(view, whole),
        forest=forest_chart(view),
        curves=loss_charts(view),
        groups=list(_grouped(view.differences)),
        reading=READING,
    )
    return render_page(environment, "runs.html.j2", values, styles=("report.css", "runs.css"))


def _setting(text: str) -> Markup:
    """A setting's value, which may be a whole prompt."""
    return marked(text, _SETTING_CHARS)


def aligned_values(rows: Sequence[MatrixRow]) -> list[tuple[MatrixRow, list[str]]]:
    """Each row with its values, padded so that the points of a column stand in a line."""
    columns = [
        aligned([_shown(row, place) for row in rows])
        for place in range(max((len(row.cells) for row in rows), default=0))
    ]
    return [(row, [column[at] for column in columns]) for at, row in enumerate(rows)]


def _shown(row: MatrixRow, place: int) -> str:
    figure = row.cells[place].figure
    if figure is None:
        return NONE
    return estimate(figure.value, figure.low, figure.high, row.scale)[0]


def _line(view: RunsView, run: RunFacts) -> _Line:
    row = view.deciding
    return _Line(
        run=run,
        style=style_of(view, run),
        cell=row.cell(run.label) if row else None,
        how=HOW[run.how],
        over_base=_over_base(run.over_base, row),
        other_hardware=not same_hardware(view.reference, run),
    )


def _over_base(found: Comparison | None, row: MatrixRow | None) -> tuple[str, str, str]:
    """What a run gains over its own base: difference, interval and side."""
    if found is None or row is None or found.delta is None:
        return NONE, (found.reason or "") if found else "", "none"
    if found.identical:
        return "=", "identical", "open"
    shown = estimate(found.delta, found.low, found.high, row.scale, signed=True)
    return *shown, _SIDES[found.better]


def _grouped(differences: Sequence[Difference]) -> Iterator[tuple[str, list[Difference]]]:
    """Settings by group, in order."""
    for group in dict.fromkeys(item.group for item in differences):
        yield group, [item for item in differences if item.group == group]
