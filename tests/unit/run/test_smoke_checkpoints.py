"""Adapters of a large base, and steps of a long training, in a smoke test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, PromptTuningConfig
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from harness.errors import ModelError
from harness.models.builtin import resolve_model
from harness.models.stand_in_adapter import stand_in_adapter
from harness.run.smoke_checkpoints import with_steps_saved
from harness.suite.spec import BaseSpec, Suite

TINY = BaseSpec(model="tiny:llama")


def adapter_of(folder: Path, config: Any, step: int = 7) -> Path:
    """An adapter as that of a model of 4,096 dimensions, of which a digest is all that is read."""
    config.save_pretrained(folder)
    save_file({"lora_A": torch.zeros(8, 4096)}, folder / "adapter_model.safetensors")
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return folder


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(r=8, target_modules=["q_proj"], layers_to_transform=[3, 31]),
        LoraConfig(r=8, target_modules=["q_proj"], init_lora_weights="pissa", use_dora=True),
        PromptTuningConfig(
            num_virtual_tokens=4,
            token_dim=4096,
            num_layers=32,
            num_attention_heads=32,
            task_type="CAUSAL_LM",
        ),
    ],
    ids=["layers", "dora", "prompt"],
)
def test_an_adapter_fits_the_stand_in(config: Any, tmp_path: Path) -> None:
    """Plain PEFT loads it, and it changes what the model answers; its step is kept."""
    original = adapter_of(tmp_path / "checkpoint-7", config)
    folder = stand_in_adapter(original, "checkpoint-7", TINY, tmp_path)
    assert folder.name == "checkpoint-7"
    assert json.loads((folder / "trainer_state.json").read_text())["global_step"] == 7
    base = AutoModelForCausalLM.from_pretrained(resolve_model(TINY, tmp_path))
    tokens = torch.arange(5, 15)[None]
    with torch.inference_mode():
        before = base(tokens).logits[0, -1]
        after = PeftModel.from_pretrained(base, folder)(tokens).logits[0, -1]
    assert not torch.allclose(before, after, atol=1e-4)
    assert stand_in_adapter(original, "checkpoint-7", TINY, tmp_path) == folder


def test_modules_that_match_nothing_are_told(tmp_path: Path) -> None:
    """By PEFT itself, with the folder."""
    original = adapter_of(tmp_path / "odd", LoraConfig(target_modules=["q_prj"]))
    with pytest.raises(ModelError, match="q_prj") as refused:
        stand_in_adapter(original, "odd", TINY, tmp_path)
    assert str(original) in str(refused.value)


def test_named_steps_are_those_that_are_saved() -> None:
    """In merged, the baseline, the gate and the sheets; the last one named is the last."""
    long = Suite.model_validate(
        {
            "name": "long",
            "base": {"model": "tiny:llama"},
            "data": {"source": "rows.jsonl"},
            "prompt": {"prompt": "{{ a }}", "completion": "{{ b }}"},
            "train": {"args": {"max_steps": 4, "save_steps": 2}},
            "matrix": {"merged": [200, 400]},
            "baseline": "checkpoint-100",
            "gate": {"variants": ["chosen", "merged-400"]},
            "human": {"variants": ["checkpoint-100", "checkpoint-200", "references"]},
            "tasks": {"held_out": {"type": "perplexity"}},
        }
    )
    told: list[str] = []
    short = with_steps_saved(long, told)
    assert short.matrix.merged == [2, 4]
    assert short.baseline == "checkpoint-2"
    assert short.gate.variants == ("chosen", "merged-4")
    assert short.human.variants == ("checkpoint-2", "references")
    assert told == ["steps: 100 is 2, 200 is 2, 400 is 4"]
