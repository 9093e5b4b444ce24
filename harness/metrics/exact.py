"""Exact match and token F1 of short answers, as in the official SQuAD v1.1 evaluation."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Literal

from pydantic.dataclasses import dataclass
from typing_extensions import override

from harness.metrics.base import STRICT, MeanMetric, format_signature
from harness.metrics.words import unicode_words

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalize_answer(text: str) -> str:
    """Lower case, then without ASCII punctuation, English articles and extra white space.

    Source:
        Rajpurkar et al. (2016), SQuAD: 100,000+ Questions for Machine Comprehension of Text,
        and its evaluation script, version 1.1.
    """
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


@dataclass(config=STRICT)
class ExactMatch(MeanMetric):
    """Percentage of predictions equal to one of their references.

    Args:
        normalize: ``squad`` compares after ``normalize_answer``; ``none`` compares the texts
            character by character, white space included.
    """

    name = "exact_match"
    scale = 100.0
    unit = "%"
    graded = False

    _: KW_ONLY
    normalize: Literal["squad", "none"] = "squad"

    @property
    @override
    def signature(self) -> str:
        norm = "squad-v1.1" if self.normalize == "squad" else "none"
        return format_signature(self.name, norm=norm, refs="any")

    @override
    def score(self, prediction: str, references: Sequence[str]) -> float:
        if self.normalize == "none":
            return 100.0 * (prediction in references)
        answer = normalize_answer(prediction)
        return 100.0 * any(answer == normalize_answer(text) for text in references)


@dataclass(config=STRICT)
class TokenF1(MeanMetric):
    """Mean F1 of the words that a prediction shares with its best reference, in percent.

    Known quirk, kept from version 1.1 of the script: where prediction and reference are both
    empty after normalisation, exact match is 100 and F1 is 0.

    Args:
        tokenizer: ``squad`` takes what stands between spaces for a word; ``unicode`` has single
            letters of scripts that put no spaces between words, and no punctuation of other
            scripts. Of ASCII texts both give the same value.
    """

    name = "f1"
    scale = 100.0
    unit = "%"

    _: KW_ONLY
    tokenizer: Literal["squad", "unicode"] = "squad"

    @property
    @override
    def signature(self) -> str:
        other = None if self.tokenizer == "squad" else self.tokenizer
        return format_signature(self.name, norm="squad-v1.1", tok=other, refs="best")

    @override
    def score(self, prediction: str, references: Sequence[str]) -> float:
        words = self._words(prediction)
        return max(_f1(words, self._words(text)) for text in references)

    def _words(self, text: str) -> Counter[str]:
        answer = normalize_answer(text)
        return Counter(answer.split() if self.tokenizer == "squad" else unicode_words(answer))


def _f1(prediction: Counter[str], reference: Counter[str]) -> float:
    shared = (prediction & reference).total()
    if shared == 0:
        return 0.0
    return 100.0 * 2 * shared / (prediction.total() + reference.total())
