"""Loss of held-out completions: what the model would have paid, in nats, to write them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from harness.engines.alone import Alone
from harness.engines.base import CompletionLoss, Progress
from harness.engines.batching import halving_batches, left_padded
from harness.engines.finite import require_finite_sums
from harness.engines.kinds import kind_of, planted_rows
from harness.engines.trial import PLANTED, Trial, Trials
from harness.errors import ModelError
from harness.models.adapters import forward_arguments
from harness.models.tokens import context_tokens, encode_pair, truncate_left
from harness.models.vocabulary import require_embeddings

PROBE = "batched losses are the forward pass"


@dataclass(frozen=True)
class _Row:
    index: int
    ids: tuple[int, ...]  # prompt and completion
    scored: int  # how many of the last ids are the completion's
    truncated: int


Way = Callable[[Sequence[_Row]], list[float]]


def completion_losses(
    model: Any,
    tokenizer: Any,
    pairs: Sequence[tuple[str, str]],
    *,
    chat: bool,
    max_length: int | None = None,
    batch_size: int = 8,
    progress: Progress | None = None,
    trials: Trials | None = None,
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
        trials: Of the loaded base; the first losses are compared with forward passes of each pair
            by itself, which are taken for all where they differ. None leaves it out.

    Returns:
        One loss per pair, in the order of the pairs.

    Raises:
        ModelError: ``max_length`` has no room.
        UnknownTokenError: A row holds a token that the model has no embedding for.
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
    require_embeddings(model, tokenizer, (row.ids for row in rows))
    rows.sort(key=lambda row: len(row.ids), reverse=True)
    results: dict[int, CompletionLoss] = {}
    pad = tokenizer.pad_token_id
    run: Way = partial(_losses, model, pad)
    if trials is not None:
        trial = trials.of(
            kind_of(model), (PROBE, batch_size, *pairs[:1]), lambda: _trial(batch_size)
        )
        run = _ProvenLosses(run, trial, Alone(model), planted_rows(model)).run
    batches = halving_batches(rows, batch_size, run)
    for batch, sums in batches:
        require_finite_sums(sums, partial(_place, batch, len(pairs)))
        for row, nll_sum in zip(batch, sums, strict=True):
            results[row.index] = CompletionLoss(nll_sum, row.scored, row.truncated)
        if progress is not None:
            progress(len(results), len(rows))
    return [results[index] for index in range(len(rows))]


def _trial(batch_size: int) -> Trial:
    return Trial(PROBE, "losses", (f"computed in batches of {batch_size}", "computed one by one"))


@dataclass(frozen=True)
class _ProvenLosses:
    """Losses by batches, or one by one where those differ from them."""

    together: Way
    trial: Trial
    alone: Alone
    planted: Sequence[Sequence[int]]

    def run(self, rows: Sequence[_Row]) -> list[float]:
        return self.trial.run(partial(self._attempt, rows))

    def _attempt(self, rows: Sequence[_Row]) -> list[float]:
        if self.planted and self.trial.needs(PLANTED):
            self._sums([_Row(0, tuple(ids), len(ids) - 1, 0) for ids in self.planted], PLANTED)
        return self._sums(rows)

    def _sums(self, rows: Sequence[_Row], planted: str = "") -> list[float]:
        if self.trial.at:
            sums = [self._by_itself(row)[0] for row in rows]
            self.trial.note("one by one", sum(row.scored for row in rows), 0.0, 0.0)
            return sums
        sums = self.together(rows)
        longest = max(len(row.ids) for row in rows)
        for row, found in zip(rows[::-1], sums[::-1], strict=True):  # the shortest first
            condition = planted or ("padded" if len(row.ids) < longest else "without padding")
            if row.scored and self.trial.needs(condition):
                self._compare(condition, row, found)
        return sums

    def _compare(self, condition: str, row: _Row, found: float) -> None:
        expected, limit = self._by_itself(row)
        difference = abs(found - expected) / row.scored
        self.trial.note(condition, row.scored, difference, limit)

    def _by_itself(self, row: _Row) -> tuple[float, float]:
        """The summed loss, and what another exact way may differ by, in nats per token."""
        logits = self.alone.logits(row.ids, row.scored + 1, f"completion {row.index + 1}")
        ids = torch.tensor(row.ids, device=logits.device)
        limit = self.alone.limit(logits, mean_of=max(1, row.scored))
        return float(_nll_sum(logits, ids, row.scored)), limit


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
