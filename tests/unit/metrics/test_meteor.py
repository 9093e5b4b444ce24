from collections.abc import Callable
from typing import Any

import pytest
from nltk.translate.meteor_score import meteor_score

from harness.errors import MetricError
from harness.metrics import meteor
from harness.metrics.meteor import Meteor


class TinyWordNet:
    """Two synonyms, through the part of nltk's WordNet reader that METEOR uses."""

    def get_version(self) -> str:
        return "tiny"

    def synsets(self, word: str) -> list[Any]:
        return [self] if word in self.names else []

    names = ("car", "auto")

    def lemmas(self) -> list[Any]:
        class Lemma(str):
            __slots__ = ()

            def name(self) -> str:
                return str(self)

        return [Lemma(name) for name in self.names]


@pytest.fixture
def no_wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meteor, "find_wordnet", lambda: None)


@pytest.mark.usefixtures("no_wordnet")
def test_golden_values(golden: Callable[[str], list[dict[str, Any]]]) -> None:
    """Values worked out by hand from the paper's formulas come out."""
    for case in golden("meteor"):
        value, _ = Meteor().statistics(case["prediction"], case["references"])
        assert value == pytest.approx(case["value"], abs=case["tolerance"]), case


@pytest.mark.usefixtures("no_wordnet")
def test_without_wordnet_the_signature_names_the_stages_left() -> None:
    assert "|stages:exact+stem|" in Meteor().signature
    assert Meteor().statistics("car", ["auto"]) == (0.0, 1.0)


def test_with_wordnet_synonyms_match_and_the_signature_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The score is nltk's own with that WordNet."""
    monkeypatch.setattr(meteor, "find_wordnet", TinyWordNet)
    metric = Meteor()
    expected = meteor_score([["my", "auto"]], ["my", "car"], wordnet=TinyWordNet())
    assert expected > 0.9
    assert metric.statistics("my car", ["my auto"]) == (pytest.approx(expected), 1.0)
    assert "|stages:exact+stem+wordnet|wordnet:tiny|" in metric.signature
    assert "|stages:exact+stem|" in Meteor(wordnet=False).signature


@pytest.mark.usefixtures("no_wordnet")
def test_wordnet_that_is_asked_for_and_missing_is_an_error() -> None:
    """A suite that relies on synonyms must not be scored without them."""
    with pytest.raises(MetricError, match=r"not installed.*nltk.downloader wordnet"):
        Meteor(wordnet=True).statistics("a", ["a"])


@pytest.mark.usefixtures("no_wordnet")
def test_a_period_inside_a_text_is_a_word_of_its_own() -> None:
    """The last word of an inner sentence matches without its period."""
    assert Meteor().statistics("He ate. She slept.", ["He ate . She slept ."])[0] > 0.99


def test_finding_wordnet_does_not_fail_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import nltk.corpus

    class Missing:
        def ensure_loaded(self) -> None:
            raise LookupError

    monkeypatch.setattr(nltk.corpus, "wordnet", Missing())
    assert meteor.find_wordnet() is None
