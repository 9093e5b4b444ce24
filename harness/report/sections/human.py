"""What human raters say."""

from typing import Any

from harness.ratings.report.csv import rating_tables
from harness.ratings.report.view import Section, human_section
from harness.ratings.summary import why_none
from harness.render.markdown import bullets, paragraphs, plain, quoted
from harness.render.table import Table, to_markdown
from harness.report.parts.contents import RunContents
from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import View


class HumanSection(ReportSection):
    """Who is preferred, how far raters agree, and which metric follows them."""

    name, title, label = "human", "Human ratings", "Ratings"

    def build(self, run: RunContents) -> dict[str, Any]:
        note = why_none(run.store, run.manifest) if run.human is None else ""
        return {"human": run.human, "human_note": note}

    def html(self, view: View, page: PageContext) -> str:
        section = _section(view)
        return "" if section is None else page.render("human.html.j2", human=section)

    def markdown(self, view: View) -> str:
        section = _section(view)
        if section is None:
            return ""
        return paragraphs(
            plain(section.note),
            *(plain(line) for line in section.lead),
            quoted(section.cautions),
            to_markdown(section.preference),
            to_markdown(section.means),
            bullets(section.notes),
            to_markdown(section.agreement),
            to_markdown(section.raters),
            bullets(section.doubts),
            plain(section.trust),
            to_markdown(section.metrics),
        )

    def tables(self, view: View) -> dict[str, Table]:
        return rating_tables(view.human)


def _section(view: View) -> Section | None:
    verdict = view.verdict
    return human_section(
        view.human, note=view.human_note, chosen=verdict.chosen, primary=view.primary
    )


SECTION = HumanSection()
