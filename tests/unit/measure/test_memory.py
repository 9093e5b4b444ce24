"""Every expected number of bytes is counted by hand from the shapes of ``tiny_model``.

Per layer the linear weights are q 64x64, k and v 32x64, o 64x64, gate and up 128x64, down 64x128:
36,864 values in 7 matrices. Beside them: embedding and head 2 x 100x64, norms 64 x (2 per layer
+ 1) = 320 values, and two float32 buffers of 8 inverse frequencies.
"""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaForCausalLM

from harness.measure import memory
from harness.models import resident

LINEAR = 2 * 36_864
UNQUANTIZED_BYTES = (2 * 6_400 + 320) * 4 + 2 * 8 * 4


def reload(model: LlamaForCausalLM, folder: Path, **options: object) -> LlamaForCausalLM:
    model.save_pretrained(folder)
    config = BitsAndBytesConfig(bnb_4bit_compute_dtype=torch.float32, **options)
    loaded: LlamaForCausalLM = AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=config, dtype=torch.float32
    )
    return loaded


def test_weights_fp32(tiny_model: LlamaForCausalLM) -> None:
    """In fp32 every value takes four bytes, buffers included."""
    assert memory.weights_bytes(tiny_model) == LINEAR * 4 + UNQUANTIZED_BYTES


def test_weights_tied(tiny_model: LlamaForCausalLM) -> None:
    """A head that shares the embedding's memory is counted once."""
    tiny_model.lm_head.weight = tiny_model.model.embed_tokens.weight
    assert memory.weights_bytes(tiny_model) == LINEAR * 4 + UNQUANTIZED_BYTES - 6_400 * 4


def test_weights_nf4(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    """In nf4 a value takes half a byte, and each block of 64 has a float32 absmax.

    Each of the 14 matrices brings a code table of 16 float32.
    """
    loaded = reload(
        tiny_model,
        tmp_path,
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=False,
    )
    expected = LINEAR // 2 + LINEAR // 64 * 4 + 14 * 16 * 4 + UNQUANTIZED_BYTES
    assert memory.weights_bytes(loaded) == expected
    assert expected < memory.weights_bytes(tiny_model)


def test_weights_nf4_double_quant(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    """Double quantization keeps absmax in one byte, with second-level constants per matrix.

    Those are one float32 absmax per 256 blocks (no matrix here has more), a float32 offset and a
    code table of 256 float32. (QLoRA paper, section 3: block sizes 64 and 256.)
    """
    loaded = reload(
        tiny_model,
        tmp_path,
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
    )
    constants = LINEAR // 64 + 14 * (16 * 4 + 4 + 4 + 256 * 4)
    assert memory.weights_bytes(loaded) == LINEAR // 2 + constants + UNQUANTIZED_BYTES


@pytest.mark.filterwarnings("ignore:MatMul8bitLt")
def test_weights_int8(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    """In int8 a value takes a byte and each row a float32 scale, before and after a call.

    bitsandbytes moves both from the weight into the layer at the first call.
    """
    loaded = reload(tiny_model, tmp_path, load_in_8bit=True)
    rows = 2 * (64 + 32 + 32 + 64 + 128 + 128 + 64)
    expected = LINEAR + rows * 4 + UNQUANTIZED_BYTES
    assert memory.weights_bytes(loaded) == expected
    with torch.inference_mode():
        loaded(input_ids=torch.tensor([[1, 2, 3]]))
    assert memory.weights_bytes(loaded) == expected


def test_kv_cache(tiny_model: LlamaForCausalLM) -> None:
    """Keys and values: 2 x 2 layers x 2 heads x 16 wide x 4 bytes per token of each sequence."""
    with torch.inference_mode():
        cache = tiny_model(input_ids=torch.zeros(3, 7, dtype=torch.long)).past_key_values
    assert memory.kv_cache_bytes(cache) == (2 * 2 * 2 * 16 * 4) * 3 * 7


def test_peak_rss_follows_a_large_allocation() -> None:
    """The peak rises by what is touched, stays after it is freed, and can begin anew."""
    size = 200 * 2**20
    before = psutil.Process().memory_info().rss
    block = torch.ones(size, dtype=torch.uint8)
    del block
    peak = resident.peak_rss_bytes()
    assert peak >= before + 0.9 * size
    if not resident.reset_peak_rss():
        pytest.skip("this system does not let a process reset its peak")
    assert resident.peak_rss_bytes() < peak - 0.5 * size
