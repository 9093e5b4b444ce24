"""A section of the report: how long the run's texts are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.render.table import Cell, Head, Table, to_markdown
from harness.report.parts.contents import RunContents
from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import View


class Cells(ReportSection):
    name = "cells"
    title = "Cells by variant"

    def build(self, run: RunContents) -> Mapping[str, Any]:
        variants = [cell.variant for cell in run.manifest.cells]
        return {"count": {name: variants.count(name) for name in dict.fromkeys(variants)}}

    def html(self, view: View, page: PageContext) -> str:
        return page.table(self._table(view))

    def markdown(self, view: View) -> str:
        return to_markdown(self._table(view))

    def tables(self, view: View) -> Mapping[str, Table]:
        return {"cells": self._table(view)}

    def _table(self, view: View) -> Table:
        rows = tuple(
            (Cell(variant), Cell(str(n), raw=n))
            for variant, n in view.sections[self.name]["count"].items()
        )
        return Table("Cells", (Head("variant", numeric=False), Head("cells")), rows)


SECTION = Cells()
