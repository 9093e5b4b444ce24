"""Memory and speed of every variant, with quartiles."""

from collections.abc import Iterator
from typing import Any

from harness.render import numbers as fmt
from harness.render.delimited import Raw
from harness.render.labels import measured_name
from harness.render.markdown import bullets, paragraphs, quoted
from harness.render.table import Cell, Head, Table, data_table, texts, to_markdown
from harness.report.parts.contents import RunContents
from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import MeasuredValue, MeasurementRow, View
from harness.report.view.repeats import grouped_notes
from harness.results.measurements import sizes
from harness.suite.record import recorded_suite

_COLUMNS = (
    *("name", "unit", "batch_size", "prompt_tokens", "new_tokens", "variants"),
    *("n", "median", "quartile_1", "quartile_3", "reason", "note"),
)
_MOST_NAMES = 4  # of variants that share a measurement, in a column's head


class CostSection(ReportSection):
    """Quantities down, measured shapes across."""

    name, title, label = "cost", "Memory and speed", "Cost"

    def build(self, run: RunContents) -> dict[str, Any]:
        return {"measurements": run.measurements}

    def html(self, view: View, page: PageContext) -> str:
        measure = recorded_suite(view.provenance.spec).measure
        return page.render(
            "cost.html.j2",
            table=_table(view),
            asked=measure is not None,
            priced=measure is not None and measure.price_per_hour is not None,
            notes=grouped_notes(view),
        )

    def markdown(self, view: View) -> str:
        table = _table(view)
        if table is None:
            return ""
        doubts = [doubt.words for doubt in view.measurements.doubts]
        shown = to_markdown(table, caption=False)
        return paragraphs(quoted(doubts), shown, bullets(view.measurements.taken))

    def tables(self, view: View) -> dict[str, Table]:
        return {"measurements": data_table("Measurements", _COLUMNS, _lines(view))}


def _table(view: View) -> Table | None:
    """Medians, all of a row in one unit, with quartiles below; None where nothing was measured."""
    rows = [row for row in view.measurements.rows if any(row.readings)]
    if not rows:
        return None
    heads = (_head(names) for names in view.measurements.columns)
    return Table(
        "Memory and speed by variant",
        (*texts("Quantity", "Sizes"), *heads),
        tuple(_cells(row) for row in rows),
    )


def _head(names: tuple[str, ...]) -> Head:
    """The variants that share a measurement."""
    if len(names) == 1:
        return Head(names[0])
    more = fmt.count(len(names) - _MOST_NAMES, "other") if len(names) > _MOST_NAMES else ""
    shown = ", ".join(names[:_MOST_NAMES]) if more else ", ".join(names)
    return Head(shown, f"and {more}" if more else "", note=", ".join(names) if more else "")


def _cells(row: MeasurementRow) -> tuple[Cell, ...]:
    medians = fmt.quantities([value.median if value else None for value in row.readings], row.unit)
    return (
        Cell(measured_name(row.name)),
        Cell(sizes(row) or "whole process", style="quiet sizes"),
        *(
            Cell(text, (spread,) if (spread := _spread(value, row.unit)) else ())
            for text, value in zip(medians, row.readings, strict=True)
        ),
    )


def _spread(value: MeasuredValue | None, unit: str) -> str:
    if value is None:
        return ""
    if value.median is None:
        return value.reason or ""
    if value.low is None or value.high is None or value.n < 2:
        return ""
    return f"{fmt.quantity_range(value.low, value.high, unit)} · {value.n}×"


def _lines(view: View) -> Iterator[tuple[Raw, ...]]:
    for row in view.measurements.rows:
        about = (row.name, row.unit, row.batch_size, row.prompt_tokens, row.new_tokens)
        for variants, value in zip(view.measurements.columns, row.readings, strict=True):
            if value is not None:
                quartiles = (value.n, value.median, value.low, value.high)
                yield (*about, " ".join(variants), *quartiles, value.reason, value.note)


SECTION = CostSection()
