"""The report as data: JSON of everything, CSV of each table; values in the records' own units."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from harness.ratings.report.csv import RATING_TABLES
from harness.render.table import Raw, csv_text, to_csv
from harness.report.view.records import View

Table = Literal[
    "scores",
    "measurements",
    "outputs",
    "candidates",
    "rating_means",
    "rating_wins",
    "rating_agreement",
    "raters",
    "rating_metrics",
]


def render_json(view: View) -> str:
    """The whole view as JSON: the same view gives the same bytes."""
    return view.model_dump_json(indent=1) + "\n"


def render_csv(view: View, table: Table = "scores") -> str:
    """One table as CSV with a header line.

    Args:
        view: The report.
        table: ``scores``: one line per variant, metric and split, with interval and paired
            difference; ``measurements``: one per quantity, grid point and measured shape;
            ``outputs``: how the outputs ended; ``candidates``: one per checkpoint with what the
            choice was made on, and one per constraint of it; ``rating_means``: one per criterion
            and variant; ``rating_wins``: one per pair of variants; ``rating_agreement``: one per
            question and, for every two raters, one more; ``raters``: one per rater;
            ``rating_metrics``: one per automatic metric and what it was held against.
    """
    own = {
        "scores": _scores,
        "measurements": _measurements,
        "outputs": _outputs,
        "candidates": _candidates,
    }
    return csv_text(own[table](view)) if table in own else to_csv(RATING_TABLES[table](view.human))


def _scores(view: View) -> Iterator[tuple[Raw, ...]]:
    yield (
        *("task", "metric", "split", "variant", "n", "value", "low", "high", "stderr", "method"),
        *("baseline", "delta", "delta_low", "delta_high", "better", "identical", "delta_method"),
        *("mark", "unit", "scale", "higher_is_better", "num_fewshot", "signature", "reason"),
    )
    for row in view.rows:
        for cell in row.cells:
            figure, found = cell.figure, cell.comparison
            values: tuple[Raw, ...] = (None,) * 6
            if figure is not None:
                bounds = (figure.value, figure.low, figure.high)
                values = (figure.n, *bounds, figure.stderr, figure.method)
            paired: tuple[Raw, ...] = (None,) * 7
            if found is not None:
                bounds = (found.delta, found.low, found.high)
                paired = (found.baseline, *bounds, found.better, found.identical, found.method)
            reason = cell.missing or (figure.reason if figure else None)
            yield (
                *(row.task, row.metric, row.split, cell.variant, *values, *paired),
                *(cell.mark, row.unit, row.scale, row.higher_is_better, row.num_fewshot),
                *(row.signature, reason or (found.reason if found else None)),
            )


def _measurements(view: View) -> Iterator[tuple[Raw, ...]]:
    yield (
        *("name", "unit", "batch_size", "prompt_tokens", "new_tokens", "variants"),
        *("n", "median", "quartile_1", "quartile_3", "reason", "note"),
    )
    found = view.measurements
    for row in found.rows:
        for variants, reading in zip(found.columns, row.readings, strict=True):
            if reading is None:
                continue
            yield (
                *(row.name, row.unit, row.batch_size, row.prompt_tokens, row.new_tokens),
                *(" ".join(variants), reading.n, reading.median, reading.low, reading.high),
                *(reading.reason, reading.note),
            )


def _outputs(view: View) -> Iterator[tuple[Raw, ...]]:
    yield (
        *("task", "variant", "n", "mean_new_tokens", "eos", "stop", "length"),
        *("empty", "truncated_prompts"),
    )
    for line in view.outputs:
        ended = (line.finished["eos"], line.finished["stop"], line.finished["length"])
        yield (
            *(line.task, line.variant, line.n, line.mean_new_tokens, *ended),
            *(line.empty, line.truncated_prompts),
        )


def _candidates(view: View) -> Iterator[tuple[Raw, ...]]:
    yield (
        *("variant", "step", "chosen", "allowed", "efficient", "what", "status"),
        *("value", "delta", "low", "high", "p_adjusted", "bound", "n", "reason"),
    )
    found = view.selection
    if found is None:
        return
    steps = {item.variant: item.step for item in found.candidates}
    for item in found.candidates:
        what = f"{found.task} {found.metric} on {found.split}"
        yield (
            *(item.variant, item.step, item.variant == found.chosen, item.allowed),
            *(item.efficient, what, None, item.value, item.delta, item.low, item.high),
            *(item.p_adjusted, None, None, None),
        )
    for check in found.constraints:
        value, delta = (None, check.value) if check.data else (check.value, None)
        yield (
            *(check.variant, steps.get(check.variant), check.variant == found.chosen, None, None),
            *(check.what, check.status, value, delta, check.low, check.high),
            *(None, check.bound, check.n, check.reason),
        )
