"""Suite files and stores for the unit tests of what plans and reads, without torch."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import yaml

from harness.schema import SPLITS
from harness.store.runs import Store
from harness.validate.suite import CheckedSuite, read_suite

SUITE: dict[str, Any] = {
    "name": "small",
    "base": {"model": "tiny:llama"},
    "data": {"source": "rows.jsonl", "splits": {"eval": 0.5, "select": 0.25, "report": 0.25}},
    "prompt": {"prompt": "{{ text }}", "completion": "{{ label }}"},
    "tasks": {
        "answers": {"type": "generation", "metrics": ["rougeL", "chrf"]},
        "held_out": {"type": "perplexity"},
        "hellaswag": {"type": "lm_eval", "task": "hellaswag"},
    },
}
TRAIN: dict[str, Any] = {"method": "qlora", "args": {"max_steps": 6, "save_steps": 2}}


def suite_file(folder: Path, *overrides: str, **changes: Any) -> CheckedSuite:
    """The small suite with top-level changes, written and read back."""
    content = {**copy.deepcopy(SUITE), **changes}
    if "train" in changes and "data" not in changes:
        content["data"]["splits"] = dict.fromkeys(SPLITS, 0.25)
    rows = "".join(json.dumps({"text": f"t{i}", "label": f"l{i}"}) + "\n" for i in range(8))
    (folder / "rows.jsonl").write_text(rows, "utf-8")
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return read_suite(str(path), overrides)


def adapter(folder: Path, weights: bytes = b"weights") -> Path:
    """A folder that passes for a PEFT adapter where nothing is loaded."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2}))
    (folder / "adapter_model.safetensors").write_bytes(weights)
    return folder


def put(store: Store, kind: Any, key: str, identity: dict[str, Any], *files: str) -> Path:
    """A finished result with nothing in it, or with empty files."""
    with store.writing(kind, key, identity) as folder:
        for name in files:
            (folder / name).touch()
    return store.path(kind, key)
