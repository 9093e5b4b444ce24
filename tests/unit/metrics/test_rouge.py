from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from harness.metrics.registry import build_metric
from harness.metrics.rouge import RougeLsum
from harness.suite.spec import MetricSpec

NAMES = ["rouge1", "rouge2", "rougeL", "rougeLsum"]

lines = st.lists(
    st.sampled_from(["the", "cats", "cat", "sitting", "sat", "mats", "42", "é"]), max_size=7
).map(" ".join)
texts = st.lists(lines, min_size=2, max_size=4).map("\n".join)


def test_golden_values(golden: Callable[[str], list[dict[str, Any]]]) -> None:
    """The F-measures of ROUGE-1.5.5 that rouge_score's own tests hold come out."""
    for case in golden("rouge"):
        metric = build_metric(MetricSpec(name=case["metric"], options=case["options"]))
        value, _ = metric.statistics(case["prediction"], case["references"])
        assert value == pytest.approx(case["value"], abs=case["tolerance"]), case


@pytest.mark.parametrize("stem", [True, False])
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=50, deadline=None)
@given(prediction=texts, references=st.lists(texts, min_size=1, max_size=3))
def test_score_is_that_of_the_best_reference(
    name: str, stem: bool, prediction: str, references: list[str]
) -> None:
    """On texts with line breaks the score is rouge_score's ``score_multi``."""
    scorer = RougeScorer([name], use_stemmer=stem)
    expected = scorer.score_multi(references, prediction)[name].fmeasure
    metric = build_metric(MetricSpec(name=name, options={"use_stemmer": stem}))
    # A text whose lines are all empty but one counts as a single line, and has one sentence.
    assert metric.statistics(prediction, references) == (pytest.approx(expected, abs=1e-12), 1.0)


def test_single_line_texts_are_split_into_sentences_for_lsum() -> None:
    """The score is rouge_score's for one sentence a line, and not that of ROUGE-L."""
    prediction = "A dog ran, e.g. home. Dr. Cat sat down!"
    reference = "The cat sat down. A dog ran home."
    scorer = RougeScorer(["rougeLsum", "rougeL"], use_stemmer=True)
    expected = scorer.score(
        "The cat sat down.\nA dog ran home.", "A dog ran, e.g. home.\nDr. Cat sat down!"
    )
    value, _ = RougeLsum().statistics(prediction, [reference])
    assert value == pytest.approx(expected["rougeLsum"].fmeasure)
    assert value > expected["rougeL"].fmeasure


def test_split_summaries_false_is_rouge_scores_default() -> None:
    prediction, reference = "A dog ran. A cat sat.", "A cat sat. A dog ran."
    expected = RougeScorer(["rougeLsum"], use_stemmer=True).score(reference, prediction)
    value, _ = RougeLsum(split_summaries=False).statistics(prediction, [reference])
    assert value == pytest.approx(expected["rougeLsum"].fmeasure)
    assert value < RougeLsum().statistics(prediction, [reference])[0]


def test_a_final_line_break_does_not_make_a_text_of_lines() -> None:
    """Models often end with a line break; it must not change how sentences are found."""
    reference = ["A cat sat. A dog ran."]
    with_break = RougeLsum().statistics("A dog ran. A cat sat.\n", reference)
    assert with_break == RougeLsum().statistics("A dog ran. A cat sat.", reference)


@pytest.mark.parametrize("name", NAMES)
def test_empty_texts_score_zero(name: str) -> None:
    metric = build_metric(name)
    assert metric.statistics("", ["a cat"]) == (0.0, 1.0)
    assert metric.statistics("a cat", [""]) == (0.0, 1.0)


def test_signatures_name_stemmer_sentences_and_versions() -> None:
    assert "stem:yes" in build_metric("rouge1").signature
    unstemmed = build_metric(MetricSpec(name="rouge1", options={"use_stemmer": False}))
    assert unstemmed.signature == "rouge1|stem:no|tok:default|refs:best|rouge_score:0.1.2"
    assert "sents:newline,else-punkt+abbr" in RougeLsum().signature
    assert "sents:newline|" in RougeLsum(split_summaries=False).signature
