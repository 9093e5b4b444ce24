"""Cells that failed or were skipped, with their reasons."""

from typing import Any

from harness.render.markdown import plain
from harness.render.table import Cell, Table, table_of
from harness.report.parts.contents import RunContents
from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import View

_NO_REASON = "no reason was recorded"


class UnfinishedSection(ReportSection):
    """What is missing, and why."""

    name, title, label = "unfinished", "Failed and skipped", "Failures"

    def build(self, run: RunContents) -> dict[str, Any]:
        return {"cells": run.manifest.cells}

    def html(self, view: View, page: PageContext) -> str:
        return page.render("unfinished.html.j2", table=_table(view))

    def markdown(self, view: View) -> str:
        return "\n".join(
            f"- {plain(f'{cell.variant} / {cell.task}')}: {cell.status}, "
            f"{plain(cell.reason or _NO_REASON)}"
            for cell in view.unfinished
        )


def _table(view: View) -> Table:
    return table_of(
        "Cells that failed or were skipped",
        view.unfinished,
        {
            "Variant": lambda cell: Cell(cell.variant, style="id"),
            "Task": lambda cell: cell.task,
            "Status": lambda cell: Cell(cell.status, style="worse"),
            "Reason": lambda cell: Cell(cell.reason or _NO_REASON, style="wrapped"),
        },
    )


SECTION = UnfinishedSection()
