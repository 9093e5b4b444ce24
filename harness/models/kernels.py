"""Faster fp32 products on CPUs for which torch's default library has no fast kernels.

PyTorch multiplies fp32 matrices with Intel's MKL, which on AMD processors with AVX-512 reaches
half of what oneDNN does, a library that PyTorch's builds for x86 hold too. One
thread of a Zen 5 core, GFLOP/s of MKL and of oneDNN by rows, for 576 x 1536 weights: 75 and 190
(16 rows), 79 and 158 (64), 83 and 184 (256).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch

from harness.models import hardware

_ROWS = 256  # of the products that the packed form is laid out for; all others work as well


def packing_helps(model: Any) -> bool:
    """Whether ``packed_linears`` makes this model faster here, and there is memory for it.

    It is decided by what the machine is and never by a measurement, so that equal machines
    compute equal results.
    """
    return (
        model.device.type == "cpu"
        and hardware.cpu_model().startswith("AMD")
        and "avx512f" in hardware.cpu_flags()
        and torch.backends.mkldnn.is_available()
        and _packed_bytes(model) < psutil.virtual_memory().available / 2
    )


@contextmanager
def packed_linears(model: Any) -> Iterator[None]:
    """Run a model's plain fp32 linear layers by oneDNN with weights packed once; undone on leaving.

    The layers keep their own weights, so this takes their memory once more. Results differ from
    MKL's as those of any two kernels do: by rounding, in the order of a sum. Low-rank layers of
    adapters are left alone.

    Args:
        model: A model in evaluation mode, whose weights must not change meanwhile.
    """
    layers = list(_linears(model))
    try:
        for layer in layers:
            layer.forward = _packed(layer)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)


def _linears(model: Any) -> Iterator[torch.nn.Linear]:
    for name, module in model.named_modules():
        plain = type(module) is torch.nn.Linear and "forward" not in module.__dict__
        if plain and module.weight.dtype == torch.float32 and ".lora_" not in name:
            yield module


def _packed_bytes(model: Any) -> int:
    return sum(layer.weight.nbytes for layer in _linears(model))


def _packed(layer: torch.nn.Linear) -> Callable[[torch.Tensor], torch.Tensor]:
    weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), _ROWS)
    bias = None if layer.bias is None else layer.bias.detach()

    def forward(input: torch.Tensor) -> torch.Tensor:
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            input, weight, bias, "none", [], ""
        )
        return product

    return forward
