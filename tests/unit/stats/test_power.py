from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.power import TTestPower

from harness.stats.power import mde, needed_n, score_mde
from harness.stats.proportions import tango_interval


@pytest.mark.parametrize("df", [2, 9, 29, 99, 999, 20_000])
@pytest.mark.parametrize("level", [0.05, 0.005])
def test_mde_agrees_with_statsmodels(df: int, level: float) -> None:
    """The effect at which statsmodels' one-sided t test has a power of 80 %."""
    found = mde(2.0, df, level)
    assert found is not None
    effect = found / 2.0 / np.sqrt(df + 1)  # in standard deviations
    power = TTestPower().power(effect, df + 1, level, alternative="larger")
    assert power == pytest.approx(0.8, abs=5e-4)


def test_mde_far_out_is_close() -> None:
    """One degree of freedom at a level of .0005: statsmodels gives 815.8 standard errors."""
    found = mde(1.0, 1, 0.0005)
    assert found == pytest.approx(815.84, rel=1e-3)


def test_mde_without_degrees_of_freedom_is_normal() -> None:
    """1.6449 + 0.8416 standard errors, as in any textbook."""
    assert mde(2.0, None, 0.05) == pytest.approx(2 * 2.4865, abs=1e-3)


@pytest.mark.parametrize(("error", "expected"), [(None, None), (float("nan"), None), (0.0, 0.0)])
def test_mde_without_an_error(error: float | None, expected: float | None) -> None:
    """No error, no detectable effect; an error of zero detects anything."""
    assert mde(error, 9, 0.05) == expected


@pytest.mark.parametrize(("n", "distance"), [(50, 0.3), (200, 0.05), (1000, 0.2), (20, 1.2)])
def test_needed_n_agrees_with_statsmodels(n: int, distance: float) -> None:
    """A standard deviation of 1: as many examples as statsmodels' one-sided t test needs."""
    found = needed_n(n, 1 / np.sqrt(n), n - 1, distance, 0.05)
    expected = TTestPower().solve_power(distance, None, 0.05, 0.8, alternative="larger")
    assert found == int(np.ceil(expected))


def test_needed_n_counts_examples_of_clusters() -> None:
    """Ten clusters of three that need about four times the data need about 120 examples."""
    found = needed_n(30, 1.0, 9, (mde(1.0, 39, 0.05) or 0) / 2, 0.05)
    assert found == pytest.approx(120, abs=1)


@pytest.mark.parametrize(
    ("error", "distance", "expected"),
    [
        (None, 1.0, None),
        (float("nan"), 1.0, None),
        (1.0, 0.0, None),
        (1.0, -0.5, None),
        (1.0, None, None),
        (1.0, float("nan"), None),
        (0.0, 0.1, 100),
        (1.0, 1e9, 2),
    ],
)
def test_needed_n_is_safe(
    error: float | None, distance: float | None, expected: int | None
) -> None:
    """None where no number of examples would do; no division by an error of zero."""
    assert needed_n(100, error, 99, distance, 0.05) == expected


def test_needed_n_of_a_tiny_distance_ends() -> None:
    """Very large, but a number."""
    found = needed_n(10, 1.0, 9, 1e-6, 0.05)
    assert found == pytest.approx(10 * (2.4865e6) ** 2, rel=1e-3)


@pytest.mark.parametrize(
    ("discordance", "expected"), [(0.1, (3.5, 2.5, 1.8)), (0.2, (5.0, 3.5, 2.5))]
)
def test_the_table_of_paired_shares(discordance: float, expected: tuple[float, ...]) -> None:
    """Points found with n = 500, 1000, 2000: (z.95 + z.80) sqrt(discordance / n), by hand."""
    found = [100 * score_mde(n, discordance, 0.0, None, 0.05) for n in (500, 1_000, 2_000)]
    assert [round(value, 1) for value in found] == list(expected)


def test_paired_shares_find_what_they_say() -> None:
    """Connor's equation holds, and a simulation of McNemar's test has a power of 80 %."""
    n, discordance = 400, 0.25
    delta = score_mde(n, discordance, 0.0, None, 0.05)
    left = np.sqrt(n) * delta
    assert left == pytest.approx(
        1.644854 * np.sqrt(discordance) + 0.841621 * np.sqrt(discordance - delta**2), rel=1e-5
    )
    shares = [(discordance + delta) / 2, (discordance - delta) / 2, 1 - discordance]
    tables = np.random.default_rng(0).multinomial(n, shares, size=20_000)
    statistic = (tables[:, 0] - tables[:, 1]) / np.sqrt(tables[:, 0] + tables[:, 1])
    assert np.mean(statistic > 1.644854) == pytest.approx(0.8, abs=0.015)


def test_the_score_test_s_mde_is_connor_s_without_a_margin() -> None:
    """With a margin of zero it solves Connor's equation, which has a closed form."""
    reject, power = 1.6448536270, 0.8416212336
    for n, discordance in ((500, 0.1), (1_000, 0.2), (2_000, 0.4)):
        inside = n * reject**2 - (n + power**2) * (reject**2 - power**2)
        connor = np.sqrt(discordance) * (reject * np.sqrt(n) + np.sqrt(inside)) / (n + power**2)
        assert score_mde(n, discordance, 0.0, None, 0.05) == pytest.approx(connor, rel=1e-6)


def test_a_score_test_finds_its_mde_in_80_percent() -> None:
    """Simulated: a loss of margin + MDE is below Tango's bound in 80 % of 4,000 samples."""
    n, margin, level, discordance = 300, 0.02, 0.01, 0.3
    loss = margin + score_mde(n, discordance, margin, None, level)
    gained, lost = (discordance - loss) / 2, (discordance + loss) / 2
    counts = np.random.default_rng(1).multinomial(n, [gained, lost, 1 - gained - lost], size=4_000)
    quantile = float(scipy_stats.norm.isf(level))
    bounds = [tango_interval(int(g), int(b), n, quantile=quantile)[1] for g, b, _ in counts]
    found = float(np.mean(np.array(bounds) < -margin))
    assert found == pytest.approx(0.8, abs=0.03)
