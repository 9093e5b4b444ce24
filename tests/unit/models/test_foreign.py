"""Adapters that other trainers left, against the logits of those trainers' own code.

``tests/foreign`` holds the scripts that made them, with the real packages.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from harness.errors import ModelError, in_a_line
from harness.models import foreign
from harness.models.conversion import convert
from harness.models.foreign import CONVERTED, as_peft
from harness.models.quiet import quiet
from harness.suite.elsewhere import answer_of

MADE = Path(__file__).parents[2] / "data" / "adapters"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Converts in this process, which has torch already, into a cache of the test's own."""

    def answer(_module: str, file: str, target: str, *, about: str) -> str | None:
        try:
            convert(Path(file), Path(target))
        except Exception as error:
            return in_a_line(error)
        return None

    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(foreign, "answer_of", answer)


def test_a_process_of_its_own_converts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans are made without torch."""
    monkeypatch.setattr(foreign, "answer_of", answer_of)
    assert all(
        (path / "adapter_model.safetensors").is_file() for path in as_peft(MADE / "mlx-dora")
    )


def logits_of(base: Path, adapter: Path, ids: Any) -> Any:
    """Those of PEFT itself."""
    quiet()
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, adapter).eval()
    with torch.inference_mode():
        return model(torch.tensor([ids.tolist()])).logits[0].numpy()


@pytest.mark.parametrize("name", sorted(path.name for path in MADE.iterdir()))
def test_logits_are_those_of_the_trainer(name: str, tiny_dir: Path) -> None:
    """Within 1e-4, of the last of its checkpoints."""
    made = np.load(MADE / name / "logits.npz")
    folder = as_peft(MADE / name)[-1]
    ours = logits_of(tiny_dir, folder, made["ids"])[-len(made["logits"]) :]
    assert np.abs(ours - made["logits"]).max() < 1e-4
    plain = AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32)
    with torch.inference_mode():
        base = plain(torch.tensor([made["ids"].tolist()])).logits[0, -2:].numpy()
    assert np.abs(base - made["logits"]).max() > 0.01  # it does something


def test_every_saved_step_is_a_checkpoint() -> None:
    """MLX-LM's last file, which repeats the last step, is none of its own."""
    assert [path.name for path in as_peft(MADE / "mlx-lora")] == ["checkpoint-4", "checkpoint-8"]


def test_a_last_file_of_its_own_is_a_checkpoint_of_no_step(tmp_path: Path) -> None:
    """It is called as the folder is."""
    folder = tmp_path / "mine"
    shutil.copytree(MADE / "mlx-lora", folder)
    (folder / "0000008_adapters.safetensors").unlink()
    assert [path.name for path in as_peft(folder)] == ["checkpoint-4", "mine"]


def test_it_is_told_from_what_and_made_once(tmp_path: Path) -> None:
    """Equal files are one adapter, wherever they lie."""
    first = as_peft(MADE / "mlx-lora")
    assert json.loads((first[0] / CONVERTED).read_text())["from"] == "0000004_adapters.safetensors"
    copy = tmp_path / "elsewhere"
    shutil.copytree(MADE / "mlx-lora", copy)
    assert as_peft(copy) == first


def test_an_old_pickle_is_read_as_tensors(make_adapter: Any, tmp_path: Path) -> None:
    """No code of it can run; a pickle of anything else is refused."""
    old = make_adapter(tmp_path / "old")
    weights = load_file(old / "adapter_model.safetensors")
    (old / "adapter_model.safetensors").unlink()
    torch.save(weights, old / "adapter_model.bin")
    [folder] = as_peft(old)
    again = load_file(folder / "adapter_model.safetensors")
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    torch.save({"a": Path("x")}, old / "adapter_model.bin")
    with pytest.raises(ModelError, match="cannot be converted"):
        as_peft(old)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fine_tune_type": "full"}, "only lora and dora are read"),
        ({"lora_parameters": {}}, "scale"),
    ],
)
def test_what_has_no_like_is_refused(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    """Rather than evaluated as something else."""
    folder = tmp_path / "mine"
    shutil.copytree(MADE / "mlx-lora", folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ModelError, match=words):
        as_peft(folder)


def test_a_weight_of_no_adapter_is_refused(tmp_path: Path) -> None:
    """A norm that was trained along is named."""
    folder = tmp_path / "mine"
    folder.mkdir()
    shutil.copy(MADE / "mlx-lora" / "adapter_config.json", folder)
    save_file({"model.norm.weight": torch.ones(4)}, folder / "adapters.safetensors")
    with pytest.raises(ModelError, match=r"model\.norm\.weight"):
        as_peft(folder)
