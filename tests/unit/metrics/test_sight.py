"""A metric is tried on the references themselves, and refused where it cannot see them."""

import pytest

from harness.errors import MetricError
from harness.metrics.registry import build_metric
from harness.metrics.sight import check_first_sight, check_sight, sight_of, spread
from harness.suite.spec import MetricSpec

ENGLISH = ["The cup is red and stands on the long table.", "In 1998 it was sold to a buyer."] * 9
TEXTS = {
    "english": ENGLISH,
    "german": ["Der Hund läuft schnell über die grüne Wiese.", "Ja", "Rindfleischetikettierung"]
    * 9,
    "greek": ["Η Αθήνα είναι η πρωτεύουσα της Ελλάδας σήμερα."] * 9,
    "korean": ["서울은 대한민국의 수도이며 가장 큰 도시이다."] * 9,
    "chinese": ["北京是中华人民共和国的首都，也是全国的政治文化中心，GPT-4。"] * 9,
    "thai": ["กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย"] * 9,
    "letters": list("ABCD") * 9,
    "numbers": ["42", "3.14", "1,000"] * 9,
    "code": ["def f(x):\n    return x + 1"] * 9,
}
BLIND = {  # metric -> texts that it cannot see
    "rougeL": {"greek", "korean", "chinese", "thai"},
    "bleu": {"chinese", "thai", "letters", "numbers"},
    "chrf": set(),
    "ter": {"chinese", "thai"},
    "meteor": {"chinese", "thai", "letters", "numbers", "german"},
    "exact_match": {"letters"},  # "A" is an article, of which nothing is left
    "f1": {"chinese", "thai", "letters"},
    "accuracy": set(),
    "macro_f1": set(),
}


def refs(name):
    return [[text] for text in TEXTS[name]]


@pytest.mark.parametrize("metric", BLIND)
def test_what_a_metric_cannot_see_shows_on_the_references(metric):
    """In no language that it sees is it refused, in none that it does not is it let through."""
    for name in TEXTS:
        spec = MetricSpec(name=metric)
        if name in BLIND[metric]:
            with pytest.raises(
                MetricError, match=r"tasks.qa: (.* cannot see|No model can have) .* Use .*"
            ):
                check_sight([spec], refs(name), "tasks.qa")
        else:
            (sight,) = check_sight([spec], refs(name), "tasks.qa")
            assert sight.suffices


@pytest.mark.parametrize(
    ("metric", "name", "words"),
    [
        (
            "rougeL",
            "greek",
            "0% of full marks where .* equal .* Use rougeL with tokenizer: unicode",
        ),
        ("f1", "thai", "takes the text for one word.* Use f1 with tokenizer: unicode or chrf"),
        ("bleu", "chinese", "Use bleu with tokenize: char or chrf"),
        ("exact_match", "letters", "gives an empty output full marks .* normalize: none"),
        ("meteor", "letters", "50% of full marks .* Use chrf"),
    ],
)
def test_the_hint_names_metrics_that_were_tried(metric, name, words):
    """What is proposed sees these very texts."""
    with pytest.raises(MetricError, match=words):
        check_sight([MetricSpec(name=metric)], refs(name), "tasks.qa")


def test_a_part_that_is_all_a_metric_sees_does_not_hide_the_rest():
    """Of a Chinese text with an English word ROUGE sees the word: one half is as good as all."""
    text = "北京是中华人民共和国的首都，也是全国的政治文化中心，模型叫做 GPT"
    sight = sight_of(build_metric("rougeL"), [[text]] * 20)
    assert not sight.suffices
    assert "half of the text full marks" in sight.reason


def test_a_few_texts_are_counted_and_let_through():
    """Small shares are told, not refused."""
    sight = sight_of(build_metric("rougeL"), [["😊"], *([text] for text in ENGLISH)])
    assert (sight.blind, sight.tried) == (1, 19)
    assert sight.suffices
    assert "cannot see 1 of 19 references" in sight.words


def test_a_label_that_never_occurs_is_out_of_reach():
    """Macro F1 over labels of which one is in no reference cannot be 1."""
    spec = MetricSpec(name="macro_f1", options={"labels": ["yes", "no", "maybe"]})
    with pytest.raises(
        MetricError, match=r"can have the best macro F1.* gives 66.7.* zero_division: nan"
    ):
        check_sight([spec], [["yes"], ["no"]], "tasks.qa")


def test_first_rows_need_not_stand_for_all():
    """Only what most of them show is refused by validate; labels and lengths may come later."""
    greek = [["Η Αθήνα είναι η πρωτεύουσα."]]
    with pytest.raises(MetricError, match=r"suite.yaml:7: ROUGE-L cannot see 2 of 3"):
        check_first_sight(MetricSpec(name="rougeL"), [*greek, *greek, ["Yes."]], "suite.yaml:7")
    check_first_sight(MetricSpec(name="rougeL"), [*greek, ["Yes."]], "suite.yaml:7")
    check_first_sight(MetricSpec(name="bleu"), [["yes"]], "suite.yaml:7")
    labels = MetricSpec(name="macro_f1", options={"labels": ["yes", "no"]})
    check_first_sight(labels, [["yes"]], "suite.yaml:7")


def test_what_is_tried_is_spread_over_all():
    """Rows that are sorted by language show all of their languages."""
    assert spread(range(10), 5) == [0, 2, 4, 6, 8]
    assert spread([1, 2], 5) == [1, 2]
    assert spread([], 5) == []
