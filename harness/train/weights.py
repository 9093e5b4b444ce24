"""Weights under training: how many there are, in which dtype, and whether they are still finite."""

from __future__ import annotations

from typing import Any

import torch

from harness.models.policy import DevicePolicy
from harness.schema import Precision
from harness.suite.spec import TrainSpec


def trained_precision(spec: TrainSpec, policy: DevicePolicy) -> Precision:
    """Precision in which the base is loaded to be trained.

    ``full`` keeps fp32 weights and computes in the compute dtype (autocast): in bf16, updates
    below a 256th of a weight round to nothing, and in fp16 gradients cannot be unscaled.
    """
    if spec.method == "qlora":
        return spec.quantization.bnb_4bit_quant_type
    return "fp32" if spec.method == "full" else policy.compute_dtype


def keep_full_precision(model: Any, policy: DevicePolicy, spec: TrainSpec) -> None:
    """Keep trainable weights in fp32, except LoRA's on accelerators that compute in bf16.

    TRL casts the adapter of a 4-bit model to bf16, as the QLoRA paper has it. CPUs without bf16
    instructions emulate that at a 20th of the speed, and the gradient scaler of fp16 training
    takes fp32 weights only. Other methods learn factors near 1, which in bf16 lose every update
    below a 256th of them.
    """
    if policy.device != "cpu" and policy.compute_dtype == "bf16" and spec.peft_type == "LORA":
        return
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            parameter.data = parameter.data.float()


def trainable_dtypes(model: Any) -> str:
    """Dtypes of the trainable weights, such as ``float32``."""
    dtypes = {str(p.dtype).removeprefix("torch.") for p in model.parameters() if p.requires_grad}
    return ", ".join(sorted(dtypes))


def all_finite(model: Any) -> bool:
    """Whether no trainable weight is NaN or infinite."""
    return all(bool(p.isfinite().all()) for p in model.parameters() if p.requires_grad)


def count_parameters(model: Any) -> tuple[int, int]:
    """Trainable and total parameters, counting 4-bit weights by real parameters, not packed bytes.

    bitsandbytes keeps two 4-bit weights in each stored byte.
    """
    trainable = total = 0
    for parameter in model.parameters():
        count = parameter.numel()
        if type(parameter).__name__ == "Params4bit":
            count *= 2 * parameter.element_size()
        total += count
        trainable += count if parameter.requires_grad else 0
    return trainable, total


def estimated_flops(trainable: int, total: int, tokens: float) -> float:
    """Floating-point operations of a training on so many tokens, attention scores left out.

    2 N per token forward and 2 N backward through the activations for all N parameters, and 2 N'
    for the gradients of the N' trainable ones; with N' = N these are the usual 6 N. What gradient
    checkpointing computes a second time is not counted.

    Source:
        Kaplan et al. (2020), Scaling Laws for Neural Language Models, section 2.1.
    """
    return tokens * (4.0 * total + 2.0 * trainable)
