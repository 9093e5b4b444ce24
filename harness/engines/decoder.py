"""Decodes one batch of prompts: each read once without waste, then all written together.

Prompts are read in small groups of similar length, which pads little and keeps the activations in
the processor's caches; their keys and values are put side by side for the steps that follow, which
read every weight once for all rows. A row that has ended leaves the batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from harness.engines import kv_cache
from harness.engines.base import Decoding
from harness.engines.batching import left_padded
from harness.engines.endings import Endings
from harness.engines.finite import require_finite
from harness.errors import ModelError
from harness.models.adapters import forward_arguments
from harness.schema import FinishReason

# Padded tokens read at once. On a CPU more is slower: one thread of a Zen 5 core reads prompts of
# 164 to 356 tokens at 340 tokens/s in groups of up to 512, and 16 of them at once at 190.
_PREFILL_TOKENS = {"cpu": 512}
_PREFILL_TOKENS_ELSEWHERE = 8192


@dataclass(frozen=True)
class PromptRow:
    """One prompt for one variant.

    Attributes:
        ids: The prompt's tokens.
        variant: Whose weights read and write it, where several answer in one batch.
        number: Which of the prompts it is, from 1 on; for messages.
    """

    ids: tuple[int, ...]
    variant: str | None = None
    number: int = 1


@dataclass
class Written:
    """What was written after one prompt.

    Attributes:
        row: The prompt.
        tokens: New tokens, the one that ends the text included.
        reason: What ended it; None for its length.
        likeliest: Of the first steps, if asked for, and of those after other rows of its batch were
            taken out of it: step -> the likeliest token and its log-probability.
        moved: The first step after other rows were taken out; None while there was none.
    """

    row: PromptRow
    tokens: list[int] = field(default_factory=list)
    reason: FinishReason | None = None
    likeliest: dict[int, tuple[int, float]] = field(default_factory=dict)
    moved: int | None = None


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


def likeliest(logits: torch.Tensor) -> list[tuple[int, float]]:
    """Likeliest token of each row, and its log-probability in nats."""
    largest, tokens = logits.max(dim=-1)
    values = (largest - logits.logsumexp(dim=-1)).tolist()
    return list(zip(tokens.tolist(), values, strict=True))


class Decoder:
    """Decodes one batch at a time with one model.

    Args:
        model: A causal language model in evaluation mode.
        tokenizer: Its tokenizer.
        decoding: How to decode.
        assign: Called before each forward pass with the variant of each of its rows.
        on_step: Called after each step with (rows of the batch that have ended, tokens of the
            step).
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        decoding: Decoding,
        *,
        assign: Callable[[Sequence[str | None]], None] = lambda _: None,
        on_step: Callable[[int, int], None] = lambda _ended, _tokens: None,
    ) -> None:
        self._model = model
        self._decoding = decoding
        self._endings = Endings(model, tokenizer, decoding)
        self._assign = assign
        self._on_step = on_step
        self._pad = tokenizer.pad_token_id
        self._takes = forward_arguments(model)
        self._grows = kv_cache.fits(model.config)
        self._prefill_tokens = _PREFILL_TOKENS.get(model.device.type, _PREFILL_TOKENS_ELSEWHERE)

    def run(self, batch: Sequence[PromptRow], watched: int = 0) -> list[Written]:
        """Decode prompts until each has ended.

        Args:
            batch: The prompts.
            watched: Steps of which the likeliest tokens are noted.

        Raises:
            NotFiniteError: A logit is NaN or infinite.
        """
        with torch.inference_mode():
            return self._run(batch, watched)

    def _run(self, batch: Sequence[PromptRow], watched: int) -> list[Written]:
        decoding, steps = self._decoding, self._decoding.max_new_tokens
        draws = Draws([r.ids for r in batch], steps, decoding.seed) if decoding.do_sample else None
        texts = [Written(row) for row in batch]
        rows = list(range(len(batch)))  # which prompt each row of the tensors belongs to
        logits, mask, positions, cache = self._read(batch)
        for step in range(steps):
            own = [texts[row] for row in rows]
            require_finite(logits, partial(place, own, step))
            if step < watched or (watched and own[0].moved == step):
                _note(own, step, logits)
            tokens = choose(logits, decoding, draws.at(step, rows) if draws else None)
            for text, token in zip(own, tokens.tolist(), strict=True):
                if text.reason is None:
                    text.tokens.append(token)
                    text.reason = self._endings.reason(text.tokens)
            keep = [i for i, text in enumerate(own) if text.reason is None]
            new = sum(len(text.tokens) == step + 1 for text in own)
            self._on_step(len(batch) - len(keep), new)
            if not keep or step == steps - 1:
                break
            if len(keep) <= 0.75 * len(rows):  # copying the cache costs more than a few idle rows
                index = torch.tensor(keep, device=mask.device)
                tokens, mask, positions = tokens[index], mask[index], positions[index]
                cache.batch_select_indices(index)
                rows = [rows[i] for i in keep]
                for row in rows:
                    texts[row].moved = texts[row].moved or step + 1
            mask = torch.cat([mask, mask.new_ones((len(rows), 1))], dim=1)
            positions = positions + 1
            self._assign([batch[row].variant for row in rows])
            logits, cache = self._forward(tokens[:, None], mask, positions, cache)
        return texts

    def _read(
        self, batch: Sequence[PromptRow]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Any]:
        """Read the prompts.

        Returns:
            Logits after each prompt (rows, vocabulary), attention mask (rows, longest prompt),
            position of each prompt's last token (rows, 1), and the cache.
        """
        ids, mask, positions = left_padded([r.ids for r in batch], self._pad, self._model.device)
        if not self._grows:
            self._assign([row.variant for row in batch])
            logits, cache = self._forward(ids, mask, positions, None)
            return logits, mask, positions[:, -1:], cache
        whole = kv_cache.GrowingCache(len(batch), ids.shape[1])
        parts = []
        for part in self._parts(batch):
            width = max(len(row.ids) for row in batch[part])
            self._assign([row.variant for row in batch[part]])
            logits, cache = self._forward(
                ids[part, -width:], mask[part, -width:], positions[part, -width:], DynamicCache()
            )
            whole.absorb(cache, part.start)
            parts.append(logits)
        return torch.cat(parts), mask, positions[:, -1:], whole

    def _parts(self, batch: Sequence[PromptRow]) -> Iterator[slice]:
        """Neighbours that are read together."""
        start, width = 0, 0
        for at, row in enumerate(batch):
            width = max(width, len(row.ids))
            # adapters side by side cost more than one, which shows where a group is large
            one = row.variant == batch[start].variant
            limit = self._prefill_tokens if one else self._prefill_tokens // 4
            if at > start and width * (at + 1 - start) > limit:
                yield slice(start, at)
                start, width = at, len(row.ids)
        yield slice(start, len(batch))

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Any
    ) -> tuple[torch.Tensor, Any]:
        """Logits of the last position in fp32, shape (rows, vocabulary), and the cache."""
        options: dict[str, Any] = {}
        if "position_ids" in self._takes:  # models without it derive positions from the mask
            options["position_ids"] = positions
        if "logits_to_keep" in self._takes:
            options["logits_to_keep"] = 1
        outputs = self._model(
            input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **options
        )
        cache = getattr(outputs, "past_key_values", None)
        if not hasattr(cache, "batch_select_indices") or not len(cache):
            raise ModelError(
                f"{type(self._model).__name__} keeps no key-value cache that this engine can use.",
                hint="Generation supports decoder models with transformers' own cache.",
            )
        return outputs.logits[:, -1].float(), cache


def place(texts: Sequence[Written], step: int, row: int) -> str:
    """Which step of which prompt a row of logits is of, for messages."""
    prompt = texts[row].row
    whose = f" of {prompt.variant}" if prompt.variant is not None else ""
    return f"prompt {prompt.number}{whose}, new token {step + 1}"


def _note(texts: Sequence[Written], step: int, logits: torch.Tensor) -> None:
    for text, likely in zip(texts, likeliest(logits), strict=True):
        if text.reason is None:
            text.likeliest[step] = likely
