"""Intervals that hold for other raters too: of means in which items and raters are both drawn.

Raters of one study share its items, and items its raters, so neither answers of an item nor those
of a rater are independent. The variance is that of items and that of raters, less what both count.

Source:
    Cameron, Gelbach & Miller (2011), Robust inference with multiway clustering, Journal of Business
    & Economic Statistics 29(2): 238-249, section 2.3; Student's quantile for the smaller of the two
    numbers of groups, as they advise for few groups.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import special

from harness.metrics.base import FloatArray
from harness.ratings.records import Estimate
from harness.ratings.stats.davidson import Codes, codes_of
from harness.stats.intervals import TAIL, influence, standard_error
from harness.stats.proportions import clustered_tango

FEWEST_RATERS = 3
"""Below this many raters nothing is said of other raters."""


def share_over_raters(
    results: Sequence[int],
    items: Sequence[str],
    raters: Sequence[str],
    clusters: Mapping[str, str],
    share: Estimate,
) -> Estimate | None:
    """Interval of a share of wins for other items and other raters; never within that of items.

    It is Tango's, as that of the items, at the number of unrelated votes that would have the
    two-way standard error. Raters who do not differ at all count as one vote each: nothing says
    then how far others might.

    Args:
        results: 1 for a win, 0 for a tie, -1 for a loss, shape (n,).
        items: Item of each.
        raters: Rater of each.
        clusters: Cluster of each item.
        share: The share with its interval over items alone.

    Returns:
        None with too few raters, or where the share has no interval over items.
    """
    if share.low is None or share.high is None or len(set(raters)) < FEWEST_RATERS:
        return None
    signs = np.array(results, dtype=np.float64)
    error, groups, weights = _two_way(signs, items, raters, clusters)
    votes = len(signs)
    gains, losses = (float(weights @ (signs == s)) / weights.sum() * votes for s in (1, -1))
    low, high = clustered_tango(gains, losses, votes, error, groups)
    method = f"Tango score, two-way over items and {len(set(raters)):,} raters"
    low, high = min(float(1 + low) / 2, share.low), max(float(1 + high) / 2, share.high)
    return share.model_copy(update={"low": low, "high": high, "method": method})


def mean_over_raters(
    values: Sequence[float],
    items: Sequence[str],
    raters: Sequence[str],
    clusters: Mapping[str, str],
    mean: Estimate,
    most: float,
) -> Estimate | None:
    """Student-t interval of a mean for other items and other raters; never within that of items.

    Args:
        values: One of each item and rater, shape (n,); an item counts once, whoever judged it.
        items: Item of each.
        raters: Rater of each.
        clusters: Cluster of each item.
        mean: Their mean with its interval over items alone.
        most: What the mean cannot be above, nor below with a minus.

    Returns:
        None with too few raters, or where the mean has no interval over items, or no width.
    """
    if mean.value is None or mean.low is None or mean.high is None or mean.low == mean.high:
        return None
    if len(set(raters)) < FEWEST_RATERS:
        return None
    error, groups, _ = _two_way(np.array(values, dtype=np.float64), items, raters, clusters)
    reach = float(special.stdtrit(groups - 1, 1 - TAIL)) * error
    low = min(max(mean.value - reach, -most), mean.low)
    high = max(min(mean.value + reach, most), mean.high)
    method = f"Student-t, two-way over items and {len(set(raters)):,} raters"
    return mean.model_copy(update={"low": low, "high": high, "method": method})


def _two_way(
    values: FloatArray, items: Sequence[str], raters: Sequence[str], clusters: Mapping[str, str]
) -> tuple[float, int, FloatArray]:
    """Two-way standard error of a mean in which each item counts once, and more.

    The error is never below that of clusters alone, or of raters alone: with few raters the formula
    can fall below both.

    Returns:
        The error, the smaller number of groups, and the weights, shape (n,).
    """
    item = codes_of(items)
    weights: FloatArray = 1.0 / np.bincount(item)[item]
    by_item, by_rater = codes_of([clusters[name] for name in items]), codes_of(raters)
    both = codes_of(by_item * (by_rater.max() + 1) + by_rater)

    def variance(groups: Codes) -> float:
        sums = [np.bincount(groups, weights=w) for w in (weights * values, weights)]
        return standard_error(influence(np.stack(sums, axis=1, dtype=np.float64))) ** 2

    of_items, of_raters, of_cells = map(variance, (by_item, by_rater, both))
    groups = int(min(by_item.max(), by_rater.max())) + 1
    error = np.sqrt(max(of_items + of_raters - of_cells, of_items, of_raters))
    return float(error), groups, weights
