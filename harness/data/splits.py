"""Divides clusters among train, eval, select and report by seeded hash.

Each row's split follows from the seed, its cluster and the shares alone: rows added, removed or
reordered elsewhere in the source leave it where it is, as long as they do not join its cluster.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import DataError
from harness.hints import choices
from harness.schema import SPLITS, Split
from harness.suite.spec import DataSpec

DEFAULT_SHARES: dict[Split, float] = {"train": 0.7, "eval": 0.05, "select": 0.1, "report": 0.15}

Shares = Mapping[Split, float]


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """How the rows of each of the source's own splits are divided.

    Attributes:
        shares: Own split -> shares of train, eval, select and report, which add up to 1. Own
            splits that are not in it are not read.
        pooled: Whether all own splits are divided alike, as one heap of rows.
        notes: What the report should say about it.
    """

    shares: dict[str, dict[Split, float]]
    pooled: bool
    notes: tuple[str, ...] = ()

    @property
    def asked(self) -> list[Split]:
        """Splits that are to have examples, in their usual order."""
        return [s for s in SPLITS if any(shares.get(s, 0) > 0 for shares in self.shares.values())]


def plan_splits(spec: DataSpec, own: Sequence[str]) -> SplitPlan:
    """Decide how each of the source's own splits is divided.

    Args:
        spec: The suite's data: ``split_map`` maps own splits; else files named train, eval,
            select and report are those; else all rows are divided by ``splits``.
        own: The source's own splits.

    Raises:
        DataError: ``split_map`` names a split the source does not have, or gives a split no room.
    """
    split_map = spec.mapped_splits
    if not split_map:
        shares: dict[Split, float] = dict(spec.splits) or dict(DEFAULT_SHARES)
        note = (
            f"The source's own splits ({', '.join(own)}) were pooled and divided by hash; "
            "data.split_map would keep them apart."
        )
        return SplitPlan(dict.fromkeys(own, shares), True, (note,) if len(own) > 1 else ())
    if unknown := sorted(set(split_map) - set(own)):
        raise DataError(
            f"The source has no split {unknown[0]!r}.",
            where="data.split_map",
            hint=choices(unknown[0], own, "It has"),
        )
    unread = [split for split in own if split not in split_map]
    note = f"Splits of the source that were not read: {', '.join(unread)}."
    divided = {split: _shares(spec, split, target) for split, target in split_map.items()}
    return SplitPlan(divided, False, (note,) if unread else ())


def _shares(spec: DataSpec, own: str, target: Split | list[Split]) -> dict[Split, float]:
    """Shares of one own split: alike among those it is mapped to, or in the ratio of splits."""
    targets = [target] if isinstance(target, str) else target
    weights = {t: spec.splits.get(t, 0.0) if spec.splits else 1.0 for t in targets}
    total = sum(weights.values())
    if len(targets) == 1:
        return {targets[0]: 1.0}
    if not total:
        raise DataError(
            f"{own!r} is to be divided among {', '.join(targets) or 'no splits'}, whose shares "
            "add up to 0.",
            where=f"data.split_map.{own}",
            hint="Leave data.splits out to divide it evenly.",
        )
    return {t: weight / total for t, weight in weights.items()}


def assign(cluster: str, shares: Shares, seed: int) -> Split:
    """The split of a cluster: where its hash falls among the cumulated shares."""
    point = hash_point(seed, "split", cluster)
    chosen = [split for split in SPLITS if shares.get(split, 0) > 0]
    end = 0.0
    for split in chosen:
        end += shares[split]
        if point < end:
            return split
    return chosen[-1]  # the shares add up to 1 only within rounding


def hash_point(seed: int, purpose: str, key: str) -> float:
    """A number in [0, 1) that depends on seed, purpose and key alone, on every machine alike."""
    digest = hashlib.sha256(f"{seed}:{purpose}:{key}".encode()).hexdigest()
    return int(digest[:13], 16) / 16**13  # 52 bits: exact in a float
