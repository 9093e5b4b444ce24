from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from harness.digests import short_digest
from harness.errors import ModelError
from harness.measure.job import MeasureJob, adapter_shape, measurement_identity
from harness.suite.spec import BaseSpec, MeasureSpec, QuantizationSpec

ARCHITECTURE = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2}


def adapter(folder: Path, **changes: Any) -> str:
    """An adapter_config.json with PEFT's fields."""
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": "somewhere",
        "r": 8,
        "lora_alpha": 16,
        "lora_dropout": 0.1,
        "target_modules": ["q_proj", "v_proj"],
        "modules_to_save": None,
        "rank_pattern": {},
        "use_dora": False,
        "bias": "none",
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(config | changes))
    return str(folder)


def job(**changes: Any) -> MeasureJob:
    settings: dict[str, Any] = {
        "base": BaseSpec(model="tiny:llama"),
        "base_dir": ".",
        "precision": "nf4",
        "grid": MeasureSpec(),
        "seed": 1,
        "quantization": QuantizationSpec(),
    }
    return MeasureJob(**(settings | changes))


def key(**changes: Any) -> str:
    return short_digest(measurement_identity(job(**changes), ARCHITECTURE))


def test_adapter_shape(tmp_path: Path) -> None:
    """Only what decides sizes and operations is kept, in an order of its own."""
    path = adapter(tmp_path / "a", target_modules=["v_proj", "q_proj"])
    assert adapter_shape(path) == {
        "peft_type": "LORA",
        "r": 8,
        "target_modules": ["q_proj", "v_proj"],
        "bias": "none",
        "tensors": {},
    }


@pytest.mark.parametrize(
    "option",
    [
        {"layer_replication": [[0, 2], [1, 2]]},
        {"use_dora": True},
        {"rank_pattern": {"q_proj": 32}},
        {"modules_to_save": ["lm_head"]},
        {"num_vectors": 64},  # of VB-LoRA
        {"r_mamba": 4},  # whatever a later kind may bring
    ],
)
def test_any_option_that_is_not_known_to_change_numbers_only_is_a_shape(
    tmp_path: Path, option: dict[str, Any]
) -> None:
    """No list of what each PEFT kind has: what is unknown counts."""
    plain, other = adapter(tmp_path / "plain"), adapter(tmp_path / "other", **option)
    assert key(adapter=plain) != key(adapter=other)
    scaled = adapter(tmp_path / "scaled", use_rslora=True, alpha_pattern={"q_proj": 2})
    assert key(adapter=plain) == key(adapter=scaled)


def test_the_sizes_of_stored_tensors_are_a_shape(tmp_path: Path) -> None:
    """Ranks of single layers show there, also where the configuration does not tell them."""

    def stored(name: str, *ranks: int) -> str:
        path = adapter(tmp_path / name)
        tensors = {f"layers.{i}.q_proj.lora_A.weight": np.ones((r, 4)) for i, r in enumerate(ranks)}
        save_file(tensors, Path(path) / "adapter_model.safetensors")
        return path

    kinds = adapter_shape(stored("a", 8, 8, 2))["tensors"]
    assert kinds == {
        "layers.*.q_proj.lora_A.weight 2 x 4": 1,
        "layers.*.q_proj.lora_A.weight 8 x 4": 2,
    }
    assert key(adapter=stored("b", 8, 8, 2)) != key(adapter=stored("c", 8, 2, 2))
    assert key(adapter=stored("d", 8, 2)) == key(adapter=stored("e", 2, 8))


def test_layer_zero_alone_is_a_shape(tmp_path: Path) -> None:
    """An adapter on layer 0 only differs from one on all layers."""
    shape = adapter_shape(adapter(tmp_path, layers_to_transform=0))
    assert shape["layers_to_transform"] == 0


def test_checkpoints_of_equal_shape_share_a_measurement(tmp_path: Path) -> None:
    """Checkpoints that differ in weights, scaling or dropout have one key."""
    first = adapter(tmp_path / "checkpoint-10")
    second = adapter(
        tmp_path / "checkpoint-20",
        lora_alpha=32,
        lora_dropout=0.0,
        target_modules=["v_proj", "q_proj"],
    )
    assert key(adapter=first) == key(adapter=second)


def test_what_changes_the_figures_changes_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shape, precision, grid, dtype and threads each give a key of their own."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("HARNESS_COMPUTE_DTYPE", raising=False)
    keys = {
        key(),
        key(adapter=adapter(tmp_path / "8")),
        key(adapter=adapter(tmp_path / "16", r=16)),
        key(adapter=adapter(tmp_path / "q", target_modules=["q_proj"])),
        key(adapter=adapter(tmp_path / "dora", use_dora=True)),
        key(precision="fp32"),
        key(grid=MeasureSpec(prompt_tokens=(64,))),
        key(grid=MeasureSpec(repeats=11)),
        key(base=BaseSpec(model="tiny:llama", dtype="bf16")),
        key(quantization=QuantizationSpec(bnb_4bit_use_double_quant=False)),
        short_digest(measurement_identity(job(), ARCHITECTURE | {"hidden_size": 128})),
    }
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    keys.add(key())
    monkeypatch.setenv("HARNESS_COMPUTE_DTYPE", "bf16")
    keys.add(key())
    assert len(keys) == 13


def test_what_cannot_change_the_figures_keeps_the_key() -> None:
    """Merged weights, seed, and the quantization of an unquantized model are not in the key."""
    assert key(precision="fp32") == key(
        precision="fp32",
        merged_dir="/runs/merged",
        seed=2,
        quantization=QuantizationSpec(bnb_4bit_quant_type="fp4"),
    )


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_broken_adapter(tmp_path: Path, text: str | None) -> None:
    """A folder that is no adapter is named in the error."""
    if text is not None:
        (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(ModelError, match=r"adapter_config\.json: .*Name the folder"):
        adapter_shape(tmp_path)
