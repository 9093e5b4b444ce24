"""Generation tasks: prompts to predictions, predictions to scores.

The two halves are separate results in the store, so that a new metric regenerates no text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from harness.engines.generation import Decoding, generate
from harness.metrics.base import FloatArray, Metric, score_corpus
from harness.metrics.registry import build_metric, is_evaluate_module
from harness.schema import Example, Prediction, Score, Split
from harness.spec import GenerationTask, MetricSpec, PromptSpec
from harness.tasks.hf_evaluate import evaluate_metric
from harness.tasks.outcome import TaskOutcome, example_arrays

Progress = Callable[[int, int], None]


def select_examples(
    examples: Sequence[Example], splits: Sequence[Split], limit: int | None
) -> list[Example]:
    """Examples of some splits, at most ``limit`` of each, in the order of ``splits``."""
    chosen: list[Example] = []
    for split in splits:
        chosen += [example for example in examples if example.split == split][:limit]
    return chosen


def predict(
    task: GenerationTask,
    prompt: PromptSpec,
    examples: Sequence[Example],
    model: Any,
    tokenizer: Any,
    *,
    seed: int,
    progress: Progress | None = None,
) -> list[Prediction]:
    """Generate one text per example.

    Args:
        task: Decoding options.
        prompt: The template the examples were rendered with; gives the stop strings.
        examples: What to predict, shape (n,).
        model: A causal language model with the right adapter active.
        tokenizer: Its tokenizer.
        seed: Seed of sampling; greedy decoding does not use it.
        progress: Called with (examples done, n).

    Returns:
        Predictions in the order of ``examples``, shape (n,).
    """
    decoding = Decoding(
        max_new_tokens=task.max_new_tokens,
        stop=prompt.stop,
        do_sample=task.do_sample,
        temperature=task.temperature,
        top_p=task.top_p,
        top_k=task.top_k,
        seed=seed,
        max_prompt_tokens=task.max_prompt_tokens,
        batch_size=task.batch_size,
    )
    prompts = [example.prompt for example in examples]
    texts = generate(model, tokenizer, prompts, decoding, chat=prompt.is_chat, progress=progress)
    return [
        Prediction(
            example_id=example.id,
            text=made.text,
            prompt_tokens=made.prompt_tokens,
            new_tokens=made.new_tokens,
            finish_reason=made.finish_reason,
            truncated_prompt_tokens=made.truncated_prompt_tokens,
        )
        for example, made in zip(examples, texts, strict=True)
    ]


def score(
    task_id: str,
    task: GenerationTask,
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
) -> TaskOutcome:
    """Score predictions with every metric of the task, split by split.

    Surrounding whitespace of a prediction is not scored: a completion that starts with a blank
    is a matter of tokenization, not of quality.
    """
    by_id = {prediction.example_id: prediction for prediction in predictions}
    outcome = TaskOutcome()
    for split in task.splits:
        chosen = [example for example in examples if example.split == split]
        outcome.arrays |= example_arrays(split, chosen)
        texts = [by_id[example.id].text.strip() for example in chosen]
        references = [list(example.references) for example in chosen]
        for spec in task.metrics:
            metric_spec = MetricSpec(name=spec) if isinstance(spec, str) else spec
            result = _score_one(metric_spec, texts, references)
            metric, value, reason, stats = result
            name = f"{metric_spec.name}/{split}"
            if stats is not None:
                outcome.arrays[name] = stats
            outcome.scores.append(
                Score(
                    task=task_id,
                    metric=metric_spec.name,
                    split=split,
                    n=len(chosen),
                    value=value,
                    reason=reason,
                    scale=metric.scale,
                    unit=metric.unit,
                    higher_is_better=metric.higher_is_better,
                    signature=metric.signature,
                    stats=name if stats is not None else None,
                )
            )
    return outcome


def _score_one(
    spec: MetricSpec, texts: list[str], references: list[list[str]]
) -> tuple[Any, float | None, str | None, FloatArray | None]:
    """The metric (or what describes it), its value or the reason for none, its statistics."""
    if is_evaluate_module(spec.name):
        return evaluate_metric(spec, texts, references)
    metric: Metric = build_metric(spec)
    value, reason, stats = score_corpus(metric, texts, references)
    return metric, value, reason, np.asarray(stats, dtype=np.float64)
