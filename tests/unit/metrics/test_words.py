"""Words of any script, equal to those of the metrics' own tokenizers where these see the text."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from harness.metrics.registry import build_metric
from harness.metrics.words import unicode_words
from harness.suite.spec import MetricSpec

ASCII = st.text(st.sampled_from(string.printable.strip() + " \n"), max_size=40)


def unicode_of(name):
    return build_metric(MetricSpec(name=name, options={"tokenizer": "unicode"}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),  # vowel signs are no letters to regular expressions
        ("cafe\u0301_x", ["caf\u00e9", "x"]),
        ("北京GPT-4模型", ["北", "京", "gpt", "4", "模", "型"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("วัน", ["วั", "น"]),
        ("☀\ufe0f ok", ["ok"]),
        ("", []),
    ],
)
def test_words_of_other_scripts(text, words):
    """Marks stay with their letters; where no spaces are put, letters stand for words."""
    assert unicode_words(text) == words


@pytest.mark.parametrize("name", ["rouge1", "rouge2", "rougeL", "rougeLsum", "f1"])
@given(ASCII, ASCII)
def test_english_values_are_those_of_the_default(name, prediction, reference):
    """So that a suite for several languages stays comparable with published figures."""
    metric, default = unicode_of(name), build_metric(name)
    assert metric.statistics(prediction, [reference]) == default.statistics(prediction, [reference])


def test_chinese_rouge_is_that_of_its_characters():
    """rouge_score's own value, once each character is written as a word of a-z."""
    one, other = "北京是中国的首都", "中国的首都是北京市"
    spelt = [" ".join(f"w{ord(char)}" for char in text) for text in (one, other)]
    for name in ("rouge1", "rouge2", "rougeL"):
        expected = RougeScorer([name]).score(spelt[1], spelt[0])[name].fmeasure
        assert unicode_of(name).score(one, [other]) == pytest.approx(expected)
    assert "tok:unicode" in unicode_of("rougeL").signature
    assert "tok:unicode" in unicode_of("f1").signature


def test_chinese_f1_is_that_of_its_characters():
    """As in the evaluation of CMRC 2018, by hand: 3 shared of 4 and 5 characters."""
    assert unicode_of("f1").score("北京市区", ["北京城市。"]) == pytest.approx(100 * 2 * 3 / 8)
