from __future__ import annotations

import numpy as np
import pytest
import sacrebleu.metrics
from sacrebleu.significance import PairedTest
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from harness.metrics.base import FloatArray, mean_of
from harness.metrics.registry import build_metric
from harness.results.comparisons import comparison, equivalence
from harness.stats.panel import Panel, Quantity, Sample
from harness.stats.resampling import N_FLIPS
from harness.stats.significance import holm, max_t, paired_test, sign_flip_test

MEAN = Quantity("t", "m", "report", mean_of, scale=1.0)


def panel(
    *columns: FloatArray, clusters: list[str] | None = None, quantity: Quantity = MEAN
) -> Panel:
    """Variants v0, v1, ... of values (n,) or statistics (n, k)."""
    n = len(columns[0])
    ids = np.array([f"e{index:04d}" for index in range(n)])
    names = np.array(clusters) if clusters else ids
    samples = []
    for place, column in enumerate(columns):
        stats = np.stack([column, np.ones(n)], axis=1) if column.ndim == 1 else column
        samples.append(Sample(f"v{place}", ids, names, stats))
    return Panel(quantity, samples)


def gains(n: int, mean: float = 0.4, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    base = rng.normal(size=n)
    return base, base + rng.normal(mean, 1.0, size=n)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_few_examples_give_scipys_exact_p_value(alternative: str) -> None:
    """All 1,024 patterns of ten examples, as scipy.stats.permutation_test lists them."""
    base, new = gains(10)
    found = sign_flip_test(panel(base, new), "v0", "v1", alternative=alternative)  # type: ignore[arg-type]
    expected = scipy_stats.permutation_test(
        (new - base,), np.mean, permutation_type="samples", n_resamples=np.inf,
        alternative=alternative,
    )  # fmt: skip
    assert found == pytest.approx(expected.pvalue)


def test_many_examples_give_scipys_p_value_up_to_chance() -> None:
    """10,000 random patterns of 80 examples."""
    base, new = gains(80, 0.2)
    found = sign_flip_test(panel(base, new), "v0", "v1")
    expected = scipy_stats.permutation_test(
        (new - base,), np.mean, permutation_type="samples", n_resamples=20_000,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert found == pytest.approx(expected.pvalue, abs=0.012)


def test_clusters_are_swapped_whole() -> None:
    """Copies of examples within their clusters leave the p-value as it is."""
    base, new = gains(9)
    once = sign_flip_test(panel(base, new), "v0", "v1")
    names = [f"c{index}" for index in range(9) for _ in range(3)]
    copied = panel(np.repeat(base, 3), np.repeat(new, 3), clusters=names)
    assert sign_flip_test(copied, "v0", "v1") == pytest.approx(once)
    assert paired_test(copied, "v0", "v1")[1] == "sign flips of 9 clusters, all patterns"


def test_corpus_bleu_agrees_with_sacrebleus_approximate_randomization() -> None:
    """Swapped corpora are scored anew, as ``sacrebleu --paired-ar`` does."""
    rng = np.random.default_rng(5)
    words = np.array([f"w{index}" for index in range(14)])

    def noisy(texts: list[str], kept: float) -> list[str]:
        return [
            " ".join(w if rng.random() < kept else rng.choice(words) for w in text.split())
            for text in texts
        ]

    references = [" ".join(rng.choice(words, size=12)) for _ in range(60)]
    systems = {"base": noisy(references, 0.70), "new": noisy(references, 0.77)}
    metric = build_metric("bleu")
    stats = [
        np.array([metric.statistics(o, [r]) for o, r in zip(texts, references, strict=True)])
        for texts in systems.values()
    ]
    found = sign_flip_test(
        panel(*stats, quantity=Quantity("t", "bleu", "report", metric.aggregate, scale=100.0)),
        "v0", "v1",
    )  # fmt: skip
    theirs = PairedTest(
        list(systems.items()), {"BLEU": sacrebleu.metrics.BLEU()}, [references],
        test_type="ar", n_samples=5_000,
    )()  # fmt: skip
    assert found == pytest.approx(theirs[1]["BLEU"][1].p_value, abs=0.03)
    assert 0.001 < theirs[1]["BLEU"][1].p_value < 0.5  # the comparison says something


def test_the_test_fits_the_metric() -> None:
    """Right-or-wrong values of unrelated examples: McNemar; scipy's binomial test agrees."""
    rng = np.random.default_rng(3)
    base = (rng.random(120) < 0.6).astype(float)
    new = np.where(rng.random(120) < 0.15, 1 - base, base)
    p_value, test = paired_test(panel(base, new), "v0", "v1")
    better, worse = int(np.sum(new > base)), int(np.sum(new < base))
    assert test == "exact McNemar"
    assert p_value == pytest.approx(scipy_stats.binomtest(better, better + worse).pvalue)


def test_a_p_value_is_never_zero() -> None:
    """A gain on each of 300 examples: one more than no hit in 10,000."""
    base, _ = gains(300)
    p_value, test = paired_test(panel(base, base + 0.5), "v0", "v1")
    assert p_value == pytest.approx(1 / (1 + N_FLIPS))
    assert test == "sign flips of 300 examples, 10,000 patterns"


def test_no_net_difference_has_a_p_value_of_one() -> None:
    """Gains and losses that cancel out, to rounding."""
    base = np.zeros(40)
    assert sign_flip_test(panel(base, np.tile([0.1, -0.1], 20)), "v0", "v1") == 1.0


def test_identical_variants_are_not_tested() -> None:
    """No function gives a p-value of zero or NaN for equal outputs; they are identical."""
    base, new = gains(30)
    same = panel(base, base.copy(), new)
    assert paired_test(same, "v0", "v1") == (None, "identical")
    assert sign_flip_test(same, "v0", "v1") is None
    assert max_t(same, "v0", ["v1"], greater=True) == {"v1": 1.0}
    # of 30 equal scores about 3 in 30 may be unseen, so they show equivalence within .2, not .02
    found = equivalence(same, "v0", "v1", 0.2)
    assert (found.identical, found.equivalent, found.p_value) == (True, True, None)
    found = equivalence(same, "v0", "v1", 0.02)
    assert (found.identical, found.equivalent, found.p_value) == (True, None, None)
    compared = comparison(same, "v0", "v1")
    assert (compared.identical, compared.p_value, compared.test) == (True, None, "identical")


def test_one_example_is_not_tested() -> None:
    """There is a difference, but nothing to judge it by."""
    one = panel(np.array([0.2]), np.array([0.7]))
    assert paired_test(one, "v0", "v1") == (None, "")
    assert max_t(one, "v0", ["v1"], greater=True) == {"v1": 1.0}
    found = equivalence(one, "v0", "v1", 0.1)
    assert (found.equivalent, found.p_value, found.needed_n) == (None, None, None)
    assert found.reason == "one example gives no interval"


def test_one_cluster_is_not_tested() -> None:
    """All examples related: as if there were one."""
    one = panel(*gains(5), clusters=["c"] * 5)
    assert paired_test(one, "v0", "v1") == (None, "")
    assert max_t(one, "v0", ["v1"], greater=True) == {"v1": 1.0}


@pytest.mark.parametrize("stats", [np.zeros((6, 2)), np.full((6, 2), np.nan)])
def test_undefined_values_are_not_tested(stats: FloatArray) -> None:
    """Neither counts of zero nor NaN statistics give a p-value."""
    broken = panel(gains(6)[0], stats)
    assert paired_test(broken, "v0", "v1") == (None, "")
    assert sign_flip_test(broken, "v0", "v1") is None
    assert max_t(broken, "v0", ["v1"], greater=True) == {"v1": 1.0}
    found = equivalence(broken, "v0", "v1", 0.1)
    assert (found.delta, found.equivalent) == (None, None)
    assert found.reason == "the value of v1 is undefined"


def test_holm_agrees_with_statsmodels() -> None:
    """Adjusted p-values, ties included, in the order given."""
    p_values = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "e": 0.04, "f": 0.9}
    expected = multipletests(list(p_values.values()), method="holm")[1]
    assert list(holm(p_values)) == list(p_values)
    assert list(holm(p_values).values()) == pytest.approx(list(expected))
    assert holm({}) == {}


def test_max_t_of_one_candidate_is_its_own_test() -> None:
    """Nothing to adjust for."""
    both = panel(*gains(11))
    expected = sign_flip_test(both, "v0", "v1", alternative="greater")
    assert max_t(both, "v0", ["v0", "v1"], greater=True) == {"v1": pytest.approx(expected)}


def test_max_t_agrees_with_a_listing_by_hand() -> None:
    """Step-down max-T over all 256 sign patterns of eight examples, written out in loops."""
    rng = np.random.default_rng(7)
    base = rng.normal(size=8)
    changes = [rng.normal(mean, 1.0, size=8) for mean in (0.9, 0.5, -0.2)]
    found = max_t(
        panel(base, *(base + change for change in changes)), "v0", ["v1", "v2", "v3"], greater=True
    )
    t = [change.sum() / np.sqrt((change**2).sum()) for change in changes]
    order = sorted(range(3), key=lambda j: -t[j])
    reached = 0.0
    for place, j in enumerate(order):
        hits = 0
        for pattern in range(256):
            signs = np.array([1 if pattern >> bit & 1 else -1 for bit in range(8)])
            largest = max(
                (signs * changes[k]).sum() / np.sqrt((changes[k] ** 2).sum()) for k in order[place:]
            )
            hits += largest >= t[j] - 1e-12
        reached = max(reached, hits / 256)
        assert found[f"v{j + 1}"] == pytest.approx(reached)


def test_max_t_is_less_strict_than_holm_where_candidates_are_alike() -> None:
    """Ten checkpoints that differ little cost about as much as one."""
    rng = np.random.default_rng(8)
    base, new = gains(60, 0.3, seed=8)
    alike = [new + rng.normal(scale=0.05, size=60) for _ in range(10)]
    many = panel(base, *alike)
    names = [f"v{place}" for place in range(1, 11)]
    joint = max_t(many, "v0", names, greater=True)
    single = {
        name: sign_flip_test(many, "v0", name, alternative="greater") or 0.0 for name in names
    }
    assert min(joint.values()) < 2 * min(single.values())
    assert min(joint.values()) < min(holm(single).values()) / 2


def test_max_t_of_a_loss_looks_downwards() -> None:
    """Where lower is better a falling loss is the gain."""
    base, new = gains(10, 1.5)
    loss = Quantity("t", "eval_loss", "eval", mean_of, higher_is_better=False)
    both = panel(new, base, quantity=loss)
    assert max_t(both, "v0", ["v1"], greater=False)["v1"] < 0.01
    assert max_t(both, "v0", ["v1"], greater=True)["v1"] > 0.99


def test_max_t_of_a_corpus_metric_is_holms() -> None:
    """Perplexities: one-sided sign-flip tests, adjusted by Holm."""
    rng = np.random.default_rng(9)
    tokens = rng.integers(5, 40, size=50).astype(float)
    columns = [np.stack([tokens * rng.gamma(50.0, m / 50, 50), tokens], 1) for m in (2, 1.95, 1.9)]
    metric = build_metric("perplexity")
    ppl = Quantity("t", "perplexity", "eval", metric.aggregate, higher_is_better=False)
    three = panel(*columns, quantity=ppl)
    single = {
        name: sign_flip_test(three, "v0", name, alternative="less") or 0.0 for name in ("v1", "v2")
    }
    assert max_t(three, "v0", ["v1", "v2"], greater=False) == pytest.approx(holm(single))


def test_max_t_raises_few_false_alarms() -> None:
    """Five candidates no better than the baseline: any is called better in about 5 % of runs."""
    alarms, runs = 0, 400
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        difficulty = rng.normal(size=(11, 1))
        values = difficulty + rng.normal(size=(11, 6))  # 11 examples: all patterns are listed
        found = max_t(panel(*values.T), "v0", [f"v{j}" for j in range(1, 6)], greater=True)
        alarms += min(found.values()) <= 0.05
    assert alarms / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5


@pytest.mark.parametrize("margin", [0.1, 0.5, 0.8, 2.0])
def test_equivalence_agrees_with_statsmodels(margin: float) -> None:
    """P-value of two one-sided paired t tests, whichever side of the margin the difference is."""
    base, new = gains(20, 0.3, seed=2)
    found = equivalence(panel(base, new), "v0", "v1", margin)
    expected = ttost_paired(new, base, -margin, margin)[0]
    assert found.p_value == pytest.approx(max(expected, 1e-4), abs=1e-6)
    assert (found.equivalent is True) == (expected < 0.05)
    one_sided = ttost_paired(new, base, -margin, margin)[1][1]
    assert found.no_worse == (one_sided < 0.05)


def test_equivalence_of_shares_uses_the_score_interval() -> None:
    """Merged and adapter disagree on 4 of 500 answers: equivalent within 2 points."""
    base = np.tile([0.0, 1.0], 250)
    new = base.copy()
    new[[0, 2, 5]] = [1.0, 1.0, 0.0]
    new[7] = 0.0
    found = equivalence(panel(base, new), "v0", "v1", 0.02)
    assert (found.equivalent, found.identical, found.delta) == (True, False, 0.0)
    assert found.p_value is not None
    assert 1e-4 <= found.p_value < 0.05
    assert found.method == "paired score interval"


def test_a_difference_beyond_the_margin_is_shown() -> None:
    """The whole interval outside the margin: not equivalent, and no number of examples helps."""
    base, new = gains(50, 3.0)
    found = equivalence(panel(base, new), "v0", "v1", 0.5)
    assert (found.equivalent, found.needed_n) == (False, None)
    assert found.p_value == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("mean", [3.0, -3.0])
def test_no_worse_heeds_the_metric_s_direction(mean: float) -> None:
    """A loss that rises is worse, one that falls by more than the margin is no worse."""
    loss = Quantity("t", "eval_loss", "eval", mean_of, higher_is_better=False)
    found = equivalence(panel(*gains(50, mean), quantity=loss), "v0", "v1", 0.5)
    assert found.equivalent is False
    assert found.no_worse == (mean < 0)


def test_too_few_examples_say_how_many_would_do() -> None:
    """Neither shown equivalent nor different: None, with the size that would show it."""
    base, new = gains(25, 0.0)
    found = equivalence(panel(base, new), "v0", "v1", 0.5)
    assert found.equivalent is None
    assert found.needed_n is not None
    assert found.needed_n > 25


def test_equivalence_from_a_bootstrap() -> None:
    """150 examples: the p-value is where the percentile reaches the margin, about the t test's."""
    base, new = gains(150, 0.0, seed=4)
    found = equivalence(panel(base, new), "v0", "v1", 0.2)
    expected = ttost_paired(new, base, -0.2, 0.2)[0]
    assert found.p_value == pytest.approx(expected, rel=0.35)
    assert "bootstrap" in found.method


@pytest.mark.parametrize("margin", [-0.1, float("nan"), float("inf")])
def test_a_margin_is_a_distance(margin: float) -> None:
    """Negative or endless margins are refused."""
    with pytest.raises(ValueError, match="margin"):
        equivalence(panel(*gains(5)), "v0", "v1", margin)
