"""Accuracy, precision, recall and F1 of tasks whose answers are labels."""

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY
from typing import Literal

import numpy as np
from pydantic.dataclasses import dataclass
from typing_extensions import override

from harness.errors import MetricError
from harness.metrics import base

Average = Literal["macro", "micro", "weighted", "binary"]
Measure = Literal["precision", "recall", "f1"]


def normalize_label(text: str) -> str:
    """A label without case and white space around it."""
    return text.strip().casefold()


def label_set(references: Iterable[Sequence[str]], *, normalize: bool = True) -> tuple[str, ...]:
    """The distinct labels among references, sorted."""
    texts = (text for several in references for text in several)
    return tuple(sorted({normalize_label(text) if normalize else text for text in texts}))


@dataclass(config=base.STRICT)
class Accuracy(base.MeanMetric):
    """Share of predictions that are (one of) the reference label(s).

    Args:
        labels: All labels, if given; a reference that is none of them is refused.
        normalize: Compare without case and surrounding white space.
    """

    name = "accuracy"
    graded = False

    _: KW_ONLY
    labels: Sequence[str | int] | None = None
    normalize: bool = True

    def __post_init__(self) -> None:
        given = self.labels is not None
        self._labels = _Labels(self.name, self.labels or [], self.normalize) if given else None

    @property
    @override
    def signature(self) -> str:
        return base.format_signature(self.name, norm=_NORM[self.normalize], refs="any")

    @override
    def score(self, prediction: str, references: Sequence[str]) -> float:
        if self._labels is not None:
            return float(self._labels.index(prediction) in self._labels.indices(references))
        if self.normalize:
            answers = {normalize_label(text) for text in references}
            return float(normalize_label(prediction) in answers)
        return float(prediction in references)


@dataclass(config=base.STRICT)
class LabelScore(base.Metric):
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

    graded = False

    name: str
    measure: Measure
    _: KW_ONLY
    labels: Sequence[str | int]
    average: Average = "macro"
    pos_label: str | int | None = None
    zero_division: Literal[0, 1, "nan"] = 0
    normalize: bool = True

    def __post_init__(self) -> None:
        self._labels = _Labels(self.name, self.labels, self.normalize)
        self._zero_division = float(self.zero_division)
        self._positive = None if self.pos_label is None else self._labels.index(str(self.pos_label))
        if self.average != "binary" and self.pos_label is not None:
            raise MetricError(f"{self.name} takes pos_label only with average: binary.")
        if self.average == "binary" and self.pos_label is None:
            raise MetricError(
                f"{self.name} with average: binary needs the option pos_label, the label it is of."
            )
        if self.pos_label is not None and self._positive is None:
            raise MetricError(
                f"pos_label of {self.name} must be one of {', '.join(self._labels.names)}; "
                f"found {self.pos_label!r}."
            )

    @property
    @override
    def signature(self) -> str:
        positive = None if self._positive is None else self._labels.names[self._positive]
        return base.format_signature(
            self.name,
            avg=self.average,
            pos=positive,
            zero=f"{self._zero_division:g}",
            norm=_NORM[self.normalize],
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
    def aggregate(self, totals: base.FloatArray) -> base.FloatArray:
        totals = np.asarray(totals, dtype=np.float64)
        hits, predicted, actual = (totals[..., start:-1:3] for start in range(3))
        if self._positive is not None:
            one = slice(self._positive, self._positive + 1)
            hits, predicted, actual = hits[..., one], predicted[..., one], actual[..., one]
        elif self.average == "micro":
            hits, predicted, actual = (
                counts.sum(axis=-1, keepdims=True) for counts in (hits, predicted, actual)
            )
        whole = {
            "precision": predicted,
            "recall": actual,
            "f1": (predicted + actual) / 2,  # hits over it is the harmonic mean of the two
        }[self.measure]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(whole > 0, hits / whole, self._zero_division)  # (..., labels)
        weights = actual if self.average == "weighted" else np.ones_like(actual)
        defined = ~np.isnan(values)
        weights = np.where(defined, weights, 0.0)
        # As in scikit-learn: equal weights where no defined label has any.
        weights = np.where(weights.sum(axis=-1, keepdims=True) > 0, weights, defined)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean: base.FloatArray = (np.nan_to_num(values) * weights).sum(-1) / weights.sum(-1)
        return mean


class _Labels:
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
        positions = {text: self.index(text) for text in base.some_references(references)}
        if unknown := [text for text, position in positions.items() if position is None]:
            raise MetricError(
                f"The reference {unknown[0]!r} is not one of the labels {', '.join(self.names)}.",
                hint=f"Add it to the option labels of {self._metric}.",
            )
        return [position for position in positions.values() if position is not None]


_NORM = {True: "strip+casefold", False: "none"}
