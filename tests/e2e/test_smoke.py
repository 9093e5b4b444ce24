"""``--smoke``: every step of a suite within a minute, and nothing that could be taken for more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SUITE, harness, write_suite

pytestmark = pytest.mark.slow


def test_a_suite_of_the_hub_is_tried_without_it(tmp_path: Path) -> None:
    """Base, data and an lm-eval task are out of reach; the rest runs, is gated and is rated."""
    tasks = {name: SUITE["tasks"][name] for name in ("summaries", "held_out")}
    suite = write_suite(
        tmp_path,
        base={"model": "EleutherAI/pythia-70m"},
        data={"source": "owner/questions", "splits": SUITE["data"]["splits"]},
        prompt={"prompt": "{{ question }}\n", "completion": "{{ answer }}"},
        tasks={**tasks, "hellaswag": {"type": "lm_eval", "task": "hellaswag"}},
        measure={},
    )
    done = harness("eval", str(suite), "--smoke", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "SMOKE TEST: every step ran." in done.out
    assert "pythia-70m is a random gpt_neox" in done.err
    assert "made rows, for owner/questions is out of reach" in done.err
    assert "tasks.hellaswag: left out" in done.err
    [page] = (tmp_path / "runs").glob(".smoke/small/*/report.html")
    assert '<p class="smoke">SMOKE TEST' in page.read_text()
    runs = ["--runs-dir", "runs/.smoke"]
    for words in (
        ["gate", "small"],
        ["gate", "accept", "small", "--reason", "x"],
        ["select", "small", "--copy-to", "shipped"],
        ["card", "small"],
        ["sheet", "export", "small"],
    ):
        refused = harness(*words, *runs, cwd=tmp_path)
        assert refused.code == 2, words
        assert "is a smoke test" in refused.err
    assert "Note: Not tried: whether the model fits into memory" in done.out
    for words in (["gate", str(suite), "--baseline", "b.json"], ["sheet", "export", str(suite)]):
        refused = harness(*words, "--smoke", "--output", "elsewhere", cwd=tmp_path)
        assert refused.code == 2, words
        assert not (tmp_path / "elsewhere").exists()
    gated = harness("gate", str(suite), "--smoke", "--json", cwd=tmp_path)
    assert gated.code == 0, gated.err
    assert json.loads(gated.out)["exit_code"] == 0
    sheets = harness("sheet", "export", str(suite), "--smoke", cwd=tmp_path)
    assert sheets.code == 0, sheets.err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompt": {"prompt": "{{ no }}", "completion": "{{ summary }}"}}, "no"),
        ({"train": {"lora": {"target_modules": ["q_prj"]}}}, "q_prj"),
        ({"train": {"args": {"max_length": 4}}}, "max_length"),
    ],
    ids=["columns", "modules", "lengths"],
)
def test_what_does_not_fit_is_found(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    """Before hours were spent on it."""
    suite = write_suite(tmp_path, **changes)
    done = harness("train", str(suite), "--smoke", cwd=tmp_path)
    assert done.code == 2
    assert words in done.err
