from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from harness.measure.job import MeasureJob
from harness.suite.spec import BaseSpec, MeasureSpec


@pytest.fixture
def tiny_model() -> LlamaForCausalLM:
    """A random llama small enough to count by hand (see test_memory)."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=100,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def job(tiny_model: LlamaForCausalLM, tmp_path: Path) -> MeasureJob:
    """Measures ``tiny_model`` from a local folder, at two sizes."""
    tiny_model.save_pretrained(tmp_path / "model")
    return MeasureJob(
        base=BaseSpec(model="model", device="cpu", dtype="fp32"),
        base_dir=str(tmp_path),
        precision="fp32",
        grid=MeasureSpec(prompt_tokens=(8,), new_tokens=(4, 6), batch_sizes=(2,), repeats=3),
        seed=1,
    )
