"""In what order a rater judges."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from harness.ratings.design.chance import Chance
from harness.ratings.design.order import APART, Draft, insert_checks, spread


def _drafts(items: int, each: int) -> list[Draft]:
    return [Draft("pair", item, ("a", f"b{n}")) for item in range(items) for n in range(each)]


def test_chance_is_the_same_on_every_machine() -> None:
    """Files that raters hold must stay readable, so what is drawn is pinned.

    Source: ``random.Random("a:1").random()`` of CPython 3.11, a sequence that the library
    reference promises to keep.
    """
    chance = Chance("a", 1)
    expected = [0.1618500084825184, 0.11696414079437933, 0.24762800844156174]
    assert [chance.point() for _ in range(3)] == expected
    assert Chance("a", 1).shuffled("xyz") == ["y", "x", "z"]


@given(items=st.integers(2, 40), each=st.integers(1, 5), seed=st.integers(0, 9))
def test_rows_of_an_item_are_apart(items: int, each: int, seed: int) -> None:
    """With as many rows each, an item's rows are at least half the number of items apart."""
    rows = _drafts(items, each)
    ordered = spread(rows, Chance(seed))
    assert sorted(map(id, ordered)) == sorted(map(id, rows))
    places: dict[int, list[int]] = {}
    for place, row in enumerate(ordered):
        places.setdefault(row.item, []).append(place)
    for own in places.values():
        for first, second in itertools.pairwise(own):
            assert second - first > (items // 2)


@given(
    items=st.integers(1, 30),
    each=st.integers(1, 4),
    checks=st.integers(0, 12),
    repeats=st.integers(0, 20),
    seed=st.integers(0, 9),
)
def test_repetitions_come_late_and_checks_beside_other_items(
    items: int, each: int, checks: int, repeats: int, seed: int
) -> None:
    """Rows come again 10 or more later, with sides swapped; nothing is lost, whatever numbers."""
    main = spread(_drafts(items, each), Chance(seed))
    extra = [Draft("pair", n % items, ("a", "a"), purpose="same") for n in range(checks)]
    ordered = insert_checks(main, extra, repeats, Chance(seed, "checks"))
    assert [row for row in ordered if row.purpose == "main"] == main
    assert {id(row) for row in ordered if row.purpose == "same"} == set(map(id, extra))
    again = [row for row in ordered if row.purpose == "repeat"]
    assert len(again) == min(repeats, max(0, len(main) - APART + 1))
    assert len({id(row.repeats) for row in again}) == len(again)
    place = {id(row): position for position, row in enumerate(ordered)}
    for row in again:
        assert row.repeats is not None
        assert place[id(row)] - place[id(row.repeats)] >= APART
        assert (row.item, row.variants) == (row.repeats.item, row.repeats.variants)
        assert row.swapped != row.repeats.swapped
    if items >= 12 and len(main) >= 4 * (len(extra) + len(again)):  # there is room for all
        for first, second in itertools.pairwise(ordered):
            if {first.purpose, second.purpose} != {"main"}:
                assert first.item != second.item


def test_a_scale_shown_again_has_no_sides() -> None:
    """A rating shared by two variants is not taken for a comparison."""
    main = [Draft("scale", item, ("a", "b")) for item in range(20)]
    again = [row for row in insert_checks(main, [], 3, Chance(1)) if row.purpose == "repeat"]
    assert [row.swapped for row in again] == [False] * 3
