"""Ratings as scores like any other, so that the matrix, ``select`` and ``gate`` read them.

The task is called ``human``; a metric is a criterion (the mean over items of an item's mean over
raters, in points of the scale) or ``preference`` (the share of comparisons with the baseline that
the variant wins, ties counting half).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from harness.digests import short_digest
from harness.metrics.base import FloatArray
from harness.ratings.stats.blocks import blocks_of, paired_means
from harness.ratings.stats.means import complete_items
from harness.ratings.stats.preference import item_preferences
from harness.ratings.store import Sheets, StoredRatings
from harness.schema import HUMAN, CellResult, Score
from harness.store.runs import Store
from harness.suite.ratings import PREFERENCE, REFERENCES

_Values = Mapping[str, Mapping[str, float]]
"""Variant -> item -> value."""


def write_scores(
    store: Store, sheets: Sheets, kept: StoredRatings, ratings_key: str
) -> tuple[CellResult, ...]:
    """Write the scores of every rated variant, and return their cells for the manifest.

    An item counts with those raters who judged it for every variant, so that all variants are
    compared on the same items by the same raters.

    Args:
        store: Where they go.
        sheets: What was asked.
        kept: What came back.
        ratings_key: The result that ``kept`` is of.
    """
    values = dict(_metrics(sheets, kept))
    cells = []
    for variant in sheets.plan.variants:
        if variant == REFERENCES:
            continue  # no variant of the run: only the report's own section shows them
        identity = {
            "ratings": ratings_key,
            "variant": variant,
            "criteria": [c.model_dump(mode="json") for c in sheets.plan.criteria],
            "show_reference": sheets.plan.show_reference,
            "instructions": sheets.plan.instructions,
            "paired": "by item and rater",
        }
        key = short_digest(identity)
        if not store.has("scores", key):
            scores, arrays = _scores(sheets, variant, values)
            with store.writing("scores", key, identity) as folder:
                store.write_records(folder, "scores", scores)
                store.write_records(folder, "findings", [])
                np.savez_compressed(folder / "stats.npz", **arrays)
        cells.append(
            CellResult(
                variant=variant,
                task=HUMAN,
                kind="human",
                status="done",
                predictions_key=sheets.plan.predictions[variant],
                scores_key=key,
            )
        )
    return tuple(cells)


def _metrics(sheets: Sheets, kept: StoredRatings) -> Iterator[tuple[str, _Values]]:
    """Values of every variant by metric, on the same items for all of them."""
    plan = sheets.plan
    for criterion in plan.criteria:
        blocks = blocks_of(plan, sheets.items, kept.ratings, criterion.name)
        yield criterion.name, paired_means(plan, blocks)
    if plan.baseline is None or not plan.pairs:
        return
    won = item_preferences(plan, sheets.items, kept.ratings, sheets.ties, plan.baseline)
    compared = [name for name in plan.variants if name in won]
    items = complete_items(won, compared)
    even = {plan.baseline: dict.fromkeys(items, 0.5)}  # no better and no worse than itself
    yield PREFERENCE, even | dict(_restricted(won, items))


def _restricted(values: _Values, items: tuple[str, ...]) -> dict[str, dict[str, float]]:
    return {name: {item: of[item] for item in items} for name, of in values.items()}


def _scores(
    sheets: Sheets, variant: str, values: Mapping[str, _Values]
) -> tuple[list[Score], dict[str, Any]]:
    """Records and per-item statistics: (value, 1), whose column sums make the mean."""
    scores: list[Score] = []
    arrays: dict[str, Any] = {}
    for metric, of_all in values.items():
        if variant not in of_all:
            continue
        for split in sheets.plan.splits:
            items = [i for i in sheets.items if i.split == split and i.id in of_all[variant]]
            found = np.array([of_all[variant][item.id] for item in items], dtype=np.float64)
            place = f"{HUMAN}/{metric}/{split}"
            arrays |= {
                f"ids/{place}": np.array([item.id for item in items], dtype=np.str_),
                f"clusters/{place}": np.array([item.cluster for item in items], dtype=np.str_),
                place: np.stack([found, np.ones_like(found)], axis=1),
            }
            scores.append(_score(sheets, metric, split, found, place))
    return scores, arrays


def _score(sheets: Sheets, metric: str, split: str, found: FloatArray, place: str) -> Score:
    asked = {criterion.name: criterion for criterion in sheets.plan.criteria}
    if metric == PREFERENCE:
        signature = f"preference|against:{sheets.plan.baseline}|ties:half"
    else:
        points = asked[metric].points
        signature = f"{metric}|scale:{points[0]}-{points[-1]}"
    return Score(
        task=HUMAN,
        metric=metric,
        split=split,
        n=len(found),
        value=float(found.mean()) if len(found) else None,
        reason=None if len(found) else "no item has been rated for every variant yet",
        scale=1.0 if metric == PREFERENCE else None,
        unit="" if metric == PREFERENCE else "points",
        signature=signature,
        stats=place,
    )
