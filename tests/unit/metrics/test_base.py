import numpy as np
import pytest

from harness.errors import MetricError
from harness.metrics.base import corpus_value, format_signature, score_corpus
from harness.metrics.perplexity import TokenLoss
from harness.metrics.registry import build_metric


def test_score_corpus_keeps_one_row_of_statistics_per_example() -> None:
    """The value is the aggregate of the column sums of the statistics that come with it."""
    metric = build_metric("exact_match")
    value, reason, statistics = score_corpus(metric, ["yes", "no", "a"], [["yes"], ["yes"], ["b"]])
    assert value == pytest.approx(100 / 3)
    assert reason is None
    assert statistics.tolist() == [[100.0, 1.0], [0.0, 1.0], [0.0, 1.0]]


def test_no_examples_give_no_value_but_a_reason() -> None:
    value, reason, statistics = score_corpus(build_metric("bleu"), [], [])
    assert value is None
    assert reason == "there are no examples"
    assert statistics.shape == (0, 0)


@pytest.mark.parametrize("row", [[np.nan, 1.0], [1e5, 1.0], [1.0, 0.0], [0.0, 0.0]])
def test_a_value_that_is_no_number_becomes_none_with_a_reason(row: list[float]) -> None:
    """NaN and infinity never leave as values."""
    value, reason = corpus_value(TokenLoss("perplexity"), np.array([row]))
    assert value is None
    assert reason is not None
    assert "perplexity is undefined" in reason


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(MetricError, match="found 2 predictions and 1 lists"):
        score_corpus(build_metric("f1"), ["a", "b"], [["a"]])


@pytest.mark.parametrize("name", ["bleu", "rougeL", "f1", "macro_f1"])
def test_an_example_without_reference_is_refused_by_its_position(name: str) -> None:
    """The message names the metric and the example."""
    metric = build_metric(name, labels=["a", "b"])
    with pytest.raises(MetricError, match=rf"{name}, example 1: .* at least one reference"):
        score_corpus(metric, ["a", "b"], [["a"], []])


def test_a_bare_string_is_no_list_of_references() -> None:
    """A text would otherwise be read as one reference per character."""
    with pytest.raises(MetricError, match="must be a list of texts, found the text 'abc'"):
        score_corpus(build_metric("exact_match"), ["a"], ["abc"])


def test_a_signature_names_options_and_library_versions() -> None:
    signature = format_signature("m", "sacrebleu", on=True, off=False, kind="x", left_out=None)
    assert signature.startswith("m|on:yes|off:no|kind:x|sacrebleu:")
