"""Plans of forward passes: every token that is needed, once, and what each may see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engines.prefix_tree import Limits, Stem, TokenRequest, TreePlan, TreeRow, make_plan

EAGER = Limits(row_tokens=6, stem_saves=1, shared_tokens=1)  # cuts wherever it can


def _request(inputs: list[int], scored: int = 1) -> TokenRequest:
    return TokenRequest(inputs, [900 + index for index in range(scored)])


def _walk(stem: Stem, above: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], TreeRow]]:
    """Every row and stem, with the token ids of the stems above it."""
    for row in stem.rows:
        yield above, row
    for longer in stem.stems:
        assert longer.row is not None
        yield above, longer.row
        yield from _walk(longer, (*above, *longer.row.ids.tolist()))


def _seen(above: tuple[int, ...], row: TreeRow, token: int) -> list[int]:
    """Token ids that a token of a row sees, by the rule that TreeRow states, itself included."""
    inside = [j for j in range(token + 1) if token < row.end[j]]
    return [*above, *row.ids[inside].tolist()]


def _scored_paths(plan: TreePlan) -> Counter[tuple[Any, ...]]:
    """(request, the tokens its target is predicted from, target) of every term computed."""
    found: Counter[tuple[Any, ...]] = Counter()
    for above, row in _walk(plan.root):
        places = np.flatnonzero(row.slots >= 0)
        terms, owner = plan.terms.of(row.slots[places])
        for term, place in zip(terms, places[owner], strict=True):
            path = _seen(above, row, place)
            assert row.depth[place] == len(path) - 1  # its position in its own sequence
            found[int(plan.terms.request[term]), tuple(path), int(plan.terms.target[term])] += 1
    return found


def _expected(requests: list[TokenRequest]) -> Counter[tuple[Any, ...]]:
    """The same by definition: each target from its request's inputs up to it."""
    expected: Counter[tuple[Any, ...]] = Counter()
    for index, request in enumerate(requests):
        first = len(request.inputs) - len(request.targets)
        for offset, target in enumerate(request.targets):
            expected[index, tuple(request.inputs[: first + offset + 1]), target] += 1
    return expected


def _chains(plan: TreePlan) -> bool:
    return all(row.chain for _, row in _walk(plan.root))


_sequences = st.lists(st.integers(0, 2), min_size=1, max_size=12)


@st.composite
def _requests(draw: st.DrawFn) -> list[TokenRequest]:
    inputs = draw(st.lists(_sequences, max_size=12))
    return [
        TokenRequest(ids, draw(st.lists(st.integers(0, 9), min_size=1, max_size=len(ids))))
        for ids in inputs
    ]


@given(
    requests=_requests(),
    limits=st.builds(
        Limits,
        row_tokens=st.integers(1, 20),
        stem_saves=st.integers(1, 12),
        shared_tokens=st.integers(1, 6),
        branching=st.booleans(),
    ),
)
def test_every_target_is_predicted_once_from_its_own_tokens(
    requests: list[TokenRequest], limits: Limits
) -> None:
    """However the tree is cut, each term is computed once, and sees its own prefix only."""
    plan = make_plan(requests, limits)
    assert _scored_paths(plan) == _expected(requests)
    assert _chains(plan) or limits.branching
    distinct = {tuple(r.inputs[: n + 1]) for r in requests for n in range(len(r.inputs))}
    assert plan.distinct_tokens == len(distinct)
    assert plan.planned_tokens == sum(len(row) for _, row in _walk(plan.root))
    assert plan.planned_tokens >= plan.distinct_tokens


def test_a_common_prefix_is_a_stem_and_its_branches_are_rows() -> None:
    """Four answers to one long question: the question once, then four short rows."""
    question = list(range(100, 400))
    requests = [_request([*question, 10 * n, 10 * n + 1], scored=3) for n in range(4)]
    plan = make_plan(requests, Limits(row_tokens=300))
    (stem,) = plan.root.stems
    assert stem.row is not None
    assert stem.row.ids.tolist() == question
    assert stem.row.scored == 1  # its last token predicts the first token of every answer
    assert sorted(row.ids.tolist() for row in stem.rows) == [[0, 1], [10, 11], [20, 21], [30, 31]]
    assert plan.planned_tokens == plan.distinct_tokens == 308


def test_a_small_tree_is_one_row() -> None:
    """Question and answers that fit are one row, in preorder, with the ends of subtrees."""
    requests = [_request([1, 2, 3, *tail], scored=len(tail)) for tail in ([4, 5], [6], [6, 7])]
    plan = make_plan(requests, Limits(shared_tokens=3))
    (row,) = plan.root.rows
    assert row.ids.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert row.end.tolist() == [7, 7, 7, 5, 5, 7, 7]
    assert row.depth.tolist() == [0, 1, 2, 3, 4, 3, 4]
    assert not row.chain


def test_a_few_common_words_do_not_tie_rows_together() -> None:
    """Requests that share less than shared_tokens become rows of their own."""
    requests = [_request([1, 2, *range(n, n + 20)]) for n in (100, 200, 300)]
    plan = make_plan(requests, Limits())
    assert [len(row) for row in plan.root.rows] == [22, 22, 22]
    assert plan.planned_tokens - plan.distinct_tokens == 4  # two words, computed two times more


def test_equal_requests_are_computed_once_and_answered_each() -> None:
    """Repeated requests share every slot."""
    plan = make_plan([_request([1, 2, 3], 2)] * 5, Limits())
    assert plan.planned_tokens == 3
    assert np.bincount(plan.terms.request).tolist() == [2] * 5


def test_answers_of_one_token_share_the_row_of_their_question() -> None:
    """Four letters as answers, as in MMLU: one row, four targets at its last token."""
    plan = make_plan([TokenRequest([1, 2, 3], [letter]) for letter in range(4)], Limits())
    (row,) = plan.root.rows
    assert (len(row), row.scored, row.chain) == (3, 1, True)
    terms, owner = plan.terms.of(row.slots[2:])
    assert sorted(plan.terms.target[terms].tolist()) == [0, 1, 2, 3]
    assert owner.tolist() == [0, 0, 0, 0]


def test_stems_continue_stems() -> None:
    """A shared introduction, and below it questions that are shared themselves."""
    intro = list(range(50))
    requests = [
        _request([*intro, *range(q, q + 40), 7, a]) for q in (1000, 2000) for a in (1, 2, 3)
    ]
    plan = make_plan(requests, Limits(row_tokens=30, stem_saves=40))
    (outer,) = plan.root.stems
    assert [len(stem.row or ()) for stem in outer.stems] == [41, 41]
    assert plan.planned_tokens == plan.distinct_tokens


def test_no_requests_make_an_empty_plan() -> None:
    """lm-eval asks for nothing where a task has no such requests."""
    plan = make_plan([], Limits())
    assert (plan.requests, plan.planned_tokens, plan.root.rows) == (0, 0, [])


@pytest.mark.parametrize("depth", [1500])
def test_prefixes_of_prefixes_do_not_exhaust_the_stack(depth: int) -> None:
    """A text scored at each of its beginnings is one long chain of nodes."""
    text = list(range(depth))
    plan = make_plan([_request(text[: n + 1]) for n in range(depth)], EAGER)
    assert plan.planned_tokens == depth


@pytest.mark.parametrize("targets", [[], [1, 2, 3]])
def test_targets_without_inputs_are_refused(targets: list[int]) -> None:
    """A request with more targets than inputs would shift the terms of all that follow."""
    with pytest.raises(ValueError, match="of 2 inputs"):
        make_plan([TokenRequest([1, 2], targets)], Limits())
