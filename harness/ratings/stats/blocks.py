"""Raters who judged an item for every variant: only these can be compared without their severity.

A rater who judged an item for some variants only (by a partial return, or because they could not
judge one output) would bring their severity into these variants alone. Where the same raters count
for every variant of an item, how severe they are moves all variants alike.
"""

from collections.abc import Iterable, Iterator, Sequence

from harness.ratings.records import Item, Rating, SheetPlan

ItemMeans = dict[str, dict[str, float]]
"""Variant -> item id -> mean over the raters of that output; only what was rated is there."""

Blocks = dict[str, dict[str, dict[str, int]]]
"""Item id -> rater -> variant -> points, of raters who judged the item for every variant."""


def blocks_of(
    plan: SheetPlan, items: Sequence[Item], ratings: Iterable[Rating], criterion: str
) -> Blocks:
    """What each rater said of an item, where they judged it for every variant.

    Args:
        plan: The export.
        items: Items that count, in whose order the blocks are; others are passed over.
        ratings: All ratings.
        criterion: The criterion's name.
    """
    given: dict[tuple[str, str], dict[str, int]] = {}
    for item, rater, variant, point in points_of(ratings, criterion):
        given.setdefault((item, rater), {})[variant] = point
    blocks: Blocks = {}
    for name in (item.id for item in items):
        for rater in plan.raters:
            block = given.get((name, rater), {})
            if block and all(variant in block for variant in plan.variants):
                blocks.setdefault(name, {})[rater] = block
    return blocks


def paired_means(plan: SheetPlan, blocks: Blocks) -> ItemMeans:
    """Mean over the raters of each item, the same ones for every variant.

    Args:
        plan: The export.
        blocks: From :func:`blocks_of`.

    Returns:
        Points by variant and item id; every variant has the same items. A difference of two
        variants on an item is the mean of its raters' own differences.
    """
    return {
        variant: {
            item: sum(block[variant] for block in raters.values()) / len(raters)
            for item, raters in blocks.items()
        }
        for variant in plan.variants
    }


def unpaired(plan: SheetPlan, items: Sequence[Item], ratings: Sequence[Rating]) -> dict[str, int]:
    """Criterion -> points that no mean counts, as their rater did not judge all of the item."""
    names = {item.id for item in items}
    left = {}
    for criterion in plan.criteria:
        blocks = blocks_of(plan, items, ratings, criterion.name)
        lone = {
            (item, rater, variant)
            for item, rater, variant, _ in points_of(ratings, criterion.name)
            if item in names and rater not in blocks.get(item, {})
        }
        if lone:
            left[criterion.name] = len(lone)
    return left


def points_of(ratings: Iterable[Rating], criterion: str) -> Iterator[tuple[str, str, str, int]]:
    """Item, rater, variant and point of every main rating; a shared text counts for each."""
    for rating in ratings:
        point = rating.scores.get(criterion)
        if rating.kind == "scale" and rating.purpose == "main" and point is not None:
            for variant in rating.variants:
                yield rating.item, rating.rater, variant, point
