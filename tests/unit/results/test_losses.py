"""Where a candidate loses: hand-counted examples, invariances, and false alarms by simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.metrics.base import FloatArray, mean_of
from harness.metrics.registry import build_metric
from harness.results.losses import FEWEST_CLUSTERS, LossSummary, analyse_losses
from harness.results.strata import Group, quartile_groups
from harness.stats.panel import Panel, Quantity, Sample


def made(
    before: FloatArray, after: FloatArray, *, ids: list[str] | None = None, **quantity: Any
) -> Panel:
    names = np.array(ids or [f"e{index:03d}" for index in range(len(before))])
    ones = np.ones(len(before))
    samples = [
        Sample("base", names, names, np.stack([before, ones], axis=1)),
        Sample("new", names, names, np.stack([after, ones], axis=1)),
    ]
    options = {"aggregate": mean_of, "scale": 1.0} | quantity
    return Panel(Quantity("t", "m", "report", **options), samples, n_resamples=200)


def analysed(before: FloatArray, after: FloatArray, *groups: Group, **options: Any) -> LossSummary:
    return analyse_losses(made(before, after, **options), "base", "new", groups)


def test_counts_and_concentration_by_hand() -> None:
    """Losses 0.4, 0.1, 0.1, 0.2 of 20 examples: the worst two carry 0.6 of 0.8."""
    after = np.full(20, 0.5)
    after[:6] = [0.1, 0.4, 0.4, 0.3, 0.9, 0.6]
    found = analysed(np.full(20, 0.5), after)
    assert (found.worse, found.better, found.equal, found.undefined) == (4, 2, 14, 0)
    assert (found.tenth, found.tenth_share) == (2, pytest.approx(0.75))
    assert [name for name, _ in found.worst] == ["e000", "e003", "e001", "e002"]
    assert [gain for _, gain in found.worst] == pytest.approx([-0.4, -0.2, -0.1, -0.1])
    assert found.gain == pytest.approx((-0.8 + 0.5) / 20)


def test_a_planted_loss_is_found_in_its_group_only() -> None:
    """Long prompts lose 0.3 each, the others vary by chance: the group differs, with its share."""
    rng = np.random.default_rng(5)
    before = np.full(120, 0.5)
    after = before + rng.normal(0, 0.05, size=120)
    long = np.arange(120) % 4 == 0
    after[long] -= 0.3
    other = Group("field", "x", rng.random(120) < 0.5)
    found = analysed(before, after, Group("prompt length", "long", long), other)
    first, second = found.strata
    assert first.differs is True
    assert first.contrast_high is not None
    assert first.contrast_high < 0
    assert first.contrast == pytest.approx(
        (after - before)[long].mean() - (after - before)[~long].mean()
    )
    assert first.loss_share is not None
    assert first.loss_share > 0.7
    assert second.differs is False
    assert found.looks == 2


def test_one_split_seen_from_both_sides_is_one_look() -> None:
    """A group and its complement are one test, so the level is divided by one."""
    rng = np.random.default_rng(2)
    rows = np.arange(60) < 20
    before, after = rng.random(60), rng.random(60)
    both = analysed(before, after, Group("k", "a", rows), Group("k", "b", ~rows))
    alone = analysed(before, after, Group("k", "a", rows))
    assert (both.looks, alone.looks) == (1, 1)
    assert both.strata[0] == alone.strata[0]
    assert both.strata[1].contrast == pytest.approx(-(both.strata[0].contrast or 0.0))


def test_more_looks_make_wider_intervals() -> None:
    """Bonferroni: the contrast of one group among ten reaches further than alone."""
    rng = np.random.default_rng(2)
    before, after = rng.random(90), rng.random(90)
    groups = [Group("k", str(k), rng.random(90) < 0.4) for k in range(10)]
    many, alone = analysed(before, after, *groups), analysed(before, after, groups[0])
    assert many.looks == 10
    wide, narrow = many.strata[0], alone.strata[0]
    assert wide.contrast == narrow.contrast
    assert wide.contrast_low is not None
    assert narrow.contrast_low is not None
    assert wide.contrast_low < narrow.contrast_low
    assert (wide.low, wide.high) == (narrow.low, narrow.high)


def test_few_examples_get_a_reason_and_no_interval() -> None:
    """Nine examples have a gain, but neither interval nor test."""
    rng = np.random.default_rng(1)
    rows = np.arange(40) < FEWEST_CLUSTERS - 1
    found = analysed(
        rng.random(40), rng.random(40), Group("k", "few", rows), Group("k", "rest", ~rows)
    )
    few, rest = found.strata
    assert few.gain is not None
    assert (few.low, few.differs, few.contrast) == (None, None, None)
    assert few.reason == "too few: the group has 9 of the 10 examples needed"
    assert rest.low is not None
    assert rest.reason == "too few: the rest has 9 of the 10 examples needed"
    assert found.looks == 0


def test_identical_variants_have_no_groups_and_no_shares() -> None:
    """Nothing is tested where nothing differs."""
    values = np.linspace(0, 1, 30)
    found = analysed(values, values.copy(), Group("k", "a", np.arange(30) < 15))
    assert (found.identical, found.equal, found.tenth_share, found.looks) == (True, 30, None, 0)
    assert found.strata == ()


def test_lower_is_better_is_turned() -> None:
    """A loss that rises by 0.2 is a gain of -0.2, its interval turned with it."""
    rng = np.random.default_rng(0)
    before = rng.random(40)
    after = before + 0.2 + rng.normal(0, 0.01, size=40)
    group = Group("k", "a", np.arange(40) < 20)
    found = analysed(before, after, group, higher_is_better=False)
    assert (found.worse, found.gain) == (40, pytest.approx(-0.2, abs=0.01))
    for item in (found, found.strata[0]):
        assert item.low is not None
        assert item.high is not None
        assert item.gain is not None
        assert item.low < item.gain < item.high < 0


def test_undefined_examples_are_counted_apart() -> None:
    """A document to which the metric gave no number is neither better nor worse."""
    ids = np.array([f"e{index:02d}" for index in range(20)])
    stats = np.stack([np.tile([0.0, 1.0], 10), np.ones(20)], axis=1)
    other = stats.copy()
    other[0], other[1] = (0, 0), (0, 1)
    samples = [Sample("base", ids, ids, stats), Sample("new", ids, ids, other)]
    found = analyse_losses(Panel(Quantity("t", "acc", "all", mean_of), samples), "base", "new")
    assert (found.worse, found.equal, found.undefined) == (1, 18, 1)


def test_documents_lost_and_won_are_listed_by_member() -> None:
    """Right before and wrong now is lost; the reverse is won; metrics of other values list none."""
    before, after = np.array([1.0, 1, 0, 0, 1]), np.array([0.0, 1, 1, 0, 0])
    members = {"x": ["e000", "e001"], "y": ["e002", "e003", "e004"]}
    panel = made(before, after)
    found = analyse_losses(panel, "base", "new", members=members).documents
    assert [(item.member, item.lost, item.won) for item in found] == [
        ("x", ("e000",), ()),
        ("y", ("e004",), ("e002",)),
    ]
    partial = made(before, after * 0.5)
    assert analyse_losses(partial, "base", "new", members=members).documents == ()


def test_a_ratio_metric_says_that_single_examples_are_a_guide() -> None:
    """Eval loss weighs examples by their tokens, so it is no plain mean of their losses."""
    tokens = np.arange(1.0, 31.0)
    ids = np.array([f"e{index:02d}" for index in range(30)])
    quantity = Quantity("t", "eval_loss", "eval", build_metric("eval_loss").aggregate, False)
    samples = [
        Sample("base", ids, ids, np.stack([2 * tokens, tokens], axis=1)),
        Sample("new", ids, ids, np.stack([2 * tokens + 1, tokens], axis=1)),
    ]
    found = analyse_losses(Panel(quantity, samples), "base", "new")
    assert found.per_example is False
    assert found.gain == pytest.approx(-30 / tokens.sum())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**16), st.integers(12, 60))
def test_order_changes_nothing_and_counts_add_up(seed: int, n: int) -> None:
    """Shuffled examples give the same summary; a kind's groups share out every count and loss."""
    rng = np.random.default_rng(seed)
    before, after = rng.integers(0, 4, n) / 3, rng.integers(0, 4, n) / 3
    lengths, names = rng.integers(1, 30, n), [f"e{index:03d}" for index in range(n)]
    order = rng.permutation(n)
    plain = analysed(before, after, *quartile_groups("k", "words", lengths), ids=names)
    shuffled = analysed(
        before[order],
        after[order],
        *quartile_groups("k", "words", lengths[order]),
        ids=[names[index] for index in order],
    )
    assert plain.worst == shuffled.worst
    assert plain.looks == shuffled.looks
    assert plain.worse + plain.equal + plain.better == n
    for one, other in zip(plain.strata, shuffled.strata, strict=True):
        assert one.model_dump() == pytest.approx(other.model_dump(), abs=1e-9)
    if plain.strata:
        assert sum(item.n for item in plain.strata) == n
        for count in ("worse", "equal", "better"):
            whole = getattr(plain, count)
            assert sum(getattr(item, count) for item in plain.strata) == whole
        if plain.worse:
            assert sum(item.loss_share or 0.0 for item in plain.strata) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["rare", "binary", "heavy tails"])
def test_false_alarms_over_all_groups_stay_below_five_percent(kind: str) -> None:
    """Groups that have nothing to do with the gains: some group differs in at most 5 % of runs.

    200 runs, so the bound is 0.05 plus two Monte-Carlo standard errors, 0.081.
    """
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n = 400 if kind == "rare" else 80
        before = (rng.random(n) < 0.5).astype(float)
        after = (rng.random(n) < 0.5).astype(float)
        if kind == "rare":  # so many groups of about twenty have no loss at all
            after = np.where(rng.random(n) < 0.15, 0.0, before)
            groups = [Group("finding", str(k), rng.random(n) < 0.05) for k in range(10)]
        else:
            groups = quartile_groups("k", "words", rng.integers(0, 99, n))
            groups += [Group("finding", str(k), rng.random(n) < 0.2) for k in range(6)]
        if kind == "heavy tails":
            after = before + rng.standard_t(3, n)
        found = analysed(before, after, *groups)
        alarms += any(item.differs for item in found.strata)
    assert alarms / 200 <= 0.05 + 2 * (0.05 * 0.95 / 200) ** 0.5
