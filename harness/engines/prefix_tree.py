"""Which tokens to compute, and in which forward passes, so that a shared prefix is computed once.

Requests are sequences of input tokens, the last of which predict targets. A radix tree over all
sequences holds every common prefix once. It is cut into *rows*, subtrees small enough to be one row
of a batch, and *stems*, long prefixes shared by many rows, which are computed alone and kept as
keys and values. Nothing here knows of models, and nothing needs torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TokenRequest:
    """One log-likelihood to compute.

    Attributes:
        inputs: Token ids the model reads, shape (n,), n >= 1.
        targets: Token ids that the last of ``inputs`` predict, one each, shape (m,), 1 <= m <= n.
    """

    inputs: Sequence[int]
    targets: Sequence[int]


@dataclass(frozen=True)
class Limits:
    """How to cut the tree; none of it changes a result.

    Attributes:
        row_tokens: Most tokens of a row that branches. Its attention is computed densely, so wide
            rows waste it on branches that do not see each other.
        stem_saves: A prefix becomes a stem when that saves computing at least so many tokens
            again; a forward pass of its own costs about as much.
        shared_tokens: Shorter common prefixes do not hold a row together: requests that share no
            more than a few words are cheaper to compute in rows of their own.
        branching: Whether rows may branch; otherwise each sequence is a row.
    """

    row_tokens: int = 512
    stem_saves: int = 256
    shared_tokens: int = 8
    branching: bool = True


@dataclass(frozen=True)
class TreeRow:
    """Tokens that one row of a batch computes: the nodes of a subtree in depth-first preorder.

    A token sees what lies on its path: token i sees token j if ``j <= i < end[j]``.

    Attributes:
        ids: Token ids, shape (n,).
        depth: Position of each token in its sequence, stems included, shape (n,).
        end: One past the last token of each token's subtree, as index of this row, shape (n,).
        slots: Number of each token in the tree, or -1 where another row answers for it, shape (n,).
        chain: Whether nothing branches.
        scored: How many of its slots predict a target.
    """

    ids: Ints
    depth: Ints
    end: Ints
    slots: Ints
    chain: bool
    scored: int

    def __len__(self) -> int:
        return len(self.ids)


@dataclass
class Stem:
    """A prefix shared by rows and by longer stems.

    Attributes:
        row: What it adds to the stem it continues, always a chain; None for the empty root.
        rows: Rows that continue it.
        stems: Stems that continue it.
    """

    row: TreeRow | None = None
    rows: list[TreeRow] = field(default_factory=list)
    stems: list[Stem] = field(default_factory=list)


@dataclass(frozen=True)
class Terms:
    """What the slots predict: a request's log-likelihood is the sum over its terms.

    Sorted by slot; ``first[s]:first[s + 1]`` are the terms of slot s.

    Attributes:
        request: Index of the request, shape (terms,).
        target: Token id whose log-probability is wanted, shape (terms,).
        first: Shape (slots + 1,).
    """

    request: Ints
    target: Ints
    first: Ints

    def of(self, slots: Ints) -> tuple[Ints, Ints]:
        """Terms of some slots.

        Returns:
            Indices of the terms, and for each the index into ``slots`` of the slot it belongs to.
        """
        counts = self.first[slots + 1] - self.first[slots]
        owner = np.repeat(np.arange(len(slots)), counts)
        offset = np.arange(len(owner)) - np.repeat(counts.cumsum() - counts, counts)
        return self.first[slots][owner] + offset, owner


@dataclass(frozen=True)
class TreePlan:
    """Forward passes that answer a set of requests.

    Attributes:
        requests: How many requests there are.
        root: The tree of stems and rows.
        terms: What to take from each slot.
        distinct_tokens: Slots, the fewest tokens that any exact method could compute.
        planned_tokens: Tokens in all rows and stems.
    """

    requests: int
    root: Stem
    terms: Terms
    distinct_tokens: int
    planned_tokens: int


def make_plan(requests: Sequence[TokenRequest], limits: Limits) -> TreePlan:
    """Plan the forward passes for some requests; equal ones are computed once.

    Raises:
        ValueError: A request has no targets, or more of them than inputs.
    """
    for request in requests:
        if not 1 <= len(request.targets) <= len(request.inputs):
            raise ValueError(f"{len(request.targets)} targets of {len(request.inputs)} inputs")
    tree = _Tree([request.inputs for request in requests])
    terms = _terms(tree, requests)
    root, planned = _Cutter(tree, terms, limits).cut()
    return TreePlan(len(requests), root, terms, tree.tokens, planned)


@dataclass(eq=False)
class _Node:
    """An edge of the radix tree: tokens ``start`` to ``end`` of a sequence."""

    sequence: Ints
    start: int
    end: int
    parent: _Node | None
    children: list[_Node] = field(default_factory=list)
    first: int = 0  # slot of its first token
    size: int = 0  # tokens of its subtree, its own included
    answered: bool = False  # whether a row or stem answers for its slots

    def __len__(self) -> int:
        return self.end - self.start


class _Tree:
    """A radix tree over sequences.

    Attributes:
        root: The empty node.
        last: Node in which each sequence ends, in the order given.
        tokens: Distinct tokens of all sequences.
    """

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        # big-endian bytes sort as the tokens do, and compare at the speed of memcmp
        keys = [np.asarray(sequence, dtype=">u4").tobytes() for sequence in sequences]
        ends = self._build(sorted(set(keys)))
        self.last = [ends[key] for key in keys]
        self.tokens = self._number()

    def _build(self, keys: Sequence[bytes]) -> dict[bytes, _Node]:
        """Insert sequences in sorted order: each branches off the rightmost path so far."""
        empty = np.empty(0, dtype=np.int64)
        self.root = _Node(empty, 0, 0, None)
        path, before = [self.root], empty
        ends = {}
        for key in keys:
            sequence = np.frombuffer(key, dtype=">u4").astype(np.int64)
            shared = _common_prefix(before, sequence)
            while path[-1].start >= shared and len(path) > 1:
                path.pop()
            if path[-1].end > shared:
                path[-1] = _split(path[-1], shared)
            leaf = _Node(sequence, shared, len(sequence), path[-1])
            path[-1].children.append(leaf)
            path.append(leaf)
            ends[key] = leaf
            before = sequence
        return ends

    def _number(self) -> int:
        """Number the slots in preorder, and add up the sizes of subtrees."""
        order = list(_preorder(self.root))
        slots = 0
        for node in order:
            node.first = slots
            slots += len(node)
        for node in reversed(order):
            node.size = len(node) + sum(child.size for child in node.children)
        return slots


def _split(node: _Node, at: int) -> _Node:
    """Cut a node in two and return the upper part, which takes its place under its parent."""
    upper = _Node(node.sequence, node.start, at, node.parent, [node])
    if node.parent is not None:
        node.parent.children[-1] = upper
    node.start, node.parent = at, upper
    return upper


def _preorder(node: _Node) -> Iterator[_Node]:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(node.children)


def _common_prefix(a: Ints, b: Ints) -> int:
    length = min(len(a), len(b))
    differs = a[:length] != b[:length]
    return int(differs.argmax()) if differs.any() else length


def _terms(tree: _Tree, requests: Sequence[TokenRequest]) -> Terms:
    slots: list[Ints] = []
    targets, owners = [], []
    for index, request in enumerate(requests):
        node: _Node | None = tree.last[index]
        pieces = []
        lowest = len(request.inputs) - len(request.targets)
        while node is not None and node.end > lowest:
            start = max(node.start, lowest)
            pieces.append(np.arange(start, node.end) - node.start + node.first)
            node = node.parent
        slots += reversed(pieces)
        targets.append(np.asarray(request.targets, dtype=np.int64))
        owners.append(np.full(len(request.targets), index))
    if not slots:
        nothing = np.empty(0, dtype=np.int64)
        return Terms(nothing, nothing, np.zeros(tree.tokens + 1, dtype=np.int64))
    slot = np.concatenate(slots)
    order = np.argsort(slot, kind="stable")
    first = np.searchsorted(slot[order], np.arange(tree.tokens + 1))
    return Terms(np.concatenate(owners)[order], np.concatenate(targets)[order], first)


class _Cutter:
    def __init__(self, tree: _Tree, terms: Terms, limits: Limits) -> None:
        self._tree = tree
        self._limits = limits
        self._scores = np.diff(terms.first) > 0  # whether a slot predicts anything
        self._planned = 0

    def cut(self) -> tuple[Stem, int]:
        """The root of stems and rows, and the tokens in all of them."""
        root = Stem()
        # nodes whose subtree is too large for a row: the stem above, and the path since that stem
        waiting: list[tuple[_Node, Stem, tuple[_Node, ...]]] = [(self._tree.root, root, ())]
        while waiting:
            node, stem, path = waiting.pop()
            if self._becomes_stem(node, path):
                longer = Stem(self._row(path))
                stem.stems.append(longer)
                stem, path = longer, ()
            for child in node.children:
                if self._is_row(child, path):
                    stem.rows.append(self._row((*path, *_preorder(child))))
                else:
                    waiting.append((child, stem, (*path, child)))
        return root, self._planned

    def _becomes_stem(self, node: _Node, path: Sequence[_Node]) -> bool:
        length = sum(map(len, path))
        again = len(node.children) - 1
        return length >= self._limits.shared_tokens and length * again >= self._limits.stem_saves

    def _is_row(self, node: _Node, path: Sequence[_Node]) -> bool:
        if not node.children:
            return True
        before = sum(map(len, path))
        return (
            self._limits.branching
            and before + len(node) >= self._limits.shared_tokens
            and before + node.size <= self._limits.row_tokens
        )

    def _row(self, nodes: Sequence[_Node]) -> TreeRow:
        """Nodes in preorder, of which the first ones may be a path from above."""
        ids, depth, end, slots = [], [], [], []
        at = 0
        chain = True
        inside = {id(node) for node in nodes}
        for node in nodes:
            length = len(node)
            ids.append(node.sequence[node.start : node.end])
            depth.append(np.arange(node.start, node.end))
            # a path from above sees only what is below it in this row: all of it
            below = [child for child in node.children if id(child) in inside]
            chain &= len(below) <= 1
            subtree = node.size if len(below) == len(node.children) else None
            end.append(np.full(length, -1 if subtree is None else at + subtree))
            own = np.arange(node.first, node.first + length)
            slots.append(np.full(length, -1) if node.answered else own)
            node.answered = True
            at += length
        self._planned += at
        ends = np.concatenate(end)
        ends[ends < 0] = at
        slot = np.concatenate(slots)
        scored = int(self._scores[slot[slot >= 0]].sum())
        return TreeRow(np.concatenate(ids), np.concatenate(depth), ends, slot, chain, scored)
