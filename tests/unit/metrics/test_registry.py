import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import MetricError
from harness.metrics.base import Metric, score_corpus
from harness.metrics.registry import (
    _METRICS,
    _options,
    build_metric,
    check_metric,
    is_evaluate_module,
    metric_names,
    needs_labels,
)
from harness.suite.spec import MetricSpec

TEXT_METRICS = [name for name in metric_names() if name not in ("eval_loss", "perplexity")]


def built(name: str) -> Metric:
    options = {"pos_label": "no"} if name == "binary_f1" else {}
    return build_metric(MetricSpec(name=name, options=options), labels=["yes", "no"])


@pytest.mark.parametrize("name", TEXT_METRICS)
def test_every_metric_keeps_the_contract(name: str) -> None:
    """Its name, a signature that names it, and values of (..., k) totals as by themselves."""
    metric = built(name)
    assert metric.name == name
    assert metric.signature
    assert metric.signature_for([["yes"]])
    _, _, statistics = score_corpus(metric, ["yes", "no", "no"], [["yes"], ["no"], ["yes"]])
    totals = np.array([[1, 1, 1], [2, 0, 1], [0, 3, 0]], dtype=float) @ statistics
    values = metric.aggregate(totals)
    assert values.shape == (3,)
    for total, value in zip(totals, values, strict=True):
        np.testing.assert_array_equal(metric.aggregate(total), value)
        np.testing.assert_array_equal(metric.aggregate(total[None, None]), [[value]])


@pytest.mark.parametrize("name", TEXT_METRICS)
def test_aggregate_leaves_its_input_alone(name: str) -> None:
    """The same totals are aggregated for several purposes."""
    metric = built(name)
    totals = np.array(metric.statistics("yes", ["yes"]))
    before = totals.copy()
    metric.aggregate(totals)
    np.testing.assert_array_equal(totals, before)


def test_signatures_tell_metrics_apart() -> None:
    """A score is stored by its signature, so no two metrics may share one."""
    names = [*TEXT_METRICS, "eval_loss", "perplexity"]
    assert len({built(name).signature for name in names}) == len(names)


@pytest.mark.parametrize(
    ("name", "near"),
    [("rougel", "rougeL"), ("rouge-1", "rouge1"), ("bleu4", "bleu"), ("exactmatch", "exact_match")],
)
def test_an_unknown_metric_is_refused_with_near_and_all_names(name: str, near: str) -> None:
    with pytest.raises(MetricError, match=rf"no metric '{name}'. Did you mean .*{near}") as error:
        build_metric(name)
    assert all(known in str(error.value) for known in metric_names())


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("bleu", {"lower": True}, "no option 'lower'. Did you mean lowercase.*options are"),
        ("perplexity", {"stem": True}, "perplexity has no option 'stem'. It has no options"),
        ("macro_f1", {"average": "micro"}, "no option 'average'"),
        ("bleu", {"lowercase": "yes"}, "option lowercase of bleu .* boolean; found 'yes'"),
        ("chrf", {"char_order": 0}, "option char_order of chrf .* found 0"),
        ("exact_match", {"normalize": "upper"}, "option normalize .* found 'upper'"),
        ("meteor", {"wordnet": "x"}, "option wordnet .*'auto', or .*boolean; found 'x'"),
        ("macro_f1", {}, "macro_f1 needs the option labels"),
        ("macro_f1", {"labels": "yes no"}, "option labels .* found 'yes no'"),
        ("macro_f1", {"labels": [True, False]}, "option labels .* found True.*quotes"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    name: str, options: dict[str, Any], problem: str
) -> None:
    """The message names the option, what was found, and what there is."""
    with pytest.raises(MetricError, match=problem):
        build_metric(MetricSpec(name=name, options=options))


def test_labels_reach_only_metrics_that_lack_them() -> None:
    """Labels from the references neither replace given ones nor disturb other metrics."""
    assert needs_labels("macro_f1")
    assert not needs_labels("accuracy")
    assert not needs_labels("bleu")
    given = MetricSpec(name="macro_f1", options={"labels": ["x", "y"]})
    assert not needs_labels(given)
    assert build_metric(given, labels=["a"]).signature.endswith("labels:x,y")
    assert build_metric("macro_f1", labels=["a"]).signature.endswith("labels:a")
    assert build_metric("accuracy", labels=["a"]).signature == build_metric("accuracy").signature


def test_check_accepts_what_can_be_built_later() -> None:
    """Labels may come with the references, and evaluate's modules are built elsewhere."""
    for name in metric_names():
        check_metric(
            MetricSpec(name=name, options={"pos_label": "yes"} if "binary" in name else {})
        )
    check_metric("evaluate:accuracy")


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("blue", "no metric 'blue'"),
        ("evaluate: ", "names no module"),
        ("binary_f1", "needs the option pos_label"),
        (MetricSpec(name="ter", options={"x": 1}), "no option 'x'"),
    ],
)
def test_check_refuses_what_cannot(spec: str | MetricSpec, problem: str) -> None:
    with pytest.raises(MetricError, match=problem):
        check_metric(spec)


def test_evaluate_modules_are_not_built_here() -> None:
    assert is_evaluate_module("evaluate:accuracy")
    assert not is_evaluate_module("accuracy")
    with pytest.raises(MetricError, match="no statistics per example"):
        build_metric("evaluate:accuracy")


def test_the_registry_is_light_and_no_metric_needs_torch() -> None:
    """Importing it, and checking a suite's metrics, load neither nltk nor torch."""
    code = """
import sys
from pathlib import Path
from harness.metrics.registry import build_metric, check_metric, metric_names
from harness.metrics.base import score_corpus
heavy = {"torch", "nltk", "rouge_score", "sacrebleu", "sklearn", "evaluate", "datasets"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
for name in metric_names():
    if name != "binary_f1":
        check_metric(name)
assert not (heavy - {"sacrebleu"}) & set(sys.modules)
for name in metric_names():
    if name not in ("binary_f1", "eval_loss", "perplexity"):
        metric = build_metric(name, labels=["yes"])
        score_corpus(metric, ["yes"], [["yes"]])
        metric.signature
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_guide_names_every_metric_and_option() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "metrics.md").read_text("utf-8")
    options = {option for entry in _METRICS.values() for option in _options(entry)}
    missing = [word for word in {*metric_names(), *options} if f"`{word}`" not in guide]
    assert not missing
