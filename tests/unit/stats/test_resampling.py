from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from harness.stats import resampling
from harness.stats.resampling import N_FLIPS, Resamples


def names(n: int) -> list[str]:
    return [f"c{index:04d}" for index in range(n)]


def test_weights_are_counts_of_draws_with_replacement() -> None:
    """As many clusters are drawn as there are; the same generator drawn by hand counts the same."""
    weights = Resamples(names(7), seed=3, n_resamples=50)
    drawn = np.random.default_rng(3).integers(7, size=(50, 7))
    expected = np.array([np.bincount(row, minlength=7) for row in drawn])
    assert np.array_equal(weights.totals(np.eye(7)), expected)


def test_weights_kept_and_drawn_anew_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what is kept nor the size of a chunk decides what is drawn."""
    stats = np.random.default_rng(0).normal(size=(40, 3))
    kept = Resamples(names(40), n_resamples=300)
    first, second = kept.totals(stats), kept.totals(stats)
    monkeypatch.setattr(resampling, "_KEPT_CELLS", 0)
    monkeypatch.setattr(resampling, "_CHUNK_CELLS", 1_000)
    monkeypatch.setattr(resampling, "_PRODUCT_CELLS", 90)
    anew = Resamples(names(40), n_resamples=300).totals(stats)
    assert np.array_equal(first, second)
    assert anew == pytest.approx(first, abs=1e-12)


def test_kept_weights_are_a_byte_each() -> None:
    """10,000 resamples of 10,000 clusters have to fit into 100 MB."""
    weights = Resamples(names(50), n_resamples=200)
    weights.totals(np.ones((50, 1)))
    assert weights._kept is not None
    assert sum(part.nbytes for part in weights._kept) == 200 * 50


def test_a_cluster_drawn_more_often_than_a_byte_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts above 255 are kept as they are: here a generator that always draws the first."""

    class Stuck:
        def integers(self, high: int, size: tuple[int, int]) -> np.ndarray:
            return np.zeros(size, dtype=np.int64)

    monkeypatch.setattr(resampling.np.random, "default_rng", lambda seed: Stuck())
    weights = Resamples(names(300), n_resamples=4)
    totals = weights.totals(np.arange(1.0, 301.0)[:, None])
    assert totals[:, 0].tolist() == [300.0] * 4
    assert weights.totals(np.eye(300))[0, 0] == 300.0


def test_sums_are_within_clusters() -> None:
    """Clusters are numbered by name, whatever the order of the examples."""
    stats = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    assert Resamples(["b", "a", "b"]).sums(stats).tolist() == [[2.0, 20.0], [5.0, 50.0]]


@pytest.mark.parametrize("clusters", [1, 3, 9, 12])
def test_few_clusters_have_all_patterns(clusters: int) -> None:
    """Every subset of the clusters once."""
    weights = Resamples(names(clusters))
    found = weights.flipped(np.eye(clusters))
    assert weights.lists_all_flips
    assert {tuple(row) for row in found.tolist()} == set(product((0.0, 1.0), repeat=clusters))
    assert len(found) == 2**clusters


def test_many_clusters_have_random_patterns() -> None:
    """Each cluster is flipped in half of the patterns, independently, and the seed decides."""
    weights = Resamples(names(13), seed=1)
    found = weights.flipped(np.eye(13))
    assert not weights.lists_all_flips
    assert found.shape == (N_FLIPS, 13)
    assert np.unique(found).tolist() == [0.0, 1.0]
    assert found.mean(axis=0) == pytest.approx(0.5, abs=0.03)
    assert np.abs(np.corrcoef(found.T) - np.eye(13)).max() < 0.05
    assert np.array_equal(found, Resamples(names(13), seed=1).flipped(np.eye(13)))
    assert not np.array_equal(found, Resamples(names(13), seed=2).flipped(np.eye(13)))
