"""The choice of a checkpoint: what it was made on, and its constraints elsewhere."""

from collections.abc import Iterator
from typing import Any

from harness.render.delimited import Raw
from harness.render.markdown import bullets, paragraphs, plain
from harness.render.table import Table, data_table, to_markdown
from harness.report.parts.contents import RunContents
from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import View
from harness.report.words.selection import (
    BOUNDS,
    axes_words,
    candidate_table,
    held_claims,
    how_chosen,
)

_COLUMNS = (
    *("variant", "step", "chosen", "allowed", "efficient", "what", "status"),
    *("value", "delta", "low", "high", "p_adjusted", "bound", "n", "reason"),
)


class ChoiceSection(ReportSection):
    """Every checkpoint with its constraints."""

    name, title, label = "choice", "Choice", "Choice"

    def build(self, run: RunContents) -> dict[str, Any]:
        return {"selection": run.manifest.selection, "choice": run.choice}

    def html(self, view: View, page: PageContext) -> str:
        selection = view.selection
        return page.render(
            "choice.html.j2",
            table=candidate_table(selection, view.rows, view.baseline),
            how_chosen=how_chosen(selection) if selection else "",
            bounds=BOUNDS if selection and selection.constraints else "",
            axes=axes_words(selection) if selection else [],
            claims=held_claims(view),
        )

    def markdown(self, view: View) -> str:
        table = candidate_table(view.selection, view.rows, view.baseline)
        if view.selection is None or table is None:
            return ""
        shown = to_markdown(table, caption=False)
        return paragraphs(plain(how_chosen(view.selection)), shown, bullets(held_claims(view)))

    def tables(self, view: View) -> dict[str, Table]:
        return {"candidates": data_table("Candidates", _COLUMNS, _lines(view))}


def _lines(view: View) -> Iterator[tuple[Raw, ...]]:
    selection = view.selection
    if selection is None:
        return
    steps = {item.variant: item.step for item in selection.candidates}
    for item in selection.candidates:
        what = f"{selection.task} {selection.metric} on {selection.split}"
        yield (
            *(item.variant, item.step, item.variant == selection.chosen, item.allowed),
            *(item.efficient, what, None, item.value, item.delta, item.low, item.high),
            *(item.p_adjusted, None, None, None),
        )
    for check in selection.constraints:
        value, delta = (None, check.value) if check.data else (check.value, None)
        yield (
            *(check.variant, steps.get(check.variant), check.variant == selection.chosen),
            *(None, None, check.what, check.status, value, delta, check.low, check.high),
            *(None, check.bound, check.n, check.reason),
        )


SECTION = ChoiceSection()
