"""The gate's decision on planted statistics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.proportion import proportion_confint

from harness.gate.check import conclude
from harness.gate.decide import ScorePair, decide
from harness.gate.repeats import Repeats
from harness.metrics.base import FloatArray, mean_of
from harness.metrics.registry import build_metric
from harness.schema import GateCheck, GateResult
from harness.stats.panel import Quantity, Sample

ROUGE = Quantity("summary", "rougeL", "report", mean_of, scale=1.0)
ACC = Quantity("quiz", "acc", "all", mean_of, scale=1.0)
LOSS = Quantity("held_out", "eval_loss", "eval", mean_of, higher_is_better=False)


def names(n: int) -> list[str]:
    return [f"e{index:04d}" for index in range(n)]


def sample(values: FloatArray, ids: list[str] | None = None) -> Sample:
    own = np.array(ids or names(len(values)))
    stats = np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)
    return Sample("any", own, own, stats)


def pair(old: FloatArray, new: FloatArray, **changes: Any) -> ScorePair:
    plain = ScorePair("chosen", "checkpoint-2", ROUGE, sample(old), sample(new), margin=2.0)
    return replace(plain, **changes)


def only(made: ScorePair, **options: Any) -> GateCheck:
    (check,) = decide([made], **options).checks
    return check


def values(n: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).uniform(0.2, 0.8, n)


def noise(n: int, sd: float, seed: int = 1) -> FloatArray:
    found = np.random.default_rng(seed).normal(0, sd, n)
    return sd * (found - found.mean()) / found.std()


# -- verdicts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "sd", "verdict"),
    [
        (0.0, 0.02, "pass"),
        (-0.05, 0.02, "pass"),
        (0.05, 0.05, "regression"),
        (0.0, 0.5, "inconclusive"),
        (0.02, 0.02, "inconclusive"),
        (0.05, 0.5, "inconclusive"),
    ],
)
def test_bounds_and_margin_decide(loss: float, sd: float, verdict: str) -> None:
    """Pass where the lower bound is above -margin, regression where the upper one is below."""
    before = values(60)
    assert only(pair(before, before - loss + noise(60, sd))).verdict == verdict


def test_a_single_metric_gets_the_one_sided_t_bounds() -> None:
    """Alone, a mean of few examples has scipy's one-sided paired t bounds at alpha."""
    before = values(40)
    after = before - 0.01 + noise(40, 0.05)
    check = only(pair(before, after), alpha=0.05)
    expected = scipy_stats.ttest_rel(after, before).confidence_interval(0.90)
    assert (check.low, check.high) == pytest.approx((expected.low, expected.high))
    assert check.gain == pytest.approx(-0.01)
    assert (check.n, check.clusters) == (40, 40)


def test_lower_is_better_turns_gain_and_bounds() -> None:
    """A loss that rises is a negative gain; its bounds stay in order."""
    before = 2 + values(50)
    made = pair(before, before + 0.3 + noise(50, 0.1), quantity=LOSS, margin="2%")
    check = only(made)
    assert check.verdict == "regression"
    assert check.gain == pytest.approx(-0.3)
    assert check.low is not None
    assert check.high is not None
    assert check.low < -0.3 < check.high < 0


def test_relative_margins_are_of_the_baseline_s_size() -> None:
    """2 % of a loss of 2.5 is 0.05, and of a negative value as much."""
    flat = np.full(30, 2.5)
    assert only(
        pair(flat, flat + noise(30, 0.01), quantity=LOSS, margin="2%")
    ).margin == pytest.approx(0.05)
    negative = replace(LOSS, metric="reward", higher_is_better=True)
    check = only(pair(-flat, -flat + noise(30, 0.01), quantity=negative, margin="2%"))
    assert check.margin == pytest.approx(0.05)
    assert check.verdict == "pass"


def test_a_baseline_of_zero_has_a_relative_margin_of_zero() -> None:
    """Then any loss that is shown is too much, and a gain passes."""
    zero = np.zeros(30)
    better = only(pair(zero, 0.1 + noise(30, 0.01), margin="5%"))
    assert (better.margin, better.verdict) == (0.0, "pass")


def test_points_of_a_scale_of_100() -> None:
    """Two points are 0.02 of a metric in [0, 1] and 2 of one in [0, 100]."""
    before = values(30)
    chrf = replace(ROUGE, metric="chrf", scale=100.0)
    assert only(pair(before, before + noise(30, 0.01))).margin == pytest.approx(0.02)
    check = only(pair(100 * before, 100 * before + noise(30, 1.0), quantity=chrf))
    assert check.margin == pytest.approx(2.0)


def test_a_loss_of_exactly_the_margin_on_every_example_passes() -> None:
    """The margin itself is allowed, whatever the rounding of floating point."""
    before = values(30)
    check = only(pair(before, before - 0.02))
    assert check.verdict == "pass"
    assert only(pair(before, before - 0.0201)).verdict == "regression"


def test_an_inconclusive_check_says_how_many_examples_would_decide() -> None:
    """With so many, and the same spread, the same gain is decided."""
    before = values(60)
    check = only(pair(before, before + noise(60, 0.2)))
    assert check.verdict == "inconclusive"
    assert check.needed_n is not None
    assert 60 < check.needed_n < 5_000
    assert check.mde is not None
    assert check.mde > 0.02
    more = values(check.needed_n)
    assert only(pair(more, more + noise(check.needed_n, 0.2))).verdict == "pass"


# -- identical ------------------------------------------------------------------------------------


def test_equal_outputs_are_identical_and_take_no_part_of_alpha() -> None:
    """They pass without bounds to pay for: the level of the others is as if they were alone."""
    before = values(50)
    other = pair(before, before + noise(50, 0.05))
    both = decide([pair(before, before.copy(), same_outputs=True), other])
    assert both.checks[0].verdict == "identical"
    assert (both.checks[0].gain, both.checks[0].low, both.checks[0].high) == (0, 0, 0)
    assert both.level == decide([other]).level == pytest.approx(0.05)


def test_identical_alone_needs_no_level() -> None:
    """A gate in which nothing differs has nothing to bound."""
    before = values(50)
    assert decide([pair(before, before.copy(), same_outputs=True)]).level is None
    # a loss of equal examples to the last digit comes of equal weights: no scale, no bound
    assert decide([pair(before, before.copy(), quantity=LOSS)]).level is None


@pytest.mark.parametrize(("n", "verdict"), [(50, "inconclusive"), (300, "pass")])
@pytest.mark.parametrize("quantity", [ACC, ROUGE], ids=["right or wrong", "partly right"])
def test_equal_scores_of_other_outputs_are_bounded_like_any_sample(
    n: int, verdict: str, quantity: Quantity
) -> None:
    """No change among n leaves open what Wilson's interval of half a change does (statsmodels)."""
    scores = values(n) if quantity is ROUGE else (values(n) > 0.5).astype(float)
    check = only(pair(scores, scores.copy(), quantity=quantity, margin=2.0))
    assert check.verdict == verdict
    open_ = proportion_confint(0.5, n, alpha=0.1, method="wilson")[1]
    assert check.low == pytest.approx(-open_, rel=1e-4)
    assert "outputs are not known to be equal" in check.method
    if verdict == "inconclusive":
        assert check.needed_n is not None
        left = proportion_confint(0.5, check.needed_n, alpha=0.1, method="wilson")[1]
        assert 0.018 < left <= 0.02
    same = pair(scores, scores.copy(), quantity=quantity, same_outputs=True)
    assert only(same).verdict == "identical"


def test_scores_that_are_all_zero_cannot_fall() -> None:
    """A metric that nothing satisfies, before or after, holds no gate up."""
    assert only(pair(np.zeros(20), np.zeros(20), quantity=ACC)).verdict == "identical"


def test_equal_scores_of_related_examples_count_as_their_clusters() -> None:
    """Sixty clusters of five without a change leave open what sixty examples do, by Student's t."""
    hits = np.repeat((values(60) > 0.5).astype(float), 5)
    groups = np.repeat([f"c{index}" for index in range(60)], 5)
    one = Sample("any", np.array(names(300)), groups, np.stack([hits, np.ones(300)], axis=1))
    check = only(replace(pair(hits, hits, quantity=ACC), before=one, after=one))
    alpha = 2 * scipy_stats.norm.sf(scipy_stats.t.isf(0.05, 59))
    open_ = proportion_confint(0.5, 60, alpha=alpha, method="wilson")[1]
    assert (check.verdict, check.low) == ("inconclusive", pytest.approx(-open_, rel=1e-4))


@pytest.mark.parametrize("n", [2, 5, 9])
def test_a_handful_that_changed_alike_decides_nothing(n: int) -> None:
    """Two examples that each lose a quarter have a spread of zero, and show little."""
    before = np.linspace(0.5, 0.7, n)
    check = only(pair(before, before - 0.25))
    assert (check.verdict, check.needed_n) == ("inconclusive", None)
    assert "too few" in (check.reason or "")


# -- together -------------------------------------------------------------------------------------


def test_more_metrics_make_each_bound_stricter() -> None:
    """Five unrelated ones share alpha nearly as Bonferroni would; one and its copy do not."""
    before = values(80)
    pairs = [
        pair(
            before,
            before + noise(80, 0.1, seed),
            quantity=replace(ROUGE, metric=f"m{seed}"),
        )
        for seed in range(2, 7)
    ]
    apart = decide(pairs).level
    copies = decide([pairs[0], replace(pairs[0], quantity=replace(ROUGE, metric="copy"))]).level
    assert apart == pytest.approx(1 - 0.95**0.2, abs=0.002)
    assert copies == pytest.approx(0.05, abs=0.002)


def test_correlation_is_that_of_gains() -> None:
    """A score that rises as a loss falls moves with it, and shares its bound."""
    before = values(80)
    change = noise(80, 0.1)
    rises = pair(before, before + change)
    falls = pair(before, before - change, quantity=LOSS)
    assert decide([rises, falls]).level == pytest.approx(0.05, abs=0.002)


def test_the_order_of_examples_does_not_matter() -> None:
    """Reordered examples are joined by id, and share resamples with those in order."""
    before, order = values(120), np.random.default_rng(3).permutation(120)
    after = before + noise(120, 0.1)
    ids = [names(120)[index] for index in order]
    plain = decide([pair(before, after), pair(before, before + noise(120, 0.2, 5))])
    mixed = decide(
        [
            pair(before, after, after=sample(after[order], ids)),
            pair(before, before + noise(120, 0.2, 5)),
        ]
    )
    assert mixed == plain


def test_equal_seeds_give_equal_decisions() -> None:
    """Nothing depends on chance beyond the seed."""
    before = values(150)
    made = [pair(before, before + noise(150, 0.1))]
    assert decide(made, seed=4) == decide(made, seed=4)


# -- bad data -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "needle"),
    [
        ([*names(29), "e0028"], "more than once: 'e0028'"),
        ([f"x{index}" for index in range(30)], "the run alone has 30: 'x0'"),
        ([*names(29), "other"], "the baseline alone has 1: 'e0029'; the run alone has 1: 'other'"),
        (names(29), "the baseline alone has 1: 'e0029'"),
    ],
)
def test_other_ids_never_join(ids: list[str], needle: str) -> None:
    """Duplicate, disjoint and partly different ids are invalid, and named."""
    before = values(30)
    check = only(pair(before, before, after=sample(before[: len(ids)], ids)))
    assert check.verdict == "invalid"
    assert needle in (check.reason or "")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("side", ["before", "after"])
def test_numbers_that_are_none_fail(value: float, side: str) -> None:
    """NaN and infinity on either side are invalid, with the example named."""
    before = values(30)
    broken = before.copy()
    broken[7] = value
    check = only(pair(before, before, **{side: sample(broken)}))
    assert check.verdict == "invalid"
    assert "'e0007'" in (check.reason or "")


def test_other_clusters_fail() -> None:
    """The same examples grouped otherwise would be bounded otherwise; names do not matter."""
    before = values(30)
    grouped = replace(sample(before), clusters=np.array(names(15) * 2))
    assert only(pair(before, before, after=grouped)).verdict == "invalid"
    renamed = replace(sample(before), clusters=np.array([f"c{text}" for text in names(30)]))
    assert only(pair(before, before, after=renamed)).verdict != "invalid"


def test_statistics_of_another_shape_fail() -> None:
    """They are of another metric, or of another version of it."""
    before = values(30)
    other = replace(sample(before), stats=np.ones((30, 3)))
    check = only(pair(before, before, after=other))
    assert check.verdict == "invalid"
    assert "2 statistics per example" in (check.reason or "")


def test_an_undefined_value_fails() -> None:
    """Zero examples counted: there is no mean."""
    empty = replace(sample(np.zeros(30)), stats=np.zeros((30, 2)))
    check = only(pair(values(30), values(30), after=empty))
    assert check.verdict == "invalid"
    assert "undefined" in (check.reason or "")


def test_one_example_cannot_tell() -> None:
    """It has a difference and no bounds."""
    check = only(pair(np.array([0.5]), np.array([0.6])))
    assert (check.verdict, check.reason) == ("inconclusive", "one example gives no interval")


# -- floors ---------------------------------------------------------------------------------------


def test_a_floor_is_a_check_of_its_own() -> None:
    """The value itself counts, in points, beside the comparison with the baseline."""
    before = values(60)  # around 0.5
    made = pair(before, before + noise(60, 0.01), floor=60.0)
    quality, floor = decide([made]).checks
    assert (quality.verdict, quality.kind) == ("pass", "quality")
    assert (floor.verdict, floor.kind, floor.bound) == ("regression", "floor", 0.6)
    assert "is below the floor of 60" in (floor.reason or "")
    assert decide([replace(made, floor=40.0)]).checks[1].verdict == "pass"


def test_the_floor_of_a_loss_is_a_ceiling() -> None:
    """Where lower is better the value must not exceed it."""
    flat = np.full(20, 2.5)
    made = pair(flat, flat, quantity=LOSS, floor=2.4)
    assert decide([made]).checks[1].verdict == "regression"
    assert decide([replace(made, floor=2.5)]).checks[1].verdict == "pass"


# -- corpus metrics -------------------------------------------------------------------------------


def test_corpus_metrics_are_gated_by_the_bootstrap() -> None:
    """Perplexity, a function of sums, passes when equal up to noise and fails when it doubles."""
    quantity = replace(LOSS, metric="perplexity", aggregate=build_metric("perplexity").aggregate)
    before = values(150) + 1
    fine = only(pair(before, before + noise(150, 0.01), quantity=quantity, margin="2%"))
    bad = only(pair(before, before + 0.7 + noise(150, 0.1), quantity=quantity, margin="2%"))
    assert (fine.verdict, bad.verdict) == ("pass", "regression")
    assert "bootstrap" in fine.method


# -- measurements ---------------------------------------------------------------------------------

SPEED = Repeats("chosen", "c", "decode_tokens_per_s", "tok/s", "64 + 16 tokens", (), ())


def measured(before: list[float], after: list[float], **changes: Any) -> GateCheck:
    item = replace(SPEED, before=tuple(before), after=tuple(after), **changes)
    (check,) = decide([], [item]).checks
    return check


def test_speed_and_memory_turn_towards_better() -> None:
    """Ten per cent slower and ten per cent more bytes are both a gain of -0.1."""
    slower = measured([100.0], [90.0], margin=0.2)
    larger = measured([100.0], [110.0], unit="bytes", margin=0.2)
    assert (slower.gain, larger.gain) == pytest.approx((-0.1, -0.1))
    assert (slower.verdict, larger.verdict) == ("pass", "pass")
    assert measured([100.0], [125.0], unit="s", margin=0.2).verdict == "regression"


def test_repeats_are_bounded() -> None:
    """Clear of the margin on either side it is decided, and not where the repeats spread."""
    steady = [99.0, 100.0, 100.5, 101.0, 100.0, 99.5]
    assert measured(steady, [v * 0.99 for v in steady], margin=0.1).verdict == "pass"
    assert measured(steady, [v * 0.8 for v in steady], margin=0.1).verdict == "regression"
    wild = [60.0, 95.0, 130.0, 85.0, 110.0]
    check = measured(steady, wild, margin=0.1)
    assert check.verdict == "inconclusive"
    assert (check.n, check.value, check.unit) == (5, 95.0, "tok/s")


def test_without_a_margin_it_is_only_listed() -> None:
    """The ratio is shown and decides nothing."""
    check = measured([100.0, 101.0], [10.0, 11.0])
    assert (check.verdict, check.decides) == ("not_compared", False)
    assert check.gain == pytest.approx(-0.8955, abs=1e-4)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"missing": "the measurement failed"}, "missing"),
        ({"not_comparable": "other hardware"}, "not_compared"),
    ],
)
def test_what_cannot_be_compared_says_why(changes: dict[str, str], verdict: str) -> None:
    """Missing readings are missing, those of other hardware are not compared."""
    check = measured([100.0], [90.0], margin=0.2, **changes)
    assert (check.verdict, check.gain) == (verdict, None)
    assert check.reason == next(iter(changes.values()))


def test_a_baseline_of_zero_has_no_ratio() -> None:
    """That is invalid rather than infinite."""
    assert measured([0.0, 0.0], [1.0, 2.0], margin=0.2).verdict == "invalid"


def test_measurements_take_their_share_of_alpha() -> None:
    """One score and one uncertain measurement have half of alpha each."""
    before = values(50)
    made = pair(before, before + noise(50, 0.05))
    speed = replace(SPEED, before=(99.0, 101.0), after=(98.0, 102.0), margin=0.2)
    assert decide([made], [speed]).level == pytest.approx(0.025)
    assert decide([made], [replace(speed, margin=None)]).level == pytest.approx(0.05)


# -- the whole ------------------------------------------------------------------------------------

EMPTY = GateResult(verdict="pass", exit_code=0, headline="", run="s/r", baseline="b.json")


def check(verdict: str, **changes: object) -> GateCheck:
    return GateCheck.model_validate(
        {
            "subject": "chosen",
            "variant": "c",
            "kind": "quality",
            "task": "t",
            "metric": verdict,
            "split": "report",
            "verdict": verdict,
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("verdicts", "fields", "expected"),
    [
        (["pass", "identical"], {}, ("pass", 0)),
        (["pass", "not_compared"], {}, ("pass", 0)),
        (["pass", "inconclusive"], {}, ("inconclusive", 3)),
        (["pass", "inconclusive"], {"on_inconclusive": "warn"}, ("inconclusive", 0)),
        (["inconclusive", "regression"], {}, ("regression", 1)),
        (["regression", "missing"], {}, ("invalid", 5)),
        (["regression", "invalid"], {}, ("invalid", 5)),
        (["regression", "missing"], {"differences": ("limit: 3",)}, ("incompatible", 4)),
        (["pass"], {"problems": ("no",)}, ("invalid", 5)),
        ([], {}, ("invalid", 5)),
        (["not_compared"], {}, ("invalid", 5)),
    ],
)
def test_the_worst_verdict_wins(
    verdicts: list[str], fields: dict[str, object], expected: tuple[str, int]
) -> None:
    """Incompatible, then missing or invalid, then regression, inconclusive, pass; none is none."""
    checks = tuple(check(verdict) for verdict in verdicts)
    found = conclude(EMPTY.model_copy(update={"checks": checks, **fields}))
    assert (found.verdict, found.exit_code) == expected
    assert found.headline.endswith(".")


def test_what_does_not_decide_fails_nothing() -> None:
    """A listed measurement may look as bad as it likes."""
    checks = (check("pass"), check("regression", decides=False))
    assert conclude(EMPTY.model_copy(update={"checks": checks})).verdict == "pass"


def test_headlines_name_what_is_wrong() -> None:
    """Also what was let through."""
    lost = conclude(EMPTY.model_copy(update={"checks": (check("regression"),)}))
    assert lost.headline == "Regression: worse than allowed: chosen t: regression on report."
    unsure = {"checks": (check("inconclusive"),), "on_inconclusive": "warn"}
    assert "let through" in conclude(EMPTY.model_copy(update=unsure)).headline
