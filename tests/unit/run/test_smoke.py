"""What a smoke test leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

from harness.run.smoke import smoke_suite
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
