"""The one place where device and dtype are decided, with the reason of each decision in words."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, cast

import psutil

from harness.errors import ModelError
from harness.models import hardware
from harness.models.policy import DTYPE_NAMES, ComputeDtype, DevicePolicy
from harness.schema import Environment
from harness.suite.spec import DTYPE_VARIABLE, BaseSpec

if TYPE_CHECKING:
    import torch

# The libraries that can change a number in a result.
LIBRARIES = (
    "qlora-harness", "torch", "transformers", "tokenizers", "safetensors", "peft", "trl",
    "bitsandbytes", "accelerate", "datasets", "gguf", "lm_eval", "evaluate", "rouge_score",
    "sacrebleu", "nltk", "numpy", "scipy",
)  # fmt: skip


def torch_dtype(name: ComputeDtype) -> torch.dtype:
    """A dtype as torch has it."""
    import torch

    return cast("torch.dtype", getattr(torch, DTYPE_NAMES[name]))


def decide(base: BaseSpec) -> DevicePolicy:
    """Decide device and dtype for this machine and this base.

    ``$HARNESS_COMPUTE_DTYPE`` overrides ``base.dtype``, which overrides what the hardware
    suggests. GPUs of compute capability 8 and above compute in bf16, older ones in fp16; a CPU
    in fp32 unless it multiplies bf16 in hardware (AVX512-BF16, AMX).

    Raises:
        ModelError: The suite asks for a device this machine lacks, or the variable is wrong.
    """
    device, device_name, why_device = _device(base)
    dtype, why_dtype = _dtype(base, device)
    decisions = [why_device, why_dtype]
    if device == "cpu":
        fused = (
            "bitsandbytes has no fused 4-bit kernel for this CPU and would dequantize every layer "
            "at every step, with the same result"
        )
        if "avx512_bf16" in hardware.cpu_flags():
            fused = (
                "bitsandbytes' fused CPU kernel rounds activations and block scales to bf16, so it "
                "is not the model that was trained"
            )
        decisions.append(
            f"Quality runs on 4-bit weights dequantized once: {fused}; memory and speed are "
            "measured on the real 4-bit model."
        )
    return DevicePolicy(device, device_name, dtype, device == "cpu", tuple(decisions))


def environment(policy: DevicePolicy | None = None) -> Environment:
    """Describe this machine and the installed libraries.

    Args:
        policy: What was decided; without it the device fields say so, and torch is not loaded.
    """
    return Environment(
        versions=hardware.installed_versions(LIBRARIES),
        python=platform.python_version(),
        platform=platform.platform(),
        device=policy.device if policy else "undecided",
        device_name=policy.device_name if policy else hardware.cpu_model(),
        cpu_count=hardware.cpu_count(),
        memory_bytes=psutil.virtual_memory().total,
        compute_dtype=policy.compute_dtype if policy else "undecided",
        decisions=policy.decisions if policy else (),
        fingerprint=hardware.fingerprint(),
    )


def _device(base: BaseSpec) -> tuple[str, str, str]:
    import torch

    has_mps = torch.backends.mps.is_available()
    available = {"cuda": torch.cuda.is_available(), "mps": has_mps, "cpu": True}
    if base.device != "auto" and not available[base.device]:
        there = ", ".join(name for name, is_there in available.items() if is_there)
        raise ModelError(
            f"base.device asks for {base.device}, but torch finds only: {there}.",
            hint="Set base.device to auto, or install a torch build for that device.",
        )
    device: str = base.device
    reason = "the suite's base.device"
    if device == "auto":
        device, reason = next(n for n, ok in available.items() if ok), "the first one available"
    name = hardware.cpu_model() if device != "cuda" else torch.cuda.get_device_name(0)
    device = "cuda:0" if device == "cuda" else device
    return device, name, f"Device {device} ({name}): {reason}."


def _dtype(base: BaseSpec, device: str) -> tuple[ComputeDtype, str]:
    override = os.environ.get(DTYPE_VARIABLE)
    if override:
        if override not in DTYPE_NAMES:
            raise ModelError(
                f"${DTYPE_VARIABLE} must be one of {', '.join(DTYPE_NAMES)}, found {override!r}.",
                hint="Correct the variable, or unset it to let the device policy decide.",
            )
        return override, (
            f"Compute dtype {override}: ${DTYPE_VARIABLE} overrides the suite and the policy."
        )
    if base.dtype != "auto":
        return base.dtype, f"Compute dtype {base.dtype}: the suite's base.dtype."
    if device.startswith("cuda"):
        import torch

        major, minor = torch.cuda.get_device_capability(0)
        if major >= 8:
            return "bf16", f"Compute dtype bf16: CUDA capability {major}.{minor} is at least 8.0."
        return "fp16", f"Compute dtype fp16: CUDA capability {major}.{minor} has no native bf16."
    if device == "mps":
        return "fp32", "Compute dtype fp32: half precision on mps is not verified here."
    native = [flag for flag in ("amx_bf16", "avx512_bf16", "bf16") if flag in hardware.cpu_flags()]
    slow = "neither AVX512-BF16 nor AMX, and emulated bf16 is 20 to 40 times slower"
    dtype: ComputeDtype = "bf16" if native else "fp32"
    why = f"multiplies bf16 in hardware ({native[0]})" if native else f"has {slow}"
    return dtype, f"Compute dtype {dtype}: this CPU {why}."
