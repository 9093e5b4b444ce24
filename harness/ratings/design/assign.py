"""Who judges what, and on which side: designs that are balanced whatever the numbers."""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

from harness.ratings.design.chance import Chance

Node = Hashable

RaterPair = tuple[int, int]
"""A rater and a pair of variants, by their places."""


class _Meetings:
    """Who has judged how much so far, and with whom.

    Args:
        raters: How many there are.
    """

    def __init__(self, raters: int) -> None:
        self.loads = [0] * raters
        self.together = [[0] * raters for _ in range(raters)]
        self.group = list(range(raters))  # raters linked by common items share a number

    def add(self, seated: Sequence[int]) -> None:
        """Count an item for its raters."""
        groups = {self.group[rater] for rater in seated}
        if len(groups) > 1:
            one = min(groups)
            self.group = [one if group in groups else group for group in self.group]
        for rater in seated:
            self.loads[rater] += 1
            for other in seated:
                self.together[rater][other] += rater != other

    def cost(self, rater: int, seated: Sequence[int]) -> tuple[int, bool, int]:
        """What speaks against adding a rater to an item, by weight."""
        row = self.together[rater]
        linked = any(self.group[rater] == self.group[other] for other in seated)
        return self.loads[rater], linked, sum(row[other] for other in seated) if seated else 0


def assign_raters(items: int, raters: int, overlap: int, chance: Chance) -> list[tuple[int, ...]]:
    """Give each item its raters, one after the other.

    Each item goes to those who have fewest so far, so loads never differ by more than one. Among
    these, first to those whom no item links yet with the item's other raters, even through others:
    raters can be compared, and severe ones told from mild ones, only where they are linked. Then
    to those who have fewest items in common.

    Args:
        items: How many items there are.
        raters: How many raters there are.
        overlap: How many of them judge each item, from 1 to ``raters``.
        chance: Settles what is left open.

    Returns:
        Raters of each item by their places, rising.
    """
    if overlap == raters:
        return [tuple(range(raters))] * items
    meetings = _Meetings(raters)
    seats = []
    for _ in range(items):
        left = chance.shuffled(range(raters))
        seated: list[int] = []
        while len(seated) < overlap:
            seated.append(min(left, key=lambda rater: meetings.cost(rater, seated)))
            left.remove(seated[-1])
        meetings.add(seated)
        seats.append(tuple(sorted(seated)))
    return seats


def is_connected(seats: Sequence[Sequence[int]], raters: int) -> bool:
    """Whether common items link all raters, be it through others."""
    meetings = _Meetings(raters)
    for seated in set(map(tuple, seats)):
        meetings.add(seated)
    return len(set(meetings.group)) <= 1


def assign_sides(
    rows: Mapping[RaterPair, Sequence[int]], chance: Chance
) -> dict[RaterPair, dict[int, bool]]:
    """Decide which comparisons show the second variant of a pair as A.

    Half of the rows of every rater and pair do; of an odd number, one more or one less, so chosen
    that each rater's rows, each pair's and all of them are balanced to within one as well.

    Args:
        rows: Rater and pair -> their items.
        chance: Decides which of the rows it is.

    Returns:
        Rater and pair -> item -> whether sides are swapped.
    """
    odd = [cell for cell, items in rows.items() if len(items) % 2]
    edges = [(("rater", rater), ("pair", pair)) for rater, pair in odd]
    one_more = dict(zip(odd, balanced_colours(edges, chance), strict=True))
    sides: dict[RaterPair, dict[int, bool]] = {}
    for cell, items in rows.items():
        swapped = len(items) // 2 + one_more.get(cell, False)
        sides[cell] = {item: place < swapped for place, item in enumerate(chance.shuffled(items))}
    return sides


def balanced_colours(edges: Sequence[tuple[Node, Node]], chance: Chance) -> list[bool]:
    """Colour the edges of a bipartite multigraph with two colours, balanced at every node.

    The edges are walked as trails and coloured by turns along each, so a trail that passes a node
    brings it one edge of either colour. As long as there are nodes with an odd number of edges
    left, a trail starts there, and can only end at another one: each such node is off by one.
    What is left then are closed trails; in a bipartite graph these have an even number of edges,
    so they are balanced where they begin and end, too.

    Args:
        edges: Both nodes of each edge, the first from one side, the second from the other.
        chance: Settles the first colour of trails.

    Returns:
        The colour of each edge. At each node, and over all, the colours differ by at most one.
    """
    colours = [False] * len(edges)
    surplus = 0  # of True over all trails so far; those with an odd number of edges bring one more
    for trail in _trails(edges):
        colour = chance.point() < 0.5
        if len(trail) % 2:
            colour = surplus < 0 if surplus else colour
            surplus += 1 if colour else -1
        for edge in trail:
            colours[edge] = colour
            colour = not colour
    return colours


def _trails(edges: Sequence[tuple[Node, Node]]) -> list[list[int]]:
    """Divide a graph's edges into trails, one between any two of its odd nodes, the rest closed."""
    left: dict[Node, dict[int, Node]] = defaultdict(dict)  # node -> unused edges, and where to
    for edge, (first, second) in enumerate(edges):
        left[first][edge], left[second][edge] = second, first

    def walk(node: Node) -> list[int]:
        trail = []
        while left[node]:
            edge, following = left[node].popitem()
            del left[following][edge]
            trail.append(edge)
            node = following
        return trail

    trails = [walk(node) for node in left if len(left[node]) % 2]
    for node, unused in left.items():
        while unused:
            trails.append(walk(node))
    return trails
