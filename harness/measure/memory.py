"""Reads memory: of the weights, the attention cache, the process and the GPU.

These are different quantities; each is recorded under its own name and none stands for another.
"""

from collections.abc import Iterator
from typing import Any

import torch


def weights_bytes(model: torch.nn.Module) -> int:
    """Bytes that the weights take as they are stored.

    Counts parameters, buffers and bitsandbytes' quantization constants (block-wise absmax, its
    nested second level, code tables; row-wise scales of int8). Tensors that share memory, such
    as tied embeddings, are counted once. transformers' ``get_memory_footprint`` leaves the
    constants out, which for nf4 are 3 % of the packed weights with double quantization and
    12.5 % without.
    """
    sizes: dict[tuple[torch.device, int], int] = {}
    for tensor in _stored_tensors(model):
        size = tensor.numel() * tensor.element_size()
        place = (tensor.device, tensor.data_ptr())
        sizes[place] = max(size, sizes.get(place, 0))
    return sum(sizes.values())


def _stored_tensors(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    for module in model.modules():
        own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        # Linear8bitLt moves CB and SCB from the weight to its own state at the first forward
        for holder in (*own, getattr(module, "state", None)):
            yield from _tensors_of(holder, ("CB", "SCB"))
        for tensor in own:
            yield tensor
            state = getattr(tensor, "quant_state", None)
            while state is not None:  # double quantization nests one state in another
                yield from _tensors_of(state, ("absmax", "code", "offset"))
                state = state.state2


def _tensors_of(holder: Any, names: tuple[str, ...]) -> Iterator[torch.Tensor]:
    for name in names:
        value = getattr(holder, name, None)
        if isinstance(value, torch.Tensor):
            yield value


def kv_cache_bytes(cache: Any) -> int:
    """Bytes that keys and values of all layers take in a transformers ``Cache``."""
    return sum(
        tensor.numel() * tensor.element_size()
        for layer in cache.layers
        for tensor in _tensors_of(layer, ("keys", "values"))
    )
