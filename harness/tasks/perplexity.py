"""Held-out loss and perplexity of the completions, given their prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.checks.base import findings_about
from harness.checks.truncation import TruncationFacts
from harness.engines.base import ActiveModel, CompletionLoss, Progress
from harness.metrics.base import corpus_value
from harness.metrics.registry import build_metric
from harness.suite.spec import PerplexityTask
from harness.tasks import base
from harness.tasks.generation import examples_identity

if TYPE_CHECKING:
    from harness.console import Reporter  # rich, which planning does not need


class Perplexity:
    """Loss and perplexity of the held-out completions."""

    spec = PerplexityTask

    def inputs(self, request: base.TaskRequest, examples: Mapping[str, Any] | None) -> Any:
        """The examples alone: they were rendered with the prompt."""
        return examples

    def identity(self, request: base.TaskRequest, inputs: Any) -> base.ResultIdentity:
        """There are no texts to keep; the losses are the scores' own statistics."""
        task: PerplexityTask = request.spec
        own = {"task": request.task_id, "max_length": task.max_length}
        return base.ResultIdentity(None, {**examples_identity(task, inputs), **own})

    def rehearse(self, request: base.TaskRequest) -> None:
        """Nothing can go wrong that loading the data has not shown."""

    @contextmanager
    def open(
        self, request: base.TaskRequest, tokenizer: Any, reporter: Reporter
    ) -> Iterator[base.TaskSession]:
        """A session that scores the completions."""
        yield _PerplexitySession(request)


TASK_TYPE = Perplexity()


@dataclass(frozen=True)
class _PerplexitySession:
    request: base.TaskRequest

    def predict(self, model: ActiveModel, progress: Progress) -> base.Outputs:
        task: PerplexityTask = self.request.spec
        losses = model.completion_losses(
            [(example.prompt, example.completion) for example in self.request.examples],
            chat=self.request.prompt.is_chat,
            max_length=task.max_length,
            batch_size=task.batch_size,
            progress=progress,
        )
        return base.Outputs({}, score(self.request, losses))


def score(request: base.TaskRequest, losses: Sequence[CompletionLoss]) -> base.TaskOutcome:
    """Score completions by their negative log-likelihood under the model.

    Per-example statistics are (sum of nats, tokens), shape (n, 2): the corpus loss is the ratio
    of their sums, so long completions weigh by their tokens.

    Args:
        request: The task with its examples, shape (n,).
        losses: Of the examples' completions, in their order, shape (n,).
    """
    task_id, task, examples = request.task_id, request.spec, request.examples
    outcome = base.TaskOutcome()
    by_id = {example.id: loss for example, loss in zip(examples, losses, strict=True)}
    for split in task.splits:
        chosen = [example for example in examples if example.split == split]
        outcome.arrays |= base.example_arrays(split, chosen)
        stats = np.array(
            [(by_id[e.id].nll_sum, by_id[e.id].tokens) for e in chosen], dtype=np.float64
        ).reshape(-1, 2)
        outcome.arrays[f"loss/{split}"] = stats
        for spec in task.metric_specs:
            metric = build_metric(spec)
            value, reason = corpus_value(metric, stats)
            made = {"value": value, "reason": reason, "signature": metric.signature}
            outcome.scores.append(
                base.score_of(metric, task_id, split, n=len(chosen), stats=f"loss/{split}", **made)
            )
    cut = sum(1 for loss in losses if loss.truncated_tokens)
    outcome.findings += findings_about(TruncationFacts(task_id, cut, len(losses)))
    return outcome
