"""Ten examples with every variant's output side by side."""

from typing import Any

from harness.report.parts.contents import RunContents
from harness.report.parts.examples import build_examples
from harness.report.sections.base import PageContext, ReportSection
from harness.report.sections.losses import lost_places
from harness.report.view.records import ExampleView, View

_PICKED = {
    "gain": "large gain",
    "loss": "large loss",
    "middling": "middling",
    "best": "among the best",
    "worst": "among the worst",
}
_SHORT_CHARS = 200  # outputs up to here stand in narrow columns


class ExamplesSection(ReportSection):
    """The largest gains and losses, and middling ones; HTML only."""

    name, title, label = "examples", "Examples side by side", "Examples"

    def build(self, run: RunContents) -> dict[str, Any]:
        return {"examples": build_examples(run)}

    def html(self, view: View, page: PageContext) -> str:
        examples = view.examples
        return page.render(
            "examples.html.j2",
            examples=examples.items,
            how=examples.how,
            reason=examples.reason,
            row=view.row(examples.task, examples.metric, "report"),
            lost=lost_places(view.losses),
            is_long=_is_long,
            picked=_PICKED,
        )


def _is_long(item: ExampleView) -> bool:
    """Whether texts need wide columns."""
    texts = [*item.references, *(output.text for output in item.outputs)]
    return max(map(len, texts), default=0) > _SHORT_CHARS


SECTION = ExamplesSection()
