"""What a user gets wrong: one message that says where and how to mend it, exit code 2."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.e2e.conftest import SUITE, harness, write_suite

ROWS = [{"text": f"number {i} of the rows", "label": f"label {i}"} for i in range(20)]


def suite_on_rows(folder: Path) -> dict[str, Any]:
    """The small suite without training, on a JSONL file."""
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    suite = copy.deepcopy(SUITE)
    del suite["train"], suite["select"]
    suite["tasks"] = {"summaries": {**suite["tasks"]["summaries"], "splits": ["report"]}}
    suite["data"] = {"source": "rows.jsonl", "splits": {"report": 1.0}}
    suite["prompt"] = {"prompt": "{{ text }}", "completion": "{{ label }}"}
    return suite


def refused(folder: Path, suite: dict[str, Any], *args: str) -> str:
    """The message of an eval that must end with exit code 2 and no traceback."""
    path = write_suite(folder, suite)
    done = harness("eval", str(path), *args, cwd=folder, runs=folder / "runs")
    assert done.code == 2, (done.out, done.err)
    assert "Traceback" not in done.err
    return done.err.split("error: ", 1)[1]


CASES: dict[str, tuple[Callable[[dict[str, Any]], Any], list[str]]] = {
    "wrong key": (lambda s: s.update(trian={}), ["suite.yaml:", "trian", "Did you mean train"]),
    "missing file": (lambda s: s["data"].update(source="rosw.jsonl"), ["rosw.jsonl", "rows.jsonl"]),
    "unknown metric": (
        lambda s: s["tasks"]["summaries"].update(metrics=["rougel"]),
        ["rougel", "rougeL"],
    ),
    "empty split": (
        lambda s: s["tasks"]["summaries"].update(splits=["select"]),
        ["needs rows in the select split", "fills only: report"],
    ),
    "template names a missing field": (
        lambda s: s["prompt"].update(prompt="{{ txet }}"),
        ["txet", "text"],
    ),
    "baseline is no variant": (lambda s: s.update(baseline="base@fp32"), ["base@fp32", "base@nf4"]),
    "checkpoints match nothing": (lambda s: s.update(checkpoints="no/*"), ["no/*", "folder"]),
    "missing model folder": (lambda s: s["base"].update(model="./nomodel"), ["nomodel"]),
    "hub id without network": (
        lambda s: s["base"].update(model="some-org/no-such-model"),
        ["some-org/no-such-model"],
    ),
    "unknown lm-eval task": (
        lambda s: s["tasks"].update(x={"type": "lm_eval", "task": "helaswag"}),
        ["helaswag", "hellaswag"],
    ),
}


SLOW = {"unknown lm-eval task"}  # lm-eval indexes thousands of files to say what is near


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=pytest.mark.slow) if c in SLOW else c for c in CASES]
)
def test_a_mistake_ends_in_one_message(tmp_path: Path, case: str) -> None:
    """Each message names the place, what was found, and what would do."""
    change, words = CASES[case]
    suite = suite_on_rows(tmp_path)
    change(suite)
    text = refused(tmp_path, suite)
    for word in words:
        assert word in text


def adapter(folder: Path, width: int) -> Path:
    """A LoRA adapter of zeros for a Llama of some hidden size and four layers."""
    folder.mkdir()
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    weights = {}
    for layer in range(4):
        prefix = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        weights[f"{prefix}.lora_A.weight"] = torch.zeros(2, width)
        weights[f"{prefix}.lora_B.weight"] = torch.zeros(width, 2)
    save_file(weights, folder / "adapter_model.safetensors")
    return folder


def test_an_adapter_for_another_base_is_a_failed_column(tmp_path: Path) -> None:
    """Shapes that do not fit are told as such, with the adapter's folder; the base is evaluated."""
    adapter(tmp_path / "foreign", width=96)
    suite = {**suite_on_rows(tmp_path), "checkpoints": "foreign", "matrix": {"merged": "none"}}
    path = write_suite(tmp_path, suite)
    done = harness("eval", str(path), "--limit", "2", cwd=tmp_path, runs=tmp_path / "runs")
    assert done.code == 1, done.err
    assert re.search(r"foreign/\S+ failed: .*/foreign: The adapter does not fit", done.err)
    assert "Traceback" not in done.err
    assert (tmp_path / done.out.strip().splitlines()[-1].removeprefix("Report: ")).is_file()


def test_a_bin_adapter_that_holds_no_tensors_is_refused(tmp_path: Path) -> None:
    """Of a pickle nothing but tensors is read."""
    folder = adapter(tmp_path / "pickled", width=128)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    text = refused(tmp_path, {**suite_on_rows(tmp_path), "checkpoints": "pickled"})
    assert "cannot be converted" in text


def test_an_adapter_without_effect_is_reported(tmp_path: Path) -> None:
    """Zero weights score as the base; the run says so instead of showing equal scores."""
    adapter(tmp_path / "zeros", width=128)
    suite = {**suite_on_rows(tmp_path), "checkpoints": "zeros", "matrix": {"merged": "none"}}
    path = write_suite(tmp_path, suite)
    done = harness("eval", str(path), "--limit", "2", cwd=tmp_path, runs=tmp_path / "runs")
    assert done.code == 0, done.err
    report = Path(done.out.strip().splitlines()[-1].removeprefix("Report: "))
    assert "changes no logit" in report.read_text("utf-8")


def test_a_runs_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file in the way of the runs folder ends in a message, not a traceback."""
    (tmp_path / "runs").write_text("in the way", "utf-8")
    path = write_suite(tmp_path, suite_on_rows(tmp_path))
    done = harness("eval", str(path), cwd=tmp_path, runs=tmp_path / "runs")
    assert done.code == 2
    assert "Traceback" not in done.err
    assert str(tmp_path / "runs") in done.err


def test_a_runs_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """Below /proc the system says that there is no such folder, and not that it may not be made."""
    path = write_suite(tmp_path, suite_on_rows(tmp_path))
    done = harness("eval", str(path), cwd=tmp_path, runs=Path("/proc/nope"))
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    assert "/proc/nope" in done.err
    assert "Choose another with --runs-dir." in done.err


@pytest.mark.slow
def test_a_full_disk_ends_in_one_message_and_loses_nothing(tmp_path: Path) -> None:
    """No room: exit code 2 and the hint; with room again, the same command finishes the run."""
    runs = tmp_path / "runs"
    runs.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(runs)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        suite = suite_on_rows(tmp_path)
        text = refused(tmp_path, suite)
        assert "no room left on the disk" in text
        subprocess.run(["mount", "-o", "remount,size=64m", str(runs)], check=True)
        done = harness("eval", str(tmp_path / "suite.yaml"), cwd=tmp_path, runs=runs)
        assert done.code == 0, done.err
    finally:
        subprocess.run(["umount", str(runs)], check=True)
