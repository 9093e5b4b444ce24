"""lm-eval's results become records in which nothing is NaN and nothing is lost."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from harness.checks.lm_eval_run import LmEvalFacts
from harness.metrics.base import mean_of
from harness.schema import HubData
from harness.suite.spec import LmEvalTask
from harness.tasks.lm_eval.outcome import LmEvalOutcome, RunFacts, outcome_of, plain


def _sample(doc: int, filter_name: str, **metrics: Any) -> dict[str, Any]:
    return {
        "doc_id": doc,
        "doc_hash": str(doc % 2) * 64,
        "prompt_hash": "p",
        "target_hash": "t",
        "target": np.int64(1),
        "filter": filter_name,
        "arguments": [("context", {"until": ["\n"]})],
        "resps": [["text"]],
        "filtered_resps": ["text"],
        "metrics": list(metrics),
        **metrics,
    }


def _outcome(values: dict[str, Any], samples: list[dict[str, Any]], **facts: Any) -> LmEvalOutcome:
    results = {
        "results": {"leaf": {"name": "leaf", "alias": "leaf", "sample_len": 2, **values}},
        "higher_is_better": {"leaf": {"ter": False}},
        "n-shot": {"leaf": 0},
        "versions": {"leaf": 1.0},
        "samples": {"leaf": samples},
    }
    defaults: dict[str, Any] = {
        "results": results,
        "root": "leaf",
        "means": {"leaf": frozenset({"acc", "f1"})},
        "groups": {},
        "seed": 1,
        "lm_eval": "0",
    }
    own = {name: facts.pop(name) for name in list(facts) if name in LmEvalFacts.__annotations__}
    noticed = {"task": "t", "scored": 1, "missing": {}, "truncated": 0, "warnings": [], **own}
    task = LmEvalTask(type="lm_eval", task="leaf", engine=own.get("asked", "auto"))
    return outcome_of(task, RunFacts(**(defaults | facts), facts=LmEvalFacts(**noticed)))


def test_document_without_a_metric_counts_for_nothing() -> None:
    """A task may give a metric for some documents only; the others are rows of zeros."""
    samples = [_sample(0, "none", acc=1.0), _sample(1, "none"), _sample(2, "none", acc=0.0)]
    outcome = _outcome({"acc,none": 0.5, "acc_stderr,none": "N/A"}, samples)
    [score] = outcome.scores
    assert (score.n, score.value, score.stderr) == (2, 0.5, None)
    assert outcome.arrays["t/acc"].tolist() == [[1, 1], [0, 0], [0, 1]]
    assert float(mean_of(outcome.arrays["t/acc"].sum(axis=0))) == score.value
    assert list(outcome.arrays["ids/t/all"]) == [
        f"{'0' * 16}-0",
        f"{'1' * 16}-1",
        f"{'0' * 16}-2",
    ]


def test_value_that_is_no_number_has_a_reason() -> None:
    """NaN never enters a record."""
    [score] = _outcome({"acc,none": math.nan}, [_sample(0, "none", acc=math.nan)]).scores
    assert score.value is None
    assert score.reason == "lm-eval gave no finite number"


def test_error_rates_are_worse_when_higher() -> None:
    """The direction is the task's own."""
    [score] = _outcome({"ter,none": 80.0}, [_sample(0, "none", ter=("a", "b"))]).scores
    assert (score.higher_is_better, score.stats, score.scale) == (False, None, None)


def test_scale_is_left_open_for_values_in_per_cent() -> None:
    """Some tasks of lm-eval give f1 in per cent; then 1 is not the best possible value."""
    assert _outcome({"f1,none": 62.5}, [_sample(0, "none", f1=62.5)]).scores[0].scale is None
    assert _outcome({"f1,none": 0.6}, [_sample(0, "none", f1=0.6)]).scores[0].scale == 1.0


def test_what_went_wrong_is_a_finding() -> None:
    """Missing leaves, cut requests and lm-eval's own warnings are all shown."""
    outcome = _outcome(
        {"acc,none": 1.0},
        [_sample(0, "none", acc=1.0)],
        missing={"other": "there is no other.csv"},
        truncated=3,
        warnings=["Label index was not in range"],
    )
    assert [finding.severity for finding in outcome.findings] == ["warning", "warning", "info"]
    assert "1 of 2 tasks were not scored: other" in outcome.findings[0].what
    assert "there is no other.csv" in outcome.findings[0].why
    assert "3 requests" in outcome.findings[1].what


@pytest.mark.parametrize(
    ("asked", "used", "severity"),
    [
        ("auto", "tree", "info"),
        ("auto", "prefix", "info"),
        ("auto", "stock", "warning"),
        ("tree", "tree", "info"),
        ("tree", "stock", "warning"),
        ("prefix", "stock", "warning"),
        ("stock", "stock", "info"),
    ],
)
def test_the_engine_is_shown(asked: str, used: Any, severity: str) -> None:
    """With the reason; as a warning where it is slower than what was asked for."""
    values, samples = {"acc,none": 1.0}, [_sample(0, "none", acc=1.0)]
    engine = (used, "as the probe says")
    outcome = _outcome(values, samples, asked=asked, engine=engine)
    [finding] = outcome.findings
    assert (finding.severity, finding.what) == (severity, f"t: engine {used}: as the probe says.")
    assert outcome.scores == _outcome(values, samples, asked=asked).scores  # signature included


def test_samples_are_json() -> None:
    """Numpy values, tuples and infinities of lm-eval become what JSON can hold."""
    [sample] = _outcome({"acc,none": 1.0}, [_sample(0, "none", acc=np.float64(1))]).samples
    assert json.loads(json.dumps(sample, allow_nan=False)) == sample
    assert sample["target"] == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.array([1, 2]), [1, 2]),
        (-math.inf, None),
        ({1: (math.nan, "x")}, {"1": [None, "x"]}),
        (True, True),
        (None, None),
        (len, str(len)),
    ],
)
def test_plain_values(value: Any, expected: Any) -> None:
    """Each kind of value that lm-eval's samples hold."""
    assert plain(value) == expected


def test_data_sets_are_kept_under_the_names_of_their_scores() -> None:
    """The suite's name of the task, not lm-eval's; of a group, with the leaf's name behind."""
    data = {"leaf": HubData(task="leaf", dataset="acme/rows", split="test")}
    values, samples = {"acc,none": 1.0}, [_sample(0, "none", acc=1.0)]
    assert _outcome(values, samples).datasets == []
    assert _outcome(values, samples, datasets=data).datasets[0].task == "t"
    in_tag = _outcome(values, samples, datasets=data, root=None).datasets[0]
    assert (in_tag.task, in_tag.dataset) == ("t/leaf", "acme/rows")
