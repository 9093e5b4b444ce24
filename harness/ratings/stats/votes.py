"""Votes on two outputs at a time, automatic ties included, and the share that a variant wins."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.ratings.records import Estimate, Rating, SheetPlan, Sheets, VariantPair
from harness.ratings.stats.davidson import Votes, codes_of
from harness.stats.intervals import influence, standard_error
from harness.stats.proportions import clustered_tango
from harness.stats.resampling import Resamples

NO_VOTES = "no comparison has come back"

_RESULTS = {"first": -1, "tie": 0, "second": 1}


class Vote(NamedTuple):
    """What one rater holds of two outputs."""

    pair: VariantPair  # the two variants, in the plan's order
    item: str  # example id
    rater: str  # who
    result: int  # 1 where the second is preferred, 0 for a tie, -1 for the first
    automatic: bool = False  # a tie of equal texts, which nobody was asked about


def item_shares(votes: Iterable[Vote]) -> dict[tuple[str, VariantPair], float]:
    """Share of the second of each pair on each item: wins and half the ties, over raters."""
    results: dict[tuple[str, VariantPair], list[int]] = {}
    for vote in votes:
        results.setdefault((vote.item, vote.pair), []).append(vote.result)
    return {key: (1 + sum(own) / len(own)) / 2 for key, own in results.items()}


def votes_of(sheets: Sheets, ratings: Iterable[Rating]) -> list[Vote]:
    """Every vote of the main comparisons, and ties of equal texts once per rater of the item.

    A rater of an item is one who compared other outputs of it. Where all that would be compared
    are equal texts nobody compared any, so it is one who rated an output of it and has compared
    outputs of other items. Where no criteria are asked either, such an item has no rows at all:
    it then gets as many ties as the middle item has raters, from raters in turn.

    Args:
        sheets: The export.
        ratings: All that came back; repeats, checks and what was not judged are passed over.
    """
    plan = sheets.plan
    main = [rating for rating in ratings if rating.purpose == "main"]
    pairs = {frozenset(pair): pair for pair in plan.pairs}
    votes = []
    for rating in main:
        if rating.kind == "pair" and rating.judged and rating.preferred is not None:
            pair, result = pairs[frozenset(rating.variants)], _RESULTS[rating.preferred]
            if pair != rating.variants:
                result = -result
            votes.append(Vote(pair, rating.item, rating.rater, result))
    tied: dict[str, list[VariantPair]] = {}
    for tie in sheets.ties:
        if frozenset(tie.variants) in pairs:
            tied.setdefault(tie.item, []).append(pairs[frozenset(tie.variants)])
    raters = _raters_of_ties(plan, [item.id for item in sheets.items], main, tied)
    votes += [
        Vote(pair, item, rater, 0, automatic=True)
        for item, equal in tied.items()
        for pair in equal
        for rater in raters[item]
    ]
    return votes


def _raters_of_ties(
    plan: SheetPlan,
    items: Sequence[str],
    main: Sequence[Rating],
    tied: Mapping[str, list[VariantPair]],
) -> dict[str, list[str]]:
    """Whose votes the ties of equal texts are, by item; see :func:`votes_of`."""
    compared: dict[str, set[str]] = {}
    rated: dict[str, set[str]] = {}
    for rating in main:
        where = compared if rating.kind == "pair" else rated
        where.setdefault(rating.item, set()).add(rating.rater)
    known = set().union(*compared.values())
    if not known and all(len(tied.get(item, ())) == len(plan.pairs) for item in items):
        known = set().union(*rated.values())  # there is nothing to compare, on any item
    voters = [rater for rater in plan.raters if rater in known]
    usual = round(float(np.median([len(raters) for raters in compared.values()] or [1])))
    turns = itertools.cycle(voters)
    result = {}
    for item, equal in tied.items():
        whole = len(equal) == len(plan.pairs)
        if whole and not plan.criteria and voters:
            result[item] = list(itertools.islice(turns, usual))
        else:
            answered = (rated if whole else compared).get(item, set())
            result[item] = [rater for rater in voters if rater in answered]
    return result


def as_arrays(names: Sequence[str], votes: Sequence[Vote], clusters: Mapping[str, str]) -> Votes:
    """Votes by number instead of name.

    Args:
        names: Variants, in the order of their numbers.
        votes: At least one.
        clusters: Cluster of each item.
    """
    number = {name: at for at, name in enumerate(names)}
    return Votes(
        size=len(names),
        first=np.array([number[vote.pair[0]] for vote in votes], dtype=np.intp),
        second=np.array([number[vote.pair[1]] for vote in votes], dtype=np.intp),
        result=np.array([vote.result for vote in votes], dtype=np.intp),
        clusters=codes_of([clusters[vote.item] for vote in votes]),
        raters=codes_of([vote.rater for vote in votes]),
    )


def share_estimate(
    results: Sequence[int], items: Sequence[str], clusters: Mapping[str, str]
) -> Estimate:
    """Share of wins and half the ties, each item counting once, with its interval over items.

    Wins less losses are a paired difference of shares, ties being the pairs that agree; so they
    have Tango's score interval, which does not collapse where all votes are equal, at the number
    of unrelated votes that would have the cluster-robust standard error.

    Args:
        results: 1 for a win, 0 for a tie, -1 for a loss, shape (n,).
        items: Item of each.
        clusters: Cluster of each item.
    """
    if not results:
        return Estimate(value=None, reason=NO_VOTES)
    names, codes = np.unique(np.array(items, dtype=np.str_), return_inverse=True)
    signs = np.array(results)
    counts = np.bincount(codes)
    gains, losses = (np.bincount(codes, weights=signs == sign) / counts for sign in (1, -1))
    n, value = len(names), float(1 + np.mean(gains - losses)) / 2
    groups = Resamples([clusters[str(name)] for name in names])
    if groups.n_clusters < 2:
        what = "one item" if n == 1 else "one cluster of related items"
        return Estimate(value=value, n=n, reason=f"{what} gives no interval")
    sums = groups.sums(np.stack([gains - losses, np.ones(n)], axis=1))
    error = standard_error(influence(sums))
    votes = len(signs)
    of_votes = (float(gains.mean()) * votes, float(losses.mean()) * votes, votes)
    low, high = clustered_tango(*of_votes, error, groups.n_clusters)
    what = "items" if groups.n_clusters == n else "clusters of items"
    method = f"Tango score, {groups.n_clusters:,} {what}"
    return Estimate(value=value, low=(1 + low) / 2, high=(1 + high) / 2, n=n, method=method)
