"""Rows are padded on the left, and batches shrink when memory runs out."""

import pytest
import torch

from harness.engines.batching import halving_batches, left_padded
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
