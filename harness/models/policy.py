"""What is decided about the device; ``models.device`` decides it. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ComputeDtype = Literal["bf16", "fp16", "fp32"]
DTYPE_NAMES: dict[ComputeDtype, str] = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


@dataclass(frozen=True)
class DevicePolicy:
    """Where to compute, and in which dtype.

    Attributes:
        device: ``"cpu"``, ``"cuda:0"`` or ``"mps"``.
        device_name: The device's own name.
        compute_dtype: Dtype of activations, of weights that are not quantized, and of adapters.
        dequantize_for_quality: Whether quality cells run on 4-bit weights dequantized once.
        decisions: Each decision with its reason, in words, for the report.
    """

    device: str
    device_name: str
    compute_dtype: ComputeDtype
    dequantize_for_quality: bool
    decisions: tuple[str, ...]
