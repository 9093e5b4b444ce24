"""Which automatic metric may be trusted here: does it follow the raters?

Two views. Rank correlation over all outputs asks whether outputs that raters value have better
values of the metric; it mixes easy and hard items, and good and bad variants. Accuracy over pairs
asks, item by item, whether the metric prefers the output that raters prefer.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from harness.metrics.base import FloatArray
from harness.ratings.records import Correlation, Estimate, PairAccuracy, VariantPair
from harness.ratings.stats.blocks import ItemMeans
from harness.ratings.stats.davidson import Codes, codes_of
from harness.ratings.stats.votes import share_estimate
from harness.results.scores import Reading
from harness.stats.jackknife import jackknife_groups, z_interval
from harness.suite.spec import task_facts

_PERFECT = "a perfect correlation gives no interval"


@dataclass(frozen=True)
class MetricValues:
    """An automatic metric's value of each output alone."""

    higher_is_better: bool  # False for error rates
    values: ItemMeans  # variant -> item id -> value, in the metric's own unit
    undefined: int = 0  # outputs for which the metric has no value


def metric_values(
    readings: Iterable[Reading], task: str, splits: Collection[str], variants: Collection[str]
) -> dict[str, MetricValues]:
    """Values of all metrics of a generation task, output by output.

    A corpus metric, such as BLEU, has the value that it gives an output alone.

    Args:
        readings: Scores of a run with their statistics.
        task: The suite's task whose outputs are rated.
        splits: Splits of the rated items.
        variants: Variants that are rated.

    Returns:
        Metric -> values, in order of first appearance; scores without statistics per example are
        passed over.
    """
    metrics: dict[str, MetricValues] = {}
    for reading in readings:
        score, quantity, sample = reading.score, reading.quantity, reading.sample
        wanted = task_facts(reading.kind).writes_texts and reading.suite_task == task
        wanted = wanted and score.split in splits and reading.variant in variants
        if not wanted or quantity is None or sample is None:
            continue
        values = np.asarray(quantity.aggregate(sample.stats), dtype=np.float64)
        known = np.isfinite(values)
        old = metrics.get(score.metric, MetricValues(score.higher_is_better, {}))
        own = dict(zip(sample.ids[known].tolist(), values[known].tolist(), strict=True))
        own = old.values.get(reading.variant, {}) | own
        undefined = old.undefined + int(np.sum(~known))
        by_variant = old.values | {reading.variant: own}
        metrics[score.metric] = MetricValues(score.higher_is_better, by_variant, undefined)
    return metrics


def correlations(
    human: Mapping[str, ItemMeans],
    metrics: Mapping[str, MetricValues],
    clusters: Mapping[str, str],
    *,
    seed: int = 0,
) -> tuple[Correlation, ...]:
    """Rank correlation of each metric with each criterion, over outputs that have both.

    Args:
        human: Criterion -> variant -> item -> mean over raters.
        metrics: Metric -> its values.
        clusters: Cluster of each item; left out together by the jackknife.
        seed: Of the jackknife's random groups, where there are many clusters.

    Returns:
        Metric by metric; a positive correlation means that the two agree, whichever way the
        metric is read.
    """
    return tuple(
        _correlation(metric, of, criterion, means, clusters, seed)
        for metric, of in metrics.items()
        for criterion, means in human.items()
    )


def accuracies(
    shares: Mapping[tuple[str, VariantPair], float],
    metrics: Mapping[str, MetricValues],
    clusters: Mapping[str, str],
) -> tuple[PairAccuracy, ...]:
    """How often each metric prefers the output that more raters prefer; its ties count half.

    Args:
        shares: Share of the second of each pair on each item, as ``votes.item_shares`` gives it;
            those of one half have no winner and are passed over.
        metrics: Metric -> its values.
        clusters: Cluster of each item.
    """
    records = []
    for metric, of in metrics.items():
        sign = 1 if of.higher_is_better else -1
        results: list[int] = []
        related: dict[str, str] = {}  # comparison, by number -> cluster of its item
        for (item, (first, second)), share in shares.items():
            values = [of.values.get(name, {}).get(item) for name in (first, second)]
            if share == 0.5 or values[0] is None or values[1] is None:
                continue
            wanted = 1 if share > 0.5 else -1
            results.append(sign * wanted * int(np.sign(values[1] - values[0])))
            related[str(len(related))] = clusters[item]
        if results:
            accuracy = share_estimate(results, list(related), related)
        else:
            reason = "no comparison has both a winner among raters and values of the metric"
            accuracy = Estimate(value=None, reason=reason)
        records.append(PairAccuracy(metric=metric, accuracy=accuracy, n=len(results)))
    return tuple(records)


def _correlation(
    metric: str,
    of: MetricValues,
    criterion: str,
    means: ItemMeans,
    clusters: Mapping[str, str],
    seed: int,
) -> Correlation:
    """One metric against one criterion."""
    sign = 1.0 if of.higher_is_better else -1.0
    both = [
        (item, mean, sign * of.values[variant][item])
        for variant, by_item in means.items()
        for item, mean in by_item.items()
        if item in of.values.get(variant, {})
    ]
    items = [item for item, _, _ in both]
    judged, valued = (np.array([row[at] for row in both], dtype=np.float64) for at in (1, 2))
    reason = _why_undefined(judged, valued)
    if reason is not None:
        kendall = spearman = Estimate(value=None, n=len(both), reason=reason)
    else:
        ranks = (codes_of(judged), codes_of(valued))
        groups = jackknife_groups([clusters[item] for item in items], seed=seed)
        count = len({clusters[item] for item in items})
        kendall, spearman = (
            Estimate.of(z_interval(values[0], values[1:], count, n=len(both), unanimous=_PERFECT))
            for values in (kendall_without(*ranks, groups), spearman_without(*ranks, groups))
        )
    return Correlation(
        metric=metric,
        higher_is_better=of.higher_is_better,
        criterion=criterion,
        n=len(both),
        items=len(set(items)),
        kendall=kendall,
        spearman=spearman,
    )


def _why_undefined(judged: FloatArray, valued: FloatArray) -> str | None:
    if len(judged) < 2:
        return "fewer than two outputs have both ratings and values of the metric"
    for values, what in ((judged, "raters give"), (valued, "the metric gives")):
        if np.all(values == values[0]):
            return f"no variance: {what} all outputs the same value"
    return None


def kendall_without(x: Codes, y: Codes, groups: Codes) -> FloatArray:
    """Kendall's tau-b of all outputs, then without each group.

    Tau-b is made of three counts of pairs: concordant less discordant, not tied in x, not tied in
    y. What a group takes away is its outputs' pairs with all, less those within the group, which
    were taken twice.

    Args:
        x: Ranks with ties (dense, from 0), shape (n,).
        y: Likewise; quick where one of the two has few distinct values.
        groups: Group of each output, numbered from 0, shape (n,).

    Returns:
        Shape (1 + G,); NaN where undefined.

    Source:
        Kendall (1945), The treatment of ties in ranking problems, Biometrika 33: 239-251.
    """
    whole = _pairs(x, y)
    totals = [whole.sum(axis=0) / 2]
    for group in range(groups.max() + 1):
        rows = groups == group
        inner = _pairs(codes_of(x[rows]), codes_of(y[rows]))
        totals.append(totals[0] - whole[rows].sum(axis=0) + inner.sum(axis=0) / 2)
    agreeing, apart_x, apart_y = np.array(totals).T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(agreeing / np.sqrt(apart_x) / np.sqrt(apart_y))


def _pairs(x: Codes, y: Codes) -> FloatArray:
    """Of each output's pairs: concordant less discordant, not tied in x, in y; shape (n, 3)."""
    of_x, of_y = np.bincount(x), np.bincount(y)
    few, many, size = (x, y, len(of_y)) if len(of_x) <= len(of_y) else (y, x, len(of_x))
    lead = np.zeros(len(x))
    for level in range(int(few.max()) + 1):
        held = np.bincount(many[few == level], minlength=size)
        up_to = np.cumsum(held)
        lead += np.sign(few - level) * (2 * up_to - held - up_to[-1])[many]
    return np.column_stack([lead, len(x) - of_x[x], len(x) - of_y[y]])


def spearman_without(x: Codes, y: Codes, groups: Codes) -> FloatArray:
    """Spearman's rank correlation of all outputs, then without each group.

    Outputs that are left are ranked anew, ties by their mean rank.

    Args:
        x: Ranks with ties (dense, from 0), shape (n,).
        y: Likewise.
        groups: Group of each output, numbered from 0, shape (n,).

    Returns:
        Shape (1 + G,); NaN where undefined.
    """
    correlations = []
    for group in range(-1, groups.max() + 1):
        first, second = (_centred_ranks(side[groups != group]) for side in (x, y))
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.sqrt(np.sum(first**2)) * np.sqrt(np.sum(second**2))
            correlations.append(np.divide(np.sum(first * second), spread))
    return np.array(correlations)


def _centred_ranks(codes: Codes) -> FloatArray:
    """Ranks less their mean; of equal values the mean rank."""
    held = np.bincount(codes)
    result: FloatArray = (np.cumsum(held) - (held - 1) / 2)[codes] - (len(codes) + 1) / 2
    return result
