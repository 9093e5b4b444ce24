from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.ratings.records import CriterionMean, Item, Rating, SheetPlan
from harness.ratings.stats.blocks import unpaired
from harness.ratings.stats.means import complete_items, criterion_means, item_means, left_out
from harness.suite.ratings import CRITERIA, CriterionSpec
from tests.unit.ratings.human_records import sheets_of

VARIANTS = ("base", "tuned")


def plan_of(**changes: Any) -> SheetPlan:
    fields: dict[str, Any] = {
        "id": "s1",
        "run": "small/r1",
        "task": "answers",
        "variants": VARIANTS,
        "baseline": "base",
        "predictions": {name: f"key-{name}" for name in VARIANTS},
        "raters": ("ada", "bob"),
        "criteria": (CRITERIA["fluency"],),
        "pairs": (("base", "tuned"),),
        "splits": ("report",),
        "seed": 3,
    }
    return SheetPlan(**{**fields, **changes})


def items_of(n: int, **clusters: str) -> list[Item]:
    return [
        Item(
            id=f"i{place}",
            cluster=clusters.get(f"i{place}", f"c{place}"),
            split="report",
            prompt="p",
            outputs=dict.fromkeys(VARIANTS, "text"),
        )
        for place in range(n)
    ]


def rating(item: str, variants: tuple[str, ...], point: int | None, **changes: Any) -> Rating:
    fields: dict[str, Any] = {
        "token": f"{item}{variants}{point}",
        "rater": "ada",
        "kind": "scale",
        "purpose": "main",
        "item": item,
        "variants": variants,
        "position": 1,
        "scores": {"fluency": point},
        "file": "f",
    }
    return Rating(**{**fields, **changes})


def simulated(n: int, seed: int = 0) -> list[Rating]:
    """Two raters of two variants on n items, the second variant half a point better."""
    rng = random.Random(seed)
    found = []
    for place in range(n):
        level = rng.gauss(3, 0.8)
        for shift, variant in ((0.0, "base"), (0.5, "tuned")):
            for rater in ("ada", "bob"):
                point = min(5, max(1, round(level + shift + rng.gauss(0, 0.5))))
                found.append(rating(f"i{place}", (variant,), point, rater=rater))
    return found


def by_variant(means: tuple[CriterionMean, ...]) -> dict[str, CriterionMean]:
    return {item.variant: item for item in means}


def test_an_item_is_the_mean_of_its_raters() -> None:
    """Raters of an output are averaged; those who cannot judge it have no part."""
    ratings = [
        rating("i0", ("base",), 2),
        rating("i0", ("base",), 5, rater="bob"),
        rating("i0", ("tuned",), 4),
        rating("i0", ("tuned",), None, rater="bob"),
        rating("i1", ("tuned",), None),
    ]
    found = item_means(sheets_of(plan_of(), items_of(2)), ratings, "fluency")
    assert found == {"base": {"i0": 3.5}, "tuned": {"i0": 4.0}}


def test_a_shared_text_counts_for_each_variant_that_wrote_it() -> None:
    """One rating of a text that two variants wrote is a value of both."""
    found = item_means(sheets_of(plan_of(), items_of(1)), [rating("i0", VARIANTS, 4)], "fluency")
    assert found == {"base": {"i0": 4.0}, "tuned": {"i0": 4.0}}


def test_checks_on_raters_do_not_count() -> None:
    """Repeats, spoilt outputs, comparisons, and items that are not asked for are passed over."""
    ratings = [
        rating("i0", ("base",), 4),
        rating("i0", ("base",), 1, purpose="repeat"),
        rating("i0", ("base",), 1, purpose="attention"),
        rating("i0", VARIANTS, 1, kind="pair"),
        rating("elsewhere", ("base",), 1),
    ]
    assert item_means(sheets_of(plan_of(), items_of(1)), ratings, "fluency")["base"] == {"i0": 4.0}


def test_complete_items_have_a_value_of_every_variant() -> None:
    """Others are left out, and it is said why."""
    values = {"base": {"i2": 1.0, "i0": 1.0, "i1": 2.0}, "tuned": {"i0": 3.0, "i2": 1.0}}
    assert complete_items(values, VARIANTS) == ("i2", "i0")
    assert complete_items(values, ("base", "missing")) == ()
    assert complete_items(values, ()) == ()
    assert left_out(items_of(5), values, VARIANTS, {"i2"}) == {
        "judged for some variants only": 1,
        "not judged by anybody": 2,
        "judged for all variants by no single rater": 1,
    }


def test_intervals_are_those_of_student() -> None:
    """With few items: the t interval of the item means, and of their paired differences (scipy)."""
    plan, items, ratings = plan_of(), items_of(30), simulated(30)
    means, dropped = criterion_means(sheets_of(plan, items), ratings)
    assert dropped == {}
    values = item_means(sheets_of(plan, items), ratings, "fluency")
    base, tuned = (np.array([values[name][i.id] for i in items]) for name in VARIANTS)
    found = by_variant(means)
    for name, sample in (("base", base), ("tuned", tuned)):
        own = found[name].mean
        low, high = stats.t.interval(0.95, 29, loc=sample.mean(), scale=stats.sem(sample))
        assert (own.value, own.low, own.high) == pytest.approx((sample.mean(), low, high))
        assert own.n == 30
    change = found["tuned"].difference
    assert change is not None
    paired = stats.ttest_rel(tuned, base).confidence_interval(0.95)
    bounds = ((tuned - base).mean(), paired.low, paired.high)
    assert (change.value, change.low, change.high) == pytest.approx(bounds)
    assert found["base"].difference is None


def test_near_identical_items_count_as_one() -> None:
    """Items of one cluster are resampled together: fewer clusters than items."""
    items = items_of(6, i4="c0", i5="c0")
    means, _ = criterion_means(sheets_of(plan_of(), items), simulated(6))
    assert by_variant(means)["base"].mean.method == "Student-t, 4 clusters"


def test_bounds_stay_on_the_scale() -> None:
    """Where all say the best point the interval ends there, and still has a width."""
    ratings = [rating(f"i{n}", (name,), 5) for n in range(20) for name in VARIANTS]
    means, _ = criterion_means(sheets_of(plan_of(), items_of(20)), ratings)
    found = by_variant(means)["base"].mean
    assert (found.value, found.high) == (5.0, 5.0)
    assert found.low is not None
    # Wilson with 20 of 20 gives [0.8389, 1] (statsmodels proportion_confint), on a scale of 1 to 5
    assert found.low == pytest.approx(1 + 4 * 0.8388747, abs=1e-5)
    change = by_variant(means)["tuned"].difference
    assert change is not None
    assert (change.value, change.low, change.high) == (0.0, 0.0, 0.0)


def test_all_worst_is_not_all_right() -> None:
    """The worst point of a scale from 1 is not taken for a right answer of a 0/1 score."""
    ratings = [rating(f"i{n}", (name,), 1) for n in range(20) for name in VARIANTS]
    found = by_variant(criterion_means(sheets_of(plan_of(), items_of(20)), ratings)[0])["base"].mean
    assert (found.value, found.low) == (1.0, 1.0)
    assert found.high is not None
    assert found.high == pytest.approx(1 + 4 * 0.1611253, abs=1e-5)


def test_only_items_of_all_variants_are_compared() -> None:
    """An item that was judged for one variant is in no mean, and is counted."""
    ratings = [*simulated(10), rating("i10", ("base",), 1)]
    means, dropped = criterion_means(sheets_of(plan_of(), items_of(12)), ratings)
    assert {item.mean.n for item in means} == {10}
    assert dropped == {
        "fluency: judged for some variants only": 1,
        "fluency: not judged by anybody": 1,
    }


def test_no_ratings_give_a_reason() -> None:
    """A criterion that nobody judged has no value, and says why."""
    means, dropped = criterion_means(sheets_of(plan_of(), items_of(3)), [])
    assert [item.mean.value for item in means] == [None, None]
    assert all(item.mean.reason for item in means)
    assert dropped == {"fluency: not judged by anybody": 3}


def test_one_item_has_no_interval() -> None:
    """One item gives a mean without bounds, with the reason."""
    means, _ = criterion_means(sheets_of(plan_of(), items_of(1)), simulated(1))
    for item in means:
        assert item.mean.value is not None
        assert item.mean.low is None
        assert item.mean.reason == "one example gives no interval"


def test_without_a_baseline_nothing_is_compared() -> None:
    """Where the baseline is not rated there are means, but no differences."""
    means, _ = criterion_means(sheets_of(plan_of(baseline=None), items_of(8)), simulated(8))
    assert [item.difference for item in means] == [None, None]


def test_the_order_of_ratings_does_not_matter() -> None:
    """Shuffled ratings give the same means to the last bit, with a bootstrap too."""
    ratings = simulated(120)
    shuffled = random.Random(1).sample(ratings, len(ratings))
    first, _ = criterion_means(sheets_of(plan_of(), items_of(120)), ratings)
    again, _ = criterion_means(sheets_of(plan_of(), items_of(120)), shuffled)
    assert first == again
    assert "bootstrap" in first[0].mean.method


def test_a_scale_of_two_points_is_a_share() -> None:
    """Yes or no, from 0 to 1, has Wilson's interval (8 of 10: statsmodels proportion_confint)."""
    asked = CriterionSpec(name="fluency", question="Is it?", scale={0: "no", 1: "yes"})
    ratings = [rating(f"i{n}", (v,), int(n < 8)) for n in range(10) for v in VARIANTS]
    means, _ = criterion_means(sheets_of(plan_of(criteria=(asked,)), items_of(10)), ratings)
    found = by_variant(means)["base"].mean
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.4901625, 0.9433178))


# -- raters of different severity -----------------------------------------------------------------


def both(item: str, rater: str, base: int | None, tuned: int | None) -> list[Rating]:
    """What one rater says of an item's two outputs; None: not returned."""
    given = zip(VARIANTS, (base, tuned), strict=True)
    return [rating(item, (name,), point, rater=rater) for name, point in given if point is not None]


def test_a_severe_rater_who_returned_a_part_shifts_no_variant() -> None:
    """Bob is two points below ada and judged the baseline only: the variants stay equal."""
    ratings = [r for n in range(12) for r in both(f"i{n}", "ada", 4, 4)]
    ratings += [r for n in range(12) for r in both(f"i{n}", "bob", 2, None if n % 2 else 2)]
    found = by_variant(criterion_means(sheets_of(plan_of(), items_of(12)), ratings)[0])
    change = found["tuned"].difference
    assert change is not None
    assert change.value == 0.0
    assert found["base"].mean.value == found["tuned"].mean.value == pytest.approx(3.5)
    assert unpaired(sheets_of(plan_of(), items_of(12)), ratings) == {"fluency": 6}
    raw = item_means(sheets_of(plan_of(), items_of(12)), ratings, "fluency")
    assert raw["base"]["i1"] < raw["tuned"]["i1"]  # which is what such means would be made of


@settings(deadline=None, max_examples=30)
@given(
    severity=st.lists(st.integers(0, 2), min_size=3, max_size=3),
    returned=st.lists(st.sampled_from(["both", "base", "tuned", "none"]), min_size=24, max_size=24),
)
def test_severity_does_not_matter_whatever_comes_back(
    severity: list[int], returned: list[str]
) -> None:
    """Whatever each rater takes off all points, and whichever rows are there: the same gain."""
    raters = ("ada", "bob", "cyd")
    plan, items = plan_of(raters=raters), items_of(8)

    def gain(off: Sequence[int]) -> float | None:
        ratings = []
        for place, what in enumerate(returned):
            at = place % 3
            base = 3 - off[at] if what in ("both", "base") else None
            tuned = 4 - off[at] if what in ("both", "tuned") else None
            ratings += both(f"i{place // 3}", raters[at], base, tuned)
        found = by_variant(criterion_means(sheets_of(plan, items), ratings)[0])["tuned"].difference
        return found.value if found is not None else None

    without = gain([0, 0, 0])
    assert without == (None if "both" not in returned else pytest.approx(1.0))
    assert gain(severity) == (None if without is None else pytest.approx(without))


def test_an_item_of_two_half_raters_is_left_out() -> None:
    """Judged for both variants, but by nobody for both: nothing is compared, and it is said."""
    ratings = [*both("i0", "ada", 4, None), *both("i0", "bob", None, 2), *both("i1", "ada", 3, 3)]
    means, dropped = criterion_means(sheets_of(plan_of(), items_of(2)), ratings)
    assert {item.mean.n for item in means} == {1}
    assert dropped == {"fluency: judged for all variants by no single rater": 1}


def test_the_difference_for_other_raters_is_wider() -> None:
    """Three raters who differ: two-way errors and Student's quantile at 2, by hand."""
    gains = {"ada": (1, 1, 0, 2), "bob": (0, 1, 0, 0), "cyd": (2, 1, 2, 1)}
    ratings = [
        r
        for rater, of in gains.items()
        for n, gain in enumerate(of)
        for r in both(f"i{n}", rater, 3, 3 + gain)
    ]
    plan = plan_of(raters=tuple(gains))
    found = by_variant(criterion_means(sheets_of(plan, items_of(4)), ratings)[0])["tuned"]
    table = np.array(list(gains.values()), dtype=float)
    away = table - table.mean()

    def error(sums: np.ndarray) -> float:  # of a mean of 12, from sums over groups
        return float(np.sum(sums**2) / 144 * sums.size / (sums.size - 1))

    by_item, by_rater, cells = error(away.sum(0)), error(away.sum(1)), error(away.ravel())
    variance = max(by_item + by_rater - cells, by_item, by_rater)
    reach = stats.t.ppf(0.975, 2) * math.sqrt(variance)
    assert found.difference is not None
    assert found.other_raters is not None
    assert found.other_raters.value == found.difference.value == pytest.approx(table.mean())
    assert found.other_raters.low == pytest.approx(table.mean() - reach)
    assert found.other_raters.high == pytest.approx(table.mean() + reach)
    two = plan_of(raters=("ada", "bob"))
    pair = [r for r in ratings if r.rater != "cyd"]
    assert (
        by_variant(criterion_means(sheets_of(two, items_of(4)), pair)[0])["tuned"].other_raters
        is None
    )
