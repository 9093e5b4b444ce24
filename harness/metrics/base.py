"""What a metric is: sufficient statistics per example, and a function of their column sums.

Every metric here, corpus BLEU and macro F1 included, is a function of the *sums* of per-example
statistics. So one resampling scheme serves them all: a bootstrap draws example weights
W (resamples x examples), and ``aggregate(W @ statistics)`` gives the metric of every resample in
one matrix product. (sacrebleu's design, taken one step further.)
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from typing_extensions import override

from harness.errors import MetricError

FloatArray = NDArray[np.float64]
Option = str | int | float | bool | None

STRICT = ConfigDict(strict=True)  # an option of "no" must not be read as a bool


class Metric(ABC):
    """A score of predictions against references.

    Attributes:
        name: The metric's name in suites and records.
        scale: The best possible value (1 or 100), or None where there is none.
        least: The least possible value.
        unit: What the value counts, e.g. ``"%"`` or ``""``.
        higher_is_better: False for error rates.
        graded: Whether a part of a right answer counts for something.
        signature: Everything that changes the value, like sacrebleu's signatures.
    """

    name: str
    scale: float | None = 1.0
    least: float = 0.0
    unit: str = ""
    higher_is_better: bool = True
    graded: bool = True

    @property
    @abstractmethod
    def signature(self) -> str:
        """Options and library versions that determine the value."""

    def signature_for(self, references: Sequence[Sequence[str]]) -> str:
        """The signature once the references are known; sacrebleu's names their number."""
        return self.signature

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

    @override
    def statistics(self, prediction: str, references: Sequence[str]) -> tuple[float, ...]:
        return (self.score(prediction, some_references(references)), 1.0)

    @override
    def aggregate(self, totals: FloatArray) -> FloatArray:
        return mean_of(totals)


def mean_of(totals: FloatArray) -> FloatArray:
    """Mean from sums of (value, count), shape (..., 2) -> (...); NaN where the count is zero."""
    totals = np.asarray(totals, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        result: FloatArray = totals[..., 0] / totals[..., 1]
    return result


def score_corpus(
    metric: Metric, predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[float | None, str | None, FloatArray]:
    """Score predictions against references, and keep what resampling needs.

    Args:
        metric: The metric.
        predictions: One text per example, length n.
        references: One or more texts per example, length n.

    Returns:
        The value in the metric's unit or None, why it is None, and the statistics, shape (n, k).

    Raises:
        MetricError: The lengths differ, an example has no reference, or the metric refuses it.
    """
    if len(predictions) != len(references):
        raise MetricError(
            f"{metric.name} needs one list of references per prediction, "
            f"found {len(predictions)} predictions and {len(references)} lists of references."
        )
    rows = []
    for index, (prediction, texts) in enumerate(zip(predictions, references, strict=True)):
        try:
            rows.append(metric.statistics(prediction, texts))
        except MetricError as error:
            place = f"{metric.name}, example {index}"
            raise MetricError(error.problem, where=place, hint=error.hint) from error
    width = len(rows[0]) if rows else 0
    statistics = np.array(rows, dtype=np.float64).reshape(len(rows), width)
    value, reason = corpus_value(metric, statistics)
    return value, reason, statistics


def corpus_value(metric: Metric, statistics: FloatArray) -> tuple[float | None, str | None]:
    """Value of a metric on all examples, or None and the reason.

    Args:
        metric: The metric.
        statistics: One row per example, shape (n, k).
    """
    if len(statistics) == 0:
        return None, "there are no examples"
    value = float(metric.aggregate(statistics.sum(axis=0)))
    if not np.isfinite(value):
        return None, f"{metric.name} is undefined on these examples (it came out as {value})"
    return value, None


def some_references(references: Sequence[str]) -> Sequence[str]:
    """The references as they are; refused when there are none, or when it is a bare string."""
    if isinstance(references, str):
        raise MetricError(
            f"References must be a list of texts, found the text {references[:40]!r}.",
            hint="Put it into a list.",
        )
    if not references:
        raise MetricError(
            "An example needs at least one reference, found none.",
            hint="Name the field that holds it in prompt.references, or drop such rows with "
            "data.required_fields.",
        )
    return references


def format_signature(name: str, *libraries: str, **options: Option) -> str:
    """A signature in sacrebleu's form, such as ``rougeL|stem:yes|rouge_score:0.1.2``.

    Args:
        name: The metric's name.
        libraries: Distributions whose version can change the value.
        options: What else can change it; None is left out.
    """
    yes_no = {True: "yes", False: "no"}
    parts = [name]
    for key, value in options.items():
        if value is not None:
            parts.append(f"{key}:{yes_no[value] if isinstance(value, bool) else value}")
    parts += [f"{library}:{version(library)}" for library in libraries]
    return "|".join(parts)
