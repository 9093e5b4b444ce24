"""Components of sets that are alike, without comparing every pair.

Method: two sets of Jaccard similarity t or more have a member in common among the rarest of each,
all but t of them (prefix filter: Chaudhuri, Ganti, Kaushik 2006, A primitive operator for
similarity joins in data cleaning; Bayardo, Ma, Srikant 2007, Scaling up all pairs similarity
search). Only sets that share such a member are compared, by their true similarity.

Members that many sets have would make nearly every pair a candidate, where long texts share a
template. So sets with the same frequent members form a group, and what is alike by these alone is
found by the smallest set of each group: a larger one that is like some set is like the smallest of
its group, too. Everything else that is alike shares a rare member.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

FREQUENT = 200  # a member of more sets than this is frequent
_ROUNDING = 1e-9  # of a product with the threshold: a prefix too long finds no wrong pair


@dataclass(frozen=True, slots=True)
class Sets:
    """Sets of numbers, each sorted; a number is the lower, the fewer sets have it.

    Attributes:
        members: Those of all sets, one set after another, shape (members of all,).
        starts: Where each set begins, and where the last ends, shape (sets + 1,).
    """

    members: Ints
    starts: Ints

    @classmethod
    def of_pairs(cls, number: Ints, row: Ints, n: int) -> Sets:
        """Sets of distinct pairs of a number and the set it is in, of n sets."""
        counts = np.bincount(number)
        rank = np.empty(len(counts), dtype=np.int64)
        rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
        pairs = row * max(1, len(counts)) + rank[number]
        pairs.sort()
        starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])
        return cls(pairs % max(1, len(counts)), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def sizes(self) -> Ints:
        """Members of each set, shape (sets,)."""
        return np.diff(self.starts)

    def of(self, index: int) -> Ints:
        """Members of a set, the rarest first."""
        return self.members[self.starts[index] : self.starts[index + 1]]

    def some(self, indices: Ints) -> Sets:
        """Some of the sets."""
        sizes = self.sizes[indices]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        places = np.arange(starts[-1]) + np.repeat(self.starts[indices] - starts[:-1], sizes)
        return Sets(self.members[places], starts)


def components(sets: Sets, threshold: float) -> list[int]:
    """For each set, the smallest index in its component.

    Two sets are alike where their Jaccard similarity is at least the threshold; sets without
    members are alike. A chain of such pairs is one component.
    """
    joined = _Components(len(sets))
    empty = np.flatnonzero(sets.sizes == 0)
    for index in empty[1:]:
        joined.join(int(empty[0]), int(index))
    search = _Search(sets, threshold, joined)
    search.join_by_rare_members()
    search.join_by_frequent_members()
    return joined.roots()


class _Components:
    """Sets that belong together; ``of`` has one number for all of a component."""

    def __init__(self, n: int) -> None:
        self.of = np.arange(n)
        self._members: dict[int, list[int]] = {}

    def join(self, one: int, other: int) -> None:
        """Put the components of two sets together: the smaller takes the number of the larger."""
        a, b = int(self.of[one]), int(self.of[other])
        if a == b:
            return
        of_a, of_b = self._members.pop(a, [a]), self._members.pop(b, [b])
        if len(of_a) < len(of_b):
            a, of_a, of_b = b, of_b, of_a
        self.of[of_b] = a
        of_a += of_b
        self._members[a] = of_a

    def roots(self) -> list[int]:
        """The smallest index of each set's component."""
        smallest = np.arange(len(self.of))
        np.minimum.at(smallest, self.of, np.arange(len(self.of)))
        return [int(root) for root in smallest[self.of]]


class _Search:
    """Looks for sets that are alike and joins their components."""

    def __init__(self, sets: Sets, threshold: float, joined: _Components) -> None:
        self._sets, self._threshold, self._joined = sets, threshold, joined
        self._sizes = sets.sizes
        self._row = np.repeat(np.arange(len(sets)), self._sizes)
        counts = np.bincount(sets.members)
        self._rare = sets.members < np.searchsorted(counts, FREQUENT, side="right")
        self._rare_sizes = np.bincount(self._row[self._rare], minlength=len(sets))
        least = np.ceil(threshold * self._sizes - _ROUNDING).astype(np.int64)
        self._prefix = np.where(self._sizes > 0, self._sizes - least + 1, 0)
        self._marked = np.zeros(len(counts), dtype=bool)  # members of the set being compared

    def join_by_rare_members(self) -> None:
        """Join the sets that are alike and share a rare member."""
        place = np.arange(len(self._row)) - self._sets.starts[self._row]
        kept = self._rare & (place < self._prefix[self._row])
        for index, later in _candidates(self._sets.members[kept], self._row[kept]):
            size = self._sizes[index]
            others = later[self._joined.of[later] != self._joined.of[index]]
            ratio = self._sizes[others] / size
            others = others[np.minimum(ratio, 1 / ratio) >= self._threshold - _ROUNDING]
            common = self._common(self._sets.of(index), self._sets.some(others))
            similarity = common / (self._sizes[others] + size - common)
            for other in others[similarity >= self._threshold]:
                self._joined.join(index, int(other))

    def join_by_frequent_members(self) -> None:
        """Join the sets that are alike by frequent members alone."""
        groups = self._groups()
        if not groups:
            return
        smallest = np.array([of[0] for of in groups])
        cores = [self._sets.of(first)[self._rare_sizes[first] :] for first in smallest]
        lengths = np.array([len(core) for core in cores])
        core_sets = Sets(np.concatenate(cores), np.concatenate([[0], np.cumsum(lengths)]))
        # sets with f members in common are alike where their sizes add up to no more than reach * f
        reach = 1 + 1 / self._threshold
        sizes = self._sizes[smallest]
        largest = np.array([self._sizes[of[-1]] if len(of) > 1 else 0 for of in groups])
        limit = reach * lengths - sizes  # size up to which a group's sets belong to its smallest
        row = np.repeat(np.arange(len(groups)), lengths)
        prefix = self._prefix[smallest] - self._rare_sizes[smallest]
        kept = np.arange(len(row)) - core_sets.starts[row] < prefix[row]
        for index, later in _candidates(core_sets.members[kept], row[kept]):
            apart = self._joined.of[smallest[later]] != self._joined.of[smallest[index]]
            cut_off = (largest[later] > limit[later]) | (largest[index] > limit[index])
            others = later[apart | cut_off]
            common = self._common(core_sets.of(index), core_sets.some(others))
            alike = common / (sizes[others] + sizes[index] - common) >= self._threshold
            for other, shared in zip(others[alike], common[alike], strict=True):
                self._joined.join(int(smallest[index]), int(smallest[other]))
                limit[index] = max(limit[index], reach * shared - sizes[other])
                limit[other] = max(limit[other], reach * shared - sizes[index])
        for of, most in zip(groups, limit, strict=True):
            for member in of[1:]:
                if self._sizes[member] <= most + _ROUNDING:
                    self._joined.join(of[0], member)

    def _groups(self) -> list[list[int]]:
        """Sets that may be alike by frequent members alone, by all of these; the smallest first."""
        groups: dict[bytes, list[int]] = defaultdict(list)
        among = np.flatnonzero(self._prefix > self._rare_sizes)
        for index in among[np.argsort(self._sizes[among], kind="stable")]:
            groups[self._sets.of(index)[self._rare_sizes[index] :].tobytes()].append(int(index))
        return list(groups.values())

    def _common(self, members: Ints, others: Sets) -> Ints:
        """How many members each of other sets, none of them empty, has in common with one."""
        if not len(others):
            return np.zeros(0, dtype=np.int64)
        self._marked[members] = True
        common = np.add.reduceat(self._marked[others.members], others.starts[:-1], dtype=np.int64)
        self._marked[members] = False
        return common


def _candidates(members: Ints, rows: Ints) -> Iterator[tuple[int, Ints]]:
    """For each row, the later ones that share a member with it.

    Args:
        members: Of all rows, shape (pairs,).
        rows: The row of each, ascending.
    """
    order = np.argsort(members, kind="stable")
    ordered, of_member = members[order], rows[order]
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(1, len(order) + 1)
    ends = np.searchsorted(ordered, members, side="right")
    shared = np.flatnonzero(place < ends)  # those that a later row has, too
    rows, place, ends = rows[shared], place[shared], ends[shared]
    bounds = [0, *(np.flatnonzero(np.diff(rows)) + 1), len(rows)]
    for start, end in pairwise(bounds if len(rows) else []):
        spans = zip(place[start:end], ends[start:end], strict=True)
        later = np.sort(np.concatenate([of_member[first:last] for first, last in spans]))
        yield int(rows[start]), later[np.diff(later, prepend=-1) > 0]
