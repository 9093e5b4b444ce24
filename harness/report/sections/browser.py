"""The list of every example, which a script of the page fills."""

from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import View


class ExampleListSection(ReportSection):
    """All examples with filters and a search; CSV has them in ``examples.csv``."""

    name, title, label = "browser", "Every example", ""

    def html(self, view: View, page: PageContext) -> str:
        if page.browser is None:
            return ""
        return page.render("browser.html.j2", browser=page.browser)


SECTION = ExampleListSection()
