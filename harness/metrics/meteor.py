"""METEOR, as nltk computes it."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from functools import cached_property
from typing import Any, Literal

from pydantic.dataclasses import dataclass
from typing_extensions import override

from harness.errors import MetricError
from harness.metrics.base import STRICT, MeanMetric, format_signature
from harness.metrics.sentences import SPLITTER, split_sentences


@dataclass(config=STRICT)
class Meteor(MeanMetric):
    """Harmonic mean of unigram precision and recall, less a penalty for scattered matches.

    Words are matched first exactly, then by Porter stem, then, where WordNet's data is
    installed, by synonym; nothing is downloaded, and the signature names the stages used. Words
    are nltk's (Penn Treebank conventions), lower-cased. With several references the best score
    counts.

    Args:
        wordnet: ``auto`` uses the synonym stage where WordNet is installed; True needs it;
            False never uses it, which gives equal values on all machines.

    Source:
        Lavie and Agarwal (2007), METEOR: An Automatic Metric for MT Evaluation with High Levels
        of Correlation with Human Judgments; alpha 0.9, beta 3, gamma 0.5.
    """

    name = "meteor"

    _: KW_ONLY
    wordnet: Literal["auto"] | bool = "auto"

    @property
    @override
    def signature(self) -> str:
        synonyms = self._synonyms
        return format_signature(
            self.name,
            "nltk",
            stages="exact+stem" + ("" if synonyms is None else "+wordnet"),
            wordnet=None if synonyms is None else synonyms.get_version(),
            tok=f"nltk,{SPLITTER}",
            refs="best",
        )

    @override
    def score(self, prediction: str, references: Sequence[str]) -> float:
        from nltk.translate.meteor_score import meteor_score

        return float(
            meteor_score(
                [self._words(text) for text in references],
                self._words(prediction),
                wordnet=_NoSynonyms() if self._synonyms is None else self._synonyms,
            )
        )

    @cached_property
    def _synonyms(self) -> Any:  # nltk's WordNetCorpusReader, or None
        if self.wordnet is False:
            return None
        synonyms = find_wordnet()
        if synonyms is None and self.wordnet is True:
            raise MetricError(
                "meteor with wordnet: true needs nltk's WordNet data, which is not installed.",
                hint="Install it with python -m nltk.downloader wordnet, or set wordnet: auto.",
            )
        return synonyms

    def _words(self, text: str) -> list[str]:
        from nltk.tokenize import NLTKWordTokenizer

        # The tokenizer parts a final period from its word only at the end of what it is given.
        tokenize = NLTKWordTokenizer().tokenize
        return [word for sentence in split_sentences(text) for word in tokenize(sentence)]


class _NoSynonyms:
    """Stands in for WordNet: no word has a synonym, so that stage matches nothing new."""

    def synsets(self, word: str) -> tuple[()]:
        return ()


def find_wordnet() -> Any:  # nltk's reader is untyped
    """Nltk's WordNet reader, or None where its data is not installed."""
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except LookupError:
        return None
    return wordnet
