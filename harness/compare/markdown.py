"""A comparison of runs as Markdown, for a pull request or a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.compare.view import RunSummary, RunsView
from harness.compare.words import HOW, cautions, headline, loss, named, not_compared, support
from harness.render.markdown import code, markdown_table, plain
from harness.render.numbers import NONE, duration, estimate, metric_name, number, size
from harness.report.view.records import MatrixCell, MatrixRow

_CHARS = 120  # of a setting's value


def render_runs_markdown(view: RunsView) -> str:
    """Write verdict, runs, results, settings that differ, training and provenance."""
    parts = [
        f"# Comparison of {len(view.runs)} runs",
        f"**{plain(headline(view))}**",
        *(plain(line) for line in support(view)),
        "\n".join(f"> {plain(line)}  " for line in cautions(view)),
        *_runs(view),
        *_results(view),
        *_differences(view),
        *_training(view),
        *_provenance(view),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _runs(view: RunsView) -> Iterator[str]:
    yield "## Runs"
    row = view.deciding
    what = f"{row.task}: {metric_name(row.metric)}" if row else "deciding metric"
    header = ["run", "variant", plain(what), "n", "memory", "decode", "price", "cells", "updated"]
    body = []
    for run in view.runs:
        cell, costs = row.cell(run.label) if row else None, run.costs
        price = NONE
        if costs.price_per_million_new_tokens is not None:
            price = f"{number(costs.price_per_million_new_tokens)} {plain(costs.currency)}"
        speed = NONE
        if costs.decode_tokens_per_s is not None:
            speed = f"{number(costs.decode_tokens_per_s)} tok/s"
        body.append(
            [
                plain(run.label) + (" (reference)" if run is view.reference else ""),
                f"{plain(run.variant)} ({HOW[run.how]})",
                _cell(cell, row) if cell and row else NONE,
                f"{cell.figure.n:,}" if cell and cell.figure else NONE,
                size(costs.memory_bytes),
                speed,
                price,
                "complete" if run.complete else f"not complete, {run.unfinished} failed or skipped",
                plain(run.updated),
            ]
        )
    yield markdown_table(header, body)


def _results(view: RunsView) -> Iterator[str]:
    rows = [row for row in view.rows if row.split != "select" and row.task == row.suite_task]
    if not rows:
        return
    yield "## Results"
    yield (
        "Value and 95 % interval; below, the paired difference from "
        f"{plain(named(view.reference))} on the same examples and its interval. Scores with a best "
        "value are of 100."
    )
    yield _matrix(view.runs, rows)
    yield "\n".join(f"- Not compared: {plain(line)}" for line in not_compared(view, rows))


def _matrix(runs: Sequence[RunSummary], rows: Sequence[MatrixRow]) -> str:
    header = ["metric", "split", *(plain(named(run)) for run in runs)]
    body = [
        [
            plain(f"{row.task}: {metric_name(row.metric)}")
            + ("" if row.higher_is_better else " (lower is better)"),
            row.split,
            *(_cell(cell, row) for cell in row.cells),
        ]
        for row in rows
    ]
    return markdown_table(header, body)


def _cell(cell: MatrixCell, row: MatrixRow) -> str:
    figure, found = cell.figure, cell.comparison
    if figure is None:
        return NONE
    value, bounds = estimate(figure.value, figure.low, figure.high, row.scale)
    text = " ".join(part for part in (f"**{value}**" if cell.mark else value, bounds) if part)
    if found is None:
        return text
    if found.delta is None:
        return f"{text}<br>not compared"
    if found.identical:
        return f"{text}<br>identical"
    shown = estimate(found.delta, found.low, found.high, row.scale, signed=True)
    side = {True: "better", False: "worse", None: "not distinguishable"}[found.better]
    return f"{text}<br>{' '.join(part for part in shown if part)}, {side}"


def _differences(view: RunsView) -> Iterator[str]:
    yield "## What differs"
    if not view.differences:
        yield "Nothing that is on record."
        return
    header = ["", "setting", *(plain(run.label) for run in view.runs)]
    yield markdown_table(
        header,
        [
            [item.group, plain(item.key), *(_setting(value) for value in item.values)]
            for item in view.differences
        ],
    )


def _setting(value: str | None) -> str:
    if value is None:
        return "not set"
    return code(value if len(value) <= _CHARS else f"{value[: _CHARS - 1]}…").replace("|", "\\|")


def _training(view: RunsView) -> Iterator[str]:
    if not any(run.training for run in view.runs):
        return
    yield "## Training"
    header = [
        "run",
        "steps",
        "final loss",
        "final eval loss",
        "best eval loss",
        "tokens per second",
    ]
    header += ["time", "peak memory", "on"]
    body = []
    for run in view.runs:
        found = run.training
        if found is None:
            body.append([plain(run.label), "not trained by this run", *[""] * 7])
            continue
        losses = (found.final_loss, found.final_eval_loss, found.best_eval_loss)
        body.append(
            [
                plain(run.label),
                f"{found.steps:,}",
                *map(loss, losses),
                number(found.tokens_per_second),
                duration(found.seconds),
                size(found.peak_memory_bytes),
                plain(found.device_name),
            ]
        )
    yield markdown_table(header, body)


def _provenance(view: RunsView) -> Iterator[str]:
    yield "## Provenance"
    lines = [f"this comparison: {code(view.command)}"]
    for run in view.runs:
        command = f", {code(run.command)}" if run.command else ""
        lines.append(
            f"{plain(run.label)}: run {plain(run.run_id)}, suite digest {plain(run.suite_digest)}"
            f"{command}"
        )
    yield "\n".join(f"- {line}" for line in lines)
