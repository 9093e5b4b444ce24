from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import MetricError
from harness.metrics.base import score_corpus
from harness.metrics.bleu import Bleu, Chrf, SacrebleuMetric, Ter
from harness.metrics.registry import build_metric
from harness.suite.spec import MetricSpec

CONFIGURATIONS: list[tuple[type[SacrebleuMetric], type[Any], dict[str, Any]]] = [
    (Bleu, sacrebleu.BLEU, {}),
    (Bleu, sacrebleu.BLEU, {"lowercase": True, "tokenize": "intl"}),
    (Bleu, sacrebleu.BLEU, {"smooth_method": "none", "max_ngram_order": 2}),
    (Bleu, sacrebleu.BLEU, {"smooth_method": "floor", "effective_order": True}),
    (Bleu, sacrebleu.BLEU, {"smooth_method": "add-k", "smooth_value": 0.5}),
    (Bleu, sacrebleu.BLEU, {"smooth_method": "add-k", "effective_order": True}),
    (Bleu, sacrebleu.BLEU, {"effective_order": True, "tokenize": "char"}),
    (Chrf, sacrebleu.CHRF, {}),
    (Chrf, sacrebleu.CHRF, {"word_order": 2}),
    (Chrf, sacrebleu.CHRF, {"eps_smoothing": True, "char_order": 3, "beta": 1}),
    (Chrf, sacrebleu.CHRF, {"whitespace": True, "lowercase": True}),
    (Ter, sacrebleu.TER, {}),
    (Ter, sacrebleu.TER, {"normalized": True, "no_punct": True, "case_sensitive": True}),
]
IDS = [f"{ours.name}-{'-'.join(map(str, options.values()))}" for ours, _, options in CONFIGURATIONS]

words = st.sampled_from(["the", "The", "cat", "cats", "sat", "mat", ",", ".", "!", "über", "42"])
sentences = st.one_of(st.lists(words, max_size=9).map(" ".join), st.text(max_size=12))
examples = st.lists(
    st.tuples(sentences, st.lists(sentences, min_size=1, max_size=3)), min_size=1, max_size=5
)


def theirs(metric: Any, predictions: list[str], references: list[list[str]]) -> float:
    """Sacrebleu's corpus score; it takes references by column, None where there are fewer."""
    most = max(map(len, references))
    columns = [[texts[i] if i < len(texts) else None for texts in references] for i in range(most)]
    return float(metric.corpus_score(predictions, columns).score)


def test_golden_values(golden: Callable[[str], list[dict[str, Any]]]) -> None:
    """Sacrebleu's own published test values come out."""
    for case in golden("sacrebleu"):
        metric = build_metric(MetricSpec(name=case["metric"], options=case["options"]))
        value, _, _ = score_corpus(metric, case["predictions"], case["references"])
        assert value == pytest.approx(case["value"], abs=case["tolerance"]), case


@pytest.mark.parametrize(("ours", "reference", "options"), CONFIGURATIONS, ids=IDS)
@settings(max_examples=60, deadline=None)
@given(data=examples)
def test_value_equals_sacrebleu(
    ours: type[SacrebleuMetric],
    reference: type[Any],
    options: dict[str, Any],
    data: list[tuple[str, list[str]]],
) -> None:
    """On any text, with one to three references per example, the corpus scores are equal."""
    predictions, references = [text for text, _ in data], [texts for _, texts in data]
    expected = theirs(reference(**options), predictions, references)
    value, _, _ = score_corpus(ours(**options), predictions, references)
    assert value == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("ours", "reference", "options"), CONFIGURATIONS, ids=IDS)
def test_resamples_equal_sacrebleu(
    ours: type[SacrebleuMetric], reference: type[Any], options: dict[str, Any]
) -> None:
    """10,000 resamples aggregated at once equal sacrebleu's aggregation of each."""
    predictions = ["the cat sat on the mat .", "a dog", "", "A bird sings !", "x y z w v"]
    references = [["the cat sat on a mat .", "cat"], ["a dog barks"], ["no"], ["a bird sang"], [""]]
    _, _, statistics = score_corpus(ours(**options), predictions, references)
    generator = np.random.default_rng(0)
    weights = generator.multinomial(5, [0.2] * 5, size=10_000).astype(float)
    totals = weights @ statistics
    values = ours(**options).aggregate(totals)
    assert values.shape == (10_000,)
    metric = reference(**options)
    expected = [metric._compute_score_from_stats(list(row)).score for row in totals[:500]]
    np.testing.assert_allclose(values[:500], expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(
        ours(**options).aggregate(totals.reshape(100, 100, -1)).ravel(), values
    )


@pytest.mark.parametrize(("ours", "reference", "options"), CONFIGURATIONS, ids=IDS)
def test_signature_is_sacrebleus(
    ours: type[SacrebleuMetric], reference: type[Any], options: dict[str, Any]
) -> None:
    """Once the references are known, the signature is the one sacrebleu prints."""
    metric = ours(**options)
    for references in ([["a"], ["b"]], [["a", "b"], ["c", "d"]], [["a"], ["c", "d"]]):
        scored = reference(**options)
        theirs(scored, ["a", "c"], references)
        expected = str(scored.get_signature())
        title, _, signature = metric.signature_for(references).partition("|")
        assert signature.removesuffix("|order:2") == expected
        assert metric.signature.startswith(title)
        assert "nrefs" not in metric.signature
        assert title == scored.corpus_score(["a"], [["a"]]).name


def test_an_order_that_sacrebleu_does_not_sign_is_signed() -> None:
    """Metrics that differ in value differ in signature."""
    assert Bleu(max_ngram_order=2).signature != Bleu().signature
    assert Chrf(beta=1).signature != Chrf().signature
    assert Bleu(smooth_method="floor", smooth_value=0.5).signature != Bleu().signature


def test_value_of_one_example_is_sacrebleus_sentence_score() -> None:
    scored = sacrebleu.BLEU(effective_order=True).sentence_score(
        "the cat sat", ["the cat sat down"]
    )
    metric = Bleu(effective_order=True)
    one = np.array(metric.statistics("the cat sat", ["the cat sat down"]))
    assert float(metric.aggregate(one)) == pytest.approx(scored.score, rel=1e-12)


def test_only_ter_is_better_when_lower() -> None:
    metrics = (Bleu(), Chrf(), Ter())
    assert [metric.higher_is_better for metric in metrics] == [True, True, False]
    assert [metric.scale for metric in metrics] == [100.0, 100.0, 100.0]


def test_an_unknown_tokenizer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(MetricError, match=r"13a, intl.*found 'moses'"):
        Bleu(tokenize="moses")
