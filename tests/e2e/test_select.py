"""Choosing and shipping a checkpoint of a finished run, through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import Finished, harness
from tests.e2e.test_readers import light


def test_the_choice_is_explained_without_torch(finished: Finished, tmp_path: Path) -> None:
    """Table, reason and what is claimed from the report split; the record lies in the run."""
    done = light(tmp_path, "select", "small", runs=finished.runs)
    assert done.code == 0, done.err
    path = next(finished.runs.glob("small/*/selection.json"))
    assert done.out.startswith(f"Run small/{path.parent.name} (complete)\n")
    assert "Chosen: checkpoint-" in done.out
    assert "On the report split checkpoint-" in done.out
    as_json = light(tmp_path, "select", "small", "--json", runs=finished.runs)
    record = json.loads(as_json.out)
    assert record["selection"]["split"] == "select"
    assert len(record["selection"]["candidates"]) == 3
    assert record.pop("state") == "complete"
    assert json.loads(path.read_text("utf-8")) == record


def test_the_shipped_adapter_opens_on_its_base(finished: Finished, tmp_path: Path) -> None:
    """As PEFT loads any other; what only the trainer needs is left behind."""
    from peft import PeftConfig

    out = tmp_path / "adapter"
    done = light(tmp_path, "select", "small", "--copy-to", str(out), runs=finished.runs)
    assert done.code == 0, done.err
    names = {path.name for path in out.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md"} <= names
    assert not any(name.startswith(("optimizer", "scheduler", "rng_state")) for name in names)
    assert PeftConfig.from_pretrained(out).peft_type == "LORA"
    again = light(tmp_path, "select", "small", "--copy-to", str(out), runs=finished.runs)
    assert again.code == 2
    assert "not empty" in again.err


def test_the_shipped_merged_model_opens_without_peft(finished: Finished, tmp_path: Path) -> None:
    """Weights and tokenizer, as transformers reads them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = tmp_path / "merged"
    args = ("select", "small", "--copy-to", str(out), "--form", "merged")
    done = light(tmp_path, *args, runs=finished.runs)
    assert done.code == 0, done.err
    model = AutoModelForCausalLM.from_pretrained(out)
    ids = AutoTokenizer.from_pretrained(out)("Return the", return_tensors="pt").input_ids
    assert model(ids).logits.shape[:2] == ids.shape


@pytest.mark.slow
def test_where_nothing_may_be_shipped_the_exit_code_is_1(
    finished: Finished, tmp_path: Path
) -> None:
    """A constraint added to the suite makes another run of the same results; all break it."""
    runs = tmp_path / "runs"
    shutil.copytree(finished.runs, runs)
    constraint = "select.constraints=[{measurement: peak_rss_bytes, max: 1 MB}]"
    small = "{prompt_tokens: [8], new_tokens: [4], repeats: 2}"
    sets = ("--set", constraint, "--set", f"measure={small}")
    ran = harness("eval", str(finished.suite), *sets, cwd=tmp_path, runs=runs)
    assert ran.code == 0, ran.err
    assert "No checkpoint keeps to the constraints" in ran.out
    assert "Merging" not in ran.err
    done = harness("select", "small", "--copy-to", "out", cwd=tmp_path, runs=runs)
    assert done.code == 1
    assert "peak resident memory at most 1 MB, found" in done.out
    assert not (tmp_path / "out").exists()
