"""What a smoke test leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

from harness.run.smoke import _few_steps_each, _silent, smoke_suite
from harness.suite.spec import Suite
from harness.validate.suite import read_suite


def test_no_tracker_gets_scores_of_a_smoke_test(tmp_path: Path) -> None:
    """Neither with a training nor without: they are random, and would lie among real ones."""
    rows = [{"a": f"question {n} of many", "b": f"answer {n}"} for n in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        json.dumps(
            {
                "name": "tracked",
                "base": {"model": "tiny:llama"},
                "data": {"source": "rows.jsonl", "splits": {"report": 1.0}},
                "prompt": {"prompt": "{{ a }}", "completion": "{{ b }}"},
                "matrix": {"merged": "none"},
                "tasks": {"held_out": {"type": "perplexity", "splits": ["report"]}},
                "report": {"trackers": ["tensorboard"]},
            }
        )
    )
    file = read_suite(str(suite), (), None)
    assert file.suite.report.trackers == ("tensorboard",)
    assert smoke_suite(file, tmp_path / "rows").suite.report.trackers == ()


def test_no_method_of_several_writes_or_pushes() -> None:
    """What all methods share goes before what silences the whole, so each is silenced."""
    suite = Suite.model_validate(
        {
            "name": "several",
            "base": {"model": "tiny:llama"},
            "data": {"source": "rows.jsonl"},
            "prompt": {"prompt": "{{ a }}", "completion": "{{ b }}"},
            "train": {
                "args": {"report_to": "wandb", "push_to_hub": True},
                "methods": {"lora": {"method": "lora"}, "full": {"method": "full"}},
            },
            "tasks": {"held_out": {"type": "perplexity"}},
        }
    )
    assert suite.train is not None
    small = suite.model_copy(update={"train": _few_steps_each(suite.train, [])})
    for spec in _silent(small).trainings.values():
        assert spec.args["report_to"] == "none"
        assert spec.args["push_to_hub"] is False
