"""ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum, as rouge_score computes them.

Known gap: rouge_score's own tokenizer keeps only the letters a-z and digits, so text in other
scripts scores 0; it is refused there, and ``tokenizer: unicode`` takes the words of any script.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from pydantic.dataclasses import dataclass
from typing_extensions import override

from harness.metrics.base import STRICT, MeanMetric, format_signature
from harness.metrics.sentences import SPLITTER, split_sentences
from harness.metrics.words import unicode_words

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer


@dataclass(config=STRICT)
class Rouge(MeanMetric):
    """F-measure of n-gram or longest-common-subsequence overlap; 1 is best.

    With several references the one with the best F-measure counts, as in rouge_score's
    ``score_multi``.

    Args:
        name: ``rouge1``, ``rouge2`` or ``rougeL``.
        use_stemmer: Compare Porter stems of words longer than three letters.
        tokenizer: ``default`` is rouge_score's, of the letters a-z and digits; ``unicode`` has the
            words of any script, and single letters where no spaces are put between words. Of ASCII
            texts both give the same value.

    Source:
        Lin (2004), ROUGE: A Package for Automatic Evaluation of Summaries.
    """

    name: Literal["rouge1", "rouge2", "rougeL", "rougeLsum"]
    _: KW_ONLY
    use_stemmer: bool = True
    tokenizer: Literal["default", "unicode"] = "default"

    @cached_property
    def _scorer(self) -> RougeScorer:
        from rouge_score.rouge_scorer import RougeScorer  # loads nltk: a second or more

        own = None if self.tokenizer == "default" else _UnicodeWords(stem=self.use_stemmer)
        return RougeScorer([self.name], use_stemmer=self.use_stemmer, tokenizer=own)

    @property
    @override
    def signature(self) -> str:
        libraries = ("rouge_score", "nltk") if self.use_stemmer else ("rouge_score",)
        stem, split = self.use_stemmer, self._split
        return format_signature(
            self.name, *libraries, stem=stem, tok=self.tokenizer, refs="best", sents=split
        )

    @property
    def _split(self) -> str | None:
        """How texts are split into sentences, where they are."""
        return None

    @override
    def score(self, prediction: str, references: Sequence[str]) -> float:
        return float(self._scorer.score_multi(references, prediction)[self.name].fmeasure)


@dataclass(config=STRICT)
class RougeLsum(Rouge):
    """ROUGE-L over sentences: the union of their common subsequences, then one F-measure.

    Sentences are lines. A text of a single line (white space at its ends aside) is split into
    sentences first, since otherwise ROUGE-Lsum of it is just ROUGE-L.

    Args:
        use_stemmer: As for ``Rouge``.
        tokenizer: As for ``Rouge``.
        split_summaries: Split single-line texts into sentences; False leaves them one sentence,
            which is rouge_score's own default.

    Source:
        Lin (2004), section 3.2.
    """

    name: Literal["rougeLsum"] = "rougeLsum"
    _: KW_ONLY
    split_summaries: bool = True

    @property
    @override
    def _split(self) -> str:
        return f"newline,else-{SPLITTER}" if self.split_summaries else "newline"

    @override
    def score(self, prediction: str, references: Sequence[str]) -> float:
        if self.split_summaries:
            prediction = _one_sentence_a_line(prediction)
            references = [_one_sentence_a_line(text) for text in references]
        return super().score(prediction, references)


class _UnicodeWords:
    """A tokenizer of rouge_score's form: words of any script, those of a-z stemmed as it does."""

    def __init__(self, *, stem: bool) -> None:
        from nltk.stem.porter import PorterStemmer

        self._stemmer = PorterStemmer() if stem else None

    def tokenize(self, text: str) -> list[str]:
        return [self._stem(word) for word in unicode_words(text)]

    def _stem(self, word: str) -> str:
        if self._stemmer is None or len(word) <= 3 or not word.isascii():
            return word
        return str(self._stemmer.stem(word))


def _one_sentence_a_line(text: str) -> str:
    if "\n" in text.strip():
        return text
    return "\n".join(split_sentences(text))
