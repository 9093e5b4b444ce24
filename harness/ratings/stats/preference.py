"""Who wins: wins of each pair of variants, and strengths from all of them together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from harness.metrics.base import FloatArray
from harness.ratings.records import (
    Estimate,
    Preference,
    Rating,
    Sheets,
    Strength,
    VariantPair,
    Wins,
)
from harness.ratings.stats.davidson import (
    RIDGE,
    Fit,
    Votes,
    contrasts,
    covariance,
    davidson,
    groups_apart,
    groups_unbounded,
    is_bounded,
    two_way_covariance,
)
from harness.ratings.stats.over_raters import FEWEST_RATERS, share_over_raters
from harness.ratings.stats.votes import (
    NO_VOTES,
    Vote,
    as_arrays,
    item_shares,
    share_estimate,
    votes_of,
)
from harness.stats.intervals import TAIL

_UNBOUNDED = "not bounded by the votes, only by a prior"
_NOTHING = 1e-9  # a standard error on the log scale that only rounding keeps from zero


def preference(sheets: Sheets, ratings: Iterable[Rating]) -> Preference:
    """Say who wins, from the main comparisons alone.

    In the win matrix every item counts once, whoever rated it; in the strengths every vote does.

    Args:
        sheets: The export; of its ties see :func:`votes_of`.
        ratings: All that came back; repeats and checks are passed over.

    Returns:
        Counts and the share of each pair, and strengths with intervals, or why there are none.
    """
    votes, plan, clusters = votes_of(sheets, ratings), sheets.plan, sheets.clusters
    by_pair: dict[VariantPair, list[Vote]] = {pair: [] for pair in plan.pairs}
    for vote in votes:
        by_pair[vote.pair].append(vote)
    wins = tuple(_wins(pair, own, clusters) for pair, own in by_pair.items())
    if not votes:
        return Preference(wins=wins, reason=NO_VOTES if plan.pairs else "nothing was compared")
    compared = {name for pair in plan.pairs for name in pair}
    names = [name for name in plan.variants if name in compared]
    return _strengths(names, as_arrays(names, votes, clusters), wins)


def item_preferences(
    sheets: Sheets, ratings: Iterable[Rating], baseline: str
) -> dict[str, dict[str, float]]:
    """How far raters prefer each variant to a baseline, item by item.

    Args:
        sheets: The export.
        ratings: All that came back.
        baseline: The variant compared with.

    Returns:
        Variant -> item -> mean over raters of 1 (preferred to the baseline), 0.5 (tie) or 0.
        Variants that are not compared with the baseline, and items that nobody judged, are not
        in it.
    """
    shares: dict[str, dict[str, float]] = {}
    for (item, pair), share in item_shares(votes_of(sheets, ratings)).items():
        if baseline in pair:
            first, second = pair
            variant, value = (second, share) if first == baseline else (first, 1 - share)
            shares.setdefault(variant, {})[item] = value
    return shares


def _wins(pair: VariantPair, votes: Sequence[Vote], clusters: Mapping[str, str]) -> Wins:
    results, items = [vote.result for vote in votes], [vote.item for vote in votes]
    raters = [vote.rater for vote in votes]
    share = share_estimate(results, items, clusters)
    return Wins(
        first=pair[0],
        second=pair[1],
        first_wins=results.count(-1),
        second_wins=results.count(1),
        ties=results.count(0),
        automatic=sum(vote.automatic for vote in votes),
        share=share,
        other_raters=share_over_raters(results, items, raters, clusters, share),
        raters=len(set(raters)),
    )


@dataclass(frozen=True, eq=False)
class _Spread:
    """How uncertain the strengths are: standard errors, Student's df, and that in words."""

    errors: FloatArray | None = None
    df: int = 0
    method: str = ""
    reason: str | None = None

    def estimate(self, at: int, value: float, n: int) -> Estimate:
        if self.errors is None:
            return Estimate(value=value, n=n, reason=self.reason)
        reach = float(special.stdtrit(self.df, 1 - TAIL) * self.errors[at])
        return Estimate(value=value, low=value - reach, high=value + reach, n=n, method=self.method)


def _strengths(names: Sequence[str], votes: Votes, wins: tuple[Wins, ...]) -> Preference:
    """The record, with strengths where the votes give them."""
    counts = votes.counts()
    apart = groups_apart(counts)
    if len(apart) > 1:
        reason = "no comparison connects " + " with ".join(_listed(names, one) for one in apart)
        return Preference(wins=wins, reason=reason)
    if counts.total_ties == len(votes.result):
        spread = _Spread(reason="every comparison is a tie")
        note = "Every comparison is a tie: strengths are equal, the tie parameter has no bound."
        records = _records(names, votes, np.zeros(len(names)), spread, None)
        return Preference(wins=wins, strengths=records, notes=(note,))
    notes = []
    if not counts.total_ties:
        notes.append("No comparison is a tie: the tie parameter is 0 (plain Bradley-Terry).")
    if is_bounded(counts):
        fit = davidson(counts)
        spread = _over_items(fit, votes)
        others = _over_raters(fit, votes, spread)
        if others is None:
            notes.append("Intervals hold for other items with these raters, not for other raters.")
    else:
        fit = davidson(counts, ridge=RIDGE)
        spread, others = _Spread(reason=_UNBOUNDED), None
        notes += _why_unbounded(names, votes)
    return Preference(
        wins=wins,
        strengths=_records(names, votes, fit.strengths, spread, others),
        tie_parameter=fit.nu,
        ridge=fit.ridge,
        notes=tuple(notes),
    )


def _over_items(fit: Fit, votes: Votes) -> _Spread:
    clusters = len(np.unique(votes.clusters))
    if clusters <= len(fit.bread):
        return _Spread(reason=f"{clusters} clusters of items are too few for {votes.size} variants")
    errors = np.sqrt(np.diag(covariance(fit, votes, votes.clusters)))
    method = f"Davidson, sandwich over {clusters:,} clusters of items, Student-t"
    if np.any(errors < _NOTHING):
        # the votes on every item cancel out, so none of them says how far items differ
        basis = contrasts(votes.size)
        width = basis.shape[1]
        single = np.diag(basis @ fit.bread[:width, :width] @ basis.T)
        single = np.sqrt(single * len(votes.result) / clusters)
        errors = np.where(errors < _NOTHING, single, errors)
        method = f"Davidson, {clusters:,} clusters of items as if of one vote each, Student-t"
    return _Spread(errors, clusters - 1, method)


def _over_raters(fit: Fit, votes: Votes, over_items: _Spread) -> _Spread | None:
    """Never narrower than over items alone; None with too few raters."""
    raters = len(np.unique(votes.raters))
    if raters < FEWEST_RATERS or over_items.errors is None:
        return None
    errors = np.sqrt(np.diag(two_way_covariance(fit, votes)))
    method = f"Davidson, sandwich over items and {raters} raters, Student-t"
    return _Spread(np.maximum(errors, over_items.errors), min(raters - 1, over_items.df), method)


def _records(
    names: Sequence[str],
    votes: Votes,
    strengths: FloatArray,
    spread: _Spread,
    others: _Spread | None,
) -> tuple[Strength, ...]:
    """Strengths, the best first; equal ones in the plan's order."""
    records = []
    for at in np.argsort(-strengths, kind="stable"):
        known = (at, float(strengths[at]), int(np.sum((votes.first == at) | (votes.second == at))))
        wider = None if others is None else others.estimate(*known)
        own = spread.estimate(*known)
        records.append(Strength(variant=names[at], strength=own, other_raters=wider))
    return tuple(records)


def _why_unbounded(names: Sequence[str], votes: Votes) -> list[str]:
    """Notes on who never lost, or never won, and on the prior that bounds them instead."""
    counts = votes.counts()
    groups = groups_unbounded(counts)
    if len(groups) == 1:  # then it is ties that keep them together, and they bound nothing
        groups, points = [[at] for at in range(votes.size)], counts.wins
        never_lost = "{} lost no comparison with another."
        never_won = "{} won no comparison with another."
    else:
        points = counts.wins + counts.ties
        never_lost, never_won = "Nothing else beat or tied {}.", "{} beat or tied nothing else."
    notes = []
    for group in groups:
        rest = [at for at in range(votes.size) if at not in group]
        if not points[np.ix_(rest, group)].any():
            notes.append(never_lost.format(_listed(names, group)))
        if not points[np.ix_(group, rest)].any():
            notes.append(never_won.format(_listed(names, group)))
    notes.append(
        "So the votes alone do not bound the strengths. Those given lean on a prior (ridge "
        f"{RIDGE:g}: normal, standard deviation {RIDGE**-0.5:.1f} on the log scale) and have no "
        "intervals; the shares of the win matrix have."
    )
    return notes


def _listed(names: Sequence[str], members: Sequence[int]) -> str:
    return ", ".join(names[at] for at in members)
