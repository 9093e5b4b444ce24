"""The tiny random model that a smoke test has in the base's place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.errors import ModelError
from harness.models.source import TINY_ARCHITECTURES
from harness.models.stand_in import stand_in
from harness.models.tiny import tiny_config
from harness.suite.spec import BaseSpec


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("microsoft/phi-2", "phi"),
        ("microsoft/Phi-3-mini-4k-instruct", "phi3"),
        ("NousResearch/Llama-2-7b-chat-hf", "llama"),
        ("EleutherAI/pythia-70m", "gpt_neox"),
        ("mistralai/Mistral-7B-v0.3", "mistral"),
        ("Qwen/Qwen2.5-0.5B", "qwen2"),
        ("Qwen/Qwen3-0.6B", "qwen3"),
        ("google/gemma-2-2b-it", "gemma2"),
        ("google/gemma-3-1b-it", "gemma3"),
    ],
)
def test_families_on_the_hub(name: str, architecture: str, tmp_path: Path) -> None:
    """Out of reach, the name tells the architecture, and a small tokenizer stands in, too."""
    base, told = stand_in(BaseSpec(model=name, revision="main", dtype="bf16"), tmp_path)
    assert (base.model, base.revision, base.dtype) == (f"tiny:{architecture}", None, "auto")
    assert f"{name} is a random {architecture} with a tokenizer of 2,048 tokens" in told


def test_a_model_at_hand_keeps_its_tokenizer(tiny_dir: Path, tmp_path: Path) -> None:
    """Its configuration tells the architecture, whatever it is called."""
    folder = tmp_path / "secret"
    tokenizer = AutoTokenizer.from_pretrained(tiny_dir)
    tokenizer.add_tokens(["<extra>"])
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt_neox"}))
    base, told = stand_in(BaseSpec(model="secret"), tmp_path)
    assert told == "base.model: secret is a random gpt_neox with its own tokenizer"
    model = AutoModelForCausalLM.from_pretrained(base.model)
    assert model.config.model_type == "gpt_neox"
    assert model.config.vocab_size == 2112  # 2,049 in blocks of 64
    assert AutoTokenizer.from_pretrained(base.model).convert_tokens_to_ids("<extra>") == 2048


def test_what_is_not_known_is_refused(tmp_path: Path) -> None:
    """With the way to say it."""
    with pytest.raises(ModelError, match="which is not known") as refused:
        stand_in(BaseSpec(model="owner/house-model"), tmp_path)
    assert "tiny:llama" in str(refused.value)


def test_every_architecture_has_a_configuration() -> None:
    """Of the sizes that all tiny models have."""
    assert {tiny_config(name).hidden_size for name in TINY_ARCHITECTURES} == {128}
