"""Whether a metric can see the texts of a task, tried on the references themselves.

Metrics were made for some languages and some kinds of text. Where one cannot read a text it gives
a number all the same: rouge_score 0 for two equal texts in Greek, exact match 100 for no answer at
all where the right one is "A", an article. No list of languages is needed to notice: a reference is
scored against itself, against nothing, and against each half of itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from harness.errors import MetricError
from harness.metrics.base import MeanMetric, Metric, Option, score_corpus
from harness.metrics.bleu import Bleu
from harness.metrics.classification import label_set
from harness.metrics.names import metric_name
from harness.metrics.registry import (
    build_metric,
    is_evaluate_module,
    needs_labels,
    options_of,
)
from harness.metrics.words import is_spaceless
from harness.suite.rules import in_points
from harness.suite.spec import MetricSpec

T = TypeVar("T")

BLIND_SHARE = 0.1
"""A metric that cannot see a larger share of the texts is refused.

Blindness to a share of the texts makes every difference between variants smaller by that share. A
tenth is less than the width of the usual interval; beyond it, a value says more of the texts than
of the models.
"""

_TRIED = 100  # texts a graded metric is tried on; the others are quick, and see every label
_MOST = 0.5  # of the first rows
_CHARACTERS = 400  # of each text: its script shows in the first lines
_FEW_LETTERS = 8  # letters; half of fewer may well be right
_SEVERAL_WORDS = 60  # letters
_LETTERS_A_WORD = 5  # of scripts with spaces; elsewhere a letter is about as much as a word
_NONE_PERFECT = "gives {:.3g} where all outputs equal their references"
_OTHERWISE: tuple[tuple[str, Option], ...] = (  # options that may help, where a metric has them
    ("tokenizer", "unicode"),
    ("tokenize", "char"),
    ("normalize", "none"),
    ("zero_division", "nan"),
)


@dataclass(frozen=True)
class Sight:
    """What became of trying a metric on references.

    Attributes:
        metric: Its name.
        tried: References it was tried on.
        blind: Those that it cannot see.
        lost: The share of its range that is out of a perfect model's reach, in [0, 1].
        reason: What it does to most of those it cannot see, with an example, or else to all texts.
    """

    metric: str
    tried: int
    blind: int = 0
    lost: float = 0.0
    reason: str = ""

    @property
    def suffices(self) -> bool:
        """Whether it sees enough for its values to mean something."""
        return max(self.share, self.lost) <= BLIND_SHARE

    @property
    def share(self) -> float:
        """Of references that it cannot see, in [0, 1]."""
        return self.blind / max(1, self.tried)

    @property
    def words(self) -> str:
        """What it does not see, in one sentence."""
        name = metric_name(self.metric)
        if not self.blind:
            return f"No model can have the best {name}: it {self.reason}."
        return f"{name} cannot see {self.blind} of {self.tried} references: it {self.reason}."


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
    if not faults:
        found = 0.0 if value is None else in_points(value, metric.scale)
        return Sight(metric.name, len(texts), lost=lost, reason=_NONE_PERFECT.format(found))
    most = max(faults, key=lambda fault: len(faults[fault]))
    reason = f"{most} ({faults[most][0][:60]!r})"
    return Sight(metric.name, len(texts), sum(map(len, faults.values())), lost, reason)


def check_sight(
    specs: Iterable[MetricSpec], references: Sequence[Sequence[str]], where: str
) -> list[Sight]:
    """Try metrics on references, and refuse one that cannot see them.

    Args:
        specs: The metrics; modules of Hugging Face evaluate are left out.
        references: One or more texts per example.
        where: What the metrics belong to.

    Raises:
        MetricError: Names the metric, how many it cannot see, and metrics that can.
    """
    tried = []
    for spec in specs:
        if not is_evaluate_module(spec.name):
            sight = sight_of(_built(spec, references), references)
            if not sight.suffices:
                raise MetricError(sight.words, where=where, hint=alternatives(spec, references))
            tried.append(sight)
    return tried


def check_first_sight(spec: MetricSpec, references: Sequence[Sequence[str]], where: str) -> None:
    """Refuse a metric that cannot see most of the first rows, which may not stand for the others.

    Args:
        spec: The metric.
        references: One or more texts of each of the first rows.
        where: What the metric belongs to.

    Raises:
        MetricError: As `check_sight`.
    """
    if is_evaluate_module(spec.name) or not references:
        return
    metric = _built(spec, references)
    if not metric.graded and not isinstance(metric, MeanMetric):
        return  # the first rows need not have all labels
    sight = sight_of(metric, references)
    if sight.share > _MOST:
        raise MetricError(sight.words, where=where, hint=alternatives(spec, references))


def alternatives(spec: MetricSpec, references: Sequence[Sequence[str]]) -> str:
    """Metrics that do see the texts, in words: this one with another option, or chrF."""
    others = {
        f"{spec.name} with {option}: {value}": MetricSpec(
            name=spec.name, options={**spec.options, option: value}
        )
        for option, value in _OTHERWISE
        if option in options_of(spec.name)
    }
    others["chrf"] = MetricSpec(name="chrf")
    able = [words for words, other in others.items() if _suffices(other, references)]
    return f"Use {' or '.join(able)}." if able else "Use another metric."


def _suffices(spec: MetricSpec, references: Sequence[Sequence[str]]) -> bool:
    try:
        return sight_of(_built(spec, references), references).suffices
    except MetricError:  # an option of that name with other values
        return False


def _built(spec: MetricSpec, references: Sequence[Sequence[str]]) -> Metric:
    return build_metric(spec, labels=label_set(references) if needs_labels(spec) else None)


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
    return _fault_of_halves(metric, text, letters, own) if len(letters) >= _FEW_LETTERS else None


def _fault_of_halves(metric: Metric, text: str, letters: Sequence[int], own: float) -> str | None:
    """What it does to halves of a text: each must cost something, and be worth something."""
    middle = letters[len(letters) // 2]
    halves = [_lost(metric, half, text) for half in (text[:middle], text[middle:])]
    if min(halves) <= own:
        return "gives half of the text full marks"
    size = sum(_LETTERS_A_WORD if is_spaceless(text[place]) else 1 for place in letters)
    if metric.graded and size >= _SEVERAL_WORDS and max(halves) >= 1:
        return "takes the text for one word, or sees only a part of it"
    return None


def _lost(metric: Metric, output: str, text: str) -> float:
    value = float(metric.aggregate(np.array(metric.statistics(output, [text]))))
    return 1.0 if np.isnan(value) else lost_share(metric, value)
