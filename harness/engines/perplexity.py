"""Loss of held-out completions: what the model would have paid, in nats, to write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from harness.engines.base import CompletionLoss, Progress
from harness.engines.batching import halving_batches, left_padded
from harness.engines.finite import require_finite_sums
from harness.errors import ModelError
from harness.models.adapters import forward_arguments
from harness.models.tokens import context_tokens, encode_pair, truncate_left


@dataclass(frozen=True)
class _Row:
    index: int
    ids: tuple[int, ...]  # prompt and completion
    scored: int  # how many of the last ids are the completion's
    truncated: int


def completion_losses(
    model: Any,
    tokenizer: Any,
    pairs: Sequence[tuple[str, str]],
    *,
    chat: bool,
    max_length: int | None = None,
    batch_size: int = 8,
    progress: Progress | None = None,
) -> list[CompletionLoss]:
    """Score the completions of (prompt, completion) pairs; prompts only condition them.

    Rows are padded on the left, so that completions end in one column and the output layer runs
    on the last columns only. Log-probabilities are taken in fp32 whatever the model's dtype.

    Args:
        model: A causal language model, with or without an adapter, in evaluation mode.
        tokenizer: Its tokenizer.
        pairs: Rendered prompts and completions, encoded as in training.
        chat: Whether the chat template rendered them.
        max_length: Most tokens of prompt and completion; default: the model's context length.
        batch_size: Pairs per batch; halved when memory runs out.
        progress: Called with (pairs done, pairs in all).

    Returns:
        One loss per pair, in the order of the pairs.

    Raises:
        ModelError: ``max_length`` has no room.
        NotFiniteError: A loss is NaN or infinite.
        MemoryShortError: Memory does not suffice for a single pair.
    """
    context = context_tokens(model, tokenizer)
    limit = min(length for length in (max_length, context, 10**9) if length is not None)
    if limit < 2:
        raise ModelError(
            f"max_length is {limit}, but a prompt and a completion need a token each.",
            hint="Raise max_length.",
        )
    rows = [
        _row(tokenizer, index, pair, chat=chat, limit=limit) for index, pair in enumerate(pairs)
    ]
    rows.sort(key=lambda row: len(row.ids), reverse=True)
    results: dict[int, CompletionLoss] = {}
    batches = halving_batches(rows, batch_size, lambda b: _losses(model, tokenizer.pad_token_id, b))
    for batch, sums in batches:
        require_finite_sums(sums, partial(_place, batch, len(pairs)))
        for row, nll_sum in zip(batch, sums, strict=True):
            results[row.index] = CompletionLoss(nll_sum, row.scored, row.truncated)
        if progress is not None:
            progress(len(results), len(rows))
    return [results[index] for index in range(len(rows))]


def _place(batch: Sequence[_Row], count: int, row: int) -> str:
    return f"completion {batch[row].index + 1} of {count}"


def _row(tokenizer: Any, index: int, pair: tuple[str, str], *, chat: bool, limit: int) -> _Row:
    prompt, completion = encode_pair(tokenizer, *pair, chat=chat)
    too_long = max(0, len(completion) + 1 - limit)  # one token of prompt has to stay
    if too_long:
        completion = completion[:-too_long]
    prompt, cut = truncate_left(prompt, limit - len(completion), tokenizer.bos_token_id)
    return _Row(index, (*prompt, *completion), len(completion), cut + too_long)


def _losses(model: Any, pad: int, rows: Sequence[_Row]) -> list[float]:
    ids, mask, positions = left_padded([row.ids for row in rows], pad, model.device)
    takes = forward_arguments(model)
    options: dict[str, Any] = {}
    if "position_ids" in takes:
        options["position_ids"] = positions
    if "logits_to_keep" in takes:  # the last logit has nothing left to predict
        options["logits_to_keep"] = max(row.scored for row in rows) + 1
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False, **options).logits
        sums = [_nll_sum(logits[i], ids[i], row.scored) for i, row in enumerate(rows)]
        return [float(value) for value in torch.stack(sums).cpu()]


def _nll_sum(logits: torch.Tensor, ids: torch.Tensor, scored: int) -> torch.Tensor:
    """Summed loss of a row's last tokens; log-probabilities in fp32, their sum in fp64.

    Row by row, since an fp32 copy of a whole batch's logits would be large.
    """
    if scored == 0:  # an empty chat turn; [-0:] would be the whole row
        return logits.new_zeros((), dtype=torch.float64)
    predictions = logits[-scored - 1 : -1].float()
    losses = torch.nn.functional.cross_entropy(predictions, ids[-scored:], reduction="none")
    return losses.double().sum()
