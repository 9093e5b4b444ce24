"""Held-out loss and perplexity of the completions, given their prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from harness.engines.perplexity import completion_losses
from harness.metrics.base import corpus_value
from harness.metrics.registry import build_metric
from harness.schema import Example, Finding, Score
from harness.suite.spec import PerplexityTask, PromptSpec
from harness.tasks.outcome import TaskOutcome, example_arrays

METRICS = ("eval_loss", "perplexity")


def run_perplexity(
    task_id: str,
    task: PerplexityTask,
    prompt: PromptSpec,
    examples: Sequence[Example],
    model: Any,
    tokenizer: Any,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> TaskOutcome:
    """Score completions by their negative log-likelihood under the model.

    Per-example statistics are (sum of nats, tokens), shape (n, 2): the corpus loss is the ratio
    of their sums, so long completions weigh by their tokens.
    """
    pairs = [(example.prompt, example.completion) for example in examples]
    losses = completion_losses(
        model,
        tokenizer,
        pairs,
        chat=prompt.is_chat,
        max_length=task.max_length,
        batch_size=task.batch_size,
        progress=progress,
    )
    outcome = TaskOutcome()
    by_id = {example.id: loss for example, loss in zip(examples, losses, strict=True)}
    for split in task.splits:
        chosen = [example for example in examples if example.split == split]
        outcome.arrays |= example_arrays(split, chosen)
        stats = np.array(
            [(by_id[e.id].nll_sum, by_id[e.id].tokens) for e in chosen], dtype=np.float64
        ).reshape(-1, 2)
        outcome.arrays[f"loss/{split}"] = stats
        for name in METRICS:
            metric = build_metric(name)
            value, reason = corpus_value(metric, stats)
            outcome.scores.append(
                Score(
                    task=task_id,
                    metric=name,
                    split=split,
                    n=len(chosen),
                    value=value,
                    reason=reason,
                    scale=metric.scale,
                    unit=metric.unit,
                    higher_is_better=metric.higher_is_better,
                    signature=metric.signature,
                    stats=f"loss/{split}",
                )
            )
    cut = sum(1 for loss in losses if loss.truncated_tokens)
    if cut:
        outcome.findings.append(
            Finding(
                check="truncated prompts",
                severity="warning",
                what=f"{task_id}: {cut} of {len(losses)} prompts were cut on the left.",
                hint="Raise max_length.",
            )
        )
    return outcome
