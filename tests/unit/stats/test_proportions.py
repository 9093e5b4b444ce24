from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from harness.stats.proportions import (
    as_hits,
    clustered_tango,
    clustered_wilson,
    discordant,
    mcnemar_exact,
    tango_interval,
    wilson_interval,
)

Z95 = 1.959963984540054
Z90 = 1.6448536269514722


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_agrees_with_published_values(
    successes: int, n: int, low: float, high: float
) -> None:
    """Newcombe (1998), Statistics in Medicine 17:857-872, table I, method 3."""
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (7, 7), (3, 11), (480, 500)])
def test_wilson_agrees_with_statsmodels(successes: int, n: int) -> None:
    """Also at the edges."""
    expected = proportion_confint(successes, n, method="wilson")
    assert wilson_interval(successes, n) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("gains", "losses", "n", "quantile", "low", "high"),
    [
        (9, 3, 32, Z95, -0.027, 0.390),  # Tango (1998), section 6.2: sleeping difficulties
        (0, 1, 44, Z90, -0.096, None),  # Tango (1998), section 6.1: contact lenses
        (1, 7, 21, Z95, -0.517, -0.026),  # Fagerland et al. (2014), table 7: Bentur (2009)
        (28, 25, 618, Z90, -0.0148, 0.0247),  # R's PropCIs::scoreci.mp(25, 28, 618, 0.9)
    ],
)
def test_tango_agrees_with_published_values(
    gains: int, losses: int, n: int, quantile: float, low: float, high: float | None
) -> None:
    """Worked examples of the paper, of a later comparison of methods, and of an R package."""
    found = tango_interval(gains, losses, n, quantile=quantile)
    digits = 5e-5 if n == 618 else 5e-4
    assert found[0] == pytest.approx(low, abs=digits)
    if high is not None:
        assert found[1] == pytest.approx(high, abs=digits)


def profile_score(gains: int, losses: int, n: int, delta: float) -> float:
    """Score statistic of a paired difference, its nuisance share by numerical maximum likelihood.

    Gains have probability q + delta, losses q, agreement 1 - 2 q - delta.
    """

    def unlikelihood(q: float) -> float:
        cells = [(gains, q + delta), (losses, q), (n - gains - losses, 1 - 2 * q - delta)]
        return -sum(count * np.log(max(share, 1e-300)) for count, share in cells if count)

    lowest, highest = max(0.0, -delta), (1 - delta) / 2
    found = optimize.minimize_scalar(
        unlikelihood, bounds=(lowest, highest), method="bounded", options={"xatol": 1e-12}
    )
    variance = n * (2 * found.x + delta - delta**2)
    return float((gains - losses - n * delta) / np.sqrt(variance))


@pytest.mark.parametrize(
    ("gains", "losses", "n"), [(9, 3, 32), (0, 5, 60), (6, 0, 25), (40, 55, 400), (1, 1, 12)]
)
def test_tango_inverts_the_score_test(gains: int, losses: int, n: int) -> None:
    """At its bounds the score statistic, by numerical likelihood, is the quantile."""
    low, high = tango_interval(gains, losses, n, quantile=Z95)
    assert profile_score(gains, losses, n, low) == pytest.approx(Z95, abs=1e-4)
    assert profile_score(gains, losses, n, high) == pytest.approx(-Z95, abs=1e-4)


@pytest.mark.parametrize(("gains", "losses"), [(12, 4), (13, 4), (4, 13), (7, 0), (3, 0), (0, 4)])
def test_tango_excludes_zero_where_mcnemar_rejects(gains: int, losses: int) -> None:
    """At zero the score test is McNemar's without correction."""
    low, high = tango_interval(gains, losses, 50, quantile=Z95)
    table = [[20, losses], [gains, 30 - gains - losses]]
    rejected = mcnemar(table, exact=False, correction=False).pvalue < 0.05
    assert (low > 0 or high < 0) == rejected


def test_tango_mirrors() -> None:
    """Exchanging the variants exchanges the bounds."""
    low, high = tango_interval(9, 3, 32, quantile=Z95)
    assert tango_interval(3, 9, 32, quantile=Z95) == pytest.approx((-high, -low), abs=1e-14)


@pytest.mark.parametrize("n", [1, 30, 1000])
def test_tango_without_disagreement(n: int) -> None:
    """No disagreement leaves z^2 / (n + z^2) on either side (by hand: the share of losses is 0)."""
    reach = Z95**2 / (n + Z95**2)
    found = tango_interval(0, 0, n, quantile=Z95)
    assert found == pytest.approx((-reach, reach), abs=1e-12)


def test_tango_with_nothing_but_gains() -> None:
    """All examples gained: the upper bound is 1, and the width is not zero."""
    low, high = tango_interval(10, 0, 10, quantile=Z95)
    assert high == 1.0
    # By hand: the likelihood is largest with no agreement at all, so the share of gains is
    # (1 + d) / 2, bounded as Wilson bounds 10 of 10.
    assert low == pytest.approx(2 * 10 / (10 + Z95**2) - 1, abs=1e-12)


@pytest.mark.parametrize("n", [10, 30])
def test_tango_covers_exactly(n: int) -> None:
    """The probability of all tables whose interval holds the truth: .95 or more on average.

    Enumerated, not simulated, for shares of disagreement from .1 to .6.
    """
    cells = [(b, c) for b in range(n + 1) for c in range(n + 1 - b)]
    bounds = np.array([tango_interval(b, c, n, quantile=Z95) for b, c in cells])
    tables = np.array([(b, c, n - b - c) for b, c in cells])
    found = []
    for discordance in (0.1, 0.2, 0.4, 0.6):
        for tilt in (0.0, 0.25, 0.5, 0.9):
            delta = discordance * tilt
            shares = [(discordance + delta) / 2, (discordance - delta) / 2, 1 - discordance]
            holds = (bounds[:, 0] <= delta) & (delta <= bounds[:, 1])
            chance = scipy_stats.multinomial.pmf(tables, n, shares)
            found.append(float(chance[holds].sum()))
    assert np.mean(found) >= 0.95
    assert min(found) >= 0.92


def test_clustered_intervals_are_the_plain_ones_where_clusters_do_not_matter() -> None:
    """With the standard error of unrelated examples the effective number is n, to Student's t."""
    n, gains, losses = 4_000, 300, 200
    error = np.sqrt((500 / n - (100 / n) ** 2) / n)
    plain = tango_interval(gains, losses, n, quantile=Z95)
    found = clustered_tango(gains, losses, n, error, 2_000)
    assert found == pytest.approx(plain, abs=2e-5)
    error = np.sqrt(0.3 * 0.7 / n)
    found = clustered_wilson(0.3, n, error, 2_000)
    assert found == pytest.approx(wilson_interval(1_200, n), abs=2e-5)


def test_copies_of_examples_add_nothing() -> None:
    """Twice the standard error, as fourfold copies have, gives the interval of a quarter of n."""
    error = np.sqrt((0.2 - 0.05**2) / 100)
    found = clustered_tango(50, 30, 400, error, 100)
    t = float(scipy_stats.t.ppf(0.975, 99))
    assert found == pytest.approx(tango_interval(12.5, 7.5, 100, quantile=t), abs=1e-12)


def test_equal_clusters_count_as_one_example_each() -> None:
    """A standard error of zero, every cluster alike, leaves the clusters as examples."""
    found = clustered_tango(30, 0, 30, 0.0, 10)
    t = float(scipy_stats.t.ppf(0.975, 9))
    assert found == pytest.approx(tango_interval(10, 0, 10, quantile=t), abs=1e-12)


@pytest.mark.parametrize(("b", "c"), [(0, 1), (5, 0), (7, 7), (12, 30), (300, 240)])
def test_mcnemar_agrees_with_statsmodels(b: int, c: int) -> None:
    """The exact two-sided p-value."""
    expected = mcnemar([[10, b], [c, 5]], exact=True).pvalue
    assert mcnemar_exact(b, c) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_without_disagreement_is_one() -> None:
    """Never zero and never NaN."""
    assert mcnemar_exact(0, 0) == 1.0


def test_disagreements_are_counted() -> None:
    """(value, 1) statistics on a scale of 100 are right or wrong; others are not."""
    before = np.array([[0.0, 1.0], [100.0, 1.0], [0.0, 1.0], [100.0, 1.0]])
    after = np.array([[100.0, 1.0], [0.0, 1.0], [100.0, 1.0], [100.0, 1.0]])
    assert discordant(before, after, 100.0) == (2, 1)
    assert discordant(before, after, 1.0) is None
    assert as_hits(np.array([[0.5, 1.0]]), 1.0) is None
    assert as_hits(np.array([[0.0, 2.0]]), 1.0) is None


@pytest.mark.parametrize("level", [0.05, 0.01, 0.005, 0.001])
@pytest.mark.parametrize(("loss", "n"), [(0.02, 300), (0.01, 1000), (0.03, 500), (0.05, 100)])
def test_strict_bounds_fail_no_more_often_than_they_say(loss: float, n: int, level: float) -> None:
    """By exact sums, where all disagreements are losses (plain ones do not hold)."""
    quantile = float(scipy_stats.norm.isf(level))
    counts = np.arange(int(scipy_stats.binom.isf(1e-9, n, loss)) + 1)
    chances = scipy_stats.binom.pmf(counts, n, loss)
    bounds = np.array(
        [tango_interval(0, int(x), n, quantile=quantile, strict=True) for x in counts]
    )
    assert chances[bounds[:, 1] < -loss].sum() <= level  # called worse than it is
    assert chances[bounds[:, 0] > -loss].sum() <= level  # called better than it is
    plain = np.array([tango_interval(0, int(x), n, quantile=quantile) for x in counts])
    assert np.all(bounds[:, 0] <= plain[:, 0])
    assert np.all(bounds[:, 1] >= plain[:, 1])


def test_plain_bounds_do_not_hold_at_small_levels() -> None:
    """Why there are strict ones: 3.1 times the level at .001 for a loss of 2 % of 500."""
    quantile, counts = float(scipy_stats.norm.isf(0.001)), np.arange(60)
    above = [tango_interval(0, int(x), 500, quantile=quantile)[1] < -0.02 for x in counts]
    real = scipy_stats.binom.pmf(counts, 500, 0.02)[above].sum()
    assert real == pytest.approx(0.0031, abs=0.0002)
