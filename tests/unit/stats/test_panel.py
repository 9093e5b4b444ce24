from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.errors import PairingError
from harness.metrics.base import FloatArray, mean_of
from harness.metrics.registry import build_metric
from harness.results.comparisons import comparison
from harness.schema import Comparison
from harness.stats.panel import Panel, Quantity, Sample
from harness.stats.proportions import tango_interval
from harness.stats.resampling import Resamples

ROUGE = Quantity("summary", "rougeL", "report", mean_of, scale=1.0)


def compare(quantity: Quantity, baseline: Sample, candidate: Sample) -> Comparison:
    """The comparison of two samples of the same examples."""
    return comparison(Panel(quantity, [baseline, candidate]), baseline.variant, candidate.variant)


def sample(name: str, values: FloatArray, ids: list[str] | None = None) -> Sample:
    names = np.array(ids or [f"e{index:03d}" for index in range(len(values))])
    return Sample(name, names, names, np.stack([values, np.ones(len(values))], axis=1))


def values(n: int, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    base = rng.random(n)
    return base, base + rng.normal(0.05, 0.1, size=n)


def test_few_examples_get_the_paired_t_interval() -> None:
    """Below 100 clusters a mean difference has scipy's ttest_rel interval."""
    base, new = values(40)
    found = compare(ROUGE, sample("base", base), sample("new", new))
    expected = scipy_stats.ttest_rel(new, base).confidence_interval()
    assert found.delta == pytest.approx(np.mean(new - base))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.method == "paired Student-t, 40 clusters"


def test_many_examples_get_the_paired_bootstrap() -> None:
    """From 100 clusters on the bounds are scipy.stats.bootstrap's of the paired differences."""
    base, new = values(150)
    found = compare(ROUGE, sample("base", base), sample("new", new))
    expected = scipy_stats.bootstrap(
        (new - base,), np.mean, n_resamples=10_000, method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert found.low == pytest.approx(expected.low, abs=1e-3)
    assert found.high == pytest.approx(expected.high, abs=1e-3)
    assert found.better is True


def test_order_does_not_matter() -> None:
    """Reordered examples are aligned by id."""
    base, new = values(30)
    plain = compare(ROUGE, sample("base", base), sample("new", new))
    order = np.random.default_rng(1).permutation(30)
    ids = [f"e{index:03d}" for index in order]
    assert compare(ROUGE, sample("base", base), sample("new", new[order], ids)) == plain


def test_equal_statistics_are_identical_and_not_tested() -> None:
    """An adapter that was not applied is called identical; no p-value, no NaN."""
    base, _ = values(20)
    found = compare(ROUGE, sample("base", base), sample("new", base.copy()))
    assert (found.identical, found.delta, found.low, found.high) == (True, 0.0, 0.0, 0.0)
    assert found.better is None


def test_a_constant_gain_is_certain() -> None:
    """The same gain on every example has an interval of that gain alone."""
    base, _ = values(20)
    found = compare(ROUGE, sample("base", base), sample("new", base + 0.25))
    assert (found.low, found.high) == pytest.approx((0.25, 0.25))
    assert (found.identical, found.better) == (False, True)


def test_lower_can_be_better() -> None:
    """A falling loss is an improvement; its delta stays negative."""
    metric = build_metric("eval_loss")
    loss = Quantity("heldout", "eval_loss", "eval", metric.aggregate, higher_is_better=False)
    base, _ = values(40)
    found = compare(loss, sample("base", base + 1), sample("new", base + 0.5))
    assert found.delta == pytest.approx(-0.5)
    assert found.better is True


def test_corpus_metrics_are_paired_too() -> None:
    """The bootstrap of perplexity, exp of a ratio of sums, resamples both sides together."""
    metric = build_metric("perplexity")
    ppl = Quantity("heldout", "perplexity", "eval", metric.aggregate, higher_is_better=False)
    rng = np.random.default_rng(2)
    base = rng.gamma(9.0, 1 / 3.0, size=120)
    found = compare(ppl, sample("base", base), sample("new", base - 0.1))
    assert found.better is True
    assert found.delta == pytest.approx(np.exp(np.mean(base) - 0.1) - np.exp(np.mean(base)))
    assert found.low is not None
    assert found.high is not None
    unpaired = np.exp(np.mean(base)) * base.std() / np.sqrt(120)
    assert found.high - found.low < unpaired


@pytest.mark.parametrize(
    ("ids", "needle"),
    [
        (["e000", "e001", "x", "y"], "base alone has 2: 'e002', 'e003'; new alone has 2: 'x', 'y'"),
        (["e000", "e001", "e002"], "base alone has 1: 'e003'"),
        (["e000", "e001", "e002", "e002"], "more than once: 'e002'"),
        (list("abcd"), "new alone has 4: 'a', 'b', 'c', …"),
    ],
)
def test_other_examples_are_refused(ids: list[str], needle: str) -> None:
    """Different or repeated ids raise an error that names a few of them, exit code 2."""
    new = sample("new", np.arange(len(ids)) / 10, ids)
    with pytest.raises(PairingError, match=r"scored|same example") as caught:
        compare(ROUGE, sample("base", np.arange(4) / 10), new)
    assert needle in str(caught.value)
    assert caught.value.exit_code == 2


def test_one_example_gives_a_difference_without_bounds() -> None:
    """With n = 1 the delta is there, and the reason why it has no interval."""
    found = compare(ROUGE, sample("base", np.array([0.2])), sample("new", np.array([0.5])))
    assert found.delta == pytest.approx(0.3)
    assert (found.low, found.reason) == (None, "one example gives no interval")


def test_an_undefined_side_is_named() -> None:
    """A value that does not exist cannot be compared, and the reason says whose it is."""
    empty = Sample("new", np.array(["e000"]), np.array(["e000"]), np.zeros((1, 2)))
    found = compare(ROUGE, sample("base", np.array([0.2])), empty)
    assert (found.delta, found.reason) == (None, "the value of new is undefined")


def test_a_panel_agrees_with_single_comparisons() -> None:
    """Variants looked at together get the same figures as two at a time."""
    base, new = values(130, seed=5)
    other = values(130, seed=6)[1]
    panel = Panel(ROUGE, [sample("base", base), sample("new", new), sample("other", other)])
    alone = compare(ROUGE, sample("base", base), sample("new", new))
    assert comparison(panel, "base", "new").low == pytest.approx(alone.low)
    assert panel.interval("new").value == pytest.approx(new.mean())


def hits(n: int, share: float, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    base = (rng.random(n) < 0.6).astype(float)
    return base, np.where(rng.random(n) < share, 1 - base, base)


def test_right_or_wrong_gets_the_paired_score_interval() -> None:
    """Tango's interval of gains and losses, in the metric's unit, with the ordinary error."""
    base, new = hits(80, 0.2)
    exact = Quantity("qa", "exact_match", "report", mean_of, scale=100.0)
    panel = Panel(exact, [sample("base", 100 * base), sample("new", 100 * new)])
    found = panel.difference("base", "new")
    gains, losses = int(np.sum(new > base)), int(np.sum(new < base))
    expected = tango_interval(gains, losses, 80, quantile=1.959963984540054)
    assert (found.low, found.high) == pytest.approx([100 * bound for bound in expected])
    assert found.error == pytest.approx(100 * scipy_stats.sem(new - base))
    assert (found.df, found.method) == (79, "paired score interval")
    assert panel.discordant("base", "new") == (gains, losses)


def test_one_sided_disagreement_has_a_width() -> None:
    """Three losses and no gain in 40: a gain remains possible, and a loss of 15 points too."""
    base, new = np.ones(40), np.ones(40)
    new[:3] = 0.0
    found = Panel(ROUGE, [sample("base", base), sample("new", new)]).difference("base", "new")
    assert found.low is not None
    assert found.high is not None
    assert found.low < -0.15
    assert 0.0 < found.high < 0.05


def test_related_right_or_wrong_examples_count_as_fewer() -> None:
    """Every example four times over gives nearly the interval without copies, not a narrower."""
    base, new = hits(120, 0.25, seed=4)
    once = Panel(ROUGE, [sample("base", base), sample("new", new)]).difference("base", "new")
    groups = np.repeat([f"c{index:03d}" for index in range(120)], 4)
    ids = np.array([f"e{index:03d}" for index in range(480)])
    sides = [
        Sample(name, ids, groups, np.stack([np.repeat(column, 4), np.ones(480)], axis=1))
        for name, column in (("base", base), ("new", new))
    ]
    found = Panel(ROUGE, sides).difference("base", "new")
    assert (found.low, found.high) == pytest.approx((once.low, once.high), abs=2e-3)
    assert (found.df, found.method) == (119, "paired score interval, 120 clusters")


@pytest.mark.parametrize("n", [40, 150])
@pytest.mark.parametrize("kind", ["values", "hits"])
def test_the_tail_decides_the_width(n: int, kind: str) -> None:
    """A tail of .05 on each side is a 90 % interval within the 95 % one; the error stays."""
    base, new = values(n) if kind == "values" else hits(n, 0.2)
    panel = Panel(ROUGE, [sample("base", base), sample("new", new)])
    wide, narrow = panel.difference("base", "new"), panel.difference("base", "new", tail=0.05)
    assert wide.low is not None
    assert wide.high is not None
    assert narrow.low is not None
    assert narrow.high is not None
    assert wide.low < narrow.low < narrow.high < wide.high
    assert (narrow.error, narrow.df, narrow.delta) == (wide.error, n - 1, wide.delta)


def test_a_tail_of_student_t_is_scipys() -> None:
    """The one-sided 99 % bounds of ttest_rel."""
    base, new = values(40)
    panel = Panel(ROUGE, [sample("base", base), sample("new", new)])
    found = panel.difference("base", "new", tail=0.01)
    expected = scipy_stats.ttest_rel(new, base).confidence_interval(0.98)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_draws_of_two_metrics_belong_together() -> None:
    """Panels with the same resamples draw the same examples: a doubled metric doubles its draws."""
    base, new = values(60)
    weights = Resamples([f"e{index:03d}" for index in range(60)], n_resamples=500)
    one = Panel(ROUGE, [sample("base", base), sample("new", new)], resamples=weights)
    two = Panel(ROUGE, [sample("base", 2 * base), sample("new", 2 * new)], resamples=weights)
    drawn = one.drawn_differences("base", "new")
    assert drawn.shape == (500,)
    assert two.drawn_differences("base", "new") == pytest.approx(2 * drawn)
    assert drawn.std() == pytest.approx(scipy_stats.sem(new - base), rel=0.1)
    assert not one.drawn_differences("base", "base").any()


def test_identical_variants_have_no_degrees_of_freedom() -> None:
    """Width and error are zero, and there is nothing to estimate."""
    base, _ = values(20)
    panel = Panel(ROUGE, [sample("base", base), sample("new", base.copy())])
    found = panel.difference("base", "new", tail=0.001)
    assert (found.low, found.high, found.error, found.df) == (0.0, 0.0, 0.0, None)


def test_equal_sums_are_not_identical() -> None:
    """As many right answers, but others: a difference of zero with an interval."""
    base = np.tile([0.0, 1.0], 20)
    found = compare(ROUGE, sample("base", base), sample("new", base[::-1].copy()))
    assert (found.delta, found.identical) == (0.0, False)
    assert (found.test, found.p_value) == ("exact McNemar", 1.0)
    assert found.low is not None
    assert found.low < 0


def test_a_comparison_has_its_test() -> None:
    """A clear gain has a small p-value, with what it comes from."""
    base, new = values(60)
    found = compare(ROUGE, sample("base", base), sample("new", new))
    assert found.test == "sign flips of 60 examples, 10,000 patterns"
    assert found.p_value is not None
    assert 0 < found.p_value < 0.01


def test_a_value_that_hangs_on_one_cluster_has_no_interval() -> None:
    """All tokens in one document: Student-t has nothing to estimate an error from."""
    metric = build_metric("eval_loss")
    loss = Quantity("heldout", "eval_loss", "eval", metric.aggregate, higher_is_better=False)
    ids = np.array(["e0", "e1", "e2"])
    sides = [
        Sample(name, ids, ids, np.array([[total, 9.0], [0.0, 0.0], [0.0, 0.0]]))
        for name, total in (("base", 20.0), ("new", 18.0))
    ]
    panel = Panel(loss, sides)
    found = panel.difference("base", "new")
    assert (found.low, found.error) == (None, None)
    assert found.reason == "one cluster alone decides the value, which gives no interval"
    assert panel.interval("new").reason == found.reason


def test_statistics_that_are_nan_have_no_difference() -> None:
    """A NaN among the statistics makes the value undefined, and says whose."""
    base, new = values(30)
    new[3] = np.nan
    found = compare(ROUGE, sample("base", base), sample("new", new))
    assert (found.delta, found.low, found.p_value) == (None, None, None)
    assert found.reason == "the value of new is undefined"


def test_a_panel_refuses_weights_of_other_examples() -> None:
    """Weights made for another number of examples are a programming error."""
    with pytest.raises(ValueError, match="weights of 3 examples"):
        Panel(ROUGE, [sample("base", np.zeros(4))], resamples=Resamples(["a", "b", "c"]))


def test_one_row_has_one_method() -> None:
    """ROUGE-L of a variant that is 0 everywhere is no share of right answers, as its row is not."""
    base, _ = values(40)
    nothing, some = np.zeros(40), np.r_[np.zeros(39), 1.0]
    panel = Panel(ROUGE, [sample("base", base), sample("zero", nothing), sample("some", some)])
    methods = {name: panel.interval(name).method for name in panel.variants}
    assert methods == {"base": "Student-t, 40 clusters", "zero": "", "some": methods["base"]}
    assert "score the same" in str(panel.interval("zero").reason)
    assert panel.difference("zero", "some").method == "paired Student-t, 40 clusters"
    assert comparison(panel, "zero", "some").test.startswith("sign flips")
    right = Panel(ROUGE, [sample("zero", nothing), sample("some", some)])
    assert [right.interval(name).method for name in right.variants] == ["Wilson score"] * 2
