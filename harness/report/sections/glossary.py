"""What the terms of the report mean."""

from harness.metrics.quantities import QUANTITIES
from harness.render.labels import measured_name
from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import View


class GlossarySection(ReportSection):
    """Terms, and the definitions of what was measured; HTML only."""

    name, title, label = "glossary", "Glossary", "Glossary"

    def html(self, view: View, page: PageContext) -> str:
        rows = dict.fromkeys(row.name for row in view.measurements.rows if any(row.readings))
        measured = [(measured_name(n), QUANTITIES[n].meaning) for n in rows if n in QUANTITIES]
        return page.render("glossary.html.j2", measured=measured)


SECTION = GlossarySection()
