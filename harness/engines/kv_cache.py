"""A key-value cache that rows of different lengths are filled into, and that grows in place.

Transformers' own cache copies all of itself at every new token. For 64 rows of 290 tokens of
SmolLM2-135M that copying took 0.5 s of 0.9 s a step (one thread of a Zen 5 core, fp32).
"""

from __future__ import annotations

from typing import Any

import psutil
import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

_ROOM = 64  # columns added at once; one in _ROOM steps copies the cache


def fits(config: Any) -> bool:
    """Whether a model keeps keys and values of every token and nothing else.

    Sliding windows do: the mask restricts them, and keeping more columns changes nothing. Chunked
    attention, recurrent states and layers that share keys are left to transformers' own cache.
    """
    text = config.get_text_config(decoder=True)
    if getattr(text, "attention_chunk_size", None) is not None:
        return False
    layers = DynamicCache(config=text).layers
    kinds = {type(layer) for layer in layers}
    return bool(layers) and kinds <= {DynamicLayer, DynamicSlidingWindowLayer}


class GrowingCache(Cache):  # type: ignore[misc]
    """Keys and values of rows that end in one column, padded on the left.

    Args:
        rows: How many rows there will be.
        width: Tokens of the longest of them.
    """

    def __init__(self, rows: int, width: int) -> None:
        super().__init__(layers=[])
        self.layers: list[_GrowingLayer]
        self._shape = (rows, width)

    def absorb(self, part: DynamicCache, first: int) -> None:
        """Take the rows of a batch that was run by itself.

        Args:
            part: Its cache, ended by its last real column.
            first: Which of this cache's rows the first of them becomes.

        Raises:
            MemoryError: There is no room for all rows. A CPU's allocator would not say so: Linux
                gives more memory than there is, and later kills the process.
        """
        if not self.layers:
            rows, width = self._shape
            first_keys = part.layers[0].keys
            size = sum(layer.keys.nbytes + layer.values.nbytes for layer in part.layers)
            tokens = first_keys.shape[0] * first_keys.shape[-2]
            needed = size / tokens * rows * (width + _ROOM)
            if first_keys.device.type == "cpu" and needed > psutil.virtual_memory().available:
                raise MemoryError(f"{rows} rows of {width} tokens need {needed:.3g} bytes")
            self.layers = [_GrowingLayer(*self._shape) for _ in part.layers]
        for ours, theirs in zip(self.layers, part.layers, strict=True):
            ours.absorb(theirs.keys, theirs.values, first)


class _GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """One layer: tensors of shape (rows, heads, columns, head size), the last columns unused."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self._rows, self._length = rows, width
        self._keys: torch.Tensor
        self._values: torch.Tensor
        self.is_initialized: bool

    def absorb(self, keys: torch.Tensor, values: torch.Tensor, first: int) -> None:
        """Copy rows in, ending in the last used column."""
        if not self.is_initialized:
            # zeros, since a masked column that holds NaN would still spoil the sum
            self._keys = _room(keys, self._rows, self._length + _ROOM)
            self._values = _room(values, self._rows, self._length + _ROOM)
            self.dtype, self.device = keys.dtype, keys.device
            self.is_initialized = True
        rows = slice(first, first + keys.shape[0])
        columns = slice(self._length - keys.shape[-2], self._length)
        self._keys[rows, :, columns] = keys
        self._values[rows, :, columns] = values
        self._show()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append columns; returns all keys and values so far."""
        end = self._length + key_states.shape[-2]
        if end > self._keys.shape[-2]:
            more = (0, 0, 0, end + _ROOM - self._length)
            self._keys = torch.nn.functional.pad(self.keys, more)
            self._values = torch.nn.functional.pad(self.values, more)
        self._keys[:, :, self._length : end] = key_states
        self._values[:, :, self._length : end] = value_states
        self._length = end
        self._show()
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Columns in use."""
        return self._length

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep some rows only."""
        self._keys, self._values = self._keys[indices], self._values[indices]
        self._show()

    def _show(self) -> None:
        self.keys = self._keys[:, :, : self._length]
        self.values = self._values[:, :, : self._length]


def _room(like: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    return like.new_zeros((rows, like.shape[1], columns, like.shape[3]))
