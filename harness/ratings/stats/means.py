"""Means of what raters said: of each variant's output of an item, and of each variant.

Each item counts once, however many raters judged it, so that an item which more of them saw does
not weigh more. Only rows of purpose ``main`` count: repeats, spoilt outputs and texts beside
themselves are about the raters.

Variants are compared within raters: see :mod:`harness.ratings.stats.blocks`.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from harness.metrics.base import mean_of
from harness.ratings.records import CriterionMean, Estimate, Item, Rating, SheetPlan, Sheets
from harness.ratings.stats.blocks import Blocks, ItemMeans, blocks_of, paired_means, points_of
from harness.ratings.stats.over_raters import mean_over_raters
from harness.stats.intervals import Interval
from harness.stats.panel import Panel, Quantity, Sample
from harness.stats.resampling import Resamples
from harness.suite.ratings import CriterionSpec

_NOBODY = "there is no item of which a rater judged the outputs of all variants"


def item_means(sheets: Sheets, ratings: Sequence[Rating], criterion: str) -> ItemMeans:
    """What raters said of each output, on average over those who judged it.

    Args:
        sheets: The export, with the items that count.
        ratings: All ratings; those of other items are passed over.
        criterion: The criterion's name.

    Returns:
        Points by variant, in the plan's order, and item id, in the order of the items. A text that
        several variants wrote is rated once and counts for each of them. Who cannot judge an
        output has no part in its mean.
    """
    points: dict[tuple[str, str], list[int]] = {}
    for item, _, variant, point in points_of(ratings, criterion):
        points.setdefault((variant, item), []).append(point)
    return {
        variant: {
            item.id: sum(held) / len(held)
            for item in sheets.items
            if (held := points.get((variant, item.id)))
        }
        for variant in sheets.plan.variants
    }


def complete_items(
    values: Mapping[str, Mapping[str, float]], variants: Sequence[str]
) -> tuple[str, ...]:
    """Ids of the items that have a value for every one of some variants, in their order.

    Args:
        values: Variant -> item id -> value.
        variants: Those that must have one; without any, no item is complete.
    """
    if not variants:
        return ()
    others = [values.get(variant, {}) for variant in variants[1:]]
    return tuple(
        name for name in values.get(variants[0], {}) if all(name in other for other in others)
    )


def left_out(
    items: Sequence[Item], values: ItemMeans, variants: Sequence[str], counted: Collection[str]
) -> dict[str, int]:
    """Why items do not count: reason -> number of them.

    Args:
        items: All items.
        values: Variant -> item id -> value, whoever judged it.
        variants: Those that are compared.
        counted: Ids of the items that count.
    """
    reasons: Counter[str] = Counter()
    for item in items:
        if item.id in counted:
            continue
        held = sum(item.id in values.get(variant, {}) for variant in variants)
        if not held:
            reason = "not judged by anybody"
        elif held < len(variants):
            reason = "judged for some variants only"
        else:
            reason = "judged for all variants by no single rater"
        reasons[reason] += 1
    return dict(reasons)


def criterion_means(
    sheets: Sheets, ratings: Sequence[Rating]
) -> tuple[tuple[CriterionMean, ...], dict[str, int]]:
    """Mean of each criterion by variant with its interval, and paired against the baseline.

    All variants are compared on the same items and, of each item, on the same raters: those who
    judged it for all variants. Near-identical items (of one cluster) are resampled together.

    Returns:
        One mean per criterion and variant; and reason, with the criterion -> items left out.
    """
    means: list[CriterionMean] = []
    dropped: dict[str, int] = {}
    plan, clusters = sheets.plan, sheets.clusters
    drawn: dict[tuple[str, ...], Resamples] = {}  # criteria of the same items share their weights
    for criterion in plan.criteria:
        name = criterion.name
        blocks = blocks_of(sheets, ratings, name)
        out = left_out(sheets.items, item_means(sheets, ratings, name), plan.variants, blocks)
        dropped |= {f"{name}: {reason}": n for reason, n in out.items()}
        ids = tuple(blocks)
        if ids:
            if ids not in drawn:
                drawn[ids] = Resamples([clusters[item] for item in ids], seed=plan.seed)
            means += _means(plan, criterion, blocks, clusters, drawn[ids])
        else:
            none = Estimate(value=None, reason=_NOBODY)
            means += [CriterionMean(criterion=name, variant=v, mean=none) for v in plan.variants]
    return tuple(means), dropped


def _means(
    plan: SheetPlan,
    criterion: CriterionSpec,
    blocks: Blocks,
    clusters: Mapping[str, str],
    resamples: Resamples,
) -> Iterator[CriterionMean]:
    """Means of one criterion over the items that count.

    They are computed as shares of the scale's range, from 0 (the worst point) to 1: the methods
    for bounded scores then apply, and their bounds stay on the scale.
    """
    worst, best = criterion.points[0], criterion.points[-1]
    reach = best - worst
    names, values = np.array(list(blocks)), paired_means(plan, blocks)
    samples = []
    for variant in plan.variants:
        shares = (np.array(list(values[variant].values())) - worst) / reach
        stats = np.stack([shares, np.ones(len(shares))], axis=1)
        samples.append(Sample(variant, names, names, stats))  # clusters are the resamples'
    quantity = Quantity(plan.task, criterion.name, "rated", mean_of, scale=1.0)
    panel = Panel(quantity, samples, resamples=resamples)
    for variant in plan.variants:
        difference = others = None
        if plan.baseline is not None and variant != plan.baseline:
            gain = panel.difference(plan.baseline, variant)
            bounds = (gain.delta, gain.low, gain.high, len(names), resamples.n_clusters)
            difference = Estimate.of(Interval(*bounds, gain.method, gain.reason), reach=reach)
            cells = [
                (float(block[variant] - block[plan.baseline]), item, rater)
                for item, raters in blocks.items()
                for rater, block in raters.items()
            ]
            gains, of_items, of_raters = zip(*cells, strict=True)
            others = mean_over_raters(gains, of_items, of_raters, clusters, difference, reach)
        yield CriterionMean(
            criterion=criterion.name,
            variant=variant,
            mean=Estimate.of(panel.interval(variant), reach=reach, worst=worst),
            difference=difference,
            other_raters=others,
        )
