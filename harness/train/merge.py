"""Merges an adapter into its base reloaded at full precision, as it would be shipped."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from harness.digests import file_digest
from harness.errors import ModelError, in_a_line
from harness.models.adapters import AdapterSet
from harness.models.device import torch_dtype
from harness.models.load import load_base
from harness.models.policy import DTYPE_NAMES, DevicePolicy
from harness.models.tokens import load_tokenizer
from harness.models.tying import separate, tie_equal, tied_names
from harness.schema import MergedModel, Precision, Proof
from harness.suite.spec import BaseSpec
from harness.train.merge_proof import Gap, Reading, effect, gaps, read

PROBE = "merged is the adapter"
_AS_ADAPTER = "Evaluate and ship it as an adapter on its base, with matrix.merged: none."


def merge_precision(policy: DevicePolicy) -> Precision:
    """Precision of merged weights: fp32 on a CPU, the compute dtype on an accelerator."""
    return "fp32" if policy.device == "cpu" else policy.compute_dtype


def merge_adapter(
    base: BaseSpec,
    adapter_path: Path,
    out_dir: Path,
    policy: DevicePolicy,
    *,
    base_dir: Path,
    save_as: Precision | Literal["auto"] = "auto",
) -> MergedModel:
    """Write base plus adapter as one plain model that transformers opens like any other.

    The base is reloaded without quantization. An adapter trained on 4-bit weights compensates for
    their rounding as well, so the merged model differs a little from the adapter on the 4-bit
    base; that difference is to be reported, not hidden. From the adapter on the same unquantized
    base it may not differ: that is measured after the sum, and again on the model as it was saved.

    Args:
        base: The suite's base.
        adapter_path: The adapter's folder.
        out_dir: Where to write model, tokenizer and generation configuration.
        policy: Device and compute dtype.
        base_dir: Folder that relative model paths start from.
        save_as: Precision of the weights written; ``auto`` is the one merged at. The sum itself
            is always taken at ``merge_precision``.

    Returns:
        What was merged into what, the sha256 of every file written, and the proof that it is the
        adapter.

    Raises:
        ModelError: The adapter does not fit, its kind cannot be merged, its weights are not
            finite, or the merged model is not what the adapter was.
    """
    merged_into = merge_precision(policy)
    saved_as = merged_into if save_as == "auto" else save_as
    model = load_base(base, merged_into, policy, base_dir=base_dir, purpose="quality")
    made = _sum(model, adapter_path)
    summed = _checked(made.truth, made.model, adapter_path, "merged")
    if save_as in DTYPE_NAMES:
        made.model.to(torch_dtype(save_as))
    out_dir.mkdir(parents=True, exist_ok=True)
    made.model.save_pretrained(out_dir)
    load_tokenizer(base, base_dir).save_pretrained(out_dir)
    del model, made.model
    gc.collect()  # it and the one that was saved need not fit into memory beside each other
    written = base.at(str(out_dir.resolve()))
    saved = load_base(written, saved_as, policy, base_dir=base_dir, purpose="quality")
    read_back = _checked(made.truth, saved, adapter_path, "merged, saved and loaded again")
    return MergedModel(
        merged_into=merged_into,
        saved_as=saved_as,
        files={p.name: file_digest(p) for p in sorted(out_dir.iterdir()) if p.is_file()},
        untied=made.untied,
        proof=_proof((summed, read_back), made),
    )


@dataclass
class _Sum:
    """A base with an adapter added to its weights."""

    model: Any
    truth: Reading  # of base plus adapter, before
    effect: float  # largest change of a logit that the adapter makes
    untied: tuple[str, ...]  # parameters that were tied in the base


def _sum(model: Any, adapter_path: Path) -> _Sum:
    """Add an adapter to a base's weights, in place.

    Weights that are one tensor in two places are separated first: a sum for one of the places
    would change the other as well.

    Raises:
        ModelError: It does not fit, is not finite, or is no sum of weights.
    """
    tied = tied_names(model)
    declared = bool(getattr(model.config, "tie_word_embeddings", False))
    plain = read(model)
    adapters = AdapterSet(model)
    adapters.add("merged", adapter_path, alone=True)
    with adapters.active("merged") as peft_model:
        truth = read(peft_model)
        if not truth.is_finite:
            raise ModelError(
                "The adapter cannot be merged: base plus adapter gives logits that are not finite.",
                where=str(adapter_path),
                hint="Its training diverged; choose an earlier checkpoint.",
            )
        separate(peft_model)
        merged = _unloaded(peft_model, adapter_path)
    untied = tie_equal(merged, tied, declared=declared)
    return _Sum(merged, truth, effect(plain, truth), untied)


def _unloaded(peft_model: Any, adapter_path: Path) -> Any:
    """The plain model with the adapter added to its weights."""
    try:
        with warnings.catch_warnings():
            # PEFT says that what was tied is not any more: so it was made, and is told below
            warnings.filterwarnings("ignore", message=r"Model with `tie_word_embeddings=True`")
            warnings.filterwarnings("ignore", message="Input and output embeddings are no longer")
            return peft_model.merge_and_unload(safe_merge=True)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # each kind has its own way of saying that it is no sum of weights
        kind = peft_model.active_peft_config.peft_type.value
        told = "it is no change of weights"
        if hasattr(peft_model.base_model, "merge_and_unload"):
            told = in_a_line(error).removesuffix(".")
        raise ModelError(
            f"PEFT merges no such adapter (of type {kind}): {told}.",
            where=str(adapter_path),
            hint=_AS_ADAPTER,
        ) from error


def _checked(truth: Reading, model: Any, adapter_path: Path, state: str) -> Gap:
    """The largest difference of a logit between a merged model and the adapter.

    Raises:
        ModelError: Rounding does not explain what differs.
    """
    measured = gaps(truth, model)
    for gap in measured:
        if not gap.is_rounding:
            raise ModelError(
                f"Once {state}, the model is not base plus adapter any more: {gap.what} "
                f"{gap.size:.2g}, where rounding explains {gap.limit:.2g}.",
                where=str(adapter_path),
                hint=_AS_ADAPTER,
            )
    return measured[0]


def _proof(states: Sequence[Gap], made: _Sum) -> Proof:
    """That it holds, by the state that is further from its limit."""
    worst = max(states, key=lambda gap: gap.size / gap.limit)
    words = (
        "Logits of base plus adapter against those of the merged model, after the sum and once "
        "saved and loaded again, by the rounding of the precision of each; the adapter itself "
        f"changes logits by up to {made.effect:.2g}."
    )
    if made.untied:
        names = ", ".join(made.untied)
        words += f" What was tied in the base has weights of its own here: {names}."
    return Proof(
        probe=PROBE,
        outcome="holds",
        words=words,
        difference=worst.size,
        limit=worst.limit,
        unit="logits",
    )
