from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.analysis.compare import Panel, Quantity, Sample, compare
from harness.errors import PairingError
from harness.metrics.base import FloatArray, mean_of
from harness.metrics.registry import build_metric

ROUGE = Quantity("summary", "rougeL", "report", mean_of, scale=1.0)


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
    assert panel.compare("base", "new").low == pytest.approx(alone.low)
    assert panel.interval("new").value == pytest.approx(new.mean())


def test_a_panel_refuses_weights_of_other_examples() -> None:
    """Weights made for another number of examples are a programming error."""
    from harness.analysis.intervals import Resamples

    with pytest.raises(ValueError, match="weights of 3 examples"):
        Panel(ROUGE, [sample("base", np.zeros(4))], resamples=Resamples(["a", "b", "c"]))
