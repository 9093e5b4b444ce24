"""Whether a metric can see the texts of a task, tried on the references themselves.

Metrics were made for some languages and some kinds of text. Where one cannot read a text it gives
a number all the same: rouge_score 0 for two equal texts in Greek, exact match 100 for no answer at
all where the right one is "A", an article. No list of languages is needed to notice: a reference is
scored against itself, against nothing, and against each half of itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from harness.metrics.base import MeanMetric, Metric, score_corpus
from harness.metrics.bleu import Bleu
from harness.metrics.names import metric_name
from harness.metrics.registry import build_metric, options_of
from harness.metrics.words import is_spaceless
from harness.suite.spec import MetricSpec

T = TypeVar("T")

BLIND_SHARE = 0.1
"""A metric that cannot see a larger share of the texts is refused.

Blindness to a share of the texts makes every difference between variants smaller by that share. A
tenth is less than the width of the usual interval; beyond it, a value says more of the texts than
of the models.
"""

_TRIED = 100  # texts a graded metric is tried on; the others are quick, and see every label
_CHARACTERS = 400  # of each text: its script shows in the first lines
_SHORTEST_HALVED = 8  # letters; half of fewer may well be right
_SHORTEST_GRADED = 40  # letters, which several words have
_LETTERS_A_WORD = 5  # of scripts with spaces; elsewhere a letter is about as much as a word
_OTHERWISE = {"tokenizer": "unicode", "tokenize": "char", "normalize": "none"}  # options that help


@dataclass(frozen=True)
class Sight:
    """What became of trying a metric on references.

    Attributes:
        metric: Its name.
        tried: References it was tried on.
        blind: Those that it cannot see.
        lost: The share of its range that is out of a perfect model's reach, in [0, 1].
        reason: What it does to most of those it cannot see, and an example; empty without any.
    """

    metric: str
    tried: int
    blind: int = 0
    lost: float = 0.0
    reason: str = ""

    @property
    def suffices(self) -> bool:
        """Whether it sees enough for its values to mean something."""
        return max(self.blind / max(1, self.tried), self.lost) <= BLIND_SHARE

    @property
    def words(self) -> str:
        """What it does not see, in one sentence."""
        lost = f"{metric_name(self.metric)} cannot see {self.blind} of {self.tried} references"
        return f"{lost}: it {self.reason}."


def sight_of(metric: Metric, references: Sequence[Sequence[str]]) -> Sight:
    """Try a metric on references.

    Args:
        metric: The metric.
        references: One or more texts per example, length n.
    """
    texts = [[text[:_CHARACTERS] for text in several] for several in references if several]
    texts = spread(texts, _TRIED if metric.graded else len(texts))
    if not texts:
        return Sight(metric.name, 0)
    value, _, _ = score_corpus(metric, [several[0] for several in texts], texts)
    lost = 1.0 if value is None else lost_share(metric, value)
    faults: dict[str, list[str]] = {}
    for first, *_ in texts:
        fault = _fault(metric, first)
        if fault is not None:
            faults.setdefault(fault, []).append(first)
    if not faults and lost > BLIND_SHARE:
        fault = f"gives {0 if value is None else value:g} where all outputs equal their references"
        faults = {fault: [several[0] for several in texts]}
    if not faults:
        return Sight(metric.name, len(texts), lost=lost)
    most = max(faults, key=lambda fault: len(faults[fault]))
    reason = f"{most} ({faults[most][0][:60]!r})"
    return Sight(metric.name, len(texts), sum(map(len, faults.values())), lost, reason)


def alternatives(spec: MetricSpec, references: Sequence[Sequence[str]]) -> str:
    """Metrics that do see the texts, in words: this one with another option, or chrF."""
    others = [
        MetricSpec(name=spec.name, options={**spec.options, option: value})
        for option, value in _OTHERWISE.items()
        if option in options_of(spec.name)
    ]
    found = [
        f"{other.name} with {next(f'{k}: {v}' for k, v in other.options.items() if k in _OTHERWISE)}"
        for other in others
        if sight_of(build_metric(other), references).suffices
    ]
    if sight_of(build_metric("chrf"), references).suffices:
        found.append("chrf")
    return f"Use {' or '.join(found)}." if found else "Use another metric."


def best_of(metric: Metric) -> float:
    """The value of a perfect model."""
    return (metric.scale or 1.0) if metric.higher_is_better else metric.least


def lost_share(metric: Metric, value: float, best: float | None = None) -> float:
    """Which share of a metric's range lies between a value and the best one, in [0, 1]."""
    best = best_of(metric) if best is None else best
    off = best - value if metric.higher_is_better else value - best
    return float(np.clip(off / ((metric.scale or 100.0) - metric.least), 0, 1))


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many items, evenly spaced over all of them."""
    few = min(most, len(items))
    return [items[place * len(items) // few] for place in range(few)]


def _fault(metric: Metric, text: str) -> str | None:
    """What a metric does to a text that it cannot see; None where it sees it."""
    if not isinstance(metric, MeanMetric) and not metric.graded:
        return None  # a label by itself says nothing of all labels
    if isinstance(metric, Bleu):  # the four orders of short texts are not all there
        metric = replace(metric, effective_order=True)
    own = _lost(metric, text, text)
    if own > BLIND_SHARE:
        return f"gives {1 - own:.0%} of full marks where output and reference are equal"
    if _lost(metric, "", text) <= own:
        return "gives an empty output full marks"
    letters = [place for place, char in enumerate(text) if char.isalnum()]
    if len(letters) < _SHORTEST_HALVED:
        return None
    middle = letters[len(letters) // 2]
    halves = [_lost(metric, half, text) for half in (text[:middle], text[middle:])]
    if min(halves) <= own:
        return "gives half of the text full marks"
    size = sum(_LETTERS_A_WORD if is_spaceless(text[place]) else 1 for place in letters)
    if metric.graded and size >= _SHORTEST_GRADED and max(halves) >= 1:
        return "takes the text for one word, or sees only a part of it"
    return None


def _lost(metric: Metric, output: str, text: str) -> float:
    value = float(metric.aggregate(np.array(metric.statistics(output, [text]))))
    return 1.0 if np.isnan(value) else lost_share(metric, value)
