"""How to decode: the options, and the choice of each next token."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from harness.engines.base import Decoding


class Draws:
    """Uniform numbers for sampling, a stream of its own for every prompt.

    Args:
        prompts: Token ids per row.
        steps: Numbers per row.
        seed: Of the sampling; a stream depends on it and on the prompt's tokens only.
    """

    def __init__(self, prompts: Sequence[Sequence[int]], steps: int, seed: int) -> None:
        streams = []
        for ids in prompts:
            digest = hashlib.sha256(np.asarray(ids, dtype="<i8").tobytes()).digest()
            sequence = np.random.SeedSequence([seed, int.from_bytes(digest, "little")])
            streams.append(np.random.default_rng(sequence).random(steps))
        self._numbers = torch.from_numpy(np.stack(streams))

    def at(self, step: int, rows: Sequence[int]) -> torch.Tensor:
        """One number in [0, 1) per row, shape (rows,)."""
        return self._numbers[list(rows), step]


def choose(logits: torch.Tensor, decoding: Decoding, draws: torch.Tensor | None) -> torch.Tensor:
    """Next token of each row, shape (rows,); by inverse transform sampling where draws are given.

    Filters apply in transformers' order: temperature, top_k, top_p.
    """
    if draws is None:
        return logits.argmax(dim=-1)
    probabilities, order = torch.sort(
        torch.softmax(logits.double() / decoding.temperature, dim=-1), dim=-1, descending=True
    )
    if decoding.top_k:
        probabilities[:, decoding.top_k :] = 0
        probabilities /= probabilities.sum(dim=-1, keepdim=True)
    before = probabilities.cumsum(dim=-1) - probabilities
    probabilities[before >= decoding.top_p] = 0  # the likeliest one always stays: before is 0
    cumulative = probabilities.cumsum(dim=-1)
    target = draws.to(cumulative)[:, None] * cumulative[:, -1:]
    rank = torch.searchsorted(cumulative, target, right=True)
    last = (probabilities > 0).sum(dim=-1, keepdim=True) - 1  # rounding must not leave the set
    return order.gather(1, torch.minimum(rank, last)).squeeze(1)
