"""Rows are padded on the left, and batches shrink when memory runs out."""

import pytest
import torch

from harness.engines.batching import TokenBudget, halving_batches, left_padded, token_batches
from harness.errors import MemoryShortError


def test_left_padding():
    """Real tokens end in the last column, and positions count from each row's first one."""
    ids, mask, positions = left_padded([[5, 6, 7], [8]], pad=2, device="cpu")
    assert ids.tolist() == [[5, 6, 7], [2, 2, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert positions.tolist() == [[0, 1, 2], [0, 0, 0]]


def test_batches_halve_and_no_row_runs_twice():
    """Finished batches stay finished; only what failed runs again, in smaller batches."""
    finished = []

    def run(batch):
        if sum(batch) > 12:
            raise torch.OutOfMemoryError
        finished.extend(batch)
        return [row * 10 for row in batch]

    rows = [9, 8, 4, 4, 4, 2, 1]
    results = [
        pair
        for batch, outputs in halving_batches(rows, 4, run)
        for pair in zip(batch, outputs, strict=True)
    ]
    assert results == [(row, row * 10) for row in rows]
    assert finished == rows


def test_single_row_without_room():
    """A single row that does not fit is an error with what to change."""

    def run(_):
        raise MemoryError

    with pytest.raises(MemoryShortError, match="max_prompt_tokens"):
        list(halving_batches([1, 2], 2, run))


def _batches(rows, budget, run=list):
    """Rows of (tokens, weight), in batches."""
    return [
        list(batch)
        for batch, _ in token_batches(
            rows, budget, run, size=lambda row: row[0], weight=lambda row: row[1]
        )
    ]


def test_batches_are_sized_by_tokens_with_padding():
    """A batch is as wide as its longest row; a row over the budget goes alone."""
    rows = [(90, 0), (40, 0), (30, 0), (30, 0), (10, 0), (10, 0)]
    found = _batches(rows, TokenBudget(tokens=80, weight=9))
    assert found == [[(90, 0)], [(40, 0), (30, 0)], [(30, 0), (10, 0)], [(10, 0)]]


def test_batches_are_sized_by_weight_too():
    """Rows with many scored tokens are spread over more passes."""
    found = _batches([(5, 3), (5, 3), (5, 1), (5, 8)], TokenBudget(tokens=100, weight=4))
    assert found == [[(5, 3)], [(5, 3), (5, 1)], [(5, 8)]]


def test_a_lowered_budget_stays_lowered():
    """What did not fit once is not tried again with the next rows."""
    budget, sizes = TokenBudget(tokens=40, weight=0), []

    def run(batch):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError
        return batch

    _batches([(10, 0)] * 4, budget, run)
    _batches([(10, 0)] * 4, budget, run)
    assert sizes == [4, 2, 2, 2, 2]
