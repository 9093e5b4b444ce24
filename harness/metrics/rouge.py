"""ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum, as rouge_score computes them.

Known gap: rouge_score's tokenizer keeps only the letters a-z and digits, so text in other
scripts scores 0; use chrF there.
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

    Source:
        Lin (2004), ROUGE: A Package for Automatic Evaluation of Summaries.
    """

    name: Literal["rouge1", "rouge2", "rougeL", "rougeLsum"]
    _: KW_ONLY
    use_stemmer: bool = True

    @cached_property
    def _scorer(self) -> RougeScorer:
        from rouge_score.rouge_scorer import RougeScorer  # loads nltk: a second or more

        return RougeScorer([self.name], use_stemmer=self.use_stemmer)

    @property
    @override
    def signature(self) -> str:
        libraries = ("rouge_score", "nltk") if self.use_stemmer else ("rouge_score",)
        stem, split = self.use_stemmer, self._split
        return format_signature(
            self.name, *libraries, stem=stem, tok="default", refs="best", sents=split
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


def _one_sentence_a_line(text: str) -> str:
    if "\n" in text.strip():
        return text
    return "\n".join(split_sentences(text))
