"""The worker's own function, in this process; test_process starts it for real."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
)

from harness.errors import ModelError
from harness.measure import worker
from harness.measure.job import MeasureJob
from harness.schema import Measurement


def figures(job: MeasureJob) -> dict[str, Measurement]:
    return {m.name: m for m in worker.measure_job(job, lambda line: None)}


def test_precisions_differ_in_weights(job: MeasureJob) -> None:
    """The 4-bit model is measured as it is, not dequantized."""
    full = figures(job)
    nf4 = figures(job.model_copy(update={"precision": "nf4"}))
    assert full["weights_bytes"].values == (347_456,)  # counted by hand in test_memory
    assert nf4["weights_bytes"].values == (105_904,)
    assert "activations in float32" in full["load_s"].note


def test_a_mixture_of_precisions_stands_beside_its_bytes(job: MeasureJob, tmp_path: Path) -> None:
    """Experts in one tensor stay out of 4 bits, and the figure of memory says so."""
    config = MixtralConfig(
        vocab_size=64,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=4,
    )
    MixtralForCausalLM(config).save_pretrained(tmp_path / "experts")
    base = job.base.model_copy(update={"model": str(tmp_path / "experts")})
    note = figures(job.model_copy(update={"base": base, "precision": "nf4"}))["weights_bytes"].note
    assert "mlp.experts.gate_up_proj" in note
    assert "of the weights are in nf4" in note


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
def test_adapter_is_measured_unmerged(job: MeasureJob, tmp_path: Path) -> None:
    """An adapter adds its own matrices: r 4 x (64 + 64) float32 in each of two layers."""
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    lora = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM")
    get_peft_model(base, lora).save_pretrained(tmp_path / "adapter")
    found = figures(job.model_copy(update={"adapter": str(tmp_path / "adapter")}))
    assert found["weights_bytes"].values == (347_456 + 2 * 4 * (64 + 64) * 4,)
    assert len(found["ttft_s"].values) == 3


def test_merged_model_takes_the_place_of_the_base(
    job: MeasureJob, tiny_model: LlamaForCausalLM, tmp_path: Path
) -> None:
    """With merged_dir the base is not needed at all."""
    tiny_model.save_pretrained(tmp_path / "merged")
    base = job.base.model_copy(update={"model": "./gone", "revision": "main"})
    merged = job.model_copy(update={"base": base, "merged_dir": str(tmp_path / "merged")})
    assert figures(merged)["weights_bytes"].values == (347_456,)


def test_grid_beyond_the_context(job: MeasureJob) -> None:
    """Where no point fits, the first call has no value either, but loading has."""
    grid = job.grid.model_copy(update={"prompt_tokens": (100,)})
    found = figures(job.model_copy(update={"grid": grid}))
    assert found["first_call_s"].values == ()
    assert found["first_call_s"].reason == "106 tokens do not fit the model's context of 64."
    assert len(found["load_s"].values) == 1


def test_unreadable_model(job: MeasureJob, tmp_path: Path) -> None:
    """A model that cannot be opened is reported by loading, not by the preparation."""
    (tmp_path / "model" / "config.json").write_text('{"model_type": "no-such-type"}')
    with pytest.raises(ModelError, match="no-such-type"):
        figures(job)


def test_answer_carries_errors_in_parts(job: MeasureJob) -> None:
    """An error meant for the user travels as place, problem and remedy."""
    base = job.base.model_copy(update={"model": "./gone"})
    result = worker.answer(job.model_copy(update={"base": base}), lambda line: None)
    assert set(result["error"]) == {"problem", "where", "hint"}
    assert json.dumps(result)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_gpu_peaks(job: MeasureJob) -> None:
    """On a GPU the allocator holds at least the tensors, and those at least the weights."""
    base = job.base.model_copy(update={"device": "cuda"})
    found = figures(job.model_copy(update={"base": base}))
    weights = found["weights_bytes"].values[0]
    assert found["peak_reserved_bytes"].values >= found["peak_allocated_bytes"].values
    assert found["peak_allocated_bytes"].values[0] >= weights
