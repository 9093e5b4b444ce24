"""BLEU, chrF and TER with sacrebleu's statistics, and its formulas over arrays of totals.

sacrebleu turns one total at a time into a score; a bootstrap needs thousands. So the statistics
of an example are sacrebleu's own, and ``aggregate`` restates its formulas in numpy. Tests hold
the two equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, asdict
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass
from typing_extensions import override

from harness.errors import MetricError
from harness.metrics.base import STRICT, FloatArray, Metric, some_references

if TYPE_CHECKING:
    import sacrebleu.metrics.base

Order = Annotated[int, Field(ge=1)]


class SacrebleuMetric(Metric):
    """A metric whose statistics and signature are sacrebleu's own; the scale is 0 to 100."""

    scale = 100.0

    _sacrebleu: sacrebleu.metrics.base.Metric
    _title: str  # what sacrebleu prints before the signature
    _unsigned: str = ""  # what changes the value but is not in sacrebleu's signature

    @property
    @override
    def signature(self) -> str:
        """sacrebleu's, without the number of references, which only the data tell."""
        return self._signature(None)

    @override
    def signature_for(self, references: Sequence[Sequence[str]]) -> str:
        """Sacrebleu's signature, exactly as it prints it for these references."""
        counts = {len(texts) for texts in references}
        return self._signature(counts.pop() if len(counts) == 1 else "var")

    def _signature(self, nrefs: int | str | None) -> str:
        self._sacrebleu.num_refs = -1  # sacrebleu refuses a signature before it has scored
        signed = self._sacrebleu.get_signature()
        signed.update("nrefs", nrefs)
        return f"{self._title}|{signed.format()}{self._unsigned}"

    @override
    def statistics(self, prediction: str, references: Sequence[str]) -> tuple[float, ...]:
        # The step by which sacrebleu's own significance tests get their statistics; it wants
        # references by column, which for one example is one list per reference.
        columns = [[text] for text in some_references(references)]
        row = self._sacrebleu._extract_corpus_statistics([prediction], columns)[0]
        return tuple(float(count) for count in row)


@dataclass(config=STRICT)
class Bleu(SacrebleuMetric):
    """Corpus BLEU: geometric mean of n-gram precisions, times a brevity penalty.

    Statistics: (prediction length, closest reference length, matched n-grams per order,
    n-grams per order). With several references an n-gram may match in any of them. Options are
    sacrebleu's own.

    Args:
        lowercase: Compare in lower case.
        tokenize: One of sacrebleu's tokenizers, e.g. ``13a``, ``intl``, ``zh``, ``char``,
            ``none``; some need further packages or a download.
        smooth_method: What replaces a precision of zero.
        smooth_value: Its constant; default 0.1 for ``floor``, 1 for ``add-k``.
        max_ngram_order: Highest n-gram order.
        effective_order: Leave out orders for which the predictions are too short; advised where
            single examples are looked at.

    Source:
        Papineni et al. (2002), BLEU: a Method for Automatic Evaluation of Machine Translation;
        Post (2018), A Call for Clarity in Reporting BLEU Scores.
    """

    name = "bleu"

    _: KW_ONLY
    lowercase: bool = False
    tokenize: str = "13a"
    smooth_method: Literal["exp", "floor", "add-k", "none"] = "exp"
    smooth_value: Annotated[float, Field(ge=0)] | None = None
    max_ngram_order: Order = 4
    effective_order: bool = False

    def __post_init__(self) -> None:
        from sacrebleu.metrics import BLEU

        if self.tokenize not in BLEU.TOKENIZERS:
            raise MetricError(
                f"bleu knows the tokenizers {', '.join(BLEU.TOKENIZERS)}; found {self.tokenize!r}."
            )
        try:
            self._sacrebleu = BLEU(**asdict(self))
        except (ImportError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())
            raise MetricError(
                f"sacrebleu's tokenizer {self.tokenize!r} cannot be used here: {reason}",
                hint="Install what it names, or choose 13a, intl, zh, char or none.",
            ) from error
        default = BLEU.SMOOTH_DEFAULTS[self.smooth_method]
        self._smooth_value = float(default or 0) if self.smooth_value is None else self.smooth_value
        self._title = "BLEU"
        self._unsigned = "" if self.max_ngram_order == 4 else f"|order:{self.max_ngram_order}"

    @override
    def aggregate(self, totals: FloatArray) -> FloatArray:
        totals = np.asarray(totals, dtype=np.float64)
        orders, method = self.max_ngram_order, self.smooth_method
        length, reference_length = totals[..., 0], totals[..., 1]
        matched = totals[..., 2 : 2 + orders].copy()
        possible = totals[..., 2 + orders :].copy()
        any_match = matched.any(axis=-1)
        if method == "add-k":
            matched[..., 1:] += self._smooth_value
            possible[..., 1:] += self._smooth_value
        # Orders count up to the first for which there is no n-gram at all.
        counted = np.logical_and.accumulate(possible > 0, axis=-1)
        missed = counted & (matched == 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            if method == "exp":  # 1/2, 1/4, ... of a match at the first, second, ... missed order
                matched = np.where(missed, 0.5 ** np.cumsum(missed, axis=-1), matched)
            elif method == "floor":
                matched = np.where(missed, self._smooth_value, matched)
            log_precision = np.log(np.where(counted, 100 * matched / possible, 0.0))
            if self.effective_order:
                log_precision = np.where(counted, log_precision, 0.0)
                orders = np.maximum(counted.sum(axis=-1), 1)
            brevity = np.exp(np.minimum(0.0, 1 - reference_length / length))
            value = np.where(length > 0, brevity, 0.0) * np.exp(log_precision.sum(-1) / orders)
        return np.where(any_match, value, 0.0)


@dataclass(config=STRICT)
class Chrf(SacrebleuMetric):
    """Corpus chrF: F-score of character n-grams; with ``word_order: 2`` it is chrF++.

    Statistics: (n-grams of the prediction, of the reference, matched) per order. With several
    references the one with the best chrF counts. Options are sacrebleu's own.

    Args:
        char_order: Highest order of character n-grams.
        word_order: Highest order of word n-grams.
        beta: Weight of recall against precision.
        lowercase: Compare in lower case.
        whitespace: Keep white space in character n-grams.
        eps_smoothing: Average F-scores over all orders, as chrF++.py does, in place of the
            precisions and recalls of the orders that occur.

    Source:
        Popović (2015), chrF: character n-gram F-score for automatic MT evaluation;
        Popović (2017), chrF++: words helping character n-grams.
    """

    name = "chrf"

    _: KW_ONLY
    char_order: Order = 6
    word_order: Annotated[int, Field(ge=0)] = 0
    beta: Order = 2
    lowercase: bool = False
    whitespace: bool = False
    eps_smoothing: bool = False

    def __post_init__(self) -> None:
        from sacrebleu.metrics import CHRF

        self._sacrebleu = CHRF(**asdict(self))
        self._title = f"chrF{self.beta}" + "+" * self.word_order

    @override
    def aggregate(self, totals: FloatArray) -> FloatArray:
        totals = np.asarray(totals, dtype=np.float64)
        predicted, referenced, matched = totals[..., 0::3], totals[..., 1::3], totals[..., 2::3]
        weight = self.beta**2
        tiny = 1e-16  # sacrebleu's
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.where(predicted > 0, matched / predicted, tiny)
            recall = np.where(referenced > 0, matched / referenced, tiny)
            if self.eps_smoothing:
                mixed = weight * precision + recall
                score = (1 + weight) * precision * recall / mixed
                averaged: FloatArray = 100 * np.where(mixed > 0, score, tiny).mean(axis=-1)
                return averaged
            counted = (predicted > 0) & (referenced > 0)
            occurring = np.maximum(counted.sum(axis=-1), 1)
            precision = np.where(counted, precision, 0.0).sum(axis=-1) / occurring
            recall = np.where(counted, recall, 0.0).sum(axis=-1) / occurring
            value = 100 * (1 + weight) * precision * recall / (weight * precision + recall)
        return np.where(precision + recall > 0, value, 0.0)


@dataclass(config=STRICT)
class Ter(SacrebleuMetric):
    """Translation edit rate: edits per 100 reference words. Lower is better, 0 is best.

    Statistics: (edits against the nearest reference, mean reference length). It can exceed 100.
    Options are sacrebleu's own.

    Args:
        normalized: Split off punctuation and undo markup, as Tercom's tokenizer does.
        no_punct: Leave punctuation out.
        asian_support: Extend both to CJK characters.
        case_sensitive: Compare with case.

    Source:
        Snover et al. (2006), A Study of Translation Edit Rate with Targeted Human Annotation.
    """

    name = "ter"
    unit = "%"
    higher_is_better = False

    _: KW_ONLY
    normalized: bool = False
    no_punct: bool = False
    asian_support: bool = False
    case_sensitive: bool = False

    def __post_init__(self) -> None:
        from sacrebleu.metrics import TER

        self._sacrebleu = TER(**asdict(self))
        self._title = "TER"

    @override
    def aggregate(self, totals: FloatArray) -> FloatArray:
        totals = np.asarray(totals, dtype=np.float64)
        edits, length = totals[..., 0], totals[..., 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = 100 * edits / length
        return np.where(length > 0, rate, np.where(edits > 0, 100.0, 0.0))
