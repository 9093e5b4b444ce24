"""Where the choice loses: groups of examples, the worst ones, and whatever else got worse."""

from dataclasses import replace
from typing import Any

from markupsafe import Markup

from harness.render.markdown import bullets, paragraphs, plain
from harness.render.svg import Axis, Canvas
from harness.render.table import Cell, Head, Table, table_of, to_markdown
from harness.render.worddiff import MarkedTexts, compare_words
from harness.report.parts.contents import RunContents
from harness.report.parts.losses import build_losses
from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import Losses, LostExample, View
from harness.report.words.losses import loss_notes, side_of, strata_table
from harness.results.losses import LossStratum, LossSummary
from harness.suite.rules import in_points

_WIDTH, _HEIGHT = 150.0, 18.0
_MARGIN = 6.0
_MOST_DOCUMENTS = 20  # that a table names


class LossesSection(ReportSection):
    """How many examples got worse, what sets them apart, and the worst ten with both outputs."""

    name, title, label = "losses", "Where it loses", "Losses"

    def build(self, run: RunContents) -> dict[str, Any]:
        return {"losses": build_losses(run)}

    def html(self, view: View, page: PageContext) -> str:
        return page.render(
            "losses.html.j2",
            losses=view.losses,
            strata=barred_table,
            documents=_documents,
            loss_notes=loss_notes,
            marked_words=marked_words,
        )

    def markdown(self, view: View) -> str:
        losses = view.losses
        parts = []
        if losses.primary is not None:
            summary = losses.primary.summary
            tested = bool(summary.looks and summary.strata)
            table = to_markdown(strata_table(summary), caption=False) if tested else ""
            parts += [plain(losses.primary.sentence), table, bullets(loss_notes(summary))]
        others = [f"{loss.summary.task}: {loss.sentence}" for loss in losses.others]
        return paragraphs(*parts, bullets(others))


def barred_table(summary: LossSummary, ident: str) -> Table:
    """The table of groups with each gain and its interval drawn, all on one axis.

    Args:
        summary: The analysis.
        ident: Begins the names of the drawings' parts; unique within the page.
    """
    ends = [0.0, *(end for item in summary.strata for end in _ends(summary, item) if end)]
    low, high = min(ends), max(ends)
    if low == high:  # nothing but zeros
        low, high = -1.0, 1.0
    axis = Axis(low, high, _MARGIN, _WIDTH - _MARGIN, ())
    table = strata_table(summary)
    head = Head("Gain, drawn", numeric=False, style="bars")
    rows = []
    for place, (item, cells) in enumerate(zip(summary.strata, table.rows, strict=True)):
        bar = _bar(summary, item, axis, f"{ident}-{place}", cells[4])
        rows.append((*cells[:5], Cell("", drawing=bar, style="bars"), *cells[5:]))
    header = (*table.header[:5], head, *table.header[5:])
    return replace(table, header=header, rows=tuple(rows))


def _ends(summary: LossSummary, item: LossStratum) -> tuple[float | None, ...]:
    return tuple(
        None if value is None else in_points(value, summary.scale)
        for value in (item.low, item.gain, item.high)
    )


def _bar(summary: LossSummary, item: LossStratum, axis: Axis, ident: str, gain: Cell) -> Markup:
    low, value, high = _ends(summary, item)
    if value is None:
        return Markup("")
    side = side_of(item) or "none"
    canvas = Canvas(ident, _WIDTH, _HEIGHT, f"{item.kind}, {item.name}", " ".join(gain.lines))
    middle = _HEIGHT / 2
    canvas.line(axis(0), 0, axis(0), _HEIGHT, "zero")
    if low is not None and high is not None:
        canvas.line(axis(low), middle, axis(high), middle, f"whisker {side}")
    canvas.add("circle", cx=axis(value), cy=middle, r=3.6, class_=f"mark {side}")
    return Markup('<span aria-hidden="true">{}</span>').format(canvas.render())


def _documents(summary: LossSummary) -> Table:
    """Documents that only one of the two has right, by task."""
    return table_of(
        f"Documents that only one of {summary.baseline} and {summary.candidate} has right",
        [item for item in summary.documents if item.lost or item.won],
        {
            "Task": lambda item: item.member,
            "Lost": lambda item: len(item.lost),
            "Won": lambda item: len(item.won),
            "Lost documents": lambda item: Cell(_listed(item.lost), style="wrapped small"),
            "Won documents": lambda item: Cell(_listed(item.won), style="wrapped small"),
        },
    )


def _listed(names: tuple[str, ...]) -> str:
    left = len(names) - _MOST_DOCUMENTS
    more = f" and {left:,} more, which the JSON names" if left > 0 else ""
    return ", ".join(names[:_MOST_DOCUMENTS]) + more


def marked_words(item: LostExample) -> MarkedTexts | None:
    """The example's texts with their words marked; None where nothing was generated."""
    if item.baseline is None or item.candidate is None:
        return None
    return compare_words(item.references, item.baseline.text, item.candidate.text)


def lost_places(losses: Losses) -> dict[str, int]:
    """Number of each example that the section shows, by id."""
    items = losses.primary.worst if losses.primary else ()
    return {item.id: place for place, item in enumerate(items, start=1)}


SECTION = LossesSection()
