"""Ratings as scores like any other, so that the matrix, ``select`` and ``gate`` read them.

The task is called ``human``; a metric is a criterion (the mean over items of an item's mean over
raters, in points of the scale) or ``preference`` (the share of comparisons with the baseline that
the variant wins, ties counting half).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from harness.digests import short_digest
from harness.ratings.records import Sheets
from harness.ratings.stats.blocks import blocks_of, paired_means
from harness.ratings.stats.means import complete_items
from harness.ratings.stats.preference import item_preferences
from harness.ratings.store import StoredRatings
from harness.schema import HUMAN, CellResult, HumanKeys, Manifest, Score
from harness.store.runs import Store
from harness.suite.ratings import PREFERENCE, REFERENCES

_Values = Mapping[str, Mapping[str, float]]
"""Variant -> item -> value."""


def record_ratings(
    store: Store, manifest: Manifest, sheets: Sheets, stored: StoredRatings, key: str | None
) -> Manifest:
    """Write the scores of every rated variant, and name sheets, ratings and scores in the manifest.

    An item counts with those raters who judged it for every variant, so that all variants are
    compared on the same items by the same raters.

    Args:
        store: Where they go.
        manifest: The run; the caller holds it and just read it.
        sheets: What was asked.
        stored: What came back.
        key: The result that ``stored`` is of; None where nothing came back.

    Returns:
        The manifest as it was written.
    """
    values = dict(_metrics(sheets, stored)) if key else {}
    # references are no variant of the run: only the report's own section shows them
    rated = [v for v in sheets.plan.variants if v != REFERENCES] if key else []
    cells = [
        CellResult(
            variant=variant,
            task=HUMAN,
            kind="human",
            status="done",
            predictions_key=sheets.plan.predictions[variant],
            scores_key=_write_scores(store, sheets, key, variant, values),
        )
        for variant in rated
    ]
    others = tuple(cell for cell in manifest.cells if cell.kind != HUMAN)
    keys = HumanKeys(sheets=sheets.key, ratings=key)
    updated = manifest.model_copy(update={"human": keys, "cells": (*others, *cells)})
    store.write_manifest(updated)
    return updated


def _write_scores(
    store: Store, sheets: Sheets, ratings: str | None, variant: str, values: Mapping[str, _Values]
) -> str:
    """Keep a variant's scores, unless they are kept; their key."""
    identity = {
        "ratings": ratings,
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
    return key


def _metrics(sheets: Sheets, stored: StoredRatings) -> Iterator[tuple[str, _Values]]:
    """Values of every variant by metric, on the same items for all of them."""
    plan = sheets.plan
    for criterion in plan.criteria:
        blocks = blocks_of(sheets, stored.ratings, criterion.name)
        yield criterion.name, paired_means(plan, blocks)
    if plan.baseline is None or not plan.pairs:
        return
    won = item_preferences(sheets, stored.ratings, plan.baseline)
    items = complete_items(won, [name for name in plan.variants if name in won])
    shares = {name: {item: of[item] for item in items} for name, of in won.items()}
    # the baseline is no better and no worse than itself
    yield PREFERENCE, {plan.baseline: dict.fromkeys(items, 0.5)} | shares


def _scores(
    sheets: Sheets, variant: str, values: Mapping[str, _Values]
) -> tuple[list[Score], dict[str, Any]]:
    """Records and per-item statistics: (value, 1), whose column sums make the mean."""
    ends = {c.name: f"{c.points[0]}-{c.points[-1]}" for c in sheets.plan.criteria}
    scores: list[Score] = []
    arrays: dict[str, Any] = {}
    for metric, of_all in values.items():
        if variant not in of_all:
            continue
        preferred = metric == PREFERENCE
        signature = f"preference|against:{sheets.plan.baseline}|ties:half"
        for split in sheets.plan.splits:
            items = [i for i in sheets.items if i.split == split and i.id in of_all[variant]]
            own = np.array([of_all[variant][item.id] for item in items], dtype=np.float64)
            place = f"{HUMAN}/{metric}/{split}"
            arrays |= {
                f"ids/{place}": np.array([item.id for item in items], dtype=np.str_),
                f"clusters/{place}": np.array([item.cluster for item in items], dtype=np.str_),
                place: np.stack([own, np.ones_like(own)], axis=1),
            }
            scores.append(
                Score(
                    task=HUMAN,
                    metric=metric,
                    split=split,
                    n=len(own),
                    value=float(own.mean()) if len(own) else None,
                    reason=None if len(own) else "no item has been rated for every variant yet",
                    scale=1.0 if preferred else None,
                    unit="" if preferred else "points",
                    signature=signature if preferred else f"{metric}|scale:{ends[metric]}",
                    stats=place,
                )
            )
    return scores, arrays
