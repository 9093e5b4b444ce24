"""The charts, each with the table of its data."""

from typing import Any

from harness.report.charts.costs import trade_off_charts
from harness.report.charts.forest import forest_charts
from harness.report.charts.metrics import checkpoint_charts, training_charts, undrawn_words
from harness.report.parts.contents import RunContents
from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import View


class ChartsSection(ReportSection):
    """Quality against cost, gains and losses, and the course of the training; HTML only."""

    name, title, label = "charts", "Charts", "Charts"

    def build(self, run: RunContents) -> dict[str, Any]:
        return {"trade_off": run.trade_off}

    def html(self, view: View, page: PageContext) -> str:
        return page.render(
            "charts.html.j2",
            trade_off=trade_off_charts(view),
            forest=forest_charts(view),
            by_step=checkpoint_charts(view),
            undrawn=undrawn_words(view),
            curves=training_charts(view),
        )


SECTION = ChartsSection()
