"""Strengths from votes: against other implementations, and where votes give none."""

from __future__ import annotations

import choix
import numpy as np
import pytest
import statsmodels.api as sm
from scipy import optimize, special
from statsmodels.stats import sandwich_covariance

from harness.ratings.stats.davidson import (
    VoteCounts,
    Votes,
    contrasts,
    covariance,
    davidson,
    groups_apart,
    groups_unbounded,
    is_bounded,
    two_way_covariance,
)

Array = np.ndarray


def counts(wins: list[list[int]], ties: dict[tuple[int, int], int] | None = None) -> VoteCounts:
    tied = np.zeros((len(wins), len(wins)))
    for (i, j), number in (ties or {}).items():
        tied[i, j] = tied[j, i] = number
    return VoteCounts(np.array(wins, dtype=float), tied)


def drawn_counts(
    rng: np.random.Generator, size: int, most: int, *, ties: bool = True
) -> VoteCounts:
    """Random counts, mostly few, so that all kinds of gaps occur."""
    wins = rng.integers(0, most + 1, size=(size, size)) * (rng.random((size, size)) < 0.7)
    tied = np.triu(rng.integers(0, most + 1, size=(size, size)), 1) * int(ties)
    np.fill_diagonal(wins, 0)
    return VoteCounts(wins.astype(float), (tied + tied.T).astype(float))


def dense_counts(rng: np.random.Generator, size: int, *, ties: bool = True) -> VoteCounts:
    wins = rng.integers(1, 40, size=(size, size)).astype(float)
    np.fill_diagonal(wins, 0)
    tied = np.triu(rng.integers(0, 25, size=(size, size)), 1).astype(float) * ties
    return VoteCounts(wins, tied + tied.T)


def listed(found: VoteCounts) -> list[tuple[int, int]]:
    """(winner, loser) of every decisive vote, as choix takes them."""
    return [
        (int(i), int(j))
        for i, j in zip(*np.nonzero(found.wins), strict=True)
        for _ in range(int(found.wins[i, j]))
    ]


def direct(found: VoteCounts, ridge: float = 0.0) -> tuple[Array, float]:
    """Davidson's own formula in strengths p and nu, maximised by scipy without derivatives."""
    size = len(found.wins)

    def unlikelihood(at: Array) -> float:
        strengths = np.exp(np.append(at[: size - 1], -at[: size - 1].sum()))
        nu, total = np.exp(at[-1]), 0.0
        for i in range(size):
            for j in range(i + 1, size):
                tie = nu * np.sqrt(strengths[i] * strengths[j])
                whole = strengths[i] + strengths[j] + tie
                total += found.wins[i, j] * np.log(strengths[i] / whole)
                total += found.wins[j, i] * np.log(strengths[j] / whole)
                total += found.ties[i, j] * np.log(tie / whole)
        return ridge / 2 * float(np.sum(np.log(strengths) ** 2)) - total

    found_at = optimize.minimize(unlikelihood, np.zeros(size), method="BFGS").x
    found_at = optimize.minimize(
        unlikelihood, found_at, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11}
    ).x
    logs = np.append(found_at[: size - 1], -found_at[: size - 1].sum())
    return logs, float(np.exp(found_at[-1]))


def test_two_variants_have_their_odds() -> None:
    """Two variants and nu fit three counts exactly: p1/p2 = 6/2, nu = 2/sqrt(6 * 2), by hand."""
    fit = davidson(counts([[0, 6], [2, 0]], {(0, 1): 2}))
    assert fit.strengths == pytest.approx([np.log(3) / 2, -np.log(3) / 2], abs=1e-9)
    assert fit.nu == pytest.approx(2 / np.sqrt(12), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_without_ties_it_is_what_choix_finds(seed: int) -> None:
    """choix.ilsr_pairwise and choix.opt_pairwise, both without regularisation."""
    found = dense_counts(np.random.default_rng(seed), 5, ties=False)
    fit = davidson(found)
    spectral = choix.ilsr_pairwise(5, listed(found), alpha=0.0, tol=1e-10)
    newton = choix.opt_pairwise(5, listed(found), alpha=0.0, tol=1e-12)
    assert fit.strengths == pytest.approx(spectral - spectral.mean(), abs=1e-6)
    assert fit.strengths == pytest.approx(newton - newton.mean(), abs=1e-6)
    assert fit.nu == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_with_ties_it_is_the_maximum_of_davidsons_formula(seed: int) -> None:
    """An independent likelihood, maximised by scipy."""
    found = dense_counts(np.random.default_rng(seed), 3 + seed % 2)
    fit = davidson(found)
    strengths, nu = direct(found)
    assert fit.strengths == pytest.approx(strengths, abs=1e-6)
    assert fit.nu == pytest.approx(nu, abs=1e-6)
    assert fit.strengths.sum() == pytest.approx(0.0, abs=1e-12)


def test_a_ridge_is_a_normal_prior() -> None:
    """choix.opt_pairwise's alpha times the squares (0.3.5: no half); votes nothing else bounds."""
    found = counts([[0, 9, 4], [0, 0, 5], [0, 2, 0]])
    expected = choix.opt_pairwise(3, listed(found), alpha=0.05, tol=1e-12)
    assert davidson(found, ridge=0.1).strengths == pytest.approx(expected, abs=1e-6)
    assert expected.sum() == pytest.approx(0.0, abs=1e-6)


def test_a_ridge_with_ties_is_the_maximum_too() -> None:
    """A variant that never loses, though it ties."""
    found = counts([[0, 9, 4], [0, 0, 5], [0, 2, 0]], {(0, 1): 3, (1, 2): 1})
    strengths, nu = direct(found, ridge=0.1)
    fit = davidson(found, ridge=0.1)
    assert fit.strengths == pytest.approx(strengths, abs=1e-6)
    assert fit.nu == pytest.approx(nu, abs=1e-6)


def test_large_counts_and_large_gaps_converge() -> None:
    """A million votes, and one loss among them: log odds log(999,999) and log(1), by hand."""
    fit = davidson(counts([[0, 999_999], [1, 0]]))
    assert fit.strengths[0] - fit.strengths[1] == pytest.approx(np.log(999_999), abs=1e-6)


@pytest.mark.parametrize(
    ("wins", "ties", "groups"),
    [
        ([[0, 1], [0, 0]], {}, [[0, 1]]),
        ([[0, 0], [0, 0]], {(0, 1): 1}, [[0, 1]]),
        ([[0, 0], [0, 0]], {}, [[0], [1]]),
        ([[0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], {(1, 3): 2}, [[0, 2], [1, 3]]),
    ],
)
def test_groups_that_never_met_are_found(
    wins: list[list[int]], ties: dict[tuple[int, int], int], groups: list[list[int]]
) -> None:
    """One vote of any kind connects two variants."""
    assert groups_apart(counts(wins, ties)) == groups


def test_groups_that_nobody_beats_are_found() -> None:
    """0 and 1 beat each other, and both only ever beat 2."""
    assert groups_unbounded(counts([[0, 2, 1], [1, 0, 3], [0, 0, 0]])) == [[0, 1], [2]]


@pytest.mark.parametrize(
    ("wins", "ties", "bounded"),
    [
        ([[0, 5], [0, 0]], {}, False),
        ([[0, 5], [1, 0]], {}, True),
        ([[0, 5], [0, 0]], {(0, 1): 3}, False),  # never loses: strength and nu run off together
        ([[0, 0], [0, 0]], {(0, 1): 3}, False),  # nu alone runs off
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], {(0, 2): 1}, True),  # no cycle of wins, but a tie
        ([[0, 1, 0], [0, 0, 0], [0, 0, 0]], {(0, 2): 1, (1, 2): 1}, False),
        ([[0, 1, 0], [0, 0, 1], [1, 0, 0]], {}, True),
    ],
)
def test_when_strengths_exist(
    wins: list[list[int]], ties: dict[tuple[int, int], int], bounded: bool
) -> None:
    """Small cases that can be followed by hand."""
    assert is_bounded(counts(wins, ties)) is bounded


def recedes(found: VoteCounts) -> bool:
    """Whether the likelihood rises without end in some direction, by linear programming.

    In the direction (u, h) every vote's own log odds must stay the highest of the three, and
    some vote's must rise above another: Albert & Anderson (1984), Biometrika 71, for any
    multinomial logit model.
    """
    size, rows = len(found.wins), []
    for i in range(size):
        for j in range(size):
            apart = np.zeros(size + 1)
            apart[i], apart[j] = 0.5, -0.5
            tie = np.eye(size + 1)[-1]
            if found.wins[i, j]:
                rows += [2 * apart, apart - tie]
            if found.ties[i, j]:
                rows += [tie - apart, tie + apart]
    slack = np.array(rows)
    if not found.total_ties:  # nu is zero, and its direction is of no interest
        slack = slack[::2, :-1]
    answer = optimize.linprog(
        -slack.sum(axis=0),
        A_ub=-slack,
        b_ub=np.zeros(len(slack)),
        bounds=[(-1, 1)] * slack.shape[1],
    )
    return bool(-answer.fun > 1e-9)


def test_existence_agrees_with_a_linear_program() -> None:
    """400 random sets of few votes; about half have no maximum."""
    rng = np.random.default_rng(7)
    answers = []
    for number in range(400):
        found = drawn_counts(rng, 2 + number % 4, 1, ties=number % 3 > 0)
        if len(groups_apart(found)) == 1:
            assert is_bounded(found) is not recedes(found)
            answers.append(is_bounded(found))
    assert 50 < sum(answers) < len(answers) - 50


@pytest.mark.parametrize(
    "found",
    [
        counts([[0, 5], [0, 0]]),
        counts([[0, 5], [0, 0]], {(0, 1): 3}),
        counts([[0, 0], [0, 0]], {(0, 1): 3}),
        counts([[0, 1, 0], [1, 0, 0], [0, 0, 0]]),
    ],
)
def test_no_strengths_are_made_up(found: VoteCounts) -> None:
    """Votes without a maximum are refused, not answered with whatever the search stopped at."""
    with pytest.raises(ValueError, match=r"bound"):
        davidson(found)


# -- covariances ----------------------------------------------------------------------------------


def drawn_votes(
    rng: np.random.Generator,
    strengths: Array,
    *,
    items: int,
    raters: int,
    nu: float,
    item_sd: float = 0.0,
    rater_effects: Array | None = None,
) -> Votes:
    """Every rater compares all pairs on every item; items and raters have tastes of their own."""
    size = len(strengths)
    i, j = np.triu_indices(size, 1)
    taste = strengths + rng.normal(scale=item_sd, size=(items, size))
    effects = np.zeros((raters, size)) if rater_effects is None else rater_effects
    each = taste[:, None, :] + effects[None, :, :]  # items, raters, variants
    apart = (each[:, :, j] - each[:, :, i]).reshape(-1)
    odds = np.stack([-apart / 2, np.full_like(apart, np.log(nu) if nu else -np.inf), apart / 2])
    shares = np.cumsum(special.softmax(odds, axis=0), axis=0)
    result = (rng.random(len(apart)) > shares).sum(axis=0) - 1
    item, rater, pair = (part.reshape(-1) for part in np.indices((items, raters, len(i))))
    return Votes(size, i[pair], j[pair], result, item, rater)


def test_covariances_agree_with_statsmodels() -> None:
    """Without ties it is a logistic regression: one-way and two-way clustered sandwiches."""
    rng = np.random.default_rng(3)
    votes = drawn_votes(rng, np.array([0.4, 0.0, -0.4]), items=40, raters=5, nu=0.0, item_sd=0.7)
    basis = contrasts(3)
    design = basis[votes.second] - basis[votes.first]
    fitted = sm.Logit((votes.result > 0).astype(float), design).fit(disp=0, tol=1e-12)

    def theirs(groups: Array) -> Array:
        inner = sandwich_covariance.cov_cluster(fitted, groups, use_correction=False)
        count = len(np.unique(groups))
        return basis @ inner @ basis.T * count / (count - 1)

    fit = davidson(votes.counts())
    by_item, by_rater = theirs(votes.clusters), theirs(votes.raters)
    assert covariance(fit, votes, votes.clusters) == pytest.approx(by_item, rel=1e-6)
    assert covariance(fit, votes, votes.raters) == pytest.approx(by_rater, rel=1e-6)
    both = theirs(votes.clusters * 5 + votes.raters)
    found = two_way_covariance(fit, votes)
    expected = by_item + by_rater - both
    values, vectors = np.linalg.eigh(expected)
    expected = (vectors * np.maximum(values, 0)) @ vectors.T
    least = np.maximum(np.diag(by_item), np.diag(by_rater))
    assert np.diag(found) == pytest.approx(np.maximum(np.diag(expected), least), rel=1e-6)


def test_covariance_with_ties_is_what_leaving_items_out_shows() -> None:
    """The jackknife over items, each time fitted anew, comes within 5 % on 200 items."""
    rng = np.random.default_rng(5)
    votes = drawn_votes(rng, np.array([0.5, 0.1, -0.6]), items=200, raters=3, nu=0.8, item_sd=0.7)
    found = covariance(davidson(votes.counts()), votes, votes.clusters)
    without = []
    for item in range(200):
        kept = votes.clusters != item
        parts = (votes.first, votes.second, votes.result, votes.clusters, votes.raters)
        without.append(davidson(Votes(3, *(part[kept] for part in parts)).counts()).strengths)
    apart = np.array(without) - np.mean(without, axis=0)
    assert np.diag(found) == pytest.approx(np.sum(apart**2, axis=0) * 199 / 200, rel=0.05)


def test_two_way_variances_are_never_below_one_way_ones() -> None:
    """Also where raters agree more than chance, so that the formula alone would go below."""
    rng = np.random.default_rng(11)
    for _ in range(20):
        votes = drawn_votes(rng, np.array([0.3, -0.3]), items=12, raters=3, nu=0.5)
        fit = davidson(votes.counts())
        found = np.diag(two_way_covariance(fit, votes))
        for groups in (votes.clusters, votes.raters):
            assert np.all(found >= np.diag(covariance(fit, votes, groups)) - 1e-15)


# -- coverage -------------------------------------------------------------------------------------

STRENGTHS = np.array([0.6, 0.0, -0.6])


def truth(rng: np.random.Generator, raters: Array) -> Array:
    """Strengths of a population of items, for raters with these effects."""
    votes = drawn_votes(
        rng,
        STRENGTHS,
        items=200_000 // len(raters),
        raters=len(raters),
        nu=0.6,
        item_sd=1.0,
        rater_effects=raters,
    )
    return davidson(votes.counts()).strengths


def coverage(runs: int, items: int, raters: int, *, other_raters: bool, seed: int) -> float:
    """Share of 95 % intervals of all strengths that hold the truth."""
    rng = np.random.default_rng(seed)
    few = rng.normal(scale=0.5, size=(raters, 3))
    everybody = rng.normal(scale=0.5, size=(2_000, 3))
    target = truth(rng, everybody if other_raters else few)
    held = []
    for _ in range(runs):
        effects = rng.normal(scale=0.5, size=(raters, 3)) if other_raters else few
        votes = drawn_votes(
            rng, STRENGTHS, items=items, raters=raters, nu=0.6, item_sd=1.0, rater_effects=effects
        )
        if not is_bounded(votes.counts()):
            continue
        fit = davidson(votes.counts())
        spread = (
            two_way_covariance(fit, votes)
            if other_raters
            else covariance(fit, votes, votes.clusters)
        )
        df = (raters if other_raters else items) - 1
        reach = special.stdtrit(df, 0.975) * np.sqrt(np.diag(spread))
        held.append(np.abs(fit.strengths - target) <= reach)
    return float(np.mean(held))


@pytest.mark.parametrize(
    ("items", "raters", "other_raters", "lowest"),
    [(50, 3, False, 0.925), (50, 5, True, 0.925)],
)
def test_intervals_cover(items: int, raters: int, other_raters: bool, lowest: float) -> None:
    """300 runs: 95 % less two Monte-Carlo errors of .0125."""
    assert coverage(300, items, raters, other_raters=other_raters, seed=1) >= lowest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("items", "raters", "other_raters", "lowest", "highest"),
    [
        (20, 3, False, 0.935, 0.975),  # found: .960
        (50, 3, False, 0.935, 0.965),  # .954
        (200, 3, False, 0.935, 0.965),  # .948
        (
            50,
            3,
            True,
            0.935,
            1.0,
        ),  # .995: two degrees of freedom err on the wide side
        (50, 5, True, 0.935, 0.985),  # .971
        (50, 10, True, 0.935, 0.97),  # .954
    ],
)
def test_intervals_cover_in_the_long_run(
    items: int, raters: int, other_raters: bool, lowest: float, highest: float
) -> None:
    """1,000 runs, two Monte-Carlo errors .014: items with these raters, and with other raters.

    What was found with 2,000 runs stands beside each.
    """
    found = coverage(1_000, items, raters, other_raters=other_raters, seed=2)
    assert lowest <= found <= highest
