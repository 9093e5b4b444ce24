"""Whether a merged model is the adapter it was made of: their logits, and their embeddings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

EXACT = 1e-3
"""Largest difference of a logit in fp32, where rounding gives about 1e-5; a fault gives tenths."""

_ROWS, _TOKENS = 4, 16
_DIRECTIONS = 8  # that embeddings are seen from: a difference hides from all with probability 0
_AT_ONCE = 8192  # embeddings
# Merging rounds every weight once more, which moves logits about as far as rounding the input
# does: 0.6 to 1.6 times as far in root mean square and up to 2.4 times at most, in bf16, fp16 and
# fp32, of tiny Llama, Gemma 3 and GPT-2 and of SmolLM2-135M.
_TYPICAL, _LARGEST = 2.0, 4.0


@dataclass(frozen=True)
class Reading:
    """What a model answers to fixed tokens."""

    logits: torch.Tensor  # of rows without padding: (rows, tokens, vocabulary), fp32 on the CPU
    embeddings: torch.Tensor  # of all tokens, projected: (vocabulary, directions), likewise

    @property
    def is_finite(self) -> bool:
        """Whether every figure is a number."""
        return bool(self.logits.isfinite().all() and self.embeddings.isfinite().all())


@dataclass(frozen=True)
class Gap:
    """A difference between two models, and what rounding explains of it."""

    what: str
    size: float
    limit: float

    @property
    def is_rounding(self) -> bool:
        """Whether rounding explains it; not where it is no number."""
        return self.size <= self.limit


def read(model: Any) -> Reading:
    """Read a transformers or PEFT model in evaluation mode.

    A pass over the whole vocabulary would cost more than the merge. All rows of the output layer
    show in any logits; those of the input are looked up without the layers above them.
    """
    embed = model.get_input_embeddings()
    vocabulary = torch.arange(embed.weight.shape[0], device=embed.weight.device)
    with torch.inference_mode():
        width = embed(vocabulary[:1]).shape[-1]  # some models have wider embeddings than weights
        view = torch.randn(width, _DIRECTIONS, generator=torch.Generator().manual_seed(0))
        parts = [embed(ids).float().cpu() @ view for ids in vocabulary.split(_AT_ONCE)]
    return Reading(_logits(model), torch.cat(parts) / width**0.5)


def effect(plain: Reading, adapted: Reading) -> float:
    """Largest change of a logit between two readings; infinite where the vocabulary changed."""
    if plain.logits.shape != adapted.logits.shape:
        return math.inf
    return _peak(adapted.logits - plain.logits)


def gaps(truth: Reading, model: Any) -> tuple[Gap, ...]:
    """How far a model is from what another one answered; the largest difference of a logit first.

    What rounding explains is measured on the model itself: its input is changed by one rounding.
    """
    other = read(model)
    if truth.logits.shape != other.logits.shape:
        what = f"logits of shape {tuple(other.logits.shape)} for {tuple(truth.logits.shape)}"
        return (Gap(what, math.inf, 0.0),)
    logits = other.logits - truth.logits
    with _rounded_once_more(model):
        noise = _logits(model) - other.logits
    largest = max(EXACT, _LARGEST * _peak(noise))
    typical = max(EXACT, _TYPICAL * _mean(noise))
    embeddings = _peak(other.embeddings - truth.embeddings) / (_peak(truth.embeddings) or 1.0)
    precision = torch.finfo(model.get_input_embeddings().weight.dtype).eps
    return (
        Gap("largest difference of a logit", _peak(logits), largest),
        Gap("root mean square of the differences of logits", _mean(logits), typical),
        Gap("largest difference of an embedding, as a share", embeddings, max(1e-5, 4 * precision)),
    )


def _logits(model: Any) -> torch.Tensor:
    """Logits of fixed tokens, drawn evenly from the vocabulary."""
    weight = model.get_input_embeddings().weight
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(weight.shape[0], (_ROWS, _TOKENS), generator=generator)
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=ids.to(weight.device), use_cache=False).logits
    return logits.float().cpu()


@contextmanager
def _rounded_once_more(model: Any) -> Iterator[None]:
    """Let every number that leaves the embedding be off by one rounding, up or down."""
    generator = torch.Generator().manual_seed(0)

    def move(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        signs = 2 * torch.randint(2, output.shape, generator=generator) - 1
        step = torch.finfo(output.dtype).eps * signs.to(output.device)
        return (output.float() * (1 + step)).to(output.dtype)

    hook = model.get_input_embeddings().register_forward_hook(move)
    try:
        yield
    finally:
        hook.remove()


def _peak(values: torch.Tensor) -> float:
    return float(values.abs().max())


def _mean(values: torch.Tensor) -> float:
    return float(values.square().mean().sqrt())
