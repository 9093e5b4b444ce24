"""What a metric is: sufficient statistics per example, and a function of their column sums.

Every metric here, corpus BLEU and macro F1 included, is a function of the *sums* of per-example
statistics. So one resampling scheme serves them all: a bootstrap draws example weights
W (resamples x examples), and ``aggregate(W @ statistics)`` gives the metric of every resample in
one matrix product. (sacrebleu's design, taken one step further.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Metric(ABC):
    """A score of predictions against references.

    Attributes:
        name: The metric's name in suites and records.
        scale: The best possible value (1 or 100), or None where there is none.
        unit: What the value counts, e.g. ``"%"`` or ``""``.
        higher_is_better: False for error rates.
        signature: Everything that changes the value, like sacrebleu's signatures.
    """

    name: str
    scale: float | None = 1.0
    unit: str = ""
    higher_is_better: bool = True

    @property
    @abstractmethod
    def signature(self) -> str:
        """Options and library versions that determine the value."""

    @abstractmethod
    def statistics(self, prediction: str, references: Sequence[str]) -> tuple[float, ...]:
        """Sufficient statistics of one example, shape (k,), equal in length for all examples."""

    @abstractmethod
    def aggregate(self, totals: FloatArray) -> FloatArray:
        """Metric values of column sums.

        Args:
            totals: Sums of statistics over examples, shape (..., k).

        Returns:
            Values in the metric's own unit, shape (...); NaN where undefined.
        """


class MeanMetric(Metric):
    """A metric whose corpus value is the mean of its example values; statistics are (value, 1)."""

    @abstractmethod
    def score(self, prediction: str, references: Sequence[str]) -> float:
        """Value of one example, in the metric's own unit."""

    def statistics(self, prediction: str, references: Sequence[str]) -> tuple[float, ...]:
        return (self.score(prediction, references), 1.0)

    def aggregate(self, totals: FloatArray) -> FloatArray:
        return mean_of(totals)


def mean_of(totals: FloatArray) -> FloatArray:
    """Mean from sums of (value, count), shape (..., 2) -> (...); NaN where the count is zero."""
    totals = np.asarray(totals, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        result: FloatArray = totals[..., 0] / totals[..., 1]
    return result
