"""Adapters that cannot stand beside others are computed apart; none changes another's scores."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from harness.console import Reporter
from harness.report.parts.contents import RunContents
from harness.report.sections.proofs import SECTION
from harness.run.pipeline import run_suite
from harness.run.state import Options
from harness.schema import Manifest, Proof
from harness.store.runs import Store
from tests.unit.suites import suite_file

TASKS = {"held_out": {"type": "perplexity", "splits": ["select", "report"]}}


@pytest.fixture(scope="module")
def folder(
    make_adapter: Callable[..., Path], tiny_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A sound adapter, one with embeddings of its own, one of another kind, one that is cut off."""
    from peft import IA3Config, get_peft_model

    folder = tmp_path_factory.mktemp("beside")
    plain = make_adapter(folder / "checkpoint-1", seed=1)
    model = AutoModelForCausalLM.from_pretrained(tiny_dir)
    table = model.get_input_embeddings().weight.detach()
    shutil.copytree(plain, folder / "checkpoint-2")
    file = folder / "checkpoint-2" / "adapter_model.safetensors"
    held = {**load_file(file), "base_model.model.model.embed_tokens.weight": table * 1.1}
    save_file(held, file, metadata={"format": "pt"})
    config = IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj"], feedforward_modules=[])
    adapted = get_peft_model(model, config)
    for name, weight in adapted.named_parameters():
        if "ia3" in name:
            weight.data *= 1.3
    adapted.save_pretrained(folder / "checkpoint-3")
    shutil.copytree(plain, folder / "checkpoint-4")
    (folder / "checkpoint-4" / "adapter_model.safetensors").write_bytes(b"cut off")
    shutil.copytree(plain, folder / "checkpoint-5")  # comes after those that change the base
    return folder


def evaluated(folder: Path, tmp_path: Path, checkpoints: Any) -> tuple[Store, Manifest]:
    tmp_path.mkdir(exist_ok=True)
    changes: dict[str, Any] = {
        "base": {"model": "tiny:llama", "dtype": "fp32", "device": "cpu"},
        "checkpoints": checkpoints,
        "train": None,
        "matrix": {"base": ["fp32"], "adapters": "fp32", "merged": "none"},
        "tasks": TASKS,
        "select": {"task": "held_out", "metric": "eval_loss"},
    }
    store = Store(tmp_path / "runs")
    return store, run_suite(suite_file(tmp_path, **changes), store, Options(), Reporter(-1))


def losses(store: Store, manifest: Manifest) -> dict[str, Any]:
    return {
        cell.variant: store.read_stats(cell.scores_key)["loss/report"].tolist()
        for cell in manifest.cells
        if cell.scores_key is not None
    }


def test_each_is_as_alone(folder: Path, tmp_path: Path) -> None:
    """Base and a sound adapter keep their losses to the last bit beside those that change them."""
    store, together = evaluated(folder, tmp_path / "all", str(folder / "checkpoint-*"))
    by_name = losses(store, together)
    for number in (1, 2, 3, 5):
        own = str(folder / f"checkpoint-{number}")
        alone = losses(*evaluated(folder, tmp_path / str(number), own))
        assert by_name["base@fp32"] == alone["base@fp32"]
        assert by_name[f"checkpoint-{number}"] == alone[f"checkpoint-{number}"]
    (failed,) = [cell for cell in together.cells if cell.status == "failed"]
    assert failed.variant == "checkpoint-4"
    assert "weights cannot be read" in str(failed.reason)


def test_few_stand_over_one_base(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base is loaded anew for the next ones, which changes no loss and loses none."""
    store, together = evaluated(folder, tmp_path / "all", str(folder / "checkpoint-*"))
    monkeypatch.setattr("harness.run.local._BESIDE", 2)
    two_by_two = evaluated(folder, tmp_path / "two", str(folder / "checkpoint-*"))
    assert losses(*two_by_two) == losses(store, together)
    assert len(two_by_two[1].cells) == len(together.cells)


def test_what_was_proved_is_kept_and_shown(folder: Path, tmp_path: Path) -> None:
    """Each variant's proofs lie beside its scores; isolations are notes among the findings."""
    store, manifest = evaluated(folder, tmp_path, str(folder / "checkpoint-[123]"))
    outcomes = {
        cell.variant: {
            proof.probe: proof.outcome
            for proof in store.read_records("scores", str(cell.scores_key), "proofs", Proof)
        }
        for cell in manifest.cells
    }
    stays = {name: own["the base stays the base"] for name, own in outcomes.items()}
    assert stays == {
        "base@fp32": "holds",
        "checkpoint-1": "holds",
        "checkpoint-2": "isolated",
        "checkpoint-3": "isolated",
    }
    notes = [finding.what for finding in manifest.findings if finding.severity == "info"]
    assert any("checkpoint-2: " in note and "embed_tokens" in note for note in notes)
    proofs = SECTION.build(RunContents(store, manifest))["proofs"]
    assert {(item.variant, item.proof.outcome) for item in proofs} >= set(stays.items())
