from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from harness.ratings.records import Estimate, RaterSummary, Rating, RowPurpose, SheetPlan, SheetRow
from harness.ratings.stats.raters import concerns, rater_summaries
from harness.suite.ratings import CRITERIA, CriterionSpec

VARIANTS = ("base", "tuned")
YES_NO = CriterionSpec(name="grounded", question="?", scale={0: "no", 1: "yes"})


def make_plan(*raters: str, criteria: tuple[CriterionSpec, ...] = ()) -> SheetPlan:
    return SheetPlan(
        id="s",
        run="suite/run",
        task="t",
        variants=VARIANTS,
        baseline="base",
        predictions={},
        raters=raters,
        criteria=criteria or (CRITERIA["fluency"], YES_NO),
        pairs=(VARIANTS,),
        splits=("report",),
        seed=3,
    )


def scale(
    token: str,
    purpose: RowPurpose = "main",
    *,
    rater: str = "ann",
    item: str | None = None,
    variants: tuple[str, ...] = ("base",),
    repeats: str | None = None,
    minutes: float | None = None,
    **scores: int | None,
) -> Rating:
    return Rating(
        token=token,
        rater=rater,
        kind="scale",
        purpose=purpose,
        item=item or token,
        variants=variants,
        position=1,
        scores=scores,
        minutes=minutes,
        repeats=repeats,
        file="f",
    )


def pair(
    token: str,
    preferred: str | None,
    purpose: RowPurpose = "main",
    *,
    swapped: bool = False,
    judged: bool = True,
    repeats: str | None = None,
) -> Rating:
    return Rating(
        token=token,
        rater="ann",
        kind="pair",
        purpose=purpose,
        item=token,
        variants=VARIANTS,
        swapped=swapped,
        position=1,
        preferred=preferred,
        judged=judged,
        repeats=repeats,
        file="f",
    )


def summary(*ratings: Rating) -> RaterSummary:
    return rater_summaries(make_plan("ann"), [], ratings)[0]


def test_every_rater_of_the_plan_has_a_record() -> None:
    """Also one who sent nothing back; rows are those asked for, of all purposes."""
    rows = [
        SheetRow(
            token=f"{rater}{at}",
            rater=rater,
            position=at,
            kind="scale",
            purpose=purpose,
            item="1",
            variants=("base",),
        )
        for rater in ("ann", "bob")
        for at, purpose in enumerate(("main", "main", "repeat", "attention"), 1)
    ]
    ratings = [
        scale("ann1", fluency=3, grounded=None, minutes=1.0),
        scale("ann2", fluency=None, grounded=None, minutes=4.0),
        scale("ann3", "repeat", repeats="ann1"),  # nothing but, say, a comment
        scale("ann4", "attention", grounded=0, minutes=1.5),
        pair("ann5", None, judged=False),
    ]
    ann, bob = rater_summaries(make_plan("ann", "bob"), rows, ratings)
    assert (ann.rater, ann.rows, ann.answered, ann.cannot_judge) == ("ann", 4, 4, 4)
    assert ann.minutes == 1.5
    assert (bob.rater, bob.rows, bob.answered, bob.minutes) == ("bob", 4, 0, None)
    assert concerns(bob) == ()


def test_repeats_are_compared_answer_by_answer() -> None:
    """Equal, a point apart, two apart; left out are answers that are missing on either side."""
    found = summary(
        scale("a", fluency=3, grounded=1),
        scale("b", fluency=3, grounded=0),
        scale("c", fluency=5, grounded=None),
        scale("a2", "repeat", repeats="a", fluency=3, grounded=1),
        scale("b2", "repeat", repeats="b", fluency=4, grounded=None),
        scale("c2", "repeat", repeats="c", fluency=3, grounded=1),
        scale("d2", "repeat", repeats="d", fluency=3),  # the original was not answered
    )
    assert (found.repeats, found.repeats_equal, found.repeats_near) == (4, 2, 3)


def test_repeated_preferences_are_equal_or_not() -> None:
    """Sides are swapped the second time, preferences are not; a tie is not near a win."""
    found = summary(
        pair("a", "first"),
        pair("b", "second"),
        pair("c", "tie"),
        pair("d", None, judged=False),
        pair("a2", "first", "repeat", swapped=True, repeats="a"),
        pair("b2", "tie", "repeat", swapped=True, repeats="b"),
        pair("c2", "tie", "repeat", swapped=True, repeats="c"),
        pair("d2", "tie", "repeat", swapped=True, repeats="d"),
    )
    assert (found.repeats, found.repeats_equal, found.repeats_near) == (3, 2, 2)


@pytest.mark.parametrize(
    ("rating", "judged", "failed"),
    [
        (scale("a", "attention", fluency=1, grounded=0), 1, 0),
        (scale("a", "attention", fluency=3, grounded=None), 1, 1),  # the middle: .5
        (scale("a", "attention", fluency=4, grounded=0), 1, 0),  # (.75 + 0) / 2
        (scale("a", "attention", fluency=2, grounded=1), 1, 1),  # (.25 + 1) / 2
        (scale("a", "attention", fluency=4), 1, 1),
        (scale("a", "attention", fluency=None, grounded=None), 0, 0),
        (scale("a", fluency=5, grounded=1), 0, 0),
        (pair("a", "second", "attention"), 1, 1),
        (pair("a", "second", "attention", swapped=True), 1, 1),
        (pair("a", "first", "attention"), 1, 0),
        (pair("a", "tie", "attention"), 1, 0),
        (pair("a", None, "attention", judged=False), 0, 0),
    ],
)
def test_attention_fails_where_a_spoilt_output_passes_for_good(
    rating: Rating, judged: int, failed: int
) -> None:
    """A mean at or above the middle of the scales, or a win over the output it was made from."""
    found = summary(rating)
    assert (found.attention, found.attention_failed) == (judged, failed)


def test_texts_beside_themselves_should_be_ties() -> None:
    found = summary(
        pair("a", "tie", "same"),
        pair("b", "first", "same"),
        pair("c", None, "same", judged=False),
        pair("d", "tie"),
    )
    assert (found.same, found.same_tied) == (2, 1)


def test_sides_are_counted_as_shown() -> None:
    """A is the first variant, or the second where swapped; ties and checks do not count."""
    found = summary(
        pair("a", "first"),
        pair("b", "second", swapped=True),
        pair("c", "first", swapped=True),
        pair("d", "second", swapped=True),
        pair("e", "tie"),
        pair("f", "first", "repeat"),
        pair("g", "first", "attention"),
    )
    assert (found.decisive, found.chose_a) == (4, 3)
    assert found.position_bias is not None
    low, high = proportion_confint(3, 4, method="wilson")
    assert found.position_bias.value == 0.75
    assert found.position_bias.low == pytest.approx(low)
    assert found.position_bias.high == pytest.approx(high)
    assert found.position_bias.n == 4


@pytest.mark.parametrize(("chosen", "n"), [(0, 1), (3, 4), (5, 10), (2, 17), (33, 40)])
def test_position_p_is_the_exact_binomial_test(chosen: int, n: int) -> None:
    """Equal to scipy's, two-sided by the less likely outcomes."""
    found = summary(*(pair(f"r{at}", "first", swapped=at >= chosen) for at in range(n)))
    assert found.chose_a == chosen
    assert found.position_p == pytest.approx(stats.binomtest(chosen, n).pvalue, abs=1e-12)


def test_no_winner_has_no_position_bias() -> None:
    """With the reason; and None where no comparison was asked."""
    found = summary(pair("a", "tie"))
    assert found.position_bias == Estimate(value=None, reason="no comparison with a winner")
    assert found.position_p is None
    plan = make_plan("ann").model_copy(update={"pairs": ()})
    assert rater_summaries(plan, [], [])[0].position_bias is None


def test_severity_by_hand() -> None:
    """Ann's points less the mean of Bob's and Eve's, over outputs that she shares with either."""
    points = {
        ("1", "base"): {"ann": 2, "bob": 3, "eve": 4},  # -1.5
        ("1", "tuned"): {"ann": 4, "bob": 5},  # -1
        ("2", "base"): {"ann": 1, "bob": None, "eve": 3},  # -2
        ("3", "base"): {"ann": 5, "eve": 4},  # +1
        ("4", "base"): {"ann": 5},  # nobody else
        ("5", "base"): {"bob": 3, "eve": 3},
    }
    ratings = [
        scale(f"{item}{variant}{rater}", rater=rater, item=item, variants=(variant,), fluency=point)
        for (item, variant), by_rater in points.items()
        for rater, point in by_rater.items()
    ]
    plan = make_plan("ann", "bob", "eve", "zoe", criteria=(CRITERIA["fluency"],))
    ann, *_, zoe = rater_summaries(plan, [], ratings)
    found = ann.severity["fluency"]
    assert found.value == pytest.approx(-3.5 / 4)
    assert found.n == 4
    # ratio of the items' sums (-2.5, -2, 1) and counts (2, 1, 1): without each of the items
    others = np.array([-1 / 2, -1.5 / 3, -4.5 / 3])
    error = np.sqrt(2 / 3 * np.sum((others + 3.5 / 4) ** 2))
    reach = stats.t.ppf(0.975, 2) * error
    assert found.low == pytest.approx(-3.5 / 4 - reach)
    assert found.high == pytest.approx(-3.5 / 4 + reach)
    assert zoe.severity["fluency"].value is None
    assert zoe.severity["fluency"].reason == "shares no output with another rater"


def test_severity_of_unrelated_outputs_is_a_t_interval() -> None:
    """One output per item, two raters: scipy's interval of the mean difference."""
    a, b = np.array([[1, 4, 2, 5, 3, 3, 2], [2, 4, 4, 5, 5, 3, 1]])
    ratings = [
        scale(f"{rater}{at}", rater=rater, item=str(at), fluency=int(point))
        for rater, points in (("ann", a), ("bob", b))
        for at, point in enumerate(points)
    ]
    plan = make_plan("ann", "bob", criteria=(CRITERIA["fluency"],))
    ann, bob = (found.severity["fluency"] for found in rater_summaries(plan, [], ratings))
    low, high = stats.ttest_rel(a, b).confidence_interval()
    assert (ann.low, ann.high) == pytest.approx((low, high))
    assert (bob.low, bob.high) == pytest.approx((-high, -low))


def test_severity_on_one_item_has_no_interval() -> None:
    plan = make_plan("ann", "bob", criteria=(CRITERIA["fluency"],))
    ratings = [scale(rater, rater=rater, item="1", fluency=3) for rater in ("ann", "bob")]
    found = rater_summaries(plan, [], ratings)[0].severity["fluency"]
    assert (found.value, found.low, found.reason) == (0, None, "one item gives no interval")


def test_constant_answers_are_counted() -> None:
    """Of preferences only ties, whose opposite is not a matter of which variant is better."""
    found = summary(
        scale("a", fluency=4, grounded=0),
        scale("b", fluency=4, grounded=1),
        scale("c", fluency=None),
        scale("d", "attention", fluency=1),
        pair("e", "tie"),
        pair("f", "tie"),
    )
    assert found.constant == {"fluency": 2, "preference": 2}
    assert summary(pair("a", "first"), pair("b", "first")).constant == {}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"attention": 3, "attention_failed": 1}, "took 1 of 3 spoilt outputs for good"),
        ({"attention": 3}, None),
        ({"repeats": 10, "repeats_near": 6}, "6 of 10 repeated answers are the same or a point"),
        ({"repeats": 10, "repeats_near": 7}, None),
        ({"repeats": 7, "repeats_near": 0}, None),
        ({"same": 4, "same_tied": 3}, "a winner in 1 of 4 comparisons of a text with itself"),
        ({"same": 4, "same_tied": 4}, None),
        ({"constant": {"fluency": 10}}, "chose the same point of fluency all 10 times"),
        ({"constant": {"preference": 10}}, "called all 10 comparisons a tie"),
        ({"constant": {"fluency": 9}}, None),
        ({"minutes": 0.05}, "took 3 seconds for a row"),
        ({"minutes": 0.1}, None),
    ],
)
def test_concerns_name_what_stands_out(fields: dict[str, object], words: str | None) -> None:
    """In words with the figures, and only beyond the documented thresholds."""
    found = concerns(RaterSummary(rater="ann", rows=20, answered=20, **fields))
    assert (found == ()) if words is None else (len(found) == 1 and words in found[0])


@pytest.mark.parametrize(("first", "side"), [(True, "A"), (False, "B")])
def test_one_side_throughout_is_a_concern(first: bool, side: str) -> None:
    """Whichever it is; ten comparisons give p = .002, three prove nothing."""
    preferred = "first" if first else "second"
    ratings = [pair(f"r{at}", preferred) for at in range(10)]
    (found,) = concerns(summary(*ratings))
    assert found.startswith(f"chose {side} in 100 % of 10 comparisons with a winner [72 to 100 %]")
    assert concerns(summary(*ratings[:3])) == ()
