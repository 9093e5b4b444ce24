"""The door of report sections: what a section of the report is.

A section builds its own part of the view from what a run holds, and writes it as HTML, Markdown
and tables of CSV; JSON is the view itself. What it does not define it says nothing of, and where
it has nothing it is left out. A package brings one by an entry point::

    [project.entry-points."qlora_harness.report_sections"]
    lengths = "my_package.section:SECTION"

It stands before the provenance. See ``docs/guides/extending.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import jinja2
from markupsafe import Markup

from harness.render.palette import swatches
from harness.render.table import Table
from harness.report.browser.html import BrowserSection
from harness.report.parts.contents import RunContents
from harness.report.view.records import View


class ReportSection(Protocol):
    """A section of the report; a class that derives from this one defines what it has.

    Attributes:
        name: Its anchor on the page, and the name of its part of the view.
        title: Its heading.
        label: What the bar of the page calls it; empty where it is not there.
    """

    name: str
    title: str
    label: str = ""

    def build(self, run: RunContents) -> Mapping[str, Any]:
        """Its part of the view.

        Args:
            run: What the run holds.

        Returns:
            JSON values by name; ``view.sections[name]`` holds them. (Built-in sections return
            fields of the view itself.)
        """
        return {}

    def html(self, view: View, page: PageContext) -> str:
        """What stands under the heading on the page; nothing where it has nothing.

        Args:
            view: The report.
            page: Renders templates and tables; it escapes what they show. Text that is no
                ``Markup`` is escaped as well. What the page's policy would refuse (scripts,
                styles, anything that loads) is an error.
        """
        return ""

    def markdown(self, view: View) -> str:
        """The same as Markdown; :mod:`harness.render.markdown` escapes texts."""
        return ""

    def tables(self, view: View) -> Mapping[str, Table]:
        """Its tables for CSV by name, values in their own units."""
        return {}


@dataclass(frozen=True)
class PageContext:
    """What a section's HTML is made with.

    Attributes:
        view: The report.
        templates: The page's environment, which escapes whatever a template shows.
        browser: The list of every example, which its section shows.
    """

    view: View
    templates: jinja2.Environment
    browser: BrowserSection | None = None

    def render(self, name: str, **values: Any) -> Markup:
        """HTML of a shipped template.

        Args:
            name: Of a file in ``reports/templates``.
            values: What it shows beside the view.
        """
        return self._filled(self.templates.get_template(name), values)

    def render_source(self, source: str, **values: Any) -> Markup:
        """HTML of a section's own Jinja template, given as text."""
        return self._filled(self.templates.from_string(source), values)

    def table(self, table: Table, style: str = "") -> Markup:
        """HTML of a table that scrolls by itself; ``style`` may be ``sortable``."""
        source = '{% import "macros.html.j2" as ui with context %}{{ ui.table(table, style) }}'
        return self.render_source(source, table=table, style=style)

    def _filled(self, template: jinja2.Template, values: Mapping[str, Any]) -> Markup:
        text = template.render(values, view=self.view, swatches=self._swatches)
        return Markup(text)  # noqa: S704  # escaped by the template's environment

    @cached_property
    def _swatches(self) -> dict[str, str]:
        view = self.view
        return swatches(view.variants, view.baseline, view.verdict.chosen)
