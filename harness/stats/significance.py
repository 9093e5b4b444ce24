"""Tests of no difference, of many differences at once, and of equivalence.

A test complements the interval: it is exact, or as exact as its random flips, where an interval is
an approximation. Two variants that are equal on every example are never tested: the answer is
"identical", not a p-value.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from harness.metrics.base import FloatArray
from harness.stats.panel import Panel
from harness.stats.proportions import mcnemar_exact

__all__ = ["equivalence_p", "holm", "max_t", "mcnemar_exact", "paired_test", "sign_flip_test"]

Alternative = Literal["two-sided", "greater", "less"]

_TIES = 1e-9  # differences that rounding alone sets apart count as equal
_SMALLEST_TAIL = 1e-4  # as far as 10,000 resamples reach
_HALVINGS = 40


def paired_test(panel: Panel, baseline: str, candidate: str) -> tuple[float | None, str]:
    """Two-sided p-value of no difference, and what it comes from.

    Args:
        panel: The variants.
        baseline: Variant id.
        candidate: Variant id.

    Returns:
        Exact McNemar for shares of right answers of unrelated examples, else sign flips of
        clusters. None with ``"identical"``, or with no test where a value is undefined or there
        are no two clusters.
    """
    if panel.value(baseline) is None or panel.value(candidate) is None:
        return None, ""
    if panel.identical(baseline, candidate):
        return None, "identical"
    resamples = panel.resamples
    if resamples.n_clusters < 2:
        return None, ""
    discordant = panel.discordant(baseline, candidate)
    if discordant is not None and resamples.n_clusters == resamples.n:
        return mcnemar_exact(*discordant), "exact McNemar"
    p_value = sign_flip_test(panel, baseline, candidate)
    what = "examples" if resamples.n_clusters == resamples.n else "clusters"
    if resamples.lists_all_flips:
        return p_value, f"sign flips of {resamples.n_clusters} {what}, all patterns"
    flips = len(panel.swapped_differences(baseline, candidate))
    return p_value, f"sign flips of {resamples.n_clusters:,} {what}, {flips:,} patterns"


def sign_flip_test(
    panel: Panel, baseline: str, candidate: str, *, alternative: Alternative = "two-sided"
) -> float | None:
    """P-value of approximate randomization: the two variants' statistics swapped at random.

    Under the hypothesis that it makes no difference which variant wrote an output, swapping the
    two in any clusters gives a difference that was as likely. Whole clusters are swapped, and a
    corpus metric is computed anew from the swapped sums. With 12 clusters or fewer all patterns
    are listed and the p-value is exact.

    Args:
        panel: The variants.
        baseline: Variant id.
        candidate: Variant id.
        alternative: ``"greater"``: the candidate's value is greater than the baseline's.

    Returns:
        (1 + hits) / (1 + patterns), or hits / patterns where all are listed; None where a value
        is undefined or the two are identical.

    Source:
        Noreen (1989), Computer-Intensive Methods for Testing Hypotheses; Riezler & Maxwell
        (2005), On Some Pitfalls in Automatic Evaluation and Significance Testing for MT.
    """
    before, after = panel.value(baseline), panel.value(candidate)
    if before is None or after is None or panel.identical(baseline, candidate):
        return None
    observed, drawn = after - before, panel.swapped_differences(baseline, candidate)
    if alternative == "two-sided":
        observed, drawn = abs(observed), np.abs(drawn)
    elif alternative == "less":
        observed, drawn = -observed, -drawn
    return _p_value(observed, drawn, exact=panel.resamples.lists_all_flips)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values adjusted for their number: right whatever they have to do with one another.

    Args:
        p_values: By name.

    Returns:
        Adjusted p-values in the order given.

    Source:
        Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal
        of Statistics 6: 65-70.
    """
    order = sorted(p_values, key=lambda name: p_values[name])
    adjusted, reached = {}, 0.0
    for place, name in enumerate(order):
        reached = max(reached, min(1.0, (len(order) - place) * p_values[name]))
        adjusted[name] = reached
    return {name: adjusted[name] for name in p_values}


def max_t(
    panel: Panel, baseline: str, candidates: Sequence[str], *, greater: bool
) -> dict[str, float]:
    """P-values that candidates are no better than a baseline, adjusted for looking at all.

    For means, sign flips of whole clusters give the joint distribution of all candidates'
    studentized differences, and the adjustment is that of its largest (step-down). For corpus
    metrics it is Holm's on :func:`sign_flip_test`.

    Args:
        panel: The variants.
        baseline: Variant id.
        candidates: Variant ids; the baseline itself is passed over.
        greater: Whether greater values are better.

    Returns:
        One-sided adjusted p-value by candidate; 1 for candidates that are identical to the
        baseline or have no value, because nothing shows that they are better.

    Source:
        Westfall & Young (1993), Resampling-Based Multiple Testing, algorithm 4.1 (step-down
        max-T); Romano & Wolf (2005), Econometrica 73.
    """
    names = [name for name in candidates if name != baseline]
    result = dict.fromkeys(names, 1.0)
    tested = [
        name
        for name in names
        if panel.value(baseline) is not None
        and panel.value(name) is not None
        and not panel.identical(baseline, name)
    ]
    if not tested or panel.resamples.n_clusters < 2:
        return result
    gains = _cluster_gains(panel, baseline, tested, greater=greater)
    if gains is not None:
        return result | _step_down(panel, tested, gains)
    alternative: Alternative = "greater" if greater else "less"
    single = {
        name: sign_flip_test(panel, baseline, name, alternative=alternative) for name in tested
    }
    return result | holm({name: p for name, p in single.items() if p is not None})


def _p_value(observed: float, drawn: FloatArray, *, exact: bool) -> float:
    """Share of drawn values at least as large as the observed one; undefined ones count as such."""
    spread = float(np.max(np.abs(drawn), initial=0.0, where=np.isfinite(drawn)))
    slack = _TIES * max(abs(observed), spread)
    hits = int(np.sum(~(drawn < observed - slack)))
    return hits / len(drawn) if exact else (1 + hits) / (1 + len(drawn))


def _cluster_gains(
    panel: Panel, baseline: str, names: Sequence[str], *, greater: bool
) -> FloatArray | None:
    """Gain of each candidate in each cluster, shape (clusters, candidates).

    None where the metric is not a mean over the same counts, so that swapping two variants is
    more than a change of sign.
    """
    before = panel.stats(baseline)
    if not panel.is_mean or any(
        not np.array_equal(panel.stats(name)[:, 1], before[:, 1]) for name in names
    ):
        return None
    changes = np.stack([panel.stats(name)[:, 0] - before[:, 0] for name in names], axis=1)
    return panel.resamples.sums(changes if greater else -changes)


def _step_down(panel: Panel, names: Sequence[str], gains: FloatArray) -> dict[str, float]:
    """Adjusted p-values from the joint flips of all candidates' gains, largest first."""
    size = np.sqrt(np.sum(gains**2, axis=0))  # no flip changes it
    gains = gains / np.where(size > 0, size, 1.0)
    total = gains.sum(axis=0)
    drawn = total - 2 * panel.resamples.flipped(gains)
    order = np.argsort(-total, kind="stable")
    # the largest of those that are not yet decided, in every pattern
    largest = np.maximum.accumulate(drawn[:, order[::-1]], axis=1)[:, ::-1]
    result, reached = {}, 0.0
    for place, column in enumerate(order):
        exact = panel.resamples.lists_all_flips
        reached = max(reached, _p_value(float(total[column]), largest[:, place], exact=exact))
        result[names[column]] = reached
    return result


def equivalence_p(panel: Panel, first: str, second: str, margin: float) -> float | None:
    """Greater p-value of the two one-sided tests of equivalence, by inverting the bounds.

    Args:
        panel: The variants.
        first: Variant id.
        second: Variant id.
        margin: In the metric's own unit, zero or more.

    Returns:
        The least alpha at which the interval would lie within the margin, 0.0001 or more; None
        where there is no difference, or where the two are equal on every example, so that the
        bounds are all there is to say.

    Source:
        Schuirmann (1987), A comparison of the two one-sided tests procedure and the power
        approach for assessing the equivalence of average bioavailability.
    """
    delta = panel.difference(first, second).delta
    if delta is None or panel.identical(first, second):
        return None

    def bounds(tail: float) -> tuple[float, float]:
        at = panel.bounded_difference(first, second, tail=tail)
        return (-np.inf if at.low is None else at.low, np.inf if at.high is None else at.high)

    if delta < margin:
        below = _last_tail(lambda tail: bounds(tail)[1] >= margin)
    else:
        below = 1 - _last_tail(lambda tail: bounds(tail)[0] <= margin)
    if delta > -margin:
        above = _last_tail(lambda tail: bounds(tail)[0] <= -margin)
    else:
        above = 1 - _last_tail(lambda tail: bounds(tail)[1] >= -margin)
    return max(below, above)


def _last_tail(reaches: Callable[[float], bool]) -> float:
    """The largest tail probability whose bound still reaches that far."""
    low, high = _SMALLEST_TAIL, 0.5
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if reaches(middle) else (low, middle)
    return high
