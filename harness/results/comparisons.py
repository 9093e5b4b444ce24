"""Paired comparisons and tests of equivalence of two variants, as records."""

import math

from harness.schema import Comparison, Equivalence
from harness.stats.panel import Panel
from harness.stats.power import POWER, needed_n
from harness.stats.significance import equivalence_p, paired_test

_POWER_EACH = (1 + POWER) / 2  # of either one-sided test, so that both are passed with POWER


def comparison(panel: Panel, baseline: str, candidate: str) -> Comparison:
    """Paired difference of two variants of a panel, and whether it is an improvement.

    The interval is that of :meth:`Panel.difference`, the p-value an exact McNemar test or one of
    sign flips. Equal statistics give ``identical`` rather than a test.

    Source:
        Koehn (2004), Statistical Significance Tests for Machine Translation Evaluation.
    """
    quantity, interval = panel.quantity, panel.difference(baseline, candidate)
    p_value, test = paired_test(panel, baseline, candidate)
    return Comparison(
        task=quantity.task,
        metric=quantity.metric,
        split=quantity.split,
        baseline=baseline,
        candidate=candidate,
        n=len(panel.ids),
        delta=interval.delta,
        low=interval.low,
        high=interval.high,
        identical=interval.identical,
        better=_improves(interval.low, interval.high, quantity.higher_is_better),
        method=interval.method,
        p_value=p_value,
        test=test,
        reason=interval.reason,
    )


def _improves(low: float | None, high: float | None, higher_is_better: bool) -> bool | None:
    """None where the interval includes zero."""
    if low is None or high is None or low <= 0 <= high:
        return None
    return (low > 0) == higher_is_better


def equivalence(
    panel: Panel, first: str, second: str, margin: float, alpha: float = 0.05
) -> Equivalence:
    """Whether two variants are shown to differ by less than a margin: two one-sided tests.

    That no difference was interval shows no equivalence; that the whole interval at level
    1 - 2 alpha lies within the margin does.

    Args:
        panel: The variants.
        first: Variant id.
        second: Variant id.
        margin: In the metric's own unit, zero or more.
        alpha: Level of each of the two tests, and of the whole.

    Returns:
        ``equivalent``: True where shown or identical, False where they are shown to differ by
        more than the margin, else None. ``no_worse``: whether the test on the side where the second
        is worse succeeds (non-inferiority); it does where they are equivalent, and also where the
        second may well be better by more than the margin. ``p_value`` is the greater of the two
        tests': the least alpha at which the interval would lie within the margin, 0.0001 or more.

    Raises:
        ValueError: ``margin`` is negative or not finite.

    Source:
        Schuirmann (1987), A comparison of the two one-sided tests procedure and the power
        approach for assessing the equivalence of average bioavailability.
    """
    if not 0 <= margin < math.inf:
        raise ValueError(f"an equivalence margin is zero or more, found {margin}")
    interval = panel.bounded_difference(first, second, tail=alpha)
    quantity, n = panel.quantity, len(panel.ids)
    low, high, p_value, equivalent, needed = interval.low, interval.high, None, None, None
    no_worse = False
    if interval.identical:
        equivalent = no_worse = True
    elif interval.delta is not None and low is not None and high is not None:
        p_value = equivalence_p(panel, first, second, margin)
        no_worse = -margin < low if quantity.higher_is_better else high < margin
        if low > margin or high < -margin:
            equivalent = False
        elif -margin < low and high < margin:
            equivalent = True
        else:
            room = margin - abs(interval.delta)
            if interval.error:
                needed = needed_n(n, interval.error, interval.df, room, alpha, _POWER_EACH)
    return Equivalence(
        task=quantity.task,
        metric=quantity.metric,
        split=quantity.split,
        first=first,
        second=second,
        n=n,
        delta=interval.delta,
        low=low,
        high=high,
        margin=margin,
        p_value=p_value,
        identical=panel.identical(first, second),
        equivalent=equivalent,
        no_worse=no_worse,
        needed_n=needed,
        method=interval.method,
        reason=interval.reason,
    )
