"""Ten examples side by side, and how the outputs of every variant ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from harness.metrics.base import FloatArray
from harness.metrics.names import metric_name
from harness.report.view.records import ExampleOutput, Examples, ExampleView, OutputHealth
from harness.results.scores import Key
from harness.schema import Example, FinishReason, Manifest, Prediction
from harness.stats.panel import Panel
from harness.store.runs import Store
from harness.suite.record import suite_of
from harness.suite.spec import task_facts

N_SHOWN = 10
_GAINS, _LOSSES = 4, 3  # the rest are middling ones
_HOW = (
    "Of the report split, the largest gains ({gains}), the largest losses ({losses}) and the "
    "most middling differences ({middle}) of {candidate} against {baseline} in {metric}; "
    "equal differences in the order of the example ids."
)
_HOW_ALONE = (
    "Of the report split, the best ({gains}), the worst ({losses}) and the most middling "
    "({middle}) of {candidate} in {metric}; equal values in the order of the example ids."
)

Predictions = dict[tuple[str, str], list[Prediction]]
"""Predictions by variant and task."""


def read_predictions(store: Store, manifest: Manifest) -> Predictions:
    """Everything that was generated in a run.

    Raises:
        StoreError: A finished cell's predictions are missing or unreadable.
    """
    return {
        (cell.variant, cell.task): store.read_records(
            "predictions", cell.predictions_key, "predictions", Prediction
        )
        for cell in manifest.cells
        if task_facts(cell.kind).writes_texts
        and cell.status == "done"
        and cell.predictions_key is not None
    }


def output_health(manifest: Manifest, predictions: Predictions) -> tuple[OutputHealth, ...]:
    """How the outputs ended, per task and variant, in the matrix' order."""
    rows = []
    for task in suite_of(manifest).tasks:
        for variant in manifest.variants:
            made = predictions.get((variant.id, task))
            if made:
                rows.append(_health(task, variant.id, made))
    return tuple(rows)


def _health(task: str, variant: str, made: Sequence[Prediction]) -> OutputHealth:
    finished: dict[FinishReason, int] = {"eos": 0, "stop": 0, "length": 0}
    for item in made:
        finished[item.finish_reason] += 1
    return OutputHealth(
        task=task,
        variant=variant,
        n=len(made),
        mean_new_tokens=sum(item.new_tokens for item in made) / len(made),
        finished=finished,
        empty=sum(not item.text.strip() for item in made),
        truncated_prompts=sum(item.truncated_prompt_tokens > 0 for item in made),
    )


def build_examples(
    store: Store,
    manifest: Manifest,
    panels: Mapping[Key, Panel],
    predictions: Predictions,
    primary: tuple[str, str] | None,
) -> Examples:
    """Pick examples of the primary task and lay every variant's output beside the reference.

    Args:
        store: Where the examples lie.
        manifest: The run.
        panels: Statistics by task, metric and split.
        predictions: What was generated.
        primary: Task and metric that decide.

    Returns:
        At most ten examples, or none with the reason.
    """
    if primary is None:
        return Examples(reason="The suite has no task that decides, so there is none to show.")
    task, metric = primary
    panel = panels.get((task, metric, "report"))
    key = manifest.examples.get(task)
    if panel is None or key is None or not any(name == task for _, name in predictions):
        return Examples(
            task=task,
            metric=metric,
            reason=f"There are no outputs of {task} on the report split that could be shown.",
        )
    picks, how = _picks(panel, manifest)
    wanted = {str(panel.ids[index]) for index, _, _ in picks}
    examples = {
        example.id: example
        for example in store.read_records("examples", key, "examples", Example)
        if example.id in wanted
    }
    texts = {
        (variant, item.example_id): item
        for (variant, name), made in predictions.items()
        if name == task
        for item in made
        if item.example_id in wanted
    }
    values = {name: panel.per_example(name) for name in panel.variants}
    candidate, baseline = compared(panel, manifest)
    first = [name for name in (baseline, candidate) if name is not None]
    order = dict.fromkeys([*first, *(variant.id for variant in manifest.variants)])
    items = []
    for index, picked, delta in picks:
        example = examples.get(str(panel.ids[index]))
        if example is None:
            continue
        outputs = [
            output_of(item, name, values.get(name), index)
            for name in order
            if (item := texts.get((name, example.id))) is not None
        ]
        items.append(
            ExampleView(
                id=example.id,
                picked=picked,
                delta=delta,
                prompt=example.prompt,
                references=example.references,
                outputs=tuple(outputs),
            )
        )
    return Examples(how=how, task=task, metric=metric, items=tuple(items))


def output_of(
    item: Prediction, variant: str, values: FloatArray | None, index: int
) -> ExampleOutput:
    """What a variant wrote, with its value; ``values`` are of all examples, shape (n,)."""
    value = None if values is None else _finite(values[index])
    return ExampleOutput(
        variant=variant,
        text=item.text,
        value=value,
        finish_reason=item.finish_reason,
        new_tokens=item.new_tokens,
        truncated_prompt_tokens=item.truncated_prompt_tokens,
    )


def _picks(panel: Panel, manifest: Manifest) -> tuple[list[tuple[int, str, float | None]], str]:
    """Rows of the panel to show, each with why and its difference; and how they were picked."""
    candidate, baseline = compared(panel, manifest)
    sign = 1.0 if panel.quantity.higher_is_better else -1.0
    values = panel.per_example(candidate)
    if baseline is not None:
        values = values - panel.per_example(baseline)
    gains = np.where(np.isfinite(values), sign * values, 0.0)
    order = sorted(range(len(gains)), key=lambda row: (-gains[row], str(panel.ids[row])))
    paired = baseline is not None
    best = [row for row in order[:_GAINS] if gains[row] > 0 or not paired]
    rest = [row for row in order if row not in best]
    worst = [row for row in rest[-_LOSSES:] if gains[row] < 0 or not paired]
    rest = [row for row in rest if row not in worst]
    median = float(np.median(gains))
    rest.sort(key=lambda row: (abs(gains[row] - median), str(panel.ids[row])))
    middle = rest[: N_SHOWN - len(best) - len(worst)]
    words = ("gain", "middling", "loss") if paired else ("best", "middling", "worst")
    picks = [
        (row, word, _finite(values[row]) if paired else None)
        for rows, word in zip((best, middle, worst), words, strict=True)
        for row in rows
    ]
    how = (_HOW if paired else _HOW_ALONE).format(
        gains=len(best),
        losses=len(worst),
        middle=len(middle),
        candidate=candidate,
        baseline=baseline,
        metric=metric_name(panel.quantity.metric),
    )
    return picks, how


def compared(panel: Panel, manifest: Manifest) -> tuple[str, str | None]:
    """The variant looked at, and the baseline where it is another one that was scored too."""
    baseline = manifest.baseline if manifest.baseline in panel.variants else None
    chosen = manifest.selection.chosen if manifest.selection else None
    if chosen is None or chosen not in panel.variants:
        others = [name for name in panel.variants if name != baseline]
        chosen = others[-1] if others else panel.variants[0]
    return chosen, baseline if baseline != chosen else None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
