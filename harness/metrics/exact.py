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


class TokenF1(MeanMetric):
    """Mean F1 of the words that a prediction shares with its best reference, in percent.

    Known quirk, kept from version 1.1 of the script: where prediction and reference are both
    empty after normalisation, exact match is 100 and F1 is 0.
    """

    name = "f1"
    scale = 100.0
    unit = "%"

    @property
    @override
    def signature(self) -> str:
        return format_signature(self.name, norm="squad-v1.1", refs="best")

    @override
    def score(self, prediction: str, references: Sequence[str]) -> float:
        words = Counter(normalize_answer(prediction).split())
        return max(_f1(words, Counter(normalize_answer(text).split())) for text in references)


def _f1(prediction: Counter[str], reference: Counter[str]) -> float:
    shared = (prediction & reference).total()
    if shared == 0:
        return 0.0
    return 100.0 * 2 * shared / (prediction.total() + reference.total())
