"""Data and outputs: findings, what became of each row, the training, how outputs ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from harness.render import numbers as fmt
from harness.render.table import (
    Cell,
    Raw,
    Table,
    data_table,
    make_table,
    numbers,
    texts,
    to_markdown,
)
from harness.render.text import escaped
from harness.report.parts.contents import RunContents
from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import View
from harness.report.view.repeats import grouped_findings
from harness.schema import DataReport, FinishReason, TrainingRun

_ENDS: tuple[FinishReason, ...] = ("eos", "stop", "length")
_COLUMNS = ("task", "variant", "n", "mean_new_tokens", *_ENDS, "empty", "truncated_prompts")


class DataSection(ReportSection):
    """What went in, and how what came out ended."""

    name, title, label = "data", "Data and outputs", "Data"

    def build(self, run: RunContents) -> dict[str, Any]:
        manifest = run.manifest
        training = None
        if manifest.training_key is not None:
            training = run.store.read_record(
                "training", manifest.training_key, "training", TrainingRun
            )
        return {
            "data": manifest.data,
            "findings": (*manifest.findings, *run.measurements.doubts),
            "training": training,
            "outputs": run.outputs,
        }

    def html(self, view: View, page: PageContext) -> str:
        return page.render(
            "data.html.j2",
            findings=grouped_findings(view),
            rows=_rows_table(view.data),
            notes=[(task, note) for task, report in _grouped(view.data) for note in report.notes],
            training=_training(view.training) if view.training else [],
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
        return {"outputs": data_table("How the outputs ended", _COLUMNS, lines)}


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
    return make_table(
        "Rows of each data source",
        (
            *texts("Data of", *(["Source"] if source else [])),
            *numbers("Read", "Kept"),
            *texts("Dropped"),
            *numbers("Near duplicates", "Clusters"),
            *texts("Splits"),
        ),
        (
            (
                *(task, *([report.source] if source else [])),
                *(f"{n:,}" for n in (report.rows_read, report.rows_kept)),
                _dropped_cell(report),
                *(f"{n:,}" for n in (report.near_duplicates, report.clusters)),
                ", ".join(f"{split} {n:,}" for split, n in report.split_sizes.items()),
            )
            for task, report in _grouped(data)
        ),
    )


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


def _training(run: TrainingRun) -> list[tuple[str, str]]:
    """The training, as names and values."""
    share = fmt.percent(run.trainable_parameters, run.total_parameters)
    packed = ""
    if run.packed_sequences is not None:
        packed = f", packed into {run.packed_sequences:,} sequences"
    evaluated = _row_words(run.eval_rows_used, run.eval_rows_truncated, run.eval_rows_dropped)
    tokens = ", ".join(f"{k} {fmt.number(v, 0)}" for k, v in (run.sequence_tokens or {}).items())
    speed = f", {fmt.number(run.tokens_per_second)} tok/s" if run.tokens_per_second else ""
    steps = ", ".join(map(str, run.resumed_from))
    resumed = f", resumed from step {steps}" if steps else ""
    facts = [
        ("Method", f"{run.method} on {run.base_model}"),
        (
            "Parameters",
            f"{run.trainable_parameters:,} trainable of {run.total_parameters:,} ({share})",
        ),
        ("Rows", _row_words(run.rows_used, run.rows_truncated, run.rows_dropped) + packed),
        ("Rows for eval loss", evaluated if run.eval_rows_used or run.eval_rows_dropped else ""),
        ("Tokens per row", tokens),
        ("Steps", f"{run.steps:,} in {fmt.duration(run.seconds)}{speed}{resumed}"),
        ("Stopped early", run.stopped_early or ""),
        ("Peak memory", fmt.size(run.peak_memory_bytes) if run.peak_memory_bytes else ""),
        ("Estimated FLOPs", f"{run.estimated_flops:.2g}" if run.estimated_flops else ""),
    ]
    return [(name, value) for name, value in facts if value]


def _row_words(used: int, truncated: int, dropped: Mapping[str, int]) -> str:
    reasons = "; ".join(f"{n} {reason}" for reason, n in sorted(dropped.items()))
    words = f"{used:,} used, {truncated:,} truncated, {sum(dropped.values()):,} dropped"
    return words + (f" ({reasons})" if reasons else "")


def _outputs_table(view: View) -> Table:
    ends = ("End of text", "Stop string", "Cut at max_new_tokens")
    return make_table(
        "How the outputs of each variant ended",
        (
            *texts("Task", "Variant"),
            *numbers("Outputs", "Mean new tokens", *ends, "Empty", "Truncated prompts"),
        ),
        (
            (
                *(line.task, Cell(line.variant, style="id")),
                *(f"{line.n:,}", fmt.number(line.mean_new_tokens, 1)),
                *(f"{line.finished[end]:,}" for end in _ENDS),
                *(f"{line.empty:,}", f"{line.truncated_prompts:,}"),
            )
            for line in view.outputs
        ),
    )


SECTION = DataSection()
