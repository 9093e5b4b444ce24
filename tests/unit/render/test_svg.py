from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.render.svg import Canvas, make_axis


@given(
    st.lists(st.floats(-1e9, 1e9, allow_subnormal=False), max_size=6),
    st.booleans(),
)
def test_axes_hold_their_values_and_have_few_ticks(values: list[float], zero: bool) -> None:
    """Whatever the values, every one is drawn within the axis, and ticks are few and rising."""
    axis = make_axis(values, 0, 100, zero=zero)
    assert all(-1e-6 <= axis(value) <= 100 + 1e-6 for value in values)
    assert 2 <= len(axis.ticks) <= 12
    assert list(axis.ticks) == sorted(set(axis.ticks))
    assert all(math.isfinite(axis(tick)) for tick in axis.ticks)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0, 2e-4], ["0", "5e-5", "1e-4", "1.5e-4", "2e-4"]),
        ([41.0, 74.0], ["40", "50", "60", "70", "80"]),
        ([2.1, 3.4], ["2.0", "2.5", "3.0", "3.5"]),
    ],
)
def test_ticks_are_round_and_labelled_by_their_distance(
    values: list[float], labels: list[str]
) -> None:
    """1, 2 and 5 times powers of ten, with just the digits they need."""
    axis = make_axis(values, 0, 100)
    assert [axis.tick_text(tick) for tick in axis.ticks] == labels


def test_names_are_escaped() -> None:
    """Titles and labels are text, whatever a variant is called."""
    canvas = Canvas("c", 10, 10, "<script>", 'a"b\u202e')
    canvas.text(1, 1, "</svg><script>")
    drawn = str(canvas.render())
    assert re.findall(r"<(/?\w+)", drawn) == [
        *("svg", "title", "/title", "desc", "/desc"),
        *("text", "/text", "/svg"),
    ]
    assert "\u202e" not in drawn
