"""Data and outputs: findings, what became of each row, the training, how outputs ended."""

from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from harness.render import numbers as fmt
from harness.render.delimited import Raw
from harness.render.table import Cell, Table, data_table, table_of, to_markdown
from harness.render.text import escaped
from harness.report.parts.contents import RunContents
from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import View
from harness.report.view.repeats import grouped_findings
from harness.schema import DataReport, FinishReason

_ENDS: tuple[FinishReason, ...] = ("eos", "stop", "length")
_MOST_OVERLAPS = 10  # of each task on the page
_COLUMNS = ("task", "variant", "n", "mean_new_tokens", *_ENDS, "empty", "truncated_prompts")


class DataSection(ReportSection):
    """What went in, and how what came out ended."""

    name, title, label = "data", "Data and outputs", "Data"

    def build(self, run: RunContents) -> dict[str, Any]:
        manifest = run.manifest
        return {
            "data": manifest.data,
            "overlaps": {
                task: tuple(own) for task in manifest.overlaps if (own := run.overlaps_of(task))
            },
            "findings": (*manifest.findings, *run.measurements.doubts),
            "training": run.training,
            "outputs": run.outputs,
        }

    def html(self, view: View, page: PageContext) -> str:
        return page.render(
            "data.html.j2",
            findings=grouped_findings(view),
            rows=_rows_table(view.data),
            notes=[(task, note) for task, report in _grouped(view.data) for note in report.notes],
            overlaps=_overlaps_table(view),
            outputs=_outputs_table(view),
        )

    def markdown(self, view: View) -> str:
        if not view.data:
            return ""
        return to_markdown(_rows_table(view.data, source=False), caption=False)  # it may be a path

    def tables(self, view: View) -> dict[str, Table]:
        lines: list[tuple[Raw, ...]] = [
            (
                *(line.task, line.variant, line.n, line.mean_new_tokens),
                *(line.finished[end] for end in _ENDS),
                *(line.empty, line.truncated_prompts),
            )
            for line in view.outputs
        ]
        tables = {"outputs": data_table("How the outputs ended", _COLUMNS, lines)}
        if view.overlaps:
            tables["overlaps"] = _overlaps_csv(view)
        return tables


def _grouped(data: Mapping[str, DataReport]) -> list[tuple[str, DataReport]]:
    """Reports of data sources, those of several tasks once."""
    groups: list[tuple[list[str], DataReport]] = []
    for task, report in data.items():
        same = next((names for names, other in groups if other == report), None)
        if same is None:
            groups.append(([task], report))
        else:
            same.append(task)
    return [(", ".join(names), report) for names, report in groups]


def _rows_table(data: Mapping[str, DataReport], *, source: bool = True) -> Table:
    columns: dict[str, Callable[[tuple[str, DataReport]], Cell | Raw]] = {
        "Data of": lambda item: item[0],
        "Source": lambda item: item[1].source,
        "Read": lambda item: item[1].rows_read,
        "Kept": lambda item: item[1].rows_kept,
        "Dropped": lambda item: _dropped_cell(item[1]),
        "Near duplicates": lambda item: item[1].near_duplicates,
        "Clusters": lambda item: item[1].clusters,
        "Splits": lambda item: ", ".join(f"{k} {n:,}" for k, n in item[1].split_sizes.items()),
    }
    if not source:
        del columns["Source"]
    return table_of("Rows of each data source", _grouped(data), columns)


def _dropped_cell(report: DataReport) -> Cell:
    """How many rows were dropped, and below it why, the most frequent reason first."""
    if not report.dropped:
        return Cell("none")
    reasons = sorted(report.dropped.items(), key=lambda item: -item[1])
    lines = tuple(f"{n:,}: {reason}" for reason, n in reasons)
    total = fmt.count(sum(report.dropped.values()), "row")
    shown = Markup("").join(
        Markup('<span class="ci">{}</span>').format(escaped(line)) for line in lines
    )
    fold = Markup("<details><summary>{}</summary>{}</details>").format(total, shown)
    return Cell(total, lines, drawing=fold)


def _overlaps_table(view: View) -> Table:
    """The first overlaps of each task; the CSV has all of them."""
    return table_of(
        "What scored examples share with training rows",
        [(task, item) for task, own in view.overlaps.items() for item in own[:_MOST_OVERLAPS]],
        {
            "Task": lambda row: row[0],
            "Example": lambda row: Cell(row[1].example_id, style="id"),
            "Training row": lambda row: Cell(row[1].train_id, style="id"),
            "Overlap": lambda row: row[1].level,
            "Share": lambda row: Cell(fmt.number(row[1].share), raw=row[1].share),
            "Words in common": lambda row: Cell(row[1].span, style="wrapped"),
        },
    )


def _overlaps_csv(view: View) -> Table:
    names = ("example_id", "split", "level", "train_id", "share", "span")
    lines = (
        (task, *(getattr(item, name) for name in names))
        for task, own in view.overlaps.items()
        for item in own
    )
    return data_table("Overlaps with training rows", ("task", *names), lines)


def _outputs_table(view: View) -> Table:
    return table_of(
        "How the outputs of each variant ended",
        view.outputs,
        {
            "Task": lambda line: line.task,
            "Variant": lambda line: Cell(line.variant, style="id"),
            "Outputs": lambda line: line.n,
            "Mean new tokens": lambda line: Cell(
                fmt.number(line.mean_new_tokens, 1), raw=line.mean_new_tokens
            ),
            "End of text": lambda line: line.finished["eos"],
            "Stop string": lambda line: line.finished["stop"],
            "Cut at max_new_tokens": lambda line: line.finished["length"],
            "Empty": lambda line: line.empty,
            "Truncated prompts": lambda line: line.truncated_prompts,
        },
    )


SECTION = DataSection()
