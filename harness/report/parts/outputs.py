"""What the variants of a run wrote, and how their outputs ended."""

from collections.abc import Sequence

import numpy as np

from harness.metrics.base import FloatArray
from harness.report.view.records import ExampleOutput, OutputHealth
from harness.schema import FinishReason, Manifest, Prediction
from harness.store.runs import Store
from harness.suite.record import suite_of
from harness.suite.spec import task_facts

Predictions = dict[tuple[str, str], list[Prediction]]
"""Predictions by variant and task."""

# fields of a prediction that an example's output has under the same name
_OF_PREDICTION = {"text", "finish_reason", "new_tokens", "truncated_prompt_tokens"}


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


def output_of(
    item: Prediction, variant: str, values: FloatArray | None, index: int
) -> ExampleOutput:
    """What a variant wrote, with its value; ``values`` are of all examples, shape (n,)."""
    value = None if values is None else finite(values[index])
    return ExampleOutput(variant=variant, value=value, **item.model_dump(include=_OF_PREDICTION))


def finite(value: float) -> float | None:
    """The value; None where it is undefined."""
    return float(value) if np.isfinite(value) else None
