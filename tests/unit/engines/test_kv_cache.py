"""The growing cache holds what transformers' own holds, in rows of different lengths."""

import pytest
import torch
from transformers import AutoConfig, DynamicCache

from harness.engines import kv_cache
from harness.engines.kv_cache import GrowingCache
from harness.models.tiny import tiny_config


def part(rows, columns, seed):
    """A cache of two layers, keys of size 4 and values of size 2."""
    generator = torch.Generator().manual_seed(seed)
    cache = DynamicCache()
    for layer in range(2):
        keys = torch.randn(rows, 3, columns, 4, generator=generator)
        values = torch.randn(rows, 3, columns, 2, generator=generator)
        cache.update(keys, values, layer)
    return cache


def test_rows_end_in_one_column():
    """Shorter prompts begin later, after zeros."""
    cache = GrowingCache(3, 5)
    long, short = part(1, 5, 0), part(2, 3, 1)
    cache.absorb(long, 0)
    cache.absorb(short, 1)
    assert cache.get_seq_length() == 5
    assert cache.get_mask_sizes(1, 0) == (6, 0)
    for ours, one, two in zip(cache.layers, long.layers, short.layers, strict=True):
        assert torch.equal(ours.keys[:1], one.keys)
        assert torch.equal(ours.values[1:, :, 2:], two.values)
        assert not ours.keys[1:, :, :2].any()


def test_columns_are_added_in_place_and_rows_removed():
    """Many steps and removals give what concatenation and selection give."""
    cache = GrowingCache(3, 5)
    start = part(3, 5, 0)
    cache.absorb(start, 0)
    keys, values = start.layers[1].keys, start.layers[1].values
    generator = torch.Generator().manual_seed(9)
    for step in range(150):
        if step in (40, 120):
            kept = torch.tensor([2, 0] if step == 40 else [1])
            cache.batch_select_indices(kept)
            keys, values = keys[kept], values[kept]
        new_keys = torch.randn(len(keys), 3, 1, 4, generator=generator)
        new_values = torch.randn(len(keys), 3, 1, 2, generator=generator)
        keys, values = torch.cat([keys, new_keys], 2), torch.cat([values, new_values], 2)
        cache.update(new_keys, new_values, 0)
        ours = cache.update(new_keys, new_values, 1)
        assert torch.equal(ours[0], keys)
        assert torch.equal(ours[1], values)
    assert cache.get_seq_length() == 155


def test_no_room_for_all_rows():
    """A cache that is larger than the free memory is refused before it is made."""
    with pytest.raises(MemoryError, match="1000000000 rows of 5 tokens"):
        GrowingCache(10**9, 5).absorb(part(1, 5, 0), 0)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "opt", "phi", "gemma3", "mistral"])
def test_models_it_fits(architecture):
    """Plain attention, with sliding windows or without."""
    assert kv_cache.fits(tiny_config(architecture))


@pytest.mark.parametrize(
    ("architecture", "options"),
    [("lfm2", {"full_attn_idxs": [1]}), ("llama4_text", {}), ("qwen3_next", {})],
)
def test_models_it_does_not_fit(architecture, options):
    """Convolutions, chunked attention and recurrent states are not keys of every token."""
    assert not kv_cache.fits(AutoConfig.for_model(architecture, **options))
