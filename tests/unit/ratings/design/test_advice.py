"""What an export can show, said before anybody has rated anything."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from harness.ratings.design.advice import (
    advice,
    decisive_votes,
    detectable_difference,
    detectable_win_rate,
    effective_votes,
    minutes_by_rater,
    most_raters,
    power_lines,
    raters_per_item,
)
from harness.ratings.design.design import make_plan
from harness.ratings.design.items import ItemSelection
from harness.ratings.records import Item, SheetPlan, SheetRow
from harness.suite.ratings import CRITERIA, HumanSpec
from tests.unit.ratings.human_records import sheets_of

PAIRS3 = (("a", "b"), ("a", "c"), ("b", "c"))


def plan_of(
    variants: tuple[str, ...] = ("a", "b"),
    raters: int = 3,
    *,
    pairs: tuple[tuple[str, str], ...] = (("a", "b"),),
    criteria: bool = True,
) -> SheetPlan:
    return SheetPlan(
        id="bcdf",
        run="suite/run",
        task="summaries",
        variants=variants,
        baseline=variants[0],
        predictions={},
        raters=tuple(f"rater-{n}" for n in range(1, raters + 1)),
        criteria=tuple(CRITERIA.values()) if criteria else (),
        pairs=pairs,
        splits=("report",),
        seed=1,
    )


def items_of(n: int) -> list[Item]:
    return [
        Item(id=f"i{k}", cluster=f"c{k}", split="report", prompt="p", outputs={}) for k in range(n)
    ]


def row_of(number: int, **fields: object) -> SheetRow:
    return SheetRow.model_validate(
        {"token": f"t{number}", "position": number + 1, "rater": "r", "item": "i", **fields}
    )


def rows_of(
    plan: SheetPlan, items: list[Item], *, overlap: int | None = None, equal: int = 0
) -> list[SheetRow]:
    """All main rows: each item by ``overlap`` raters in turn; the first ``equal`` not compared."""
    rows: list[SheetRow] = []

    def add(rater: str, kind: str, item: str, variants: tuple[str, ...]) -> None:
        rows.append(row_of(len(rows), rater=rater, kind=kind, item=item, variants=variants))

    overlap = overlap or len(plan.raters)
    for k, item in enumerate(items):
        for m in range(overlap):
            rater = plan.raters[(k + m) % len(plan.raters)]
            for name in plan.variants if plan.criteria else ():
                add(rater, "scale", item.id, (name,))
            for pair in plan.pairs if k >= equal else ():
                add(rater, "pair", item.id, pair)
    return rows


# -- votes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "votes"), [(0.55, 785), (0.6, 197), (0.65, 88), (0.7, 50)])
def test_decisive_votes_are_the_published_ones(rate: float, votes: int) -> None:
    """785, 197, 88 and 50 votes: n = ((1.95996 + 0.84162) / 2 / (p - 1/2))^2, by hand."""
    assert decisive_votes(rate) == votes
    assert votes == math.ceil(7.848880 / 4 / (rate - 0.5) ** 2)


@pytest.mark.parametrize("rate", [0.55, 0.6, 0.65, 0.7])
def test_decisive_votes_give_the_power_of_the_exact_test(rate: float) -> None:
    """The exact binomial test finds the rate in 80 of 100 with that many votes, to a few points."""
    n = decisive_votes(rate)
    critical = int(stats.binom.isf(0.025, n, 0.5)) + 1  # two-sided at 5 %
    assert stats.binom.sf(critical - 1, n, rate) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("rate", [0.5, 0.3, 1.1])
def test_a_rate_that_no_votes_show_is_refused(rate: float) -> None:
    """At one half or below, or above one, there is no number of votes."""
    with pytest.raises(ValueError, match=r"above 0\.5"):
        decisive_votes(rate)


def test_the_detectable_rate_is_the_inverse_of_the_votes() -> None:
    """With the votes that a rate needs, that rate is found; with one less it is not."""
    for rate in (0.55, 0.6, 0.65, 0.7):
        votes = decisive_votes(rate)
        found, less = detectable_win_rate(votes), detectable_win_rate(votes - 1)
        assert found is not None
        assert less is not None
        assert found <= rate < less


@pytest.mark.parametrize("votes", [0, 3, 7])
def test_too_few_votes_show_no_rate(votes: int) -> None:
    """Seven votes do not even show that one variant always wins: 2 x 1/2^7 < 5 % at power 80 %."""
    assert detectable_win_rate(votes) is None


def test_effective_votes_follow_the_design_effect() -> None:
    """50 items by 3 raters at icc 0.3: 150 / 1.6; at 0 all count, at 1 one rater would do."""
    assert effective_votes([3] * 50) == pytest.approx(93.75)
    assert effective_votes([3] * 50, icc=0) == 150
    assert effective_votes([3] * 50, icc=1) == pytest.approx(50)
    assert effective_votes([1, 0, 1]) == 2


def test_the_detectable_difference_is_that_of_the_paired_t_test() -> None:
    """With one rater an item it is what scipy's noncentral t gives power 0.8 for."""
    n = 40
    found = detectable_difference([1] * n)
    assert found is not None
    critical = stats.t.ppf(0.975, n - 1)
    power = stats.nct.sf(critical, n - 1, found * math.sqrt(n))
    assert power == pytest.approx(0.8, abs=1e-3)


def test_more_raters_of_one_item_help_less_than_more_items() -> None:
    """Doubling raters divides the variance by 1.54 (icc 0.3), doubling items by 2."""
    one = detectable_difference([1] * 100)
    raters = detectable_difference([2] * 100)
    items = detectable_difference([1] * 200)
    assert one is not None
    assert raters is not None
    assert items is not None
    assert (one / raters) ** 2 == pytest.approx(2 / 1.3)
    assert items < raters < one


def test_one_item_shows_no_difference() -> None:
    """A variance needs two items."""
    assert detectable_difference([3]) is None


# -- rows -----------------------------------------------------------------------------------------


def test_only_main_rows_count_as_votes() -> None:
    """Repeats and checks are about the rater; a text of two variants counts for both."""
    rows = [
        row_of(0, kind="scale", variants=("a", "b")),
        row_of(1, kind="scale", variants=("a", "b"), purpose="repeat", repeats="t0"),
        row_of(2, kind="scale", variants=("a",), purpose="attention", spoilt="x", rater="s"),
    ]
    assert raters_per_item(rows, "scale") == {("a",): {"i": 1}, ("b",): {"i": 1}}
    assert raters_per_item(rows, "pair") == {}
    assert most_raters(rows) == 1


def test_minutes_count_every_row_and_name_every_rater() -> None:
    """45 s a rating and 30 s a comparison; a rater without rows has zero minutes."""
    plan = plan_of(raters=2)
    rows = rows_of(plan_of(raters=1), items_of(10))
    assert minutes_by_rater(plan, rows) == {"rater-1": 20.0, "rater-2": 0.0}


# -- lines ----------------------------------------------------------------------------------------


def test_advice_says_rows_time_votes_and_points() -> None:
    """50 items x 2 variants by 3 raters: 150 rows, 100 minutes, 150 votes worth 94."""
    plan, items = plan_of(), items_of(50)
    text = "\n".join(advice(sheets_of(plan, items, rows_of(plan, items))))
    assert "100 ratings and 50 comparisons" in text
    assert "about 100 minutes" in text
    assert "785 at 55 %, 197 at 60 %, 88 at 65 %, 50 at 70 %" in text
    assert "a against b: 150 votes on 50 items, worth about 94 independent ones" in text
    assert "65 %" in text  # 0.5 + 2.8016 / 2 / sqrt(93.75) = 0.6447
    assert "67 % if one vote in five is a tie" in text  # sqrt(75): 0.6618
    assert "points (50 items, each by 3 raters" in text


def test_a_long_sheet_is_warned_of_with_ways_to_cut_it() -> None:
    """More than 90 minutes: the warning says how many items would do, and what else."""
    plan = plan_of(("a", "b", "c"), 3, pairs=PAIRS3)
    items = items_of(60)
    warning = next(
        x for x in advice(sheets_of(plan, items, rows_of(plan, items))) if "90 minutes" in x
    )
    # 60 x (3 x 45 + 3 x 30) s = 225 minutes; 60 x 90 / 225 = 24
    for part in ("Warning", "items: 24", "overlap: 1", "preference: baseline", "sittings"):
        if part != "overlap: 1":  # that would leave nobody to agree with
            assert part in warning
    assert "overlap: 1" not in warning


def test_a_short_sheet_has_no_warning() -> None:
    """Three raters, 20 items: nothing to warn of."""
    plan, items = plan_of(), items_of(20)
    assert not any(
        "Warning" in line for line in advice(sheets_of(plan, items, rows_of(plan, items)))
    )


def test_the_default_sheets_have_no_warning() -> None:
    """Two variants of other texts and an empty human section: 86.25 minutes, rows counted by hand.

    38 items: 76 ratings, 6 again, 3 spoilt, 45 s each; 38 comparisons, 3 again, 2 spoilt, 2 of a
    text with itself, 30 s each. They find the same win rate as 40 items would.
    """
    spec = HumanSpec()
    items = tuple(
        Item(
            id=f"i{n}",
            cluster=f"c{n}",
            split="report",
            prompt=f"Question {n}?",
            outputs={"a": f"The answer of the one to {n} is this.", "b": f"Another text, for {n}."},
        )
        for n in range(spec.items)
    )
    chosen = ItemSelection(
        task="t", variants=("a", "b"), baseline="a", predictions={"a": "1", "b": "2"}, items=items
    )
    sheets = make_plan(chosen, spec, seed=1, run="suite/run")
    lines = advice(sheets)
    assert not [line for line in lines if "Warning" in line]
    minutes = minutes_by_rater(sheets.plan, sheets.rows)
    assert set(minutes.values()) == {(85 * 45 + 45 * 30) / 60}
    found = [detectable_win_rate(effective_votes([3] * n)) for n in (spec.items, 40)]
    assert [math.ceil(100 * rate) for rate in found if rate] == [67, 67]


def test_one_rater_cannot_agree() -> None:
    """With one rater the missing agreement is said."""
    plan, items = plan_of(raters=1), items_of(10)
    lines = advice(sheets_of(plan, items, rows_of(plan, items)))
    assert any("one rater, agreement cannot be computed" in line for line in lines)


def test_raters_without_overlap_cannot_agree() -> None:
    """Three raters of which none shares an item: the same."""
    plan, items = plan_of(), items_of(10)
    lines = advice(sheets_of(plan, items, rows_of(plan, items, overlap=1)))
    assert any("no item is seen by two raters" in line for line in lines)


def test_two_raters_are_few() -> None:
    """Two raters agree or do not; there is no majority."""
    plan, items = plan_of(raters=2), items_of(10)
    lines = advice(sheets_of(plan, items, rows_of(plan, items)))
    assert any("no majority" in line for line in lines)


def test_uneven_sheets_give_the_longest() -> None:
    """With 2 of 3 raters an item and 10 items, loads differ: the longest sheet is named."""
    plan, items = plan_of(), items_of(10)
    lines = advice(sheets_of(plan, items, rows_of(plan, items, overlap=2)))
    assert lines[0].startswith("The longest sheet, rater-")


def test_equal_texts_are_left_out_of_the_votes() -> None:
    """Of 50 items 10 have equal texts: 40 items vote, and the rest is accounted for."""
    plan, items = plan_of(), items_of(50)
    text = "\n".join(power_lines(sheets_of(plan, items, rows_of(plan, items, equal=10))))
    assert "120 votes on 40 items (texts of the other 10 are equal, and tied without" in text


def test_only_equal_texts_give_no_votes() -> None:
    """Where all texts are equal, it is said that there are no votes."""
    plan, items = plan_of(), items_of(5)
    lines = power_lines(sheets_of(plan, items, rows_of(plan, items, equal=5)))
    assert any("no votes, as all texts are equal" in line for line in lines)


def test_too_few_votes_are_said_to_show_nothing() -> None:
    """Five items by one rater show no preference at all."""
    plan, items = plan_of(raters=1), items_of(5)
    lines = power_lines(sheets_of(plan, items, rows_of(plan, items)))
    assert any("Too few to show any preference" in line for line in lines)


def test_equal_pairs_share_a_line() -> None:
    """Three pairs with the same votes take one line, not three."""
    plan = plan_of(("a", "b", "c"), pairs=PAIRS3)
    items = items_of(30)
    lines = power_lines(sheets_of(plan, items, rows_of(plan, items)))
    assert sum("votes on" in line for line in lines) == 1
    assert any(line.startswith("Each of 3 pairs: 90 votes on 30 items") for line in lines)


def test_what_is_not_asked_is_not_advised_on() -> None:
    """Without pairs there is nothing on votes, without criteria nothing on points."""
    items = items_of(20)
    scales = plan_of(pairs=())
    pairs = plan_of(criteria=False)
    assert "votes" not in " ".join(power_lines(sheets_of(scales, items, rows_of(scales, items))))
    assert "points" not in " ".join(power_lines(sheets_of(pairs, items, rows_of(pairs, items))))


def test_advice_of_nothing_does_not_fail() -> None:
    """A plan without items or rows is described, not refused."""
    assert advice(sheets_of(plan_of()))
