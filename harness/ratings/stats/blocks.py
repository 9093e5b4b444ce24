"""Raters who judged an item for every variant: only these can be compared without their severity.

A rater who judged an item for some variants only (by a partial return, or because they could not
judge one output) would bring their severity into these variants alone. Where the same raters count
for every variant of an item, how severe they are moves all variants alike.
"""

from collections.abc import Iterable, Iterator, Sequence

from harness.ratings.records import Rating, SheetPlan, Sheets

ItemMeans = dict[str, dict[str, float]]
"""Variant -> item id -> mean over the raters of that output; only what was rated is there."""

Blocks = dict[str, dict[str, dict[str, int]]]
"""Item id -> rater -> variant -> points, of raters who judged the item for every variant."""


def blocks_of(sheets: Sheets, ratings: Iterable[Rating], criterion: str) -> Blocks:
    """What each rater said of an item, where they judged it for every variant.

    Args:
        sheets: The export, with the items that count, in whose order the blocks are.
        ratings: All ratings; those of other items are passed over.
        criterion: The criterion's name.
    """
    given: dict[tuple[str, str], dict[str, int]] = {}
    for item, rater, variant, point in points_of(ratings, criterion):
        given.setdefault((item, rater), {})[variant] = point
    blocks: Blocks = {}
    for name in (item.id for item in sheets.items):
        for rater in sheets.plan.raters:
            block = given.get((name, rater), {})
            if block and all(variant in block for variant in sheets.plan.variants):
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


def unpaired(sheets: Sheets, ratings: Sequence[Rating]) -> dict[str, int]:
    """Criterion -> points that no mean counts, as their rater did not judge all of the item."""
    names = {item.id for item in sheets.items}
    left = {}
    for criterion in sheets.plan.criteria:
        blocks = blocks_of(sheets, ratings, criterion.name)
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
