from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.ratings.records import Rating, RowPurpose, SheetPlan
from harness.ratings.stats.agreement import agreement
from harness.ratings.stats.alpha import NO_VARIANCE
from harness.suite.ratings import CRITERIA
from tests.growth import growth

VARIANTS = ("base", "tuned")


def make_plan(
    raters: Sequence[str] = ("ann", "bob"), *criteria: str, pairs: bool = True
) -> SheetPlan:
    return SheetPlan(
        id="s",
        run="suite/run",
        task="t",
        variants=VARIANTS,
        baseline="base",
        predictions={},
        raters=tuple(raters),
        criteria=tuple(CRITERIA[name] for name in criteria),
        pairs=(VARIANTS,) if pairs else (),
        splits=("report",),
        seed=3,
    )


def scale(
    rater: str,
    item: str,
    variants: tuple[str, ...] = ("base",),
    purpose: RowPurpose = "main",
    **scores: int | None,
) -> Rating:
    return Rating(
        token=f"{rater}{item}{variants}{purpose}",
        rater=rater,
        kind="scale",
        purpose=purpose,
        item=item,
        variants=variants,
        position=1,
        scores=scores,
        file="f",
    )


def pair(
    rater: str,
    item: str,
    preferred: str | None,
    *,
    swapped: bool = False,
    judged: bool = True,
    purpose: RowPurpose = "main",
) -> Rating:
    return Rating(
        token=f"{rater}{item}pair{purpose}",
        rater=rater,
        kind="pair",
        purpose=purpose,
        item=item,
        variants=VARIANTS,
        swapped=swapped,
        position=1,
        preferred=preferred,
        judged=judged,
        file="f",
    )


def test_each_criterion_and_the_preference_has_a_record() -> None:
    """In the plan's order; a preference only where one was asked."""
    plan = make_plan(("ann", "bob"), "relevance", "fluency")
    assert [(a.name, a.level) for a in agreement(plan, [])] == [
        ("relevance", "ordinal"),
        ("fluency", "ordinal"),
        ("preference", "nominal"),
    ]
    assert agreement(make_plan(pairs=False), []) == ()


def test_scales_by_hand() -> None:
    """Two raters, five outputs of three items, one of which only one of them could judge."""
    plan = make_plan(("ann", "bob"), "fluency", pairs=False)
    answers = {
        ("1", "base"): (1, 2),
        ("1", "tuned"): (4, 4),
        ("2", "base"): (3, 3),
        ("2", "tuned"): (5, None),
        ("3", "base"): (2, 5),
    }
    ratings = [
        scale(rater, item, (variant,), fluency=points[place])
        for (item, variant), points in answers.items()
        for place, rater in enumerate(plan.raters)
    ]
    ratings.append(scale("ann", "3", ("tuned",)))  # left empty: neither a point nor "cannot judge"
    (found,) = agreement(plan, ratings)
    table = [[1, 4, 3, 5, 2], [2, 4, 3, np.nan, 5]]
    expected = krippendorff.alpha(table, level_of_measurement="ordinal")
    assert found.alpha.value == pytest.approx(expected, abs=1e-12)
    assert found.alpha.reason == "3 of the 10 unrelated items needed for an interval"
    assert (found.units, found.ratings) == (4, 8)
    words = ("1", "2", "3", "4", "5", "cannot judge")
    assert found.distribution == {
        "ann": dict(zip(words, (1, 1, 1, 1, 1, 0), strict=True)),
        "bob": dict(zip(words, (0, 1, 1, 1, 1, 1), strict=True)),
    }
    (kappa,) = found.pairs
    assert (kappa.first, kappa.second, kappa.n, kappa.exact) == ("ann", "bob", 4, 0.5)
    # squared differences 1 + 0 + 0 + 9; by chance the sum over all 16 pairs of (1, 4, 3, 2) and
    # (2, 4, 3, 5), divided by 4: (1+9+4+16 + 4+0+1+1 + 1+1+0+4 + 0+4+1+9) / 4 = 14
    assert kappa.kappa == pytest.approx(1 - 10 / 14)


def test_preferences_are_compared_whichever_side_they_were_on() -> None:
    """First, tie and second of the two variants; unweighted, without an order."""
    plan = make_plan()
    given = [("first", "first"), ("tie", "second"), ("second", "second"), ("tie", "tie")]
    ratings = [
        pair(rater, str(item), answers[place], swapped=bool((item + place) % 2))
        for item, answers in enumerate(given)
        for place, rater in enumerate(plan.raters)
    ]
    ratings.append(pair("ann", "9", None, judged=False))
    (found,) = agreement(plan, ratings)
    table = [[0, 1, 2, 1], [0, 2, 2, 1]]
    expected = krippendorff.alpha(table, level_of_measurement="nominal")
    assert found.alpha.value == pytest.approx(expected, abs=1e-12)
    assert found.distribution["ann"] == {"first": 1, "tie": 2, "second": 1, "cannot judge": 1}
    assert found.pairs[0].exact == 0.75
    # by chance 1/4 * 1/4 + 2/4 * 1/4 + 1/4 * 2/4 = 5/16
    assert found.pairs[0].kappa == pytest.approx((3 / 4 - 5 / 16) / (11 / 16))


def test_only_main_rows_count() -> None:
    """Repeats, spoilt texts and texts beside themselves say nothing of the variants."""
    plan = make_plan(("ann", "bob"), "fluency")
    main = [scale(rater, item, fluency=int(item)) for rater in plan.raters for item in "1234"]
    main += [pair(rater, item, "tie") for rater in plan.raters for item in "12"]
    others = [
        scale("ann", "1", purpose="repeat", fluency=5),
        scale("bob", "1", purpose="attention", fluency=5),
        pair("ann", "1", "second", purpose="attention"),
        pair("bob", "1", "first", purpose="same"),
        pair("bob", "1", "first", purpose="repeat"),
    ]
    assert agreement(plan, [*others, *main]) == agreement(plan, main)


def test_equal_texts_of_two_variants_are_one_unit() -> None:
    """They were shown once, and so judged once."""
    plan = make_plan(("ann", "bob"), "fluency", pairs=False)
    ratings = [scale(rater, "1", VARIANTS, fluency=3) for rater in plan.raters]
    assert agreement(plan, ratings)[0].units == 1


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([], "nobody has answered"),
        ([("ann", "1", None)], "nobody has answered"),
        ([("ann", "1", 2), ("ann", "2", 4)], "only one rater has answered"),
        ([("ann", "1", 2), ("bob", "2", 4)], "nothing was judged by two raters"),
        ([("ann", "1", 3), ("bob", "1", 3), ("ann", "2", 3), ("bob", "2", 3)], NO_VARIANCE),
    ],
)
def test_no_alpha_has_a_reason(answers: list[tuple[str, str, int | None]], reason: str) -> None:
    """One rater, no overlap, constant ratings; and raters without overlap are no pair."""
    plan = make_plan(("ann", "bob"), "fluency", pairs=False)
    ratings = [scale(rater, item, fluency=point) for rater, item, point in answers]
    (found,) = agreement(plan, ratings)
    assert found.alpha.value is None
    assert found.alpha.reason == reason
    if reason == NO_VARIANCE:
        assert [(p.kappa, p.exact, p.reason) for p in found.pairs] == [(None, 1.0, NO_VARIANCE)]
    else:
        assert found.pairs == ()


def test_one_item_has_a_value_without_an_interval() -> None:
    plan = make_plan(("ann", "bob"), "fluency", pairs=False)
    ratings = [
        scale(rater, "1", (variant,), fluency=point)
        for rater, points in (("ann", (2, 5)), ("bob", (3, 5)))
        for variant, point in zip(VARIANTS, points, strict=True)
    ]
    (found,) = agreement(plan, ratings)
    assert found.alpha.value is not None
    assert found.alpha.low is None
    assert found.alpha.reason == "1 of the 10 unrelated items needed for an interval"


@settings(deadline=None, max_examples=30)
@given(st.randoms(use_true_random=False), st.permutations(["ann", "bob", "eve"]))
def test_order_of_ratings_and_raters_does_not_matter(random: Random, raters: list[str]) -> None:
    """Alpha, its interval and the units stay the same."""
    ratings = [
        scale(rater, str(item), (variant,), fluency=random.choice([None, 1, 2, 3, 4, 5]))
        for rater in raters
        for item in range(12)
        for variant in VARIANTS
    ]
    (before,) = agreement(make_plan(sorted(raters), "fluency", pairs=False), ratings)
    random.shuffle(ratings)
    (after,) = agreement(make_plan(raters, "fluency", pairs=False), ratings)
    for name in ("value", "low", "high"):
        assert getattr(after.alpha, name) == pytest.approx(getattr(before.alpha, name), abs=1e-9)
    assert (after.units, after.ratings) == (before.units, before.ratings)
    assert after.distribution == before.distribution


def test_work_grows_with_the_items() -> None:
    """Five raters, three criteria and a preference, from records to intervals."""
    raters = tuple(f"rater-{number}" for number in range(1, 6))
    plan = make_plan(raters, *CRITERIA)
    rng = np.random.default_rng(0)
    both = scale("r", "i", fluency=1), pair("r", "i", "tie")

    def work(items: int) -> Callable[[], object]:
        ratings = []
        for item, points in enumerate(rng.integers(1, 6, (items, 5, 3)).tolist()):
            for rater, marks in zip(raters, points, strict=True):
                row = {"rater": rater, "item": f"item-{item}"}
                scores = dict(zip(CRITERIA, marks, strict=True))
                preferred = ("first", "tie", "second")[marks[0] % 3]
                ratings.append(both[0].model_copy(update={**row, "scores": scores}))
                ratings.append(both[1].model_copy(update={**row, "preferred": preferred}))
        assert [a.units for a in agreement(plan, ratings)] == [items] * 4
        return lambda: agreement(plan, ratings)

    assert growth(work, 500, 2_000) < 1.2
