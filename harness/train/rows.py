"""Rows to train on: tokens, labels, and an account of every row that is cut or left out.

Rows are tokenized here, by the same functions that evaluation uses, so that what is trained is
what is measured, and so that every truncated or dropped row is counted before TRL could drop it.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.errors import SuiteError
from harness.models.tokens import ChatTurns, encode_pair
from harness.schema import Example

IGNORED = -100  # label of tokens that do not count towards the loss (PyTorch's convention)


@dataclass
class EncodedRows:
    """Tokenized rows, and what became of those that were too long."""

    rows: list[dict[str, list[int]]] = field(default_factory=list)
    truncated: int = 0
    answers_truncated: int = 0  # of those, rows whose completion lost tokens
    dropped: Counter[str] = field(default_factory=Counter)  # reason -> rows

    @property
    def lengths(self) -> list[int]:
        """Tokens per kept row."""
        return [len(row["input_ids"]) for row in self.rows]


@dataclass(frozen=True)
class Encoding:
    """How rows become tokens and labels.

    Attributes:
        chat: Whether the tokenizer's chat template rendered the prompts.
        completion_only_loss: Whether prompt tokens are left out of the loss.
        max_length: Most tokens per row; None for no limit.
        keep_end: Whether a row that is too long loses its beginning instead of its end (TRL's
            ``truncation_mode: keep_end``).
        drop_long: Whether a row that is too long is left out instead.
    """

    chat: bool
    completion_only_loss: bool
    max_length: int | None
    keep_end: bool = False
    drop_long: bool = False


def encode_rows(examples: Iterable[Example], tokenizer: Any, how: Encoding) -> EncodedRows:
    """Tokenize examples and build their labels; what is cut or left out is counted.

    A row of whose completion no token is left to learn from is dropped, also where its prompt is
    learned: it would teach to stop before the answer.

    Raises:
        SuiteError: Nothing in the chat template ends a turn, so that no model would learn to stop.
    """
    encoded, examples = EncodedRows(), list(examples)
    if how.chat:
        _check_turns([example.completion for example in examples if example.completion], tokenizer)
    for example in examples:
        prompt, completion = encode_pair(
            tokenizer, example.prompt, example.completion, chat=how.chat
        )
        ids = [*prompt, *completion]
        masked = len(prompt) if how.completion_only_loss else 0
        labels = [IGNORED] * masked + ids[masked:]
        limit = len(ids) if how.max_length is None else how.max_length
        too_long = len(ids) > limit
        if too_long and how.drop_long:
            encoded.dropped[f"longer than max_length ({how.max_length} tokens)"] += 1
            continue
        if too_long:
            kept = slice(-limit, None) if how.keep_end else slice(limit)
            ids, labels = ids[kept], labels[kept]
        answered = how.keep_end or len(ids) > len(prompt)
        if not answered or all(label == IGNORED for label in labels):
            beyond = f"prompt alone reaches max_length ({how.max_length} tokens)"
            encoded.dropped[beyond if too_long else "completion has no tokens"] += 1
            continue
        encoded.truncated += too_long
        encoded.answers_truncated += too_long and (not how.keep_end or len(completion) > limit)
        encoded.rows.append({"input_ids": ids, "labels": labels})
    return encoded


def _check_turns(completions: Sequence[str], tokenizer: Any) -> None:
    if completions and ChatTurns(tokenizer).end(completions) is None:
        raise SuiteError(
            "The tokenizer's chat template writes nothing after an answer, so nothing "
            f"teaches the model to stop; a completion ends {completions[0][-40:]!r}.",
            where="prompt",
            hint="Use prompt and completion, after which EOS is put, or a tokenizer whose chat "
            "template ends turns with EOS or a token of their own.",
        )


def count_lost(encoded: EncodedRows, prepared: Any, *, packed: bool) -> int:
    """Compare with the data set TRL made of the rows, and count what it left out by itself.

    Args:
        encoded: The rows given to TRL; rows that it dropped are added to their account.
        prepared: The trainer's data set.
        packed: Whether each of its sequences holds several rows, so that only tokens can be
            compared.

    Returns:
        Tokens that are in the rows, but not in the data set.
    """
    if not packed and len(prepared) < len(encoded.rows):
        encoded.dropped["left out by TRL"] += len(encoded.rows) - len(prepared)
    return max(0, sum(encoded.lengths) - sum(sequence_lengths(prepared)))


def sequence_lengths(prepared: Any) -> list[int]:
    """Tokens of every sequence of a prepared data set, without loading the tokens."""
    import pyarrow.compute as pc

    table = prepared.with_format("arrow")[:]
    lengths: list[int] = pc.list_value_length(table["input_ids"]).to_pylist()
    return lengths


def sequence_statistics(lengths: Sequence[int]) -> dict[str, float]:
    """Smallest, median, mean, 95th percentile (nearest rank) and largest number of tokens."""
    ordered = sorted(lengths)
    rank = -(-95 * len(ordered) // 100)  # ceil(0.95 n) without rounding errors
    return {
        "min": float(ordered[0]),
        "median": float(statistics.median(ordered)),
        "mean": round(statistics.fmean(ordered), 2),
        "p95": float(ordered[rank - 1]),
        "max": float(ordered[-1]),
    }
