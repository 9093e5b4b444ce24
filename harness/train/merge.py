"""Merges an adapter into its base reloaded at full precision, as it would be shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from harness.digests import file_digest
from harness.errors import ModelError
from harness.models.adapters import AdapterSet
from harness.models.device import torch_dtype
from harness.models.load import load_base
from harness.models.policy import DTYPE_NAMES, DevicePolicy
from harness.models.tokens import load_tokenizer
from harness.schema import MergedModel, Precision
from harness.suite.spec import BaseSpec


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
    base; that difference is to be reported, not hidden.

    Args:
        base: The suite's base.
        adapter_path: The adapter's folder.
        out_dir: Where to write model, tokenizer and generation configuration.
        policy: Device and compute dtype.
        base_dir: Folder that relative model paths start from.
        save_as: Precision of the weights written; ``auto`` is the one merged at. The sum itself
            is always taken at ``merge_precision``.

    Returns:
        What was merged into what, and the sha256 of every file written.

    Raises:
        ModelError: The adapter does not fit, or the merged weights are not finite.
    """
    merged_into = merge_precision(policy)
    model = load_base(base, merged_into, policy, base_dir=base_dir, purpose="quality")
    adapters = AdapterSet(model)
    adapters.add("merged", adapter_path, alone=True)
    with adapters.active("merged") as peft_model:
        try:
            merged = peft_model.merge_and_unload(safe_merge=True)
        except ValueError as error:  # PEFT found NaN or infinity in the sum
            raise ModelError(
                f"The adapter cannot be merged: {error}",
                where=str(adapter_path),
                hint="Its training diverged; choose an earlier checkpoint.",
            ) from error
    if save_as in DTYPE_NAMES:
        merged = merged.to(torch_dtype(save_as))
    out_dir.mkdir(parents=True, exist_ok=True)
    merged.save_pretrained(out_dir)
    load_tokenizer(base, base_dir).save_pretrained(out_dir)
    return MergedModel(
        merged_into=merged_into,
        saved_as=merged_into if save_as == "auto" else save_as,
        files={p.name: file_digest(p) for p in sorted(out_dir.iterdir()) if p.is_file()},
    )
