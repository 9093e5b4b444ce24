import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.metrics.base import score_corpus
from harness.metrics.exact import ExactMatch, TokenF1


def test_golden_values(golden: Callable[[str], list[dict[str, Any]]]) -> None:
    """The official script's exact match and F1 come out, corner cases included."""
    for case in golden("squad_v1"):
        for metric in (ExactMatch(), TokenF1()):
            value, _ = metric.statistics(case["prediction"], case["references"])
            assert value == pytest.approx(case[metric.name], abs=1e-9), case


def test_without_normalisation_texts_must_be_equal() -> None:
    metric = ExactMatch(normalize="none")
    assert metric.statistics("The cat", ["the cat", "The cat"]) == (100.0, 1.0)
    assert metric.statistics("The cat ", ["The cat"]) == (0.0, 1.0)
    assert metric.signature != ExactMatch().signature


@pytest.mark.realdata
@pytest.mark.parametrize("metric", [ExactMatch(), TokenF1()], ids=["exact", "f1"])
def test_published_predictions_score_as_the_official_script_says(
    metric: ExactMatch | TokenF1,
) -> None:
    """Two published systems on 1,000 SQuAD questions: equal to the official figures to 1e-6."""
    folder = os.environ.get("HARNESS_REALDATA")
    if not folder:
        pytest.skip("HARNESS_REALDATA is not set")
    squad = Path(folder) / "squad"
    rows = [
        json.loads(line)
        for line in (squad / "squad_v1.1_dev_1000.jsonl").read_text("utf-8").splitlines()
    ]
    official = json.loads((squad / "expected_official_scores.json").read_text("utf-8"))
    assert official
    key = "exact" if isinstance(metric, ExactMatch) else "f1"
    for system, expected in official.items():
        texts = json.loads((squad / "predictions" / f"{system}.json").read_text("utf-8"))
        value, _, statistics = score_corpus(
            metric, [texts[row["id"]] for row in rows], [row["answers"] for row in rows]
        )
        assert len(statistics) == expected["total"]
        assert value == pytest.approx(expected[key], abs=1e-6)
