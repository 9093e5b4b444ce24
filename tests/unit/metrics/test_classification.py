from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from harness.errors import MetricError
from harness.metrics.base import score_corpus
from harness.metrics.classification import Accuracy, LabelScore, label_set
from harness.metrics.registry import build_metric
from harness.suite.spec import MetricSpec

LABELS = ["negative", "neutral", "positive"]
CASES = [
    (name, average)
    for name in ("precision", "recall", "f1")
    for average in ("macro", "micro", "weighted", "binary")
]

pairs = st.lists(
    st.tuples(st.sampled_from([*LABELS, "none of them"]), st.sampled_from(LABELS)),
    min_size=1,
    max_size=12,
)


def make(measure: str, average: str, **options: Any) -> LabelScore:
    name = measure if measure != "f1" else f"{average}_f1"
    if measure != "f1":
        options["average"] = average
    if average == "binary":
        options["pos_label"] = "positive"
    metric = build_metric(MetricSpec(name=name, options=options | {"labels": LABELS}))
    assert isinstance(metric, LabelScore)
    return metric


def sklearn(data: list[tuple[str, str]], measure: str, average: str, zero: float) -> float:
    predicted, true = zip(*data, strict=True)
    one = average == "binary"  # as sklearn does it for one label out of several
    values = precision_recall_fscore_support(
        true,
        predicted,
        labels=["positive"] if one else LABELS,
        average="macro" if one else average,
        zero_division=zero,
    )
    return float(values[["precision", "recall", "f1"].index(measure)])


@pytest.mark.parametrize("zero", [0, 1, "nan"])
@pytest.mark.parametrize(("measure", "average"), CASES)
@settings(max_examples=40, deadline=None)
@given(data=pairs)
def test_value_equals_scikit_learn(
    measure: str, average: str, zero: Any, data: list[tuple[str, str]]
) -> None:
    """With predictions that are no label among them, and labels that never occur."""
    metric = make(measure, average, zero_division=zero)
    value, reason, _ = score_corpus(metric, [p for p, _ in data], [[t] for _, t in data])
    expected = sklearn(data, measure, average, float(zero))
    if np.isnan(expected):
        assert value is None
        assert reason
    else:
        assert value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("measure", "average"), CASES)
def test_resamples_aggregate_at_once(measure: str, average: str) -> None:
    """Totals of shape (..., k) give values of shape (...), each as by itself."""
    metric = make(measure, average)
    truth = ["positive", "neutral", "negative", "positive"]
    predicted = ["positive", "positive", "negative", "?"]
    _, _, statistics = score_corpus(metric, predicted, [[label] for label in truth])
    weights = np.random.default_rng(0).multinomial(4, [0.25] * 4, size=(5, 7))
    values = metric.aggregate(weights @ statistics)
    assert values.shape == (5, 7)
    sample = [(predicted[i], truth[i]) for i in np.repeat(range(4), weights[2, 3])]
    assert values[2, 3] == pytest.approx(sklearn(sample, measure, average, 0.0))


def test_accuracy_equals_scikit_learn_and_needs_no_labels() -> None:
    true, predicted = ["a", "b", "b", "c"], ["a", "c", "b", "B"]
    value, _, _ = score_corpus(Accuracy(), predicted, [[label] for label in true])
    assert value == accuracy_score(true, [label.lower() for label in predicted])


def test_labels_are_compared_without_case_and_outer_space() -> None:
    """Models put spaces and line breaks around a label, and write it as a sentence begins."""
    assert Accuracy().statistics(" YES\n", ["yes"]) == (1.0, 1.0)
    assert Accuracy(normalize=False).statistics("YES", ["yes"]) == (0.0, 1.0)
    value, _, _ = score_corpus(make("f1", "macro"), [" POSITIVE\n"], [["Positive"]])
    assert value == pytest.approx(1 / 3)
    strict = LabelScore("recall", "recall", labels=["a", "A"], normalize=False)
    assert score_corpus(strict, ["a", "a"], [["a"], ["A"]])[0] == 0.5


def test_predictions_that_are_no_label_are_wrong_and_counted() -> None:
    metric = make("recall", "micro")
    value, _, statistics = score_corpus(metric, ["?", "neutral"], [["positive"], ["neutral"]])
    assert value == 0.5
    assert statistics.sum(axis=0)[-1] == 1.0


def test_a_prediction_that_is_any_of_several_references_is_right() -> None:
    """Otherwise the first reference is the one that was missed."""
    metric = make("recall", "macro", zero_division="nan")
    references = [["neutral", "positive"], ["neutral", "positive"]]
    value, _, _ = score_corpus(metric, ["positive", "negative"], references)
    assert value == 0.5  # positive 1 of 1, neutral 0 of 1, negative undefined
    assert Accuracy().statistics("positive", references[0]) == (1.0, 1.0)


@pytest.mark.parametrize("metric", [Accuracy(labels=["a", "b"]), make("f1", "macro")])
def test_a_reference_that_is_no_label_is_refused(metric: Accuracy | LabelScore) -> None:
    with pytest.raises(MetricError, match="reference 'c' is not one of the labels"):
        metric.statistics("a", ["c"])


def test_labels_may_be_whole_numbers() -> None:
    """YAML reads 0 and 1 as numbers; texts are compared."""
    metric = LabelScore("macro_f1", "f1", labels=[0, 1])
    assert score_corpus(metric, ["0", "1"], [["0"], ["1"]])[0] == 1.0
    assert Accuracy(labels=[0, 1]).statistics("1", ["1"]) == (1.0, 1.0)


def test_label_set_of_references() -> None:
    assert label_set([["B"], ["a", "b "]]) == ("a", "b")
    assert label_set([["B"], ["a"]], normalize=False) == ("B", "a")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"labels": []}, "needs distinct labels.*found none"),
        ({"labels": ["a", "A"]}, "needs distinct labels"),
        ({"labels": ["a"], "average": "binary"}, "needs the option pos_label"),
        ({"labels": ["a"], "average": "binary", "pos_label": "b"}, "must be one of a; found 'b'"),
        ({"labels": ["a"], "pos_label": "a"}, "only with average: binary"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(MetricError, match=problem):
        LabelScore("precision", "precision", **options)


def test_signature_names_labels_and_average() -> None:
    metric = make("precision", "binary")
    assert metric.signature == (
        "precision|avg:binary|pos:positive|zero:0|norm:strip+casefold|refs:any"
        "|labels:negative,neutral,positive"
    )
