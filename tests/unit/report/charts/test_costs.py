from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.report.charts.costs import APART, MOST_NUMBERS, side_by_side, trade_off_charts


def test_points_in_one_place_stand_side_by_side() -> None:
    """Three at 100 stand 14 pixels apart around 100, in the order given; one far off stays."""
    found = side_by_side([100, 100, 100, 300], 60, 440)
    assert found == pytest.approx([100 - APART, 100, 100 + APART, 300])


def test_points_apart_stay() -> None:
    """A place is told as it is."""
    assert side_by_side([300, 100, 200], 60, 440) == pytest.approx([300, 100, 200])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(60, 440), min_size=1, max_size=60))
def test_moved_points_stay_apart_and_within_the_chart(places: list[float]) -> None:
    """However many cover each other; where there is no room for all, at equal distances."""
    found = side_by_side(places, 60, 440)
    assert all(60 - 1e-6 <= place <= 440 + 1e-6 for place in found)
    step = min(APART, 380 / max(1, len(places) - 1))
    ranked = sorted(found)
    assert all(b - a >= step - 1e-6 for a, b in itertools.pairwise(ranked))
    order = sorted(range(len(places)), key=places.__getitem__)
    assert [found[index] for index in order] == ranked


def test_each_point_has_its_number_in_legend_and_table(sample: Any) -> None:
    """Every variant that was measured, by the order of the matrix."""
    for chart in trade_off_charts(sample.view):
        names = [words for _, words in chart.legend]
        assert [row[0] for row in chart.rows] == names
        assert [name.partition(" ")[0] for name in names] == [
            str(place + 1) for place in range(len(names))
        ]
        assert all(f">{place + 1}</text>" in chart.svg for place in range(len(names)))


def test_of_many_those_that_matter_have_a_number(sample: Any) -> None:
    """Baseline, choice and the most efficient; how many have none is said."""
    view = sample.view
    first = view.trade_off.points[0]
    more = [first.model_copy(update={"variant": f"other-{n}"}) for n in range(MOST_NUMBERS)]
    kinds = [view.variants[0].model_copy(update={"id": point.variant}) for point in more]
    trade_off = view.trade_off.model_copy(update={"points": (*view.trade_off.points, *more)})
    crowded = view.model_copy(update={"trade_off": trade_off, "variants": (*view.variants, *kinds)})
    (chart, *_) = trade_off_charts(crowded)
    names = [words.partition(" ")[2] for _, words in chart.legend]
    assert {view.baseline, view.verdict.chosen} <= set(names)
    assert len(names) < MOST_NUMBERS
    assert f"{len(chart.rows) - len(names)} variants without a number" in chart.note
