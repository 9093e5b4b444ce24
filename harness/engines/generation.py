"""Generates text for many prompts: batched, exact, and without silent cuts.

Prompts are tokenized once, equal ones are generated once, and batches hold prompts of similar
length. Rows are padded on the left with explicit positions; a row that has ended leaves the batch
and its share of the key-value cache. In fp32 the text does not depend on the batch size; in half
precision kernels round differently for different batch shapes, as they do everywhere.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from harness.engines.batching import halving_batches, left_padded
from harness.errors import ModelError
from harness.models.tokens import context_tokens, encode_prompt, truncate_left
from harness.schema import FinishReason

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Decoding:
    """How to decode.

    Attributes:
        max_new_tokens: Most tokens to generate per prompt, EOS included.
        stop: Strings that end a generation; the text is cut before the first of them.
        do_sample: Sample instead of taking the likeliest token.
        temperature: Divides the logits before sampling.
        top_p: Samples from the smallest set of tokens whose probabilities add up to this.
        top_k: Samples from this many likeliest tokens; 0 switches it off.
        seed: Of the sampling. Every prompt draws from its own stream, seeded by this and by its
            tokens, so that a text does not depend on batch size, order or other prompts.
        max_prompt_tokens: Longer prompts are cut on the left, and counted; None leaves it to the
            model's context length.
        batch_size: Prompts per batch; halved when memory runs out.
    """

    max_new_tokens: int = 64
    stop: tuple[str, ...] = ()
    do_sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    max_prompt_tokens: int | None = None
    batch_size: int = 16


@dataclass(frozen=True)
class Generated:
    """What the model wrote after one prompt.

    Attributes:
        text: Without special tokens, and cut before a stop string.
        prompt_tokens: Tokens the model read.
        new_tokens: Tokens it generated, those of EOS or of the stop string included.
        finish_reason: ``eos``, ``stop``, or ``length`` when ``max_new_tokens`` were used up.
        truncated_prompt_tokens: Tokens cut from the prompt's left.
    """

    text: str
    prompt_tokens: int
    new_tokens: int
    finish_reason: FinishReason
    truncated_prompt_tokens: int


@dataclass(frozen=True)
class _Output:
    text: str
    new_tokens: int
    finish_reason: FinishReason


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    decoding: Decoding,
    *,
    chat: bool,
    progress: Progress | None = None,
) -> list[Generated]:
    """Generate a continuation of each prompt.

    The model's own generation configuration gives its end tokens and nothing else: sampling
    defaults, penalties and lengths that a model repository suggests are not applied.

    Args:
        model: A causal language model, with or without an adapter, in evaluation mode.
        tokenizer: Its tokenizer.
        prompts: Rendered prompts.
        decoding: How to decode.
        chat: Whether the chat template rendered the prompts.
        progress: Called with (prompts done, prompts in all).

    Returns:
        One result per prompt, in the order of the prompts.

    Raises:
        ModelError: The context has no room for prompt and answer, memory does not suffice for a
            single prompt, or the model keeps no key-value cache.
    """
    limit = _prompt_limit(model, tokenizer, decoding)
    bos = tokenizer.bos_token_id
    encoded = [
        truncate_left(encode_prompt(tokenizer, prompt, chat=chat), limit, bos) for prompt in prompts
    ]
    rows_of: dict[tuple[int, ...], list[int]] = {}
    for row, (prompt_ids, _) in enumerate(encoded):
        rows_of.setdefault(tuple(prompt_ids), []).append(row)
    # The longest first: where memory does not suffice, it shows at once.
    unique = sorted(rows_of, key=len, reverse=True)
    decoder = _Decoder(model, tokenizer, decoding)
    results: list[Generated | None] = [None] * len(prompts)
    done = 0
    for batch, outputs in halving_batches(unique, decoding.batch_size, decoder.run):
        for ids, output in zip(batch, outputs, strict=True):
            for row in rows_of[ids]:
                results[row] = Generated(
                    text=output.text,
                    prompt_tokens=len(ids),
                    new_tokens=output.new_tokens,
                    finish_reason=output.finish_reason,
                    truncated_prompt_tokens=encoded[row][1],
                )
                done += 1
        if progress is not None:
            progress(done, len(prompts))
    return [result for result in results if result is not None]


class _Decoder:
    """Decodes one batch at a time with one model."""

    def __init__(self, model: Any, tokenizer: Any, decoding: Decoding) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._decoding = decoding
        self._pad = tokenizer.pad_token_id
        self._stop_ids = _stop_ids(tokenizer, decoding.stop)
        self._end_ids = _end_ids(model, tokenizer) - self._stop_ids
        # A stop string of n bytes lies within the last n tokens, since none of those that are
        # shown is shorter than a byte; a few more allow for tokens that decode to nothing.
        self._window = max((len(stop.encode()) for stop in decoding.stop), default=0) + 4
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._parameters = inspect.signature(base.forward).parameters

    def run(self, batch: Sequence[tuple[int, ...]]) -> list[_Output]:
        """Decode prompts of token ids until each has ended."""
        with torch.inference_mode():
            return self._run(batch)

    def _run(self, batch: Sequence[tuple[int, ...]]) -> list[_Output]:
        ids, mask, positions = left_padded(batch, self._pad, self._model.device)
        draws = _Draws(batch, self._decoding) if self._decoding.do_sample else None
        new: list[list[int]] = [[] for _ in batch]
        reasons: list[FinishReason | None] = [None] * len(batch)
        rows = list(range(len(batch)))  # which prompt each row of the tensors belongs to
        cache = None
        for step in range(self._decoding.max_new_tokens):
            logits, cache = self._forward(ids, mask, positions, cache)
            tokens = _choose(logits, self._decoding, draws.at(step, rows) if draws else None)
            for row, token in zip(rows, tokens.tolist(), strict=True):
                if reasons[row] is None:
                    new[row].append(token)
                    reasons[row] = self._finish(new[row])
            keep = [i for i, row in enumerate(rows) if reasons[row] is None]
            if not keep:
                break
            if len(keep) <= 0.75 * len(rows):  # copying the cache costs more than a few idle rows
                index = torch.tensor(keep, device=ids.device)
                tokens, mask, positions = tokens[index], mask[index], positions[index]
                cache.batch_select_indices(index)
                rows = [rows[i] for i in keep]
            ids = tokens[:, None]
            mask = torch.cat([mask, mask.new_ones((len(rows), 1))], dim=1)
            positions = positions[:, -1:] + 1
        return [
            self._output(tokens, reason or "length")
            for tokens, reason in zip(new, reasons, strict=True)
        ]

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Any
    ) -> tuple[torch.Tensor, Any]:
        """Logits of the last position in fp32, shape (rows, vocabulary), and the cache."""
        options: dict[str, Any] = {}
        if "position_ids" in self._parameters:  # models without it derive positions from the mask
            options["position_ids"] = positions
        if "logits_to_keep" in self._parameters:
            options["logits_to_keep"] = 1
        outputs = self._model(
            input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **options
        )
        cache = getattr(outputs, "past_key_values", None)
        if cache is None or not hasattr(cache, "batch_select_indices"):
            raise ModelError(
                f"{type(self._model).__name__} keeps no key-value cache that this engine can use.",
                mend="Generation supports decoder models with transformers' own cache.",
            )
        return outputs.logits[:, -1].float(), cache

    def _finish(self, tokens: list[int]) -> FinishReason | None:
        if tokens[-1] in self._end_ids:
            return "eos"
        if tokens[-1] in self._stop_ids:
            return "stop"
        if self._decoding.stop:
            tail = self._decode(tokens[-self._window :])
            if any(stop in tail for stop in self._decoding.stop):
                return "stop"
        return None

    def _output(self, tokens: list[int], reason: FinishReason) -> _Output:
        text = self._decode(tokens)
        if reason == "stop":
            found = [text.find(stop) for stop in self._decoding.stop]
            text = text[: min((at for at in found if at >= 0), default=len(text))]
        return _Output(text, len(tokens), reason)

    def _decode(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


class _Draws:
    """Uniform numbers for sampling, a stream of its own for every prompt."""

    def __init__(self, batch: Sequence[tuple[int, ...]], decoding: Decoding) -> None:
        streams = []
        for ids in batch:
            digest = hashlib.sha256(np.asarray(ids, dtype="<i8").tobytes()).digest()
            seed = np.random.SeedSequence([decoding.seed, int.from_bytes(digest, "little")])
            streams.append(np.random.default_rng(seed).random(decoding.max_new_tokens))
        self._numbers = torch.from_numpy(np.stack(streams))

    def at(self, step: int, rows: Sequence[int]) -> torch.Tensor:
        """One number in [0, 1) per row, shape (rows,)."""
        return self._numbers[list(rows), step]


def _choose(logits: torch.Tensor, decoding: Decoding, draws: torch.Tensor | None) -> torch.Tensor:
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


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """End tokens by the tokenizer and by the model's generation configuration."""
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ids = named if isinstance(named, list) else [named]
    return frozenset(i for i in [*ids, tokenizer.eos_token_id] if i is not None)


def _stop_ids(tokenizer: Any, stop: Sequence[str]) -> frozenset[int]:
    """Ids of stop strings that are special tokens, which decoded text does not show."""
    special = set(tokenizer.all_special_ids)
    ids = (tokenizer.convert_tokens_to_ids(string) for string in stop)
    return frozenset(i for i in ids if i in special and i != tokenizer.unk_token_id)


def _prompt_limit(model: Any, tokenizer: Any, decoding: Decoding) -> int:
    """Most tokens a prompt may have."""
    context = context_tokens(model, tokenizer)
    if context is None:
        return decoding.max_prompt_tokens or 10**9
    room = context - decoding.max_new_tokens
    if room < 1:
        raise ModelError(
            f"max_new_tokens is {decoding.max_new_tokens}, but the model's context holds "
            f"{context} tokens, prompt included.",
            mend="Lower max_new_tokens.",
        )
    return min(room, decoding.max_prompt_tokens or room)
