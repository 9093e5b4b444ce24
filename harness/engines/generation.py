"""Generates text for many prompts: batched, exact, and without silent cuts.

Prompts are tokenized once, equal ones are generated once, and batches hold prompts of similar
length (see ``decoder`` for how a batch runs). Variants of one base can answer in one batch. In
fp32 the text depends neither on the batch size nor on who else is in the batch; in half precision
kernels round differently for different batch shapes, as they do everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from harness.engines.base import Decoding, Generated
from harness.engines.batching import halving_batches
from harness.engines.decoder import Decoder, Output, PromptRow
from harness.errors import ModelError
from harness.models.mixed import Mixture
from harness.models.tokens import context_tokens, encode_prompt, truncate_left

Progress = Callable[[int, int, str], None]


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
        progress: Called with (prompts done, prompts in all, tokens per second in words).

    Returns:
        One result per prompt, in the order of the prompts.

    Raises:
        ModelError: The context has no room for prompt and answer, or the model keeps no key-value
            cache.
        MemoryShortError: Memory does not suffice for a single prompt.
    """
    encoded = _Prompts(model, tokenizer, prompts, decoding, chat=chat)
    pace = _Pace(len(prompts), progress)
    decoder = Decoder(model, tokenizer, decoding, on_step=pace.step)
    results: list[Generated | None] = [None] * len(prompts)

    def run(batch: Sequence[tuple[int, ...]]) -> list[Output]:
        return decoder.run([PromptRow(ids) for ids in batch])

    for batch, outputs in halving_batches(encoded.unique, decoding.batch_size, run):
        pace.finished(encoded.fill(results, batch, outputs))
    return [result for result in results if result is not None]


def generate_together(
    mixture: Mixture,
    tokenizer: Any,
    prompts: Sequence[str],
    decoding: Decoding,
    *,
    chat: bool,
    progress: Progress | None = None,
) -> dict[str | None, list[Generated]]:
    """Generate each prompt's continuation by every variant of a mixture, all in one batch.

    A step of decoding reads every weight of the base once for all rows, so that on few prompts
    five variants take little longer than one. In fp32 each text is what ``generate`` gives for that
    variant alone; in half precision it differs as it does between batch sizes.

    Args:
        mixture: Variants over one base, as ``AdapterSet.mixed`` gives it.
        tokenizer: The base's tokenizer.
        prompts: Rendered prompts, the same for all variants.
        decoding: How to decode. ``batch_size`` prompts are answered at once, by all variants; on
            a CPU as many as make ``batch_size`` rows in all, since more rows are no faster there.
        chat: Whether the chat template rendered the prompts.
        progress: Called with (texts done, texts in all, tokens per second in words).

    Returns:
        Results per variant, in the order of the prompts.

    Raises:
        ModelError, MemoryShortError: As in ``generate``; or a layer gets rows in a form that cannot
            be mixed.
    """
    variants = mixture.variants
    encoded = _Prompts(mixture.model, tokenizer, prompts, decoding, chat=chat)
    pace = _Pace(len(prompts) * len(variants), progress)
    decoder = Decoder(mixture.model, tokenizer, decoding, assign=mixture.assign, on_step=pace.step)
    results: dict[str | None, list[Generated | None]] = {
        variant: [None] * len(prompts) for variant in variants
    }

    def run(batch: Sequence[tuple[int, ...]]) -> list[list[Output]]:
        outputs = decoder.run([PromptRow(ids, variant) for variant in variants for ids in batch])
        return [outputs[at :: len(batch)] for at in range(len(batch))]

    at_once = _prompts_at_once(mixture, decoding)
    for batch, outputs in halving_batches(encoded.unique, at_once, run):
        filled = [
            encoded.fill(results[variant], batch, [row[at] for row in outputs])
            for at, variant in enumerate(variants)
        ]
        pace.finished(sum(filled))
    return {
        variant: [result for result in own if result is not None]
        for variant, own in results.items()
    }


def _prompts_at_once(mixture: Mixture, decoding: Decoding) -> int:
    if mixture.model.device.type != "cpu":
        return decoding.batch_size
    return max(1, decoding.batch_size // len(mixture.variants))


class _Prompts:
    """Prompts as tokens, equal ones once.

    Attributes:
        unique: Token ids, the longest first: where memory does not suffice, it shows at once.
    """

    def __init__(
        self, model: Any, tokenizer: Any, prompts: Sequence[str], decoding: Decoding, *, chat: bool
    ) -> None:
        limit = _prompt_limit(model, tokenizer, decoding)
        bos = tokenizer.bos_token_id
        self._rows_of: dict[tuple[int, ...], list[int]] = {}
        self._cut: list[int] = []
        for row, prompt in enumerate(prompts):
            ids, cut = truncate_left(encode_prompt(tokenizer, prompt, chat=chat), limit, bos)
            self._rows_of.setdefault(tuple(ids), []).append(row)
            self._cut.append(cut)
        self.unique = sorted(self._rows_of, key=len, reverse=True)

    def fill(
        self,
        results: list[Generated | None],
        batch: Sequence[tuple[int, ...]],
        outputs: Sequence[Output],
    ) -> int:
        """Put outputs where their prompts are; returns how many results that makes."""
        filled = 0
        for ids, output in zip(batch, outputs, strict=True):
            for row in self._rows_of[ids]:
                results[row] = Generated(
                    text=output.text,
                    prompt_tokens=len(ids),
                    new_tokens=output.new_tokens,
                    finish_reason=output.finish_reason,
                    truncated_prompt_tokens=self._cut[row],
                )
                filled += 1
        return filled


class _Pace:
    """Says how far a generation is, and how fast."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._progress = progress
        self._done = self._tokens = 0
        self._started = time.perf_counter()

    def step(self, ended: int, tokens: int) -> None:
        """Count one step of the batch that runs, of which some rows have ended."""
        self._tokens += tokens
        self._say(self._done + ended)

    def finished(self, results: int) -> None:
        """Count the results of a finished batch, equal prompts each."""
        self._done += results
        self._say(self._done)

    def _say(self, done: int) -> None:
        if self._progress is not None:
            seconds = time.perf_counter() - self._started
            note = f"{self._tokens / seconds:.0f} tokens/s" if seconds else ""
            self._progress(done, self._total, note)


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
            hint="Lower max_new_tokens.",
        )
    return min(room, decoding.max_prompt_tokens or room)
