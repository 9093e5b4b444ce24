"""Who wins: which votes count, the win matrix, strengths, and votes that give no strengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.proportion import proportion_confint

from harness.ratings.records import AutoTie, Item, Preference, Rating, SheetPlan, Wins
from harness.ratings.stats.over_raters import share_over_raters
from harness.ratings.stats.preference import item_preferences, preference
from harness.ratings.stats.votes import item_shares, share_estimate, votes_of
from harness.suite.ratings import CRITERIA
from tests.unit.ratings.human_records import sheets_of

PAIR = ("base", "tuned")


def plan(
    variants: Sequence[str] = PAIR,
    pairs: Sequence[tuple[str, str]] = (PAIR,),
    raters: int = 3,
    *,
    criteria: bool = True,
) -> SheetPlan:
    return SheetPlan(
        id="s",
        run="demo/1",
        task="summary",
        variants=tuple(variants),
        baseline=variants[0],
        predictions={},
        raters=tuple(f"r{number}" for number in range(1, raters + 1)),
        criteria=(CRITERIA["fluency"],) if criteria else (),
        pairs=tuple(pairs),
        splits=("report",),
        seed=0,
    )


def item(name: str, cluster: str | None = None) -> Item:
    return Item(id=name, cluster=cluster or name, split="report", prompt="p", outputs={})


def items(number: int) -> list[Item]:
    return [item(f"i{at}") for at in range(1, number + 1)]


def vote(name: str, rater: str, preferred: str | None, **changes: Any) -> Rating:
    fields: dict[str, Any] = {
        "token": f"{name}{rater}{preferred}",
        "rater": rater,
        "kind": "pair",
        "purpose": "main",
        "item": name,
        "variants": PAIR,
        "position": 1,
        "preferred": preferred,
        "file": "f",
    }
    return Rating(**fields | changes)


def rated(name: str, rater: str) -> Rating:
    return vote(name, rater, None, kind="scale", scores={"fluency": 3}, variants=("base",))


def counted(wins: Wins) -> tuple[int, int, int, int]:
    return wins.first_wins, wins.second_wins, wins.ties, wins.automatic


# -- which votes count ----------------------------------------------------------------------------


def test_only_main_comparisons_count() -> None:
    """Repeats, checks, ratings of one output, and what could not be judged are passed over."""
    ratings = [
        vote("i1", "r1", "second"),
        vote("i1", "r1", "first", purpose="repeat"),
        vote("i1", "r1", "first", purpose="attention"),
        vote("i1", "r1", "tie", purpose="same", variants=("base", "base")),
        vote("i1", "r2", None, judged=False),
        rated("i1", "r1"),
    ]
    [wins] = preference(sheets_of(plan(), items(1)), ratings).wins
    assert counted(wins) == (0, 1, 0, 0)


def test_sides_make_no_difference() -> None:
    """``preferred`` speaks of the variants; ``swapped`` only of where they stood."""
    ratings = [
        vote("i1", "r1", "second", swapped=True),
        vote("i1", "r2", "first", variants=("tuned", "base")),
    ]
    [wins] = preference(sheets_of(plan(), items(1)), ratings).wins
    assert counted(wins) == (0, 2, 0, 0)


def test_each_item_counts_once_in_the_share() -> None:
    """i1: tuned wins 1 of 3 with a tie, (1 + .5) / 3; i2: 1 of 1. Mean .75, by hand."""
    ratings = [
        vote("i1", "r1", "first"),
        vote("i1", "r2", "second"),
        vote("i1", "r3", "tie"),
        vote("i2", "r1", "second"),
    ]
    [wins] = preference(sheets_of(plan(), items(2)), ratings).wins
    assert counted(wins) == (1, 2, 1, 0)
    assert wins.share.value == pytest.approx(0.75)
    assert wins.share.n == 2


def test_equal_texts_tie_once_per_rater_of_the_item() -> None:
    """r1 and r2 rated i2's one text and compared others; r3 has not compared anything yet."""
    ratings = [vote("i1", "r1", "second"), vote("i1", "r2", "second")]
    ratings += [rated(name, rater) for name in ("i1", "i2") for rater in ("r1", "r2", "r3")]
    ties = [AutoTie(item="i2", variants=PAIR)]
    [wins] = preference(sheets_of(plan(), items(2), ties=ties), ratings).wins
    assert counted(wins) == (0, 2, 2, 2)
    assert wins.share.value == pytest.approx(0.75)


def test_equal_texts_of_some_pairs_go_to_those_who_compared_the_others() -> None:
    """A and b are equal: only r1 compared a with c, so a ties with b once."""
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    ratings = [
        vote("i1", "r1", "first", variants=("a", "c")),
        vote("i1", "r1", "first", variants=("b", "c")),
        rated("i1", "r2"),
        vote("i2", "r2", "first", variants=("a", "c")),
    ]
    found = votes_of(
        sheets_of(
            plan(("a", "b", "c"), pairs), items(2), ties=[AutoTie(item="i1", variants=("a", "b"))]
        ),
        ratings,
    )
    assert [(v.item, v.rater) for v in found if v.automatic] == [("i1", "r1")]


def test_pairs_that_nobody_is_asked_about_have_no_ties() -> None:
    """With ``preference: baseline`` two candidates of equal text are no comparison."""
    ties = [AutoTie(item="i1", variants=("b", "c"))]
    ratings = [vote("i1", "r1", "first", variants=("a", "b"))]
    asked = plan(("a", "b", "c"), [("a", "b"), ("a", "c")])
    assert not [v for v in votes_of(sheets_of(asked, items(1), ties=ties), ratings) if v.automatic]


def test_items_without_any_row_tie_as_often_as_others_are_compared() -> None:
    """No criteria: nobody sees i3 and i4; each gets two ties, as i1 and i2 have two raters."""
    ratings = [vote(name, rater, "first") for name in ("i1", "i2") for rater in ("r1", "r2")] + [
        vote("i1", "r3", "first")
    ]
    ties = [AutoTie(item=name, variants=PAIR) for name in ("i3", "i4")]
    found = votes_of(sheets_of(plan(criteria=False), items(4), ties=ties), ratings)
    automatic = [(v.item, v.rater) for v in found if v.automatic]
    assert automatic == [("i3", "r1"), ("i3", "r2"), ("i4", "r3"), ("i4", "r1")]


def test_equal_texts_everywhere_are_ties_of_those_who_rated_them() -> None:
    """Nothing is left to compare, so whoever rated the texts counts."""
    ties = [AutoTie(item=name, variants=PAIR) for name in ("i1", "i2")]
    found = preference(
        sheets_of(plan(), items(2), ties=ties), [rated("i1", "r1"), rated("i1", "r2")]
    )
    assert counted(found.wins[0]) == (0, 0, 2, 2)


def test_a_variants_item_means_stand_against_the_baseline() -> None:
    """Whichever of the two comes first in the plan; ties count half."""
    asked = plan(("a", "b", "c"), [("a", "b"), ("b", "c")])
    ratings = [
        vote("i1", "r1", "first", variants=("a", "b")),
        vote("i1", "r2", "tie", variants=("a", "b")),
        vote("i1", "r1", "second", variants=("b", "c")),
    ]
    found = item_preferences(sheets_of(asked, items(1)), ratings, "b")
    assert found == {"a": {"i1": 0.75}, "c": {"i1": 1.0}}
    assert item_preferences(sheets_of(asked, items(1)), ratings, "x") == {}
    shares = item_shares(votes_of(sheets_of(asked, items(1)), ratings))
    assert shares == {("i1", ("a", "b")): 0.25, ("i1", ("b", "c")): 1.0}


# -- intervals of shares --------------------------------------------------------------------------


def share(results: Sequence[int], clusters: Sequence[int] | None = None) -> Any:
    names = [f"i{at}" for at in range(len(results))]
    related = dict(zip(names, map(str, clusters or range(len(results))), strict=True))
    return share_estimate(results, names, related)


def test_one_vote_per_item_is_tangos_interval() -> None:
    """Tango (1998), section 6.2: 9 against 3 of 32 give -.027 to .390, at a normal quantile.

    Student's is 4 % wider at 31 degrees of freedom, and the divisor n - 1 makes it 2 % more.
    """
    found = share([1] * 9 + [-1] * 3 + [0] * 20)
    assert found.value == pytest.approx(0.5 + 6 / 64)
    wider = scipy_stats.t.ppf(0.975, 31) / scipy_stats.norm.ppf(0.975) * np.sqrt(32 / 31)
    centre = (-0.027 + 0.390) / 4 + 0.5
    assert found.low == pytest.approx(centre - wider * 0.417 / 4, abs=2e-3)
    assert found.high == pytest.approx(centre + wider * 0.417 / 4, abs=2e-3)
    assert found.method == "Tango score, 32 items"


@pytest.mark.parametrize("result", [1, 0, -1])
def test_equal_votes_still_leave_doubt(result: int) -> None:
    """Thirty equal votes: about as much as Wilson's interval leaves, or half of it for ties."""
    found = share([result] * 30)
    low, high = proportion_confint(30, 30, method="wilson")
    assert found.value == (result + 1) / 2
    width = found.high - found.low
    assert 0.4 * (high - low) < width < 1.3 * (high - low)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_raters_of_an_item_are_no_independent_evidence() -> None:
    """Five raters who always agree say as much as one; who differ at random say more."""
    rng = np.random.default_rng(1)
    ones = rng.choice([-1, 1], size=60)
    names = [f"i{at}" for at in range(60)]
    clusters = {name: name for name in names}
    alone = share_estimate(ones.tolist(), names, clusters)
    agreed = share_estimate(np.repeat(ones, 5).tolist(), np.repeat(names, 5).tolist(), clusters)
    assert (agreed.low, agreed.high) == pytest.approx((alone.low, alone.high), rel=0.01)
    mixed = share_estimate(
        rng.choice([-1, 1], size=300).tolist(), np.repeat(names, 5).tolist(), clusters
    )
    assert mixed.high - mixed.low < 0.65 * (alone.high - alone.low)


def test_one_cluster_gives_no_interval() -> None:
    """A share without bounds says why."""
    assert share([1]).reason == "one item gives no interval"
    assert share([1, 0], [1, 1]).reason == "one cluster of related items gives no interval"
    assert share([]).value is None


def test_shares_cover() -> None:
    """400 runs, 40 items, 3 raters, tastes per item: 95 % less two Monte-Carlo errors (.011)."""
    rng = np.random.default_rng(2)
    names = np.repeat([f"i{at}" for at in range(40)], 3).tolist()
    clusters = {name: name for name in names}

    def drawn(number: int) -> np.ndarray:
        taste = np.repeat(rng.normal(0.8, 1.2, size=number), 3) + rng.logistic(size=number * 3)
        return np.where(taste > 0.5, 1, np.where(taste < -0.5, -1, 0))

    true = (1 + drawn(200_000).mean()) / 2
    found = [share_estimate(drawn(40).tolist(), names, clusters) for _ in range(400)]
    held = np.mean([one.low <= true <= one.high for one in found])
    assert 0.928 <= held <= 0.98


# -- shares for other raters ----------------------------------------------------------------------


def wins_of(results: Sequence[Sequence[str]]) -> Wins:
    """One row of votes per item, a rater each."""
    [wins] = of_results(results).wins
    return wins


def test_a_win_of_differing_raters_is_not_shown_for_others() -> None:
    """Two of three raters always prefer the tuned model, one never: 67 % for these alone."""
    wins = wins_of([["second", "second", "first"]] * 60)
    assert wins.raters == 3
    assert wins.share.low is not None
    assert wins.share.low > 0.5
    assert wins.other_raters is not None
    assert wins.other_raters.low is not None
    assert wins.other_raters.low < 0.5
    assert wins.other_raters.value == wins.share.value


def test_few_raters_give_no_interval_for_others() -> None:
    """Two raters say nothing of a third."""
    wins = wins_of([["second", "second"]] * 20 + [["first", "second"]] * 5)
    assert (wins.raters, wins.other_raters) == (2, None)


@pytest.mark.parametrize(("raters", "shown"), [(3, False), (5, False), (8, True)])
def test_raters_who_all_agree_count_as_one_vote_each(raters: int, shown: bool) -> None:
    """As by the sign test, unanimous raters show a preference of others only if there are many.

    Two-sided p of n equal votes is 2 / 2^n: 0.25, 0.06 and 0.008 with 3, 5 and 8.
    """
    wins = wins_of([["second"] * raters] * 30)
    assert wins.other_raters is not None
    assert wins.other_raters.low is not None
    assert (wins.other_raters.low > 0.5) == shown
    assert (2 / 2**raters < 0.05) == shown


def test_the_interval_for_other_raters_holds_that_for_these() -> None:
    """Whatever the votes: it is never within the interval over items."""
    rng = np.random.default_rng(5)
    for _ in range(30):
        raters = int(rng.integers(3, 7))
        votes = rng.choice(["first", "tie", "second"], size=(12, raters), p=rng.dirichlet([1] * 3))
        wins = wins_of(votes.tolist())
        assert wins.other_raters is not None
        assert wins.other_raters.low <= wins.share.low <= wins.share.high <= wins.other_raters.high


@pytest.mark.parametrize("number", [3, 5])
def test_shares_cover_other_raters(number: int) -> None:
    """300 runs, 30 items, few raters of other tastes: 95 % less three Monte-Carlo errors (.013).

    The interval over items alone, which the headline must not rest on, holds far less often.
    """
    rng = np.random.default_rng(number)
    names = np.repeat([f"i{at}" for at in range(30)], number).tolist()
    people = [f"r{at}" for at in range(number)] * 30
    clusters = {name: name for name in names}

    def drawn(items: int, raters: int) -> np.ndarray:
        taste = rng.normal(0.4, 0.8, size=(1, raters)) + rng.normal(0, 0.8, size=(items, 1))
        return np.where(taste + rng.logistic(size=(items, raters)) > 0, 1, -1)

    true = (1 + drawn(2_000, 2_000).mean()) / 2
    held = np.zeros(2)
    for _ in range(300):
        results = drawn(30, number).ravel().tolist()
        alone = share_estimate(results, names, clusters)
        wider = share_over_raters(results, names, people, clusters, alone)
        assert wider is not None
        held += [one.low <= true <= one.high for one in (alone, wider)]
    assert held[1] / 300 >= 0.91
    assert held[0] / 300 < 0.85


# -- strengths ------------------------------------------------------------------------------------


def of_results(results: Sequence[Sequence[str]]) -> Preference:
    """One row of votes per item, a rater each."""
    ratings = [
        vote(f"i{at}", f"r{rater}", preferred)
        for at, row in enumerate(results, 1)
        for rater, preferred in enumerate(row, 1)
    ]
    return preference(sheets_of(plan(raters=len(results[0])), items(len(results))), ratings)


def test_strengths_come_best_first_with_both_intervals() -> None:
    """6, 2 and 2 of 10: log odds log(3) and nu 2/sqrt(12), by hand; n counts votes."""
    rows = [["second"] * 2] * 3 + [["first"] * 2] + [["tie"] * 2]
    found = of_results([[*row, row[0]] for row in rows])
    assert [one.variant for one in found.strengths] == ["tuned", "base"]
    best, other = found.strengths
    assert best.strength.value == pytest.approx(np.log(3) / 2)
    assert best.strength.value == pytest.approx(-(other.strength.value or 0))
    assert found.tie_parameter == pytest.approx(2 / np.sqrt(12))
    assert found.ridge == 0.0
    assert found.notes == ()
    assert best.strength.n == 15
    assert best.other_raters is not None
    assert best.strength.low is not None
    assert best.other_raters.low is not None
    assert best.other_raters.low < best.strength.low < np.log(3) / 2


def test_intervals_are_student_t_around_the_sandwich() -> None:
    """Without ties, one vote per item: V of the log odds is 1/w + 1/l times n / (n - 1).

    The sandwich of a saturated binomial is its information (by hand), with 6 wins of 10.
    """
    found = of_results([["second"]] * 6 + [["first"]] * 4)
    error = np.sqrt((1 / 6 + 1 / 4) * 10 / 9) / 2
    reach = scipy_stats.t.ppf(0.975, 9) * error
    best = found.strengths[0]
    assert best.strength.low == pytest.approx(np.log(1.5) / 2 - reach)
    assert best.strength.high == pytest.approx(np.log(1.5) / 2 + reach)
    assert best.other_raters is None
    assert "plain Bradley-Terry" in found.notes[0]
    assert "not for other raters" in found.notes[1]


def test_a_variant_that_always_wins_leans_on_a_prior_and_says_so() -> None:
    """Its strength is finite, has no interval, and the note names it and the ridge."""
    found = of_results([["second"]] * 20)
    assert found.ridge == 0.1
    assert found.tie_parameter == 0.0
    best = found.strengths[0]
    assert best.variant == "tuned"
    assert best.strength.value is not None
    assert 1 < best.strength.value < 5
    assert best.strength.low is None
    assert best.strength.reason == "not bounded by the votes, only by a prior"
    notes = " ".join(found.notes)
    assert "Nothing else beat or tied tuned." in notes
    assert "base beat or tied nothing else." in notes
    assert "ridge 0.1" in notes
    assert found.wins[0].share.low is not None
    assert found.wins[0].share.low < 1


def test_a_variant_that_ties_but_never_loses_is_unbounded_too() -> None:
    """Davidson's maximum runs off together with nu, though every item was compared and tied."""
    found = of_results([["second"]] * 12 + [["tie"]] * 6)
    assert found.ridge == 0.1
    assert "tuned lost no comparison with another." in found.notes
    assert "base won no comparison with another." in found.notes


def test_only_ties_are_equal_strengths_without_nu() -> None:
    """Words instead of an infinite tie parameter."""
    found = of_results([["tie", "tie"]] * 5)
    assert [one.strength.value for one in found.strengths] == [0.0, 0.0]
    assert found.strengths[0].strength.reason == "every comparison is a tie"
    assert found.tie_parameter is None
    assert "no bound" in found.notes[0]


def test_groups_that_never_met_have_no_strengths() -> None:
    """The reason names them; the win matrix is still there."""
    pairs = [("a", "b"), ("c", "d"), ("a", "c")]
    ratings = [
        vote("i1", "r1", "first", variants=("a", "b")),
        vote("i1", "r1", "second", variants=("c", "d")),
    ]
    found = preference(sheets_of(plan(("a", "b", "c", "d"), pairs), items(1)), ratings)
    assert found.strengths == ()
    assert found.reason == "no comparison connects a, b with c, d"
    assert found.wins[2].share.reason == "no comparison has come back"


def test_nothing_back_yet_says_so() -> None:
    """Every pair of the plan is there, without values."""
    found = preference(sheets_of(plan(), items(2)), [rated("i1", "r1")])
    assert found.reason == "no comparison has come back"
    assert [wins.share.value for wins in found.wins] == [None]
    assert preference(sheets_of(plan(pairs=()), items(1)), []).reason == "nothing was compared"


def test_votes_that_cancel_on_every_item_leave_doubt() -> None:
    """One for each side on every item: the sandwich is zero, so items count as one vote each.

    Then V of the log odds is 4 / 25 (a binomial of 25 at one half), by hand.
    """
    found = of_results([["second", "first"]] * 25)
    best = found.strengths[0]
    assert best.strength.value == pytest.approx(0.0, abs=1e-9)
    reach = scipy_stats.t.ppf(0.975, 24) * np.sqrt(4 / 25) / 2
    assert best.strength.high == pytest.approx(reach)
    assert "as if of one vote each" in best.strength.method


def test_too_few_items_give_strengths_without_intervals() -> None:
    """Two items cannot bound a strength and a tie parameter."""
    found = of_results([["second", "first", "tie"], ["second", "tie", "tie"]])
    assert found.strengths[0].strength.low is None
    assert "too few" in (found.strengths[0].strength.reason or "")
    assert found.strengths[0].other_raters is None
