"""Eval loss and perplexity from summed token losses; these score losses, not text."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic.dataclasses import dataclass
from typing_extensions import override

from harness.errors import MetricError
from harness.metrics.base import STRICT, FloatArray, Metric, format_signature, mean_of


@dataclass(config=STRICT)
class TokenLoss(Metric):
    """Mean negative log-likelihood per token, or its exponential.

    Statistics of an example are (negative log-likelihood of its scored tokens in nats, number of
    scored tokens), so long examples weigh more: the mean is over tokens, not over examples.

    Args:
        name: ``eval_loss`` (nats per token) or ``perplexity`` (exp of it). Lower is better for
            both; neither has a best value that can be named, so there is no scale.

    Source:
        Jelinek et al. (1977), Perplexity: a measure of the difficulty of speech recognition
        tasks.
    """

    scale = None
    higher_is_better = False

    name: Literal["eval_loss", "perplexity"]

    def __post_init__(self) -> None:
        self.unit = "nats/token" if self.name == "eval_loss" else ""
        self.least = 0.0 if self.name == "eval_loss" else 1.0

    @property
    @override
    def signature(self) -> str:
        return format_signature(self.name, mean="tokens", log="nats")

    @override
    def statistics(self, prediction: str, references: Sequence[str]) -> tuple[float, ...]:
        """Refused: these statistics come from a model's losses.

        Raises:
            MetricError: Always.
        """
        raise MetricError(
            f"{self.name} is computed from token losses, not from generated text.",
            hint="Add a task of type perplexity instead.",
        )

    @override
    def aggregate(self, totals: FloatArray) -> FloatArray:
        loss = mean_of(totals)
        if self.name == "eval_loss":
            return loss
        with np.errstate(over="ignore"):
            perplexity: FloatArray = np.exp(loss)
        return perplexity
