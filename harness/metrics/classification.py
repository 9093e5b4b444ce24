"""Accuracy, precision, recall and F1 of tasks whose answers are labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from pydantic import validate_call
from typing_extensions import override

from harness.errors import MetricError
from harness.metrics.base import (
    STRICT,
    FloatArray,
    MeanMetric,
    Metric,
    format_signature,
    some_references,
)

Average = Literal["macro", "micro", "weighted", "binary"]
Measure = Literal["precision", "recall", "f1"]


def normalize_label(text: str) -> str:
    """A label without case and white space around it."""
    return text.strip().casefold()


def label_set(references: Iterable[Sequence[str]], *, normalize: bool = True) -> tuple[str, ...]:
    """The distinct labels among references, sorted."""
    labels = {text for texts in references for text in texts}
    return tuple(sorted({normalize_label(text) for text in labels} if normalize else labels))


class Accuracy(MeanMetric):
    """Share of predictions that are (one of) the reference label(s).

    Args:
        labels: All labels, if given; a reference that is none of them is refused.
        normalize: Compare without case and surrounding white space.
    """

    name = "accuracy"
    scale = 1.0

    @validate_call(config=STRICT)
    def __init__(
        self, *, labels: Sequence[str | int] | None = None, normalize: bool = True
    ) -> None:
        self._labels = None if labels is None else _Labels(self.name, labels, normalize)
        self.normalize = normalize

    @property
    @override
    def signature(self) -> str:
        return format_signature(self.name, norm=_norm(self.normalize), refs="any")

    @override
    def score(self, prediction: str, references: Sequence[str]) -> float:
        if self._labels is not None:
            return float(self._labels.index(prediction) in self._labels.indices(references))
        if self.normalize:
            answers = {normalize_label(text) for text in references}
            return float(normalize_label(prediction) in answers)
        return float(prediction in references)


class LabelScore(Metric):
    """Precision, recall or F1 over a fixed set of labels.

    Statistics: (hits, predictions, references) per label, then the number of predictions that
    are no label at all. Those are wrong: they count among the references of their true label,
    and among nobody's predictions. With several references a prediction that is one of them is
    right; otherwise the first is the one it missed.

    Args:
        name: The metric's name.
        measure: What to compute per label.
        labels: All labels, in any order.
        average: ``macro``: mean over labels; ``weighted``: mean weighted by references;
            ``micro``: from counts pooled over labels; ``binary``: of ``pos_label`` alone.
        pos_label: The label meant by ``binary``.
        zero_division: Value of a label for which the measure is undefined (never predicted, or
            never a reference); ``nan`` leaves it out of the mean.
        normalize: Compare without case and surrounding white space.

    Source:
        Sokolova and Lapalme (2009), A systematic analysis of performance measures for
        classification tasks; options as in scikit-learn's ``precision_recall_fscore_support``.
    """

    scale = 1.0

    @validate_call(config=STRICT)
    def __init__(
        self,
        name: str,
        measure: Measure,
        /,
        *,
        labels: Sequence[str | int],
        average: Average = "macro",
        pos_label: str | int | None = None,
        zero_division: Literal[0, 1, "nan"] = 0,
        normalize: bool = True,
    ) -> None:
        self.name = name
        self.measure = measure
        self.average = average
        self._labels = _Labels(name, labels, normalize)
        self._zero_division = float(zero_division)
        self._positive = self._positive_label(pos_label)

    def _positive_label(self, pos_label: str | int | None) -> int | None:
        if self.average != "binary":
            if pos_label is not None:
                raise MetricError(f"{self.name} takes pos_label only with average: binary.")
            return None
        if pos_label is None:
            raise MetricError(
                f"{self.name} with average: binary needs the option pos_label, the label it is of."
            )
        position = self._labels.index(str(pos_label))
        if position is None:
            raise MetricError(
                f"pos_label of {self.name} must be one of {', '.join(self._labels.names)}; "
                f"found {pos_label!r}."
            )
        return position

    @property
    @override
    def signature(self) -> str:
        positive = None if self._positive is None else self._labels.names[self._positive]
        return format_signature(
            self.name,
            avg=self.average,
            pos=positive,
            zero=f"{self._zero_division:g}",
            norm=_norm(self._labels.normalize),
            refs="any",
            labels=",".join(self._labels.names),
        )

    @override
    def statistics(self, prediction: str, references: Sequence[str]) -> tuple[float, ...]:
        answers = self._labels.indices(references)
        predicted = self._labels.index(prediction)
        truth = predicted if predicted in answers else answers[0]
        counts = np.zeros(3 * len(self._labels.names) + 1)
        counts[3 * truth + 2] += 1
        if predicted is None:
            counts[-1] += 1
        else:
            counts[3 * predicted + 1] += 1
            counts[3 * predicted] += predicted == truth
        return tuple(counts.tolist())

    @override
    def aggregate(self, totals: FloatArray) -> FloatArray:
        totals = np.asarray(totals, dtype=np.float64)
        hits, predicted, actual = (totals[..., start:-1:3] for start in range(3))
        if self._positive is not None:
            one = slice(self._positive, self._positive + 1)
            hits, predicted, actual = hits[..., one], predicted[..., one], actual[..., one]
        elif self.average == "micro":
            hits, predicted, actual = (
                counts.sum(axis=-1, keepdims=True) for counts in (hits, predicted, actual)
            )
        values = self._per_label(hits, predicted, actual)
        weights = actual if self.average == "weighted" else np.ones_like(actual)
        defined = ~np.isnan(values)
        weights = np.where(defined, weights, 0.0)
        # As in scikit-learn: equal weights where no defined label has any.
        weights = np.where(weights.sum(axis=-1, keepdims=True) > 0, weights, defined)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean: FloatArray = (np.nan_to_num(values) * weights).sum(-1) / weights.sum(-1)
        return mean

    def unknown(self, totals: FloatArray) -> FloatArray:
        """How many predictions were no label at all, from totals of shape (..., k)."""
        counts: FloatArray = np.asarray(totals, dtype=np.float64)[..., -1]
        return counts

    def _per_label(self, hits: FloatArray, predicted: FloatArray, actual: FloatArray) -> FloatArray:
        """The measure of each label, shape (..., labels)."""
        whole = {
            "precision": predicted,
            "recall": actual,
            "f1": (predicted + actual) / 2,  # hits over it is the harmonic mean of the two
        }[self.measure]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(whole > 0, hits / whole, self._zero_division)


class _Labels:
    """The labels of a task and where each stands."""

    def __init__(self, metric: str, labels: Sequence[str | int], normalize: bool) -> None:
        texts = [str(label) for label in labels]
        self.normalize = normalize
        self.names = label_set([texts], normalize=normalize)
        self._metric = metric
        self._position = {name: position for position, name in enumerate(self.names)}
        if len(self.names) < max(len(texts), 1):
            raise MetricError(
                f"{metric} needs distinct labels"
                + (", case and outer white space aside" if normalize else "")
                + f"; found {', '.join(texts) or 'none'}."
            )

    def index(self, text: str) -> int | None:
        """Position of a label; None for a text that is none."""
        return self._position.get(normalize_label(text) if self.normalize else text)

    def indices(self, references: Sequence[str]) -> list[int]:
        """Positions of reference labels.

        Raises:
            MetricError: A reference is not among the labels.
        """
        positions = []
        for text in some_references(references):
            position = self.index(text)
            if position is None:
                raise MetricError(
                    f"The reference {text!r} is not one of the labels {', '.join(self.names)}.",
                    hint=f"Add it to the option labels of {self._metric}.",
                )
            positions.append(position)
        return positions


def _norm(normalize: bool) -> str:
    return "strip+casefold" if normalize else "none"
