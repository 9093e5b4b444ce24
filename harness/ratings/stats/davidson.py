"""Bradley-Terry with ties: strengths of variants from votes on two of them at a time.

With log strengths s and d = s_j - s_i, a vote on i and j is a choice among three with log odds

    i wins: -d/2        j wins: d/2        tie: log nu

which is P(i wins) = p_i / (p_i + p_j + nu sqrt(p_i p_j)) for p = exp(s). Only differences of s
matter, so strengths sum to zero. The log likelihood is concave; Newton's method maximises it.

Source:
    Davidson (1970), On extending the Bradley-Terry model to accommodate ties in paired comparison
    experiments, JASA 65: 317-328.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.metrics.base import FloatArray

Codes = NDArray[np.intp]


def codes_of(values: ArrayLike) -> Codes:
    """Values as numbers from 0, in their order, shape (n,) -> (n,)."""
    return np.unique(np.asarray(values), return_inverse=True)[1].reshape(-1)


RIDGE = 0.1
"""Where votes alone do not bound the strengths: each has a normal prior of variance 1 / RIDGE.

Its standard deviation, 3.2 on the log scale, hardly says more than that no variant beats an
average one thousands of times for once that it loses.
"""

_OUTCOME = np.array([2, 1, 0])  # of a tie (0), a win of the second (1) and of the first (-1)
_MOST_STEPS = 200
_CONVERGED = 1e-9  # a Newton step this small leaves an error of about its square
_ROUNDING = 1e-13  # relative; log likelihoods this near are equal


@dataclass(frozen=True, eq=False)
class Votes:
    """Comparisons of two variants each, a vote per element."""

    size: int  # number of variants K
    first: Codes  # variant shown first in the plan's order, as a number below K, shape (n,)
    second: Codes  # the other one, likewise
    result: Codes  # 1 where the second is preferred, 0 for a tie, -1 for the first, shape (n,)
    clusters: Codes  # cluster of the item, numbered from 0, shape (n,)
    raters: Codes  # rater, numbered from 0, shape (n,)

    def counts(self) -> VoteCounts:
        """How often each variant beat, and tied with, each other one."""
        behind = self.result > 0
        winner = np.where(behind, self.second, self.first)
        loser = np.where(behind, self.first, self.second)
        cells = winner * self.size + loser
        tied = self.result == 0
        wins, ties = (
            np.bincount(cells[rows], minlength=self.size**2).reshape(self.size, self.size)
            for rows in (~tied, tied)
        )
        return VoteCounts(wins.astype(np.float64), (ties + ties.T).astype(np.float64))


@dataclass(frozen=True, eq=False)
class VoteCounts:
    """Votes summed up; what the strengths depend on."""

    wins: FloatArray  # row beat column, shape (K, K)
    ties: FloatArray  # row and column tied, symmetric, shape (K, K)

    @property
    def total_ties(self) -> float:
        """Ties in all."""
        return float(self.ties.sum()) / 2

    @property
    def met(self) -> NDArray[np.bool_]:
        """Whether two variants were compared, shape (K, K)."""
        return np.asarray(self.wins + self.wins.T + self.ties > 0)


@dataclass(frozen=True, eq=False)
class Fit:
    """Strengths that votes give."""

    strengths: FloatArray  # on the log scale, with sum zero, shape (K,)
    # Davidson's tie parameter; 0 where there are no ties. Two equal variants tie with probability
    # nu / (2 + nu).
    nu: float
    ridge: float  # precision of the prior on each strength; 0 for plain maximum likelihood
    bread: FloatArray  # inverse information of K - 1 contrasts and, where there are ties, log nu


def groups_apart(counts: VoteCounts) -> list[list[int]]:
    """Variants in groups between which no votes are; one group where all can be compared."""
    return _mutual(_reach(counts.met))


def groups_unbounded(counts: VoteCounts) -> list[list[int]]:
    """Variants in groups such that between any two groups one never beat or tied the other.

    One group is Ford's condition, with ties in both directions.

    Source:
        Ford (1957), Solution of a ranking problem from binary comparisons, The American
        Mathematical Monthly 64(8).
    """
    return _mutual(_reach((counts.wins + counts.ties) > 0))


def is_bounded(counts: VoteCounts) -> bool:
    """Whether maximum likelihood strengths exist, where all variants can be compared.

    They do not where the likelihood keeps rising along some direction: strengths u and log nu
    apart by a factor h, with u_winner - u_loser >= 2 h for all wins and |u_i - u_j| <= 2 h for all
    ties. At h = 0 that is Ford's condition. At h = 1, which takes ties, it is a system of
    differences, to be met unless a cycle of it sums to less than zero: so a variant that never
    loses has no bounded strength even where it ties.
    """
    if len(groups_unbounded(counts)) > 1:
        return False
    if not counts.total_ties:
        return True
    distance = np.where(counts.wins > 0, -2.0, np.where(counts.ties > 0, 2.0, np.inf))
    np.fill_diagonal(distance, 0.0)
    for middle in range(len(distance)):
        distance = np.minimum(distance, distance[:, [middle]] + distance[[middle]])
    return bool(np.any(np.diag(distance) < 0))


def davidson(counts: VoteCounts, *, ridge: float = 0.0) -> Fit:
    """Strengths and tie parameter of the highest (penalised) likelihood.

    Without ties this is the plain Bradley-Terry model: nu is zero, which is its bound.

    Args:
        counts: Votes; at least one is decisive, and without a ridge :func:`is_bounded` holds.
        ridge: Half of it times the sum of squared strengths is taken off the log likelihood.

    Raises:
        ValueError: The votes have no such maximum.
    """
    i, j = np.nonzero(np.triu(counts.met))
    seen = np.stack([counts.wins[i, j], counts.wins[j, i], counts.ties[i, j]], axis=1)
    total, ties = float(seen.sum()), counts.total_ties
    if ties == total:
        raise ValueError("every vote is a tie, which leaves nu without a bound")
    if not ridge and (len(groups_apart(counts)) > 1 or not is_bounded(counts)):
        raise ValueError("the votes alone do not bound the strengths")
    basis = contrasts(len(counts.wins))
    width = basis.shape[1]
    design = _design(basis[j] - basis[i], ties > 0)
    seen = seen[:, : design.shape[1]]
    start = np.zeros(design.shape[2])
    if ties:
        start[width] = np.log(2 * ties / (total - ties))
    prior = np.where(np.arange(len(start)) < width, ridge, 0.0)
    peak = _maximum(design, seen, prior, start)
    bread = np.linalg.inv(_derivatives(design, seen, prior, peak)[1]).astype(np.float64)
    nu = float(np.exp(peak[width])) if ties else 0.0
    return Fit(basis @ peak[:width], nu, ridge, bread)


def covariance(fit: Fit, votes: Votes, groups: Codes) -> FloatArray:
    """Sandwich covariance of the strengths where votes of a group are related, shape (K, K).

    Args:
        fit: The maximum likelihood fit of these votes.
        votes: The votes.
        groups: Group of each vote, numbered from 0, shape (n,); at least two groups.

    Source:
        Liang & Zeger (1986), Biometrika 73: 13-22, with the usual factor groups / (groups - 1).
    """
    return _sandwich(fit, _scores(fit, votes), groups)


def two_way_covariance(fit: Fit, votes: Votes) -> FloatArray:
    """Covariance where votes on an item and votes of a rater are related, shape (K, K).

    Items' plus raters' less that of both at once. With few raters the result can have negative
    eigenvalues, which are set to zero; and no variance is left below that of items alone, or of
    raters alone.

    Source:
        Cameron, Gelbach & Miller (2011), Robust inference with multiway clustering, Journal of
        Business & Economic Statistics 29(2): 238-249, section 2.3.
    """
    both = codes_of(votes.clusters * (votes.raters.max() + 1) + votes.raters)
    scores = _scores(fit, votes)
    by_item, by_rater, by_cell = (
        _sandwich(fit, scores, groups) for groups in (votes.clusters, votes.raters, both)
    )
    values, vectors = np.linalg.eigh(by_item + by_rater - by_cell)
    result: FloatArray = (vectors * np.maximum(values, 0.0)) @ vectors.T
    least = np.maximum(np.diag(by_item), np.diag(by_rater))
    result += np.diag(np.maximum(least - np.diag(result), 0.0))
    return result


def _scores(fit: Fit, votes: Votes) -> FloatArray:
    """First derivatives of each vote's log likelihood, shape (n, parameters)."""
    basis = contrasts(votes.size)
    design = _design(basis[votes.second] - basis[votes.first], fit.nu > 0)
    at = np.append(basis.T @ fit.strengths, [np.log(fit.nu)] if fit.nu else [])
    shares = _shares(design @ at)
    result: FloatArray = design[np.arange(len(design)), _OUTCOME[votes.result]]
    return result - _expected(shares, design)


def _sandwich(fit: Fit, scores: FloatArray, groups: Codes) -> FloatArray:
    basis = contrasts(len(fit.strengths))
    width = basis.shape[1]
    sums = np.stack([np.bincount(groups, weights=column) for column in scores.T], axis=1)
    count = len(np.unique(groups))
    meat = sums.T @ sums * count / (count - 1)
    inner = (fit.bread @ meat @ fit.bread)[:width, :width]
    result: FloatArray = basis @ inner @ basis.T
    return result


def contrasts(size: int) -> FloatArray:
    """An orthonormal basis of vectors that sum to zero (Helmert's), shape (K, K - 1)."""
    number = np.arange(1, size)
    rows = np.tril(np.ones((size, size)), -1)[1:] - np.eye(size)[1:] * number[:, None]
    result: FloatArray = (rows / np.sqrt(number * (number + 1))[:, None]).T
    return result


def _design(apart: FloatArray, ties: bool) -> FloatArray:
    """What log odds are made of, shape (n, outcomes, parameters).

    Outcomes are that the first wins, that the second does and, where there are any, a tie;
    parameters the contrasts and then log nu.

    Args:
        apart: Contrasts of the second less the first of each pair, shape (n, K - 1).
        ties: Whether there are any.
    """
    width = apart.shape[1]
    design = np.zeros((len(apart), 2 + ties, width + ties))
    design[:, 0, :width], design[:, 1, :width] = -apart / 2, apart / 2
    design[:, 2:, width:] = 1.0
    return design


def _maximum(
    design: FloatArray, seen: FloatArray, prior: FloatArray, start: FloatArray
) -> FloatArray:
    """Newton's method; a step that does not lead upwards is halved."""

    def height(at: FloatArray) -> float:
        log_odds = design @ at
        norm = np.logaddexp.reduce(log_odds, axis=1)
        return float((seen * log_odds).sum() - seen.sum(axis=1) @ norm - prior @ at**2 / 2)

    here, top = start, height(start)
    for _ in range(_MOST_STEPS):
        slope, information = _derivatives(design, seen, prior, here)
        step = np.linalg.solve(information, slope)
        while height(here + step) < top - _ROUNDING * abs(top):
            step /= 2
        here = here + step
        top = height(here)
        if np.max(np.abs(step)) < _CONVERGED:
            return here
    raise ArithmeticError(f"no maximum of the likelihood within {_MOST_STEPS} Newton steps")


def _derivatives(
    design: FloatArray, seen: FloatArray, prior: FloatArray, at: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """First derivatives of the log likelihood, and minus the second ones."""
    votes, shares = seen.sum(axis=1, keepdims=True), _shares(design @ at)
    weights, flat = (votes * shares).reshape(-1), design.reshape(-1, design.shape[2])
    expected = _expected(shares, design)
    slope = (seen.reshape(-1) - weights) @ flat - prior * at
    second = (flat * weights[:, None]).T @ flat + np.diag(prior)
    return slope, second - (votes * expected).T @ expected


def _shares(log_odds: FloatArray) -> FloatArray:
    """Probabilities of the outcomes, shape (n, outcomes)."""
    return np.asarray(np.exp(log_odds - np.logaddexp.reduce(log_odds, axis=1)[:, None]))


def _expected(shares: FloatArray, design: FloatArray) -> FloatArray:
    return np.asarray((shares[:, None, :] @ design)[:, 0])


def _reach(links: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which variants can be reached from which, themselves included (Warshall)."""
    reach = links | np.eye(len(links), dtype=np.bool_)
    for middle in range(len(reach)):
        reach |= reach[:, [middle]] & reach[[middle]]
    return reach


def _mutual(reach: NDArray[np.bool_]) -> list[list[int]]:
    """Groups that reach each other, each in order, by their first members."""
    both = reach & reach.T
    return [
        np.flatnonzero(row).tolist() for at, row in enumerate(both) if np.flatnonzero(row)[0] == at
    ]
