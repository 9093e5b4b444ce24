"""Divides clusters among train, eval, select and report by seeded hash.

Each row's split follows from the seed, its cluster and the shares alone: rows added, removed or
reordered elsewhere in the source leave it where it is, as long as they do not join its cluster.
"""

from __future__ import annotations

import hashlib
from collections import Counter
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
        folds: Number of folds, of which one is ``report``; None without any.
        fold: That one, counted from 1.
    """

    shares: dict[str, dict[Split, float]]
    pooled: bool
    notes: tuple[str, ...] = ()
    folds: int | None = None
    fold: int = 1

    @property
    def asked(self) -> list[Split]:
        """Splits that are to have examples, in their usual order."""
        held_out = {"report"} if self.folds else set()
        shared = {s for shares in self.shares.values() for s, share in shares.items() if share > 0}
        return [s for s in SPLITS if s in shared | held_out]

    def held_out(self, clusters: Sequence[str], seed: int) -> frozenset[str]:
        """Clusters of the fold that is held out; none where there are no folds.

        Raises:
            DataError: There are fewer clusters than folds.
        """
        if self.folds is None:
            return frozenset()
        dealt = deal(clusters, self.folds, seed)
        return frozenset(cluster for cluster, fold in dealt.items() if fold == self.fold)


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
        if spec.folds:
            shares.pop("report", None)
            rest = sum(shares.values())
            shares = {split: share / rest for split, share in shares.items()}
        note = (
            f"The source's own splits ({', '.join(own)}) were pooled and divided by hash; "
            "data.split_map would keep them apart."
        )
        notes = (note,) if len(own) > 1 else ()
        return SplitPlan(dict.fromkeys(own, shares), True, notes, spec.folds, spec.fold or 1)
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


def deal(clusters: Sequence[str], folds: int, seed: int) -> dict[str, int]:
    """The fold of each cluster, counted from 1, so that folds are of nearly the same size.

    Clusters are dealt from the largest to the smallest, those of equal size in the order of their
    hashes, each to the fold that has the fewest rows so far. So a row that is added may move others
    to another fold, unlike between splits.

    Args:
        clusters: The cluster of each row.
        folds: How many folds.
        seed: Equal seeds deal equally.

    Raises:
        DataError: There are fewer clusters than folds.

    Source:
        Graham (1969), Bounds on multiprocessing timing anomalies: the longest first.
    """
    sizes = Counter(clusters)
    if len(sizes) < folds:
        raise DataError(
            f"{folds} folds need as many groups of near-identical rows; the rows form "
            f"{len(sizes)}, which are not torn apart.",
            where="data.folds",
            hint="Take fewer folds, or more rows.",
        )
    dealt: dict[str, int] = {}
    rows = [0] * folds
    for cluster in sorted(sizes, key=lambda c: (-sizes[c], hash_point(seed, "fold", c), c)):
        fold = rows.index(min(rows))
        dealt[cluster] = fold + 1
        rows[fold] += sizes[cluster]
    return dealt


def hash_point(seed: int, purpose: str, key: str) -> float:
    """A number in [0, 1) that depends on seed, purpose and key alone, on every machine alike."""
    digest = hashlib.sha256(f"{seed}:{purpose}:{key}".encode()).hexdigest()
    return int(digest[:13], 16) / 16**13  # 52 bits: exact in a float
