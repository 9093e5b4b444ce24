"""Where points and their names stand in a scatter chart, so that none hides another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from harness.render.svg import shortened

APART = 14.0  # pixels from point to point: a marker beside a ring
MOST_CHARS = 28
_CHAR, _HALF_LINE = 6.3, 6.0  # pixels: a character's width, half a line of text
_MARK = 8.0  # half of a marker with its ring
_CAP = 4.0  # half of the ends of an interval's bar
_BESIDE = 13.0  # from a point to a name beside it
_NEAR = 22.0  # a name farther than this from its point needs a line to it
_SHIFTS = (0.0, *(sign * 11.0 * step for step in range(1, 9) for sign in (1, -1)))


@dataclass(frozen=True)
class Spot:
    """A point with its interval, in pixels; ``top`` and ``bottom`` are the interval's ends."""

    name: str
    x: float
    y: float
    top: float
    bottom: float


@dataclass(frozen=True)
class Box:
    """A rectangle, in pixels."""

    left: float
    right: float
    top: float
    bottom: float

    def shared(self, other: Box) -> float:
        """Area that both cover, in square pixels."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)


@dataclass(frozen=True)
class Tag:
    """A name: where its text begins, the middle of its line, and a line to its point if far."""

    text: str
    x: float
    y: float
    leader: tuple[float, float, float, float] | None


def spread(spots: list[Spot], within: tuple[float, float]) -> bool:
    """Move points that would cover each other apart, sideways and in place.

    Points whose markers or intervals overlap are set side by side around their common middle, in
    the order of their places, ties in the order given.

    Args:
        spots: All points; replaced by the moved ones.
        within: Left and right end of where points may stand.

    Returns:
        Whether any was moved.
    """
    moved = False
    for group in _groups(spots):
        if len(group) < 2:
            continue
        order = sorted(group, key=lambda place: spots[place].x)
        width = APART * (len(order) - 1)
        middle = sum(spots[place].x for place in order) / len(order)
        room = within[1] - within[0]
        step = APART if width <= room else room / (len(order) - 1)
        begin = max(within[0], min(middle - step * (len(order) - 1) / 2, within[1] - width))
        for index, place in enumerate(order):
            spots[place] = replace(spots[place], x=begin + step * index)
        moved = True
    return moved


def _groups(spots: Sequence[Spot]) -> list[list[int]]:
    """Places of points that cover each other, directly or through others."""
    groups: list[list[int]] = []
    for place, spot in enumerate(spots):
        joined = [g for g in groups if any(_covers(spot, spots[other]) for other in g)]
        rest = [g for g in groups if g not in joined]
        groups = [*rest, [*(other for g in joined for other in g), place]]
    return groups


def _covers(first: Spot, second: Spot) -> bool:
    if abs(first.x - second.x) >= APART / 2 + 2:
        return False
    tops = max(min(first.top, first.y - _MARK), min(second.top, second.y - _MARK))
    bottoms = min(max(first.bottom, first.y + _MARK), max(second.bottom, second.y + _MARK))
    return tops <= bottoms


def place_tags(
    named: Sequence[Spot],
    spots: Sequence[Spot],
    line: Sequence[tuple[float, float]],
    sides: tuple[float, float, float, float],
) -> list[Tag]:
    """Find a place for each name that covers as little as possible, near its point.

    Args:
        named: Points that get a name.
        spots: All points: their markers and intervals are not to be covered.
        line: A line that is better left free.
        sides: Left, right, top and bottom of where names may stand.
    """
    solid = [box for spot in spots for box in _boxes(spot)]
    faint = _steps(line)
    tags = []
    for spot in sorted(named, key=lambda item: (item.y, item.x)):
        text = shortened(spot.name, MOST_CHARS)
        width = _CHAR * len(text)
        places = list(_places(spot, width, sides)) or [(spot.x + _BESIDE, spot.y)]
        boxes = [_line(begin, middle, width) for begin, middle in places]
        best = _cheapest(spot, boxes, solid, faint)
        (begin, middle), box = places[best], boxes[best]
        solid.append(box)
        tags.append(Tag(text, begin, middle, _leader(spot, box)))
    return tags


def _boxes(spot: Spot) -> tuple[Box, Box]:
    """Marker and interval."""
    return (
        Box(spot.x - _MARK, spot.x + _MARK, spot.y - _MARK, spot.y + _MARK),
        Box(spot.x - _CAP, spot.x + _CAP, spot.top, spot.bottom),
    )


def _steps(line: Sequence[tuple[float, float]]) -> list[Box]:
    """A line as small boxes along it."""
    found = []
    for (x1, y1), (x2, y2) in pairwise(line):
        steps = max(1, round(math.hypot(x2 - x1, y2 - y1) / 4))
        for step in range(steps + 1):
            x, y = x1 + (x2 - x1) * step / steps, y1 + (y2 - y1) * step / steps
            found.append(Box(x - 1, x + 1, y - 1, y + 1))
    return found


def _line(begin: float, middle: float, width: float) -> Box:
    return Box(begin, begin + width, middle - _HALF_LINE, middle + _HALF_LINE)


def _places(
    spot: Spot, width: float, sides: tuple[float, float, float, float]
) -> Iterator[tuple[float, float]]:
    """Begin and middle of lines beside a point, and above and below its interval."""
    left, right, top, bottom = sides
    for begin in (spot.x + _BESIDE, spot.x - _BESIDE - width, spot.x + 26, spot.x - 26 - width):
        for shift in _SHIFTS:
            if _inside(begin, begin + width, spot.y + shift, (left, right, top, bottom)):
                yield begin, spot.y + shift
    above, below = min(spot.top, spot.y - _MARK) - 9, max(spot.bottom, spot.y + _MARK) + 9
    for middle in (above, below):
        for begin in (spot.x - width / 2, spot.x - width + 8, spot.x - 8):
            if _inside(begin, begin + width, middle, (left, right, top, bottom)):
                yield begin, middle


def _inside(
    begin: float, end: float, middle: float, sides: tuple[float, float, float, float]
) -> bool:
    left, right, top, bottom = sides
    return begin > left and end < right and top < middle < bottom - _HALF_LINE


def _cheapest(spot: Spot, boxes: Sequence[Box], solid: Sequence[Box], faint: Sequence[Box]) -> int:
    """Which box costs least; lines to the point are looked at only where they can decide."""
    covered = [_covering(spot, box, solid, faint) for box in boxes]
    best, least = 0, math.inf
    for place in sorted(range(len(boxes)), key=covered.__getitem__):
        if covered[place] >= least:
            break
        cost = covered[place] + _crossing(spot, boxes[place], solid)
        if cost < least:
            best, least = place, cost
    return best


def _covering(spot: Spot, box: Box, solid: Sequence[Box], faint: Sequence[Box]) -> float:
    """What a place covers, and how far it is from where names stand best."""
    covered = sum(20 * box.shared(other) for other in solid)
    covered += sum(2 * box.shared(other) for other in faint)
    aside = abs((box.top + box.bottom) / 2 - spot.y)
    return covered + max(0.0, _distance(spot, box) - _BESIDE) + 0.2 * aside


def _crossing(spot: Spot, box: Box, solid: Sequence[Box]) -> float:
    """What a line to the point costs, and what that crosses."""
    leader = _leader(spot, box)
    if leader is None:
        return 0.0
    others = [other for other in solid if other not in _boxes(spot)]
    steps = _steps([leader[:2], leader[2:]])
    return 15.0 + 10.0 * sum(step.shared(other) > 0 for step in steps for other in others)


def _ends(spot: Spot, box: Box) -> tuple[float, float, float, float]:
    """Nearest places of a point's marker or interval and its name."""
    x = min(max(spot.x, box.left), box.right)
    y = min(max(spot.y, box.top), box.bottom)
    if box.left <= spot.x <= box.right:  # above or below: from the end of the interval
        end = min(max(y, spot.top), spot.bottom)
        return spot.x, end, x, y
    return spot.x, spot.y, x, y


def _distance(spot: Spot, box: Box) -> float:
    x1, y1, x2, y2 = _ends(spot, box)
    return math.hypot(x2 - x1, y2 - y1)


def _leader(spot: Spot, box: Box) -> tuple[float, float, float, float] | None:
    """A line from beside the marker to the name, where that is far."""
    x1, y1, x2, y2 = _ends(spot, box)
    length = math.hypot(x2 - x1, y2 - y1)
    if length <= _NEAR:
        return None
    share = (_MARK + 1) / length
    return x1 + (x2 - x1) * share, y1 + (y2 - y1) * share, x2, y2
