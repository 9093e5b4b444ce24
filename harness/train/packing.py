"""Rows packed into one sequence must not see each other: tried before the first step.

TRL joins rows and restarts the positions at each. Whether a model heeds that depends on its code,
its attention and the kernels that are installed; where it does not, rows are padded instead.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from harness.errors import SuiteError, in_a_line
from harness.models.adapters import base_of
from harness.models.precision import rounding
from harness.schema import Proof
from harness.train.rows import IGNORED

PROBE = "packed rows are apart"
_TOKENS = 64  # of each of the two rows that are tried
_TOLERANCE = 1e-3  # of a logit in fp32, where rounding gives about 1e-6
_HINT = "Leave packing out of train.args to choose the number of padded rows per step yourself."

Row = dict[str, list[int]]


@dataclasses.dataclass(frozen=True)
class PaddedPacks:
    """A collator that lays the rows of each packed sequence below each other, padded.

    A step then holds the rows that packing gave it, so its loss is the one that packing promises.

    Attributes:
        of_rows: TRL's collator for rows that are not packed.
    """

    of_rows: Any

    @classmethod
    def of(cls, collator: Any) -> PaddedPacks:
        """In the place of TRL's collator of packed sequences."""
        return cls(dataclasses.replace(collator, padding_free=False))

    def __call__(self, sequences: Sequence[Row]) -> dict[str, Any]:
        """A batch of all rows of the sequences; as alone, no row's first token has a loss."""
        rows = []
        for sequence in sequences:
            ids, labels = sequence["input_ids"], sequence["labels"]
            start = 0
            for length in sequence.get("seq_lengths", [len(ids)]):
                end = start + length
                rows.append(
                    {"input_ids": ids[start:end], "labels": [IGNORED, *labels[start + 1 : end]]}
                )
                start = end
        batch: dict[str, Any] = self.of_rows(rows)
        return batch


def keep_rows_apart(trainer: Any, rows: Sequence[Row]) -> Proof | None:
    """Try whether the model reads packed rows as it reads each alone; pad them where it does not.

    Args:
        trainer: TRL's trainer before training; its collator is replaced where rows are padded.
        rows: Rows to train on, before they were packed.

    Returns:
        What was measured; None where no rows share a sequence, or ``wrapped`` lets them.

    Raises:
        SuiteError: The model reads padded rows otherwise than alone, too.
    """
    if not _shares_sequences(trainer):
        return None
    packed, padded = trainer.data_collator, PaddedPacks.of(trainer.data_collator)
    tried = [{name: part[:_TOKENS] for name, part in row.items()} for row in (rows[0], rows[-1])]
    lengths = [len(row["input_ids"]) for row in tried]
    pack = {name: tried[0][name] + tried[1][name] for name in tried[0]} | {"seq_lengths": lengths}
    with _still(trainer):
        alone = torch.cat([_logits(trainer, padded([row]))[0] for row in tried])
        limit = _TOLERANCE + _noise(trainer, alone)
        problem, difference = _together(trainer, packed([pack]), alone)
        if difference is None or not difference <= limit:  # NaN is a difference too
            rows_of = _logits(trainer, padded([pack]))
            below = torch.cat([row[:n] for row, n in zip(rows_of, lengths, strict=True)])
            _check_padded(trainer, float((below - alone).abs().max()), limit)
    measured: dict[str, Any] = {"difference": difference, "limit": limit, "unit": "logits"}
    if difference is not None and difference <= limit:
        words = "Two rows packed into one sequence are read as each of them alone."
        return Proof(probe=PROBE, outcome="holds", words=words, **measured)
    trainer.data_collator = padded
    trainer.args.include_num_input_tokens_seen = "non_padding"
    words = (
        f"{_model_name(trainer)} {problem}, so the rows of each pack were padded instead: the "
        "same rows and losses per step, with more memory and time."
    )
    return Proof(probe=PROBE, outcome="fallback", words=words, hint=_HINT, **measured)


def _shares_sequences(trainer: Any) -> bool:
    """Whether rows that are to be apart share a sequence, in training or evaluation.

    With ``eval_packing`` alone TRL packs eval rows, and has a collator that does not know of it.
    """
    eval_rows = trainer.args.eval_packing and trainer.args.packing_strategy != "wrapped"
    return bool(trainer.padding_free or eval_rows)


def _together(trainer: Any, batch: dict[str, Any], alone: torch.Tensor) -> tuple[str, float | None]:
    """What may be wrong, in words, and by how much logits of packed rows differ from ``alone``."""
    try:
        difference = float((_logits(trainer, batch)[0] - alone).abs().max())
        trainer.model.train()  # kernels that are taken in training only may refuse by themselves
        _logits(trainer, batch)
    except torch.OutOfMemoryError:
        raise
    except (ValueError, TypeError, RuntimeError, ImportError) as error:
        return f"refuses packed rows ({in_a_line(error, 200)})", None
    finally:
        trainer.model.eval()
    return "lets rows that are packed into one sequence see each other", difference


def _check_padded(trainer: Any, difference: float, limit: float) -> None:
    if not difference <= limit:
        raise SuiteError(
            f"{_model_name(trainer)} reads neither packed nor padded rows as it reads each alone "
            f"(logits {difference:.2g} apart).",
            where="train.args",
            hint="Leave packing and padding_free out, and set per_device_train_batch_size: 1.",
        )


@contextmanager
def _still(trainer: Any) -> Iterator[None]:
    """The model without dropout, and random numbers as they were."""
    was_training = trainer.model.training
    with torch.random.fork_rng(), torch.no_grad(), trainer.accelerator.autocast():
        trainer.model.eval()
        try:
            yield
        finally:
            trainer.model.train(was_training)


def _logits(trainer: Any, batch: dict[str, Any]) -> torch.Tensor:
    """Shape (rows, tokens, vocabulary), fp32; called without a cache, as TRL does."""
    inputs = {
        name: part.to(trainer.model.device) if isinstance(part, torch.Tensor) else part
        for name, part in batch.items()
        if name != "labels"
    }
    logits: torch.Tensor = trainer.model(**inputs, use_cache=False).logits
    return logits.float()


def _noise(trainer: Any, logits: torch.Tensor) -> float:
    """Difference that rounding in half precision explains; bitsandbytes rounds to bf16 anyway."""
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(trainer.accelerator.mixed_precision)
    if half is None and getattr(trainer.model, "is_quantized", False):
        half = torch.bfloat16
    if half is None:
        half = trainer.model.get_input_embeddings().weight.dtype
    return 0.0 if half == torch.float32 else rounding(half, float(logits.abs().max()))


def _model_name(trainer: Any) -> str:
    inner = base_of(trainer.model)
    return f"{type(inner).__name__} with {inner.config._attn_implementation} attention"
