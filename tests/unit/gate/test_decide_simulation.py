"""Simulated error rates of the whole gate, and of choosing a checkpoint.

Everyday runs are few, so that only gross errors show; the slow ones are those the guarantees are
stated for. All are seeded. The code under test is the gate's own ``decide``; only the Monte-Carlo
draws behind its simultaneous level are fewer than in real use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.special import ndtri

from harness.gate.decide import ScorePair, decide
from harness.metrics.base import FloatArray, mean_of
from harness.schema import GateCheck
from harness.select.checkpoint import Rule, select
from harness.stats import simultaneous
from harness.stats.panel import Panel, Quantity, Sample

ALPHA, MARGIN = 0.05, 0.02  # two points of a metric in [0, 1]
EACH = 5  # metrics per group: 0/1 scores on some examples, continuous ones on others
_DIFFICULTY, _MODEL, _OWN = 0.5, 0.3, 0.2  # shares of variance: example, model, metric
_FIGURE_ERROR = 100 * float(np.sqrt(0.6 * 0.4 / 300))  # of one figure on report, in points


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The level's own Monte-Carlo error stays below 4 %."""
    monkeypatch.setattr(simultaneous, "_DRAWS", 20_000)


@dataclass(frozen=True)
class World:
    """Two models on two groups of examples; the second model is worse by ``losses``, truly."""

    n: int
    losses: tuple[float, ...]  # of the ten metrics, in their own unit

    def pairs(self, rng: np.random.Generator) -> list[ScorePair]:
        found = []
        ids = np.array([f"e{index:04d}" for index in range(self.n)])
        for group, kind in enumerate(("binary", "continuous")):
            difficulty = rng.standard_normal((self.n, 1))
            sides = [self._latent(rng, difficulty) for _ in range(2)]  # independent errors
            for metric in range(EACH):
                loss = self.losses[group * EACH + metric]
                before, after = (side[:, metric] for side in sides)
                if kind == "binary":
                    before, after = before < ndtri(0.7), after < ndtri(0.7 - loss)
                else:
                    before, after = 0.5 + 0.15 * before, 0.5 + 0.15 * after - loss
                quantity = Quantity(kind, f"m{metric}", "report", mean_of, scale=1.0)
                samples = [_sample(ids, values) for values in (before, after)]
                found.append(ScorePair("chosen", "c", quantity, *samples, margin=100 * MARGIN))
        return found

    def _latent(self, rng: np.random.Generator, difficulty: FloatArray) -> FloatArray:
        own = rng.standard_normal((self.n, EACH))
        model = rng.standard_normal((self.n, 1))
        return np.sqrt(_DIFFICULTY) * difficulty + np.sqrt(_MODEL) * model + np.sqrt(_OWN) * own

    def gates(
        self, runs: int, seed: int, n_resamples: int = 500
    ) -> Iterator[tuple[GateCheck, ...]]:
        """The checks of so many independent gates."""
        rng = np.random.default_rng([seed, self.n])
        for run in range(runs):
            pairs = self.pairs(rng)
            yield decide(pairs, alpha=ALPHA, seed=run, n_resamples=n_resamples).checks


def _sample(ids: np.ndarray[tuple[int], np.dtype[np.str_]], values: FloatArray) -> Sample:
    return Sample("any", ids, ids, np.stack([values.astype(float), np.ones(len(ids))], axis=1))


def rate(hits: int, runs: int, nominal: float) -> tuple[float, float]:
    """Observed rate, and two Monte-Carlo standard errors at the nominal one."""
    return hits / runs, 2 * float(np.sqrt(nominal * (1 - nominal) / runs))


def false_alarms(loss: float, n: int, runs: int) -> tuple[int, int]:
    """Gates with a regression, and gates with a pass, where all ten metrics lose ``loss``."""
    alarms = passes = 0
    # 2,000 resamples where the tails of the bootstrap decide
    for checks in World(n, (loss,) * 2 * EACH).gates(runs, 1, 2_000 if loss else 500):
        verdicts = {check.verdict for check in checks}
        alarms += "regression" in verdicts
        passes += bool({"pass", "identical"} & verdicts)
    return alarms, passes


def planted(n: int, metric: int, runs: int, pilots: int = 200) -> float:
    """Share of gates that find a loss of margin + MDE planted in one metric.

    The MDE is what gates of such a loss report themselves (a share of right answers varies more
    the nearer it is to a half, so it is looked up where the loss is), in the mean square over so
    many, for its own noise would be one of the loss.
    """
    loss = MARGIN
    for seed, count in ((2, 60), (3, pilots)):
        reported = [
            checks[metric].mde or 0.0 for checks in _planted(n, metric, loss).gates(count, seed)
        ]
        loss = MARGIN + float(np.sqrt(np.mean(np.square(reported))))
    world = _planted(n, metric, loss)
    return sum(c[metric].verdict == "regression" for c in world.gates(runs, seed=1)) / runs


def _planted(n: int, metric: int, loss: float) -> World:
    return World(n, tuple(loss if at == metric else 0.0 for at in range(2 * EACH)))


def check_equal_models(n: int, runs: int) -> None:
    alarms, _ = false_alarms(0.0, n, runs)
    found, slack = rate(alarms, runs, ALPHA)
    assert found <= ALPHA + slack


def check_losses_of_the_margin(n: int, runs: int) -> None:
    alarms, passes = false_alarms(MARGIN, n, runs)
    (alarmed, slack), (passed, _) = rate(alarms, runs, ALPHA), rate(passes, runs, ALPHA)
    assert alarmed <= ALPHA + slack
    assert passed <= ALPHA + slack


@dataclass(frozen=True)
class Checkpoints:
    """Checkpoints that are truly equally good, each scored on the examples of both splits."""

    splits: np.ndarray[tuple[int], np.dtype[np.str_]]  # of each example, shape (n,)
    right: np.ndarray[tuple[int, int], np.dtype[np.bool_]]  # shape (checkpoints, n)

    @property
    def steps(self) -> dict[str, int | None]:
        return {f"checkpoint-{step}": step for step in range(1, len(self.right) + 1)}

    def panel(self, split: str) -> Panel:
        """All checkpoints on the examples of one split, and on no others."""
        there = np.flatnonzero(self.splits == split)
        ids = np.array([f"e{index:04d}" for index in there])
        samples = [
            replace(_sample(ids, values[there]), variant=name)
            for name, values in zip(self.steps, self.right, strict=True)
        ]
        quantity = Quantity("answers", "exact_match", split, mean_of, scale=1.0)
        return Panel(quantity, samples, n_resamples=50)


def selection_biases(runs: int, *, n: int = 300, checkpoints: int = 10) -> dict[str, float]:
    """Mean error of claimed figures, in points, where all checkpoints are truly equally good.

    ``naive``: the best value on select, as its own figure; ``one_se`` and ``best``: the figure on
    report of what that rule chose on select; ``leaked``: that of what ``best`` chose on report.
    """
    rng, truth = np.random.default_rng(5), 0.6
    splits = np.repeat(["select", "report"], n)
    claims: tuple[tuple[str, Rule, str, str], ...] = (  # name, rule, chosen on, figure from
        ("naive", "best", "select", "select"),
        ("one_se", "one_se", "select", "report"),
        ("best", "best", "select", "report"),
        ("leaked", "best", "report", "report"),
    )
    claimed: dict[str, list[float]] = {name: [] for name, *_ in claims}
    for _ in range(runs):
        scored = Checkpoints(rng.permutation(splits), rng.random((checkpoints, 2 * n)) < truth)
        panels = {split: scored.panel(split) for split in ("select", "report")}
        chosen = {
            (rule, on): select(panels[on], scored.steps, None, rule=rule).chosen
            for rule, on in {(rule, on) for _, rule, on, _ in claims}
        }
        for name, rule, on, figure_from in claims:
            claimed[name].append(panels[figure_from].value(chosen[rule, on] or "") or 0.0)
    return {name: 100 * (float(np.mean(found)) - truth) for name, found in claimed.items()}


# -- everyday -------------------------------------------------------------------------------------


def test_false_alarms_are_rare_in_short() -> None:
    """Equally good models, and models that lose exactly the margin: at most alpha, all together."""
    check_equal_models(100, runs=50)
    check_losses_of_the_margin(100, runs=100)


def test_planted_losses_are_found_in_short() -> None:
    """A loss of margin + MDE in one of ten metrics is a regression in 80 % of gates."""
    found, slack = planted(100, metric=7, runs=60, pilots=40), rate(0, 60, 0.8)[1]
    assert found >= 0.8 - slack


def test_the_report_split_is_unbiased_in_short() -> None:
    """The best of ten looks three points too good where it was chosen, and not on report.

    Were the choice made on report, its figure there would be as wrong.
    """
    found = selection_biases(100)
    assert found["naive"] >= 3
    assert found["leaked"] >= 3
    for rule in ("one_se", "best"):
        assert abs(found[rule]) <= 0.3 + 2 * _FIGURE_ERROR / np.sqrt(100)


# -- in full --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_equally_good_models_are_let_through() -> None:
    """1,000 gates of ten metrics in two groups, with independent errors of the two models.

    Larger samples are held to the same where models lose the margin, which alarms more often.
    """
    check_equal_models(100, runs=1_000)


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, 300])
def test_losses_of_exactly_the_margin_are_at_the_limit(n: int) -> None:
    """2,000 gates: neither more false alarms nor more false passes than alpha."""
    check_losses_of_the_margin(n, runs=2_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "metric"),
    [(100, 2), (300, 2), (100, 7)],  # t-tests come closer to what they promise as n grows
    ids=["100 binary", "300 binary", "100 continuous"],
)
def test_planted_losses_are_found(n: int, metric: int) -> None:
    """A loss of margin + MDE in one of ten metrics is a regression in 80 % of 800 gates."""
    found, slack = planted(n, metric, runs=800), rate(0, 800, 0.8)[1]
    assert found >= 0.8 - slack


@pytest.mark.slow
def test_the_report_split_is_unbiased() -> None:
    """2,000 choices of ten: the figure on report is right to 0.3 points, the naive one 3 off."""
    found = selection_biases(2_000)  # the Monte-Carlo error of each figure is 0.06 points
    assert found["naive"] >= 3
    assert found["leaked"] >= 3
    assert abs(found["one_se"]) <= 0.3
    assert abs(found["best"]) <= 0.3
