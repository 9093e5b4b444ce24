"""Intervals of a recipe's gain over several trainings: by chance of examples, and of training.

An interval of one training says what other examples would have shown of the same weights. With
trainings by several seeds, or on all folds but one, it can also say what another training would
have shown. There are as many values of that as trainings, so few of them make it wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from harness.stats.intervals import TAIL
from harness.stats.paired import Difference


@dataclass(frozen=True, slots=True)
class Repeated:
    """A difference pooled over several trainings, in the metric's own unit."""

    difference: Difference  # with the interval of both components
    sampling: float | None = None  # half of the interval by the choice of examples alone
    training: float | None = None  # half of the interval by the trainings' own values
    spread: float | None = None  # standard deviation of the trainings' differences
    noise: float | None = None  # the part of spread that the choice of examples does not explain


def over_seeds(
    pooled: Difference,
    deltas: Sequence[float | None],
    explained: float | None,
    *,
    tail: float = TAIL,
) -> Repeated:
    """Bound the gain of trainings by several seeds, all scored on the same examples.

    Examples and seeds are crossed, d = mean + seed + example + rest. The two halves, of examples
    (averaged over seeds) and of seeds (Student-t of the seeds' values), are added as squares on
    each side. What is of neither alone is in both, so the interval errs on the wide side.

    Args:
        pooled: The difference of all trainings together, bounded over examples.
        deltas: The difference of each training.
        explained: Variance of one training's difference that the choice of examples explains.
        tail: Probability cut off on each side.

    Source:
        Two-way random effects: Searle, Casella & McCulloch (1992), Variance Components, ch. 4.
        Halves of independent parts: Zou & Donner (2008), Construction of confidence limits about
        effect measures, Statistics in Medicine 27(10) (MOVER).
    """
    return _bounded(pooled, deltas, explained, tail, wider=False)


def over_folds(
    pooled: Difference,
    deltas: Sequence[float | None],
    explained: float | None,
    *,
    tail: float = TAIL,
) -> Repeated:
    """Bound the gain of trainings on all folds but one, each scored on the fold left out.

    Each example has one training, so the differences of the folds hold both components: the
    interval is the wider, on each side, of the one over examples and Student-t of the folds'
    values. Trainings share most of their rows, and no estimate of what that does to the variance is
    unbiased; simulations show how much these bounds cover (``docs/guides/statistics.md``).

    Args:
        pooled: The difference of all held-out examples together, bounded over examples.
        deltas: The difference of each fold.
        explained: Variance of one fold's difference that the choice of examples explains.
        tail: Probability cut off on each side.

    Source:
        Bengio & Grandvalet (2004), No Unbiased Estimator of the Variance of K-Fold
        Cross-Validation, JMLR 5. Turned down: the correction of Nadeau & Bengio (2003), Inference
        for the Generalization Error, Machine Learning 52, which is of overlapping test sets and
        covers far too much here; the nested procedure of Bates, Hastie & Tibshirani (2021),
        Cross-validation: what does it estimate and how well does it do it?, which needs k(k - 1)/2
        trainings more.
    """
    return _bounded(pooled, deltas, explained, tail, wider=True)


def _bounded(
    pooled: Difference,
    deltas: Sequence[float | None],
    explained: float | None,
    tail: float,
    *,
    wider: bool,
) -> Repeated:
    known = np.array([delta for delta in deltas if delta is not None], dtype=np.float64)
    count = len(deltas)
    if pooled.delta is None or pooled.low is None or pooled.high is None or pooled.identical:
        return Repeated(pooled)
    if count < 2 or len(known) < count:
        reason = "a training has no value of its own, so nothing tells how trainings differ"
        return Repeated(Difference(pooled.delta, reason=reason))
    variance = float(known.var(ddof=1))
    reach = float(special.stdtrit(count - 1, 1 - tail)) * float(np.sqrt(variance / count))
    below, above = pooled.delta - pooled.low, pooled.high - pooled.delta
    halves = [max(own, reach) if wider else float(np.hypot(own, reach)) for own in (below, above)]
    what = "the wider of it and" if wider else "and"
    method = f"over examples: {pooled.method}; {what} Student-t of {count} trainings"
    return Repeated(
        replace(
            pooled,
            low=pooled.delta - halves[0],
            high=pooled.delta + halves[1],
            error=None,
            df=None,
            method=method,
        ),
        sampling=(below + above) / 2,
        training=reach,
        spread=float(np.sqrt(variance)),
        noise=None if explained is None else float(np.sqrt(max(0.0, variance - explained))),
    )
