"""How often nominal 95 % intervals hold the truth, by simulation from known populations.

Every simulated run draws new examples, and goes through the functions that reports and gates use.
The populations share a difficulty within clusters and between the two variants of a pair, as real
examples do: both variants fail on the same hard documents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from scipy import special

from harness.metrics.base import FloatArray, mean_of
from harness.metrics.registry import build_metric
from harness.stats.intervals import Aggregate
from harness.stats.panel import Panel, Quantity, Sample
from harness.stats.resampling import Resamples

RESAMPLES = 2_000
SHARING = 25  # runs in succession that use the same weights, which depend on no data
POPULATION = 150_000  # examples whose value is taken as the truth
GAIN = 0.6  # of the candidate, on the scale of the difficulty

Draw = Callable[[np.random.Generator, int, int], tuple[FloatArray, FloatArray]]
"""(generator, clusters, examples per cluster) -> statistics of both, shape (clusters, size, k)."""


def abilities(rng: np.random.Generator, clusters: int, size: int) -> tuple[FloatArray, FloatArray]:
    """How well both variants do on each example, on a logistic scale, shape (clusters, size)."""
    shared = rng.normal(size=(clusters, 1)) if size > 1 else 0.0
    shape = (clusters, size)
    easy = 0.4 + shared + rng.normal(size=shape)
    own = rng.normal(scale=0.7, size=(2, *shape))
    return easy + own[0], easy + own[1] + GAIN


def logistic(values: FloatArray) -> FloatArray:
    return 1 / (1 + np.exp(-values))


def means(values: FloatArray) -> FloatArray:
    return np.stack([values, np.ones_like(values)], axis=-1)


def right_or_wrong(
    rng: np.random.Generator, clusters: int, size: int
) -> tuple[FloatArray, FloatArray]:
    """0/1 values; the two variants disagree on about a fifth of the examples."""
    luck = rng.logistic(scale=0.3, size=(clusters, size))
    before, after = abilities(rng, clusters, size)
    return means((before + luck > 0).astype(float)), means((after + luck > 0).astype(float))


def rarely_apart(
    rng: np.random.Generator, clusters: int, size: int
) -> tuple[FloatArray, FloatArray]:
    """0/1 values that differ on 8 % of the examples, mostly to one side."""
    before = rng.random((clusters, size)) < logistic(1 + rng.normal(size=(clusters, 1)))
    flips = rng.random((clusters, size)) < np.where(before, 0.09, 0.04)
    return means(before.astype(float)), means((before ^ flips).astype(float))


def rouge_like(rng: np.random.Generator, clusters: int, size: int) -> tuple[FloatArray, FloatArray]:
    """F-measures in [0, 1], skewed, with a share of exact zeros."""

    def scores(ability: FloatArray) -> FloatArray:
        share = logistic(ability - 1.2)
        return means(rng.beta(4 * share, 4 * (1 - share)) * (rng.random(share.shape) < 0.95))

    before, after = abilities(rng, clusters, size)
    return scores(before), scores(after)


def token_loss(rng: np.random.Generator, clusters: int, size: int) -> tuple[FloatArray, FloatArray]:
    """(sum of token losses, tokens); documents differ in length."""
    tokens = 5 + rng.poisson(rng.gamma(3.0, 15.0, size=(clusters, size)))
    sides = [
        np.stack([rng.gamma(tokens * 1.0, 2.5 * logistic(-0.4 * ability)), tokens], axis=-1)
        for ability in abilities(rng, clusters, size)
    ]
    return sides[0], sides[1]


def ngrams(
    rng: np.random.Generator, length: FloatArray, ability: FloatArray, orders: int
) -> tuple[FloatArray, FloatArray]:
    """N-grams there are and matched per order, shape (..., orders); longer ones match less."""
    order = np.arange(1, orders + 1)
    found = np.maximum(length[..., None] - order + 1, 0).astype(np.int64)
    share = logistic(ability)[..., None] ** (0.5 + 0.5 * order)
    return found.astype(float), rng.binomial(found, share).astype(float)


def bleu_like(rng: np.random.Generator, clusters: int, size: int) -> tuple[FloatArray, FloatArray]:
    """Statistics of corpus BLEU: lengths, matched and found n-grams of four orders."""
    reference = 6.0 + rng.poisson(12, size=(clusters, size))
    sides = []
    for ability in abilities(rng, clusters, size):
        length = np.maximum(reference + rng.integers(-4, 4, size=reference.shape), 1)
        found, matched = ngrams(rng, length, ability, 4)
        lengths = np.stack([length, reference], axis=-1)
        sides.append(np.concatenate([lengths, matched, found], axis=-1))
    return sides[0], sides[1]


def chrf_like(rng: np.random.Generator, clusters: int, size: int) -> tuple[FloatArray, FloatArray]:
    """Statistics of corpus chrF: n-grams predicted, of the reference, and matched, six orders."""
    reference = 30.0 + rng.poisson(60, size=(clusters, size))
    sides = []
    for ability in abilities(rng, clusters, size):
        length = np.maximum(reference + rng.integers(-20, 20, size=reference.shape), 1)
        found, matched = ngrams(rng, np.minimum(length, reference), ability, 6)
        excess = length - np.minimum(length, reference)
        missing = reference - np.minimum(length, reference)
        rows = np.stack([found + excess[..., None], found + missing[..., None], matched], axis=-1)
        sides.append(rows.reshape(*rows.shape[:-2], -1))
    return sides[0], sides[1]


@dataclass(frozen=True)
class Population:
    """What is drawn and what is computed from it."""

    draw: Draw
    aggregate: Aggregate
    scale: float | None = 1.0

    @property
    def quantity(self) -> Quantity:
        return Quantity("t", "m", "report", self.aggregate, scale=self.scale)


POPULATIONS = {
    "0/1": Population(right_or_wrong, mean_of),
    "0/1, rarely apart": Population(rarely_apart, mean_of),
    "ROUGE-like": Population(rouge_like, mean_of),
    "loss per token": Population(token_loss, mean_of, None),
    "perplexity": Population(token_loss, build_metric("perplexity").aggregate, None),
    "corpus BLEU": Population(bleu_like, build_metric("bleu").aggregate, 100.0),
    "corpus chrF": Population(chrf_like, build_metric("chrf").aggregate, 100.0),
}
MEANS = ("0/1", "0/1, rarely apart", "ROUGE-like", "loss per token")
CORPUS = ("perplexity", "corpus BLEU", "corpus chrF")
CASES = [
    *((name, n, 1) for name in MEANS for n in (30, 100, 300)),
    *((name, n // 3, 3) for name in MEANS for n in (30, 100, 300)),
    *((name, n, size) for name in CORPUS for n in (100, 300) for size in (1, 3)),
]


@cache
def truth(name: str, size: int) -> tuple[float, float]:
    """Value of the candidate, and its difference from the baseline, in the whole population."""
    population = POPULATIONS[name]
    sides = population.draw(np.random.default_rng(0), POPULATION // size, size)
    before, after = (float(population.aggregate(side.sum(axis=(0, 1)))) for side in sides)
    return after, after - before


def covered(name: str, clusters: int, size: int, runs: int) -> tuple[float, float]:
    """Share of runs whose interval of the value, and of the difference, holds the truth.

    Variants that agree on every example drawn are "identical", which is a statement about these
    examples and no interval; such runs (8 % of 30 examples that rarely differ) count with the
    interval of no change that a gate takes there.
    """
    population, n = POPULATIONS[name], clusters * size
    expected = truth(name, size)
    ids = np.array([f"e{index:05d}" for index in range(n)])
    groups = np.repeat([f"c{index:05d}" for index in range(clusters)], size)
    rng = np.random.default_rng([clusters, size])
    hits = np.zeros(2)
    for run in range(runs):
        if run % SHARING == 0:
            resamples = Resamples(groups, seed=run, n_resamples=RESAMPLES)
        sides = (side.reshape(n, -1) for side in population.draw(rng, clusters, size))
        samples = [
            Sample(variant, ids, groups, side)
            for variant, side in zip(("base", "new"), sides, strict=True)
        ]
        panel = Panel(population.quantity, samples, resamples=resamples)
        difference = panel.bounded_difference("base", "new")
        for place, found in enumerate((panel.interval("new"), difference)):
            assert found.low is not None, found.reason
            assert found.high is not None, found.reason
            hits[place] += found.low <= expected[place] <= found.high
    shares = hits / runs
    return float(shares[0]), float(shares[1])


@pytest.mark.parametrize(
    ("name", "clusters", "size"), [case for case in CASES if sum(case[1:]) < 105]
)
def test_intervals_cover(name: str, clusters: int, size: int) -> None:
    """Up to 100 clusters: 150 runs are no fewer than a coverage of .95 gives in 9,999 of 10,000."""
    runs = 150
    least = float(special.bdtrik(1e-4, runs, 0.95)) / runs
    assert min(covered(name, clusters, size, runs)) >= least


@pytest.mark.slow
@pytest.mark.parametrize(("name", "clusters", "size"), CASES)
def test_intervals_cover_to_two_errors_of_a_thousand_runs(
    name: str, clusters: int, size: int
) -> None:
    """No coverage is below .95 by more than two Monte-Carlo standard errors of 1,000 runs (.936).

    Four times as many are made, so that passing does not hang on the seed.
    """
    value, difference = covered(name, clusters, size, 4_000)
    least = 0.95 - 2 * (0.95 * 0.05 / 1_000) ** 0.5
    assert value >= least
    assert difference >= least
