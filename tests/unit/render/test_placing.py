from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.render.placing import APART, Box, Spot, place_tags, spread

SIDES = (46.0, 470.0, 4.0, 254.0)
PLACES = st.builds(
    lambda x, y, up, down: (x, y, y - up, y + down),
    st.floats(60, 440),
    st.floats(30, 230),
    st.floats(0, 60),
    st.floats(0, 60),
)


def spots_of(places: list[tuple[float, float, float, float]]) -> list[Spot]:
    return [Spot(f"checkpoint-{i}", *place) for i, place in enumerate(places)]


def test_points_in_one_place_stand_side_by_side() -> None:
    """Three at 100 stand 14 pixels apart around 100, in the order given; one far off stays."""
    spots = spots_of([(100, 50, 40, 60), (100, 52, 40, 60), (100, 90, 55, 95), (300, 50, 40, 60)])
    assert spread(spots, (60, 440))
    assert [spot.x for spot in spots] == [100 - APART, 100, 100 + APART, 300]
    assert [spot.y for spot in spots] == [50, 52, 90, 50]


def test_points_above_each_other_stay() -> None:
    """Where neither markers nor intervals touch, a place is told as it is."""
    spots = spots_of([(100, 50, 40, 60), (100, 200, 190, 210)])
    assert not spread(spots, (60, 440))
    assert [spot.x for spot in spots] == [100, 100]


@settings(max_examples=50, deadline=None)
@given(st.lists(PLACES, max_size=40))
def test_moved_points_stay_within_the_chart(
    places: list[tuple[float, float, float, float]],
) -> None:
    """However many cover each other."""
    spots = spots_of(places)
    spread(spots, (60, 440))
    assert all(60 - 1e-6 <= spot.x <= 440 + 1e-6 for spot in spots)
    assert [spot.y for spot in spots] == [place[1] for place in places]


def box_of(text: str, x: float, y: float) -> Box:
    return Box(x, x + 6.3 * len(text), y - 6, y + 6)


def test_names_cover_neither_names_nor_intervals_nor_markers() -> None:
    """Five variants as a run has them: three adapters in one place, merged and base near them."""
    spots = spots_of(
        [
            (345, 73, 45, 105),
            (359, 73, 45, 105),
            (331, 122, 89, 155),
            (84, 101, 65, 138),
            (407, 214, 196, 232),
        ]
    )
    tags = place_tags(spots, spots, [(84, 101), (345, 73)], SIDES)
    boxes = [box_of(tag.text, tag.x, tag.y) for tag in tags]
    assert sorted(tag.text for tag in tags) == sorted(spot.name for spot in spots)
    assert all(first.shared(second) == 0 for first, second in combinations(boxes, 2))
    for spot in spots:
        marker = Box(spot.x - 5, spot.x + 5, spot.y - 5, spot.y + 5)
        interval = Box(spot.x - 3, spot.x + 3, spot.top, spot.bottom)
        assert all(box.shared(marker) == box.shared(interval) == 0 for box in boxes)


@settings(max_examples=25, deadline=None)
@given(st.lists(PLACES, max_size=12))
def test_every_point_gets_its_name_inside(
    places: list[tuple[float, float, float, float]],
) -> None:
    """Wherever points stand; the same points give the same places."""
    spots = spots_of(places)
    tags = place_tags(spots, spots, [], SIDES)
    assert sorted(tag.text for tag in tags) == sorted(spot.name for spot in spots)
    assert all(tag.x > SIDES[0] and tag.x + 6.3 * len(tag.text) < SIDES[1] for tag in tags)
    assert tags == place_tags(spots, spots, [], SIDES)


def test_a_far_name_has_a_line_to_its_point() -> None:
    """Where everything near is taken."""
    wall = [Spot(f"x{i}", 200 + 14.0 * i, 120, 20, 240) for i in range(-4, 5)]
    (tag,) = place_tags([wall[4]], wall, [], SIDES)
    assert tag.leader is not None or tag.y < 20 or tag.y > 240
