"""Batches of token rows: padding on the left, and halving when memory runs out."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch

from harness.errors import MemoryShortError

_OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)

RowT = TypeVar("RowT")
ResultT = TypeVar("ResultT")


def left_padded(
    rows: Sequence[Sequence[int]], pad: int, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pad token rows on the left.

    Args:
        rows: Token ids per row, none empty.
        pad: Id to pad with.
        device: Where the tensors go.

    Returns:
        Ids, attention mask (1 = real) and positions (0 at each row's first real token), each of
        shape (rows, longest row).
    """
    width = max(len(row) for row in rows)
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    return ids.to(device), mask.to(device), positions.to(device)


def halving_batches(
    rows: Sequence[RowT],
    batch_size: int,
    run: Callable[[Sequence[RowT]], list[ResultT]],
) -> Iterator[tuple[Sequence[RowT], list[ResultT]]]:
    """Run rows in batches, halving the batch size for what is left when memory runs out.

    Args:
        rows: In the order to run them.
        batch_size: Rows per batch at first.
        run: Gives one result per row of a batch.

    Yields:
        Each finished batch and its results; finished ones are never run again.

    Raises:
        MemoryShortError: Memory does not suffice for a single row.
    """
    budget = TokenBudget(tokens=batch_size, weight=0)
    yield from token_batches(rows, budget, run, size=lambda _: 1, weight=lambda _: 0)


def in_memory(run: Callable[[], ResultT]) -> ResultT | None:
    """What ``run`` gives, or None when memory ran out; all other errors pass through."""
    try:
        return run()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # torch has no error class for its CPU allocator, nor for CUDA's libraries and contexts
    texts = str(error)
    return isinstance(error, RuntimeError) and any(text in texts for text in _OUT_OF_MEMORY)


@dataclass
class TokenBudget:
    """What a forward pass may take; lowered for good when memory runs out.

    Attributes:
        tokens: Most tokens of a batch, padding to its longest row included.
        weight: Most of what else rows take, such as their logits.
    """

    tokens: int
    weight: int


def token_batches(
    rows: Sequence[RowT],
    budget: TokenBudget,
    run: Callable[[Sequence[RowT]], ResultT],
    *,
    size: Callable[[RowT], int],
    weight: Callable[[RowT], int],
) -> Iterator[tuple[Sequence[RowT], ResultT]]:
    """Run rows in batches by a budget, which is halved for what is left when memory runs out.

    Args:
        rows: The largest first, so that where memory does not suffice, it shows at once.
        budget: Of a batch; a single row may take more.
        run: Gives the result of a batch.
        size: Tokens of a row.
        weight: What else a row takes.

    Yields:
        Each finished batch and its result; finished ones are never run again.

    Raises:
        MemoryShortError: Memory does not suffice for a single row.
    """
    start = 0
    while start < len(rows):
        width, heavy, stop = size(rows[start]), weight(rows[start]), start + 1
        while stop < len(rows) and width * (stop + 1 - start) <= budget.tokens:
            heavy += weight(rows[stop])
            if heavy > budget.weight:
                break
            stop += 1
        batch = rows[start:stop]
        result = in_memory(partial(run, batch))
        if result is None:
            if len(batch) == 1:
                raise does_not_fit()
            budget.tokens = width * len(batch) // 2
            continue
        yield batch, result
        start = stop


def does_not_fit() -> MemoryShortError:
    """The error for one row that memory does not suffice for."""
    return MemoryShortError(
        "Memory does not suffice for a batch of one.",
        hint="Shorten prompts (max_prompt_tokens, max_length, num_fewshot), use a smaller model or "
        "a quantized one, or close other programs on the device.",
    )
