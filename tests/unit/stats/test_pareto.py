from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.stats.pareto import Objective, efficient


def test_a_variant_that_is_beaten_in_nothing_is_efficient() -> None:
    """By hand: b beats a in both; c is smaller than b; d is as good as c and larger."""
    quality = Objective("quality", {"a": 1.0, "b": 2.0, "c": 1.5, "d": 1.5})
    memory = Objective("memory", {"a": 9.0, "b": 8.0, "c": 4.0, "d": 5.0}, higher_is_better=False)
    assert efficient([quality, memory]) == {"b", "c"}


def test_equals_are_efficient_together() -> None:
    """Neither of two equal ones is better in anything."""
    assert efficient([Objective("quality", {"a": 1.0, "b": 1.0})]) == {"a", "b"}


def test_an_unknown_value_is_worst_and_without_quality_there_is_no_place() -> None:
    """What was not measured cannot beat what was; what was not scored takes no part."""
    quality = Objective("quality", {"a": 1.0, "b": 1.0, "c": None})
    speed = Objective("speed", {"a": 5.0, "b": None, "c": 99.0})
    assert efficient([quality, speed]) == {"a"}
    assert efficient([Objective("quality", {"c": None})]) == set()


POINTS = st.dictionaries(
    st.sampled_from("abcdefgh"), st.tuples(*[st.integers(0, 4).map(float)] * 3), min_size=1
)


@given(POINTS)
def test_whatever_is_not_efficient_is_beaten_by_one_that_is(
    points: dict[str, tuple[float, ...]],
) -> None:
    """The definition, checked by brute force on small grids with many ties."""
    axes = [Objective(str(place), {n: p[place] for n, p in points.items()}) for place in range(3)]
    front = efficient(axes)
    assert front
    for name, own in points.items():
        beaten = [
            other
            for other in front
            if points[other] != own and all(a >= b for a, b in zip(points[other], own, strict=True))
        ]
        assert bool(beaten) == (name not in front)
