"""Generates text for many prompts: batched, exact, and without silent cuts.

Prompts are tokenized once, equal ones are generated once, and batches hold prompts of similar
length (see ``decoder`` for how a batch runs). Variants of one base can answer in one batch. In
fp32 the text depends neither on the batch size nor on who else is in the batch; in half precision
kernels round differently for different batch shapes, as they do everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from harness.engines.alone import Alone
from harness.engines.base import Decoding, Generated, Progress
from harness.engines.batching import halving_batches
from harness.engines.decoder import Decoder, PromptRow, Written
from harness.engines.endings import Endings
from harness.engines.kinds import kind_of, planted_rows
from harness.engines.stock_generate import OwnGenerator, StockGenerator
from harness.engines.texts import PROBE, WHAT, AloneAs, ProvenTexts, Way
from harness.engines.trial import Trial, Trials
from harness.errors import ModelError
from harness.models.mixed import Mixture
from harness.models.tokens import context_tokens, encode_prompt, truncate_left
from harness.models.vocabulary import require_embeddings

OnStep = Callable[[int, int], None]  # (rows that have ended, tokens of the step)
Writer = Callable[[Sequence[PromptRow]], list[Written]]


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    decoding: Decoding,
    *,
    chat: bool,
    progress: Progress | None = None,
    trials: Trials | None = None,
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
        trials: Of the loaded base; the first texts are compared with an uncached loop, and a
            slower way is taken where they differ. None leaves it out.

    Returns:
        One result per prompt, in the order of the prompts.

    Raises:
        ModelError: The context has no room for prompt and answer, or no way of decoding that is
            tried gives the forward pass's texts.
        UnknownTokenError: A prompt holds a token that the model has no embedding for.
        NotFiniteError: A logit is NaN or infinite.
        MemoryShortError: Memory does not suffice for a single prompt.
    """
    encoded = _encoded(model, tokenizer, prompts, decoding, chat=chat)

    at_once = decoding.batch_size

    def writer(on_step: OnStep) -> Writer:
        if decoding.generation:
            own = OwnGenerator(model, tokenizer, decoding, on_step=on_step)
            return lambda rows: [own.run(row) for row in rows]
        if trials is None:
            return Decoder(model, tokenizer, decoding, on_step=on_step).run
        return _proven(model, tokenizer, decoding, trials, on_step, tuple(prompts[:1]))

    return _generate(model, tokenizer, encoded, decoding, progress, at_once, writer)[None]


def _proven(
    model: Any,
    tokenizer: Any,
    decoding: Decoding,
    trials: Trials,
    on_step: OnStep,
    task: tuple[str, ...],
) -> Writer:
    """Batches, or one prompt after another, or transformers' own loop: the first that is right.

    A task, known by its first prompt, has a trial of its own: one of longer prompts may be past a
    window that another keeps within.
    """
    decoder = Decoder(model, tokenizer, decoding, on_step=on_step)
    stock = StockGenerator(model, tokenizer, decoding, on_step=on_step)
    ways: dict[str, Way] = {
        f"written in batches of {decoding.batch_size}": decoder.run,
        "written one by one": decoder.run,
        "written one by one by transformers' own generate": (
            lambda rows, watched: [stock.run(row, watched) for row in rows]
        ),
    }
    use = PROBE, decoding.batch_size, task
    trial = trials.of(kind_of(model), use, lambda: Trial(PROBE, WHAT, tuple(ways)))
    planted = [PromptRow(tuple(ids)) for ids in planted_rows(model)]
    alone = Alone(model)
    return ProvenTexts(tuple(ways.values()), trial, lambda _: nullcontext(alone), planted).run


def generate_together(
    mixture: Mixture,
    tokenizer: Any,
    prompts: Sequence[str],
    decoding: Decoding,
    *,
    chat: bool,
    progress: Progress | None = None,
    trials: Trials | None = None,
    alone: AloneAs | None = None,
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
        trials: As in ``generate``; there is no slower way than not to mix.
        alone: Gives a variant's own forward passes, as PEFT runs them; needed with ``trials``.

    Returns:
        Results per variant, in the order of the prompts.

    Raises:
        ModelError, MemoryShortError: As in ``generate``; or a layer gets rows in a form that cannot
            be mixed.
    """
    model, at_once = mixture.model, decoding.batch_size
    if model.device.type == "cpu":
        at_once = max(1, at_once // len(mixture.variants))
    encoded = _encoded(model, tokenizer, prompts, decoding, chat=chat)

    def writer(on_step: OnStep) -> Writer:
        decoder = Decoder(model, tokenizer, decoding, assign=mixture.assign, on_step=on_step)
        if trials is None or alone is None:
            return decoder.run
        way = f"written by {len(mixture.variants)} variants in batches of {at_once} prompts"
        use = PROBE, at_once, tuple(prompts[:1])
        trial = trials.of(mixture.variants, use, lambda: Trial(PROBE, WHAT, [way]))
        return ProvenTexts([decoder.run], trial, alone, mixed=True).run

    return _generate(model, tokenizer, encoded, decoding, progress, at_once, writer, mixture)


def _encoded(
    model: Any, tokenizer: Any, prompts: Sequence[str], decoding: Decoding, *, chat: bool
) -> list[tuple[tuple[int, ...], int]]:
    """Tokens of each prompt, and how many were cut off it."""
    limit = decoding.max_prompt_tokens or 10**9
    context = context_tokens(model, tokenizer)
    if context is not None:
        limit = min(limit, context - decoding.max_new_tokens)
    if limit < 1:
        raise ModelError(
            f"max_new_tokens is {decoding.max_new_tokens}, but the model's context holds "
            f"{context} tokens, prompt included.",
            hint="Lower max_new_tokens.",
        )
    encoded = [encode_prompt(tokenizer, prompt, chat=chat) for prompt in prompts]
    require_embeddings(model, tokenizer, encoded)
    cut = (truncate_left(ids, limit, tokenizer.bos_token_id) for ids in encoded)
    return [(tuple(ids), excess) for ids, excess in cut]


def _generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[tuple[tuple[int, ...], int]],
    decoding: Decoding,
    progress: Progress | None,
    at_once: int,
    writer: Callable[[OnStep], Writer],
    mixture: Mixture | None = None,
) -> dict[str | None, list[Generated]]:
    """Answers of every variant of a mixture, or of the model as it is under None."""
    variants: Sequence[str | None] = mixture.variants if mixture else [None]
    places: dict[tuple[int, ...], list[tuple[int, int]]] = {}  # tokens -> prompts, tokens cut off
    for place, (ids, cut) in enumerate(prompts):
        places.setdefault(ids, []).append((place, cut))
    results: dict[str | None, dict[int, Generated]] = {variant: {} for variant in variants}
    tokens, started = 0, time.perf_counter()

    def step(ended: int, new: int) -> None:
        """Say how far it is, and how fast."""
        nonlocal tokens
        tokens += new
        seconds = time.perf_counter() - started
        if progress is not None:
            done = ended + sum(map(len, results.values()))
            note = f"{tokens / seconds:.0f} tokens/s" if seconds else ""
            progress(done, len(prompts) * len(variants), note)

    write, endings = writer(step), Endings(model, tokenizer, decoding)

    def run(batch: Sequence[tuple[int, ...]]) -> list[list[Generated]]:
        rows = [PromptRow(ids, v, places[ids][0][0] + 1) for v in variants for ids in batch]
        outputs = [_generated(written, endings) for written in write(rows)]
        return [outputs[at :: len(batch)] for at in range(len(batch))]

    # the longest first: where memory does not suffice, it shows at once
    for batch, outputs in halving_batches(sorted(places, key=len, reverse=True), at_once, run):
        for ids, by_variant in zip(batch, outputs, strict=True):
            for variant, output in zip(variants, by_variant, strict=True):
                for place, cut in places[ids]:
                    results[variant][place] = replace(output, truncated_prompt_tokens=cut)
        step(0, 0)
    return {
        variant: [texts[place] for place in range(len(prompts))]
        for variant, texts in results.items()
    }


def _generated(written: Written, endings: Endings) -> Generated:
    """The text; what was cut off its prompt is not known here."""
    return Generated(
        text=endings.text(written.tokens, written.reason),
        prompt_tokens=len(written.row.ids),
        new_tokens=len(written.tokens),
        finish_reason=written.reason or "length",
        truncated_prompt_tokens=0,
    )
