"""Who judges what, and on which side."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.ratings.design.assign import (
    assign_raters,
    assign_sides,
    balanced_colours,
    is_connected,
)
from harness.ratings.design.chance import Chance


def _linked(seats: list[tuple[int, ...]], raters: int) -> bool:
    """Whether all raters can be reached from the first; a plain search, as an oracle."""
    reached, waiting = {0}, [0]
    while waiting:
        rater = waiting.pop()
        for seated in seats:
            if rater in seated:
                waiting += [other for other in seated if other not in reached]
                reached.update(seated)
    return len(reached) == raters


@pytest.mark.parametrize("raters", range(1, 9))
def test_raters_are_balanced_and_linked_in_every_small_design(raters: int) -> None:
    """Loads differ by one at most, and raters are linked wherever that many items can link them."""
    for overlap, items in itertools.product(range(1, raters + 1), range(1, 26)):
        seats = assign_raters(items, raters, overlap, Chance("seed", items))
        assert all(len(set(seated)) == overlap for seated in seats)
        loads = Counter({rater: 0 for rater in range(raters)})
        loads.update(rater for seated in seats for rater in seated)
        assert max(loads.values()) - min(loads.values()) <= 1
        linked = _linked(seats, raters)
        assert is_connected(seats, raters) == linked
        # a tree over the raters needs so many: each item joins overlap - 1 more to the others
        assert linked == (raters == 1 or items * (overlap - 1) >= raters - 1)


@pytest.mark.parametrize(("raters", "overlap"), [(4, 2), (5, 2), (5, 3), (6, 2), (7, 3), (10, 4)])
def test_any_two_raters_have_about_as_many_items_in_common(raters: int, overlap: int) -> None:
    """No two raters meet much oftener than others."""
    items = 600
    seats = assign_raters(items, raters, overlap, Chance("seed"))
    common = Counter(pair for seated in seats for pair in itertools.combinations(seated, 2))
    even = items * overlap * (overlap - 1) / (raters * (raters - 1))
    for pair in itertools.combinations(range(raters), 2):
        assert abs(common[pair] - even) <= max(3, 0.1 * even)


_EDGES = st.lists(
    st.tuples(
        st.integers(0, 6).map(lambda node: ("left", node)),
        st.integers(0, 6).map(lambda node: ("right", node)),
    ),
    max_size=60,
)


@given(edges=_EDGES, seed=st.integers(0, 5))
def test_colours_are_balanced_at_every_node(
    edges: list[tuple[tuple[str, int], tuple[str, int]]], seed: int
) -> None:
    """Two colours of any bipartite multigraph differ by one at most, at each node and in all."""
    colours = balanced_colours(edges, Chance(seed))
    assert len(colours) == len(edges)
    surplus: Counter[object] = Counter()
    for nodes, colour in zip(edges, colours, strict=True):
        for node in (*nodes, "all"):
            surplus[node] += 1 if colour else -1
    assert all(abs(value) <= 1 for value in surplus.values())
    # an even number of edges leaves none over
    degree = Counter(node for nodes in edges for node in nodes)
    assert all(surplus[node] == 0 for node, count in degree.items() if count % 2 == 0)


@settings(max_examples=60)
@given(
    counts=st.dictionaries(
        st.tuples(st.integers(0, 4), st.integers(0, 5)), st.integers(1, 9), max_size=20
    ),
    seed=st.integers(0, 3),
)
def test_sides_are_balanced_by_rater_by_pair_and_by_both(
    counts: dict[tuple[int, int], int], seed: int
) -> None:
    """Whatever the numbers of rows, as many show one variant as A as the other, to within one."""
    rows = {cell: list(range(count)) for cell, count in counts.items()}
    sides = assign_sides(rows, Chance(seed))
    assert {cell: sorted(swapped) for cell, swapped in sides.items()} == rows
    surplus: Counter[object] = Counter()
    for (rater, pair), swapped in sides.items():
        for side in swapped.values():
            for margin in ((rater, pair), f"rater {rater}", f"pair {pair}", "all"):
                surplus[margin] += 1 if side else -1
    assert all(abs(value) <= 1 for value in surplus.values())


def test_an_items_side_is_left_to_chance() -> None:
    """Over many seeds each item, first or last, is swapped half the times."""
    seeds = 400
    swapped: Counter[int] = Counter()
    for seed in range(seeds):
        found = assign_sides({(0, 0): list(range(5))}, Chance(seed))[0, 0]
        swapped.update(item for item, side in found.items() if side)
    # binomial(400, 1/2): five standard deviations are 50
    assert all(abs(swapped[item] - seeds / 2) < 50 for item in range(5))
