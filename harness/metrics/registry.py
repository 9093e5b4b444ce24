"""Which metrics there are, and how one is made from its entry in a suite."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from harness.errors import MetricError
from harness.hints import choices
from harness.metrics.base import Metric
from harness.metrics.bleu import Bleu, Chrf, Ter
from harness.metrics.classification import Accuracy, LabelScore
from harness.metrics.exact import ExactMatch, TokenF1
from harness.metrics.meteor import Meteor
from harness.metrics.perplexity import TokenLoss
from harness.metrics.rouge import Rouge, RougeLsum
from harness.suite.spec import MetricSpec

EVALUATE = "evaluate:"  # modules of Hugging Face evaluate; tasks/evaluate_module.py runs them


@dataclass(frozen=True)
class _Entry:
    """How to make a metric: positional arguments and options that its name fixes."""

    make: Callable[..., Metric]
    arguments: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def options(self) -> dict[str, inspect.Parameter]:
        """The options a suite may give, by name."""
        parameters = inspect.signature(self.make).parameters.values()
        return {
            parameter.name: parameter
            for parameter in parameters
            if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in self.fixed
        }


_METRICS: Mapping[str, _Entry] = {
    "rouge1": _Entry(Rouge, ("rouge1",)),
    "rouge2": _Entry(Rouge, ("rouge2",)),
    "rougeL": _Entry(Rouge, ("rougeL",)),
    "rougeLsum": _Entry(RougeLsum),
    "bleu": _Entry(Bleu),
    "chrf": _Entry(Chrf),
    "ter": _Entry(Ter),
    "meteor": _Entry(Meteor),
    "exact_match": _Entry(ExactMatch),
    "f1": _Entry(TokenF1),
    "accuracy": _Entry(Accuracy),
    "precision": _Entry(LabelScore, ("precision", "precision")),
    "recall": _Entry(LabelScore, ("recall", "recall")),
    "macro_f1": _Entry(LabelScore, ("macro_f1", "f1"), {"average": "macro"}),
    "micro_f1": _Entry(LabelScore, ("micro_f1", "f1"), {"average": "micro"}),
    "weighted_f1": _Entry(LabelScore, ("weighted_f1", "f1"), {"average": "weighted"}),
    "binary_f1": _Entry(LabelScore, ("binary_f1", "f1"), {"average": "binary"}),
    "eval_loss": _Entry(TokenLoss, ("eval_loss",)),
    "perplexity": _Entry(TokenLoss, ("perplexity",)),
}


def metric_names() -> tuple[str, ...]:
    """Names of all built-in metrics, in the order of the guide."""
    return tuple(_METRICS)


def is_evaluate_module(name: str) -> bool:
    """Whether a name is ``evaluate:<module>``, a module of Hugging Face evaluate."""
    return name.startswith(EVALUATE)


def needs_labels(spec: str | MetricSpec) -> bool:
    """Whether a metric needs a label set that its options do not give.

    Raises:
        MetricError: The metric is unknown.
    """
    spec = MetricSpec.of(spec)
    labels = _entry(spec.name).options().get("labels")
    return labels is not None and labels.default is labels.empty and "labels" not in spec.options


def build_metric(spec: str | MetricSpec, *, labels: Sequence[str] | None = None) -> Metric:
    """Make a metric from its name, or from its name and options.

    Args:
        spec: The entry of a suite.
        labels: Label set for a metric that needs one and whose options give none, such as
            ``classification.label_set`` of the references; other metrics leave it aside.

    Raises:
        MetricError: The metric is unknown or does not take these options.
    """
    spec = MetricSpec.of(spec)
    name, options = spec.name, dict(spec.options)
    entry = _entry(name)
    valid = entry.options()
    for option in options:
        if option not in valid:
            known = choices(option, valid, "The options are") if valid else "It has no options."
            raise MetricError(f"{name} has no option {option!r}. {known}")
    if labels is not None and needs_labels(spec):
        options["labels"] = list(labels)
    try:
        return entry.make(*entry.arguments, **entry.fixed, **options)
    except ValidationError as error:
        raise _refusal(name, error) from error


def check_metric(spec: str | MetricSpec) -> None:
    """Refuse a metric that could not be built, without torch and without any text.

    Options of an ``evaluate:`` module are checked where it is run.

    Raises:
        MetricError: The metric is unknown or does not take these options.
    """
    name = MetricSpec.of(spec).name
    if is_evaluate_module(name):
        if not name.removeprefix(EVALUATE).strip():
            raise MetricError(
                f"{name!r} names no module.",
                hint="Write evaluate:<name on the Hub>, or evaluate:<path of a module's script>.",
            )
        return
    build_metric(spec, labels=stand_in(spec))


def stand_in(spec: str | MetricSpec) -> list[str]:
    """Labels by which a metric can be looked at while the real ones are not known.

    They may come with the references.
    """
    return [str(MetricSpec.of(spec).options.get("pos_label", "a label"))]


def _entry(name: str) -> _Entry:
    if name in _METRICS:
        return _METRICS[name]
    if is_evaluate_module(name):
        raise MetricError(
            f"{name!r} is a module of Hugging Face evaluate, which gives no statistics per "
            "example; it cannot be used where a built-in metric is needed."
        )
    raise MetricError(
        f"There is no metric {name!r}. {choices(name, _METRICS, 'The metrics are')}",
        hint=f"For a module of Hugging Face evaluate write {EVALUATE}<module>.",
    )


def _refusal(name: str, error: ValidationError) -> MetricError:
    """The first option that pydantic refused, in words."""
    problems = error.errors()
    first = problems[0]
    option = str(first["loc"][0])
    if first["type"] == "missing_keyword_only_argument":
        return MetricError(f"{name} needs the option {option}.")
    # A union gives one problem per member, all at the same place.
    same = [problem["msg"] for problem in problems if problem["loc"][0] == first["loc"][0]]
    value = first["input"]
    quote = "In YAML, put labels such as yes, no, on and off in quotes."
    return MetricError(
        f"The option {option} of {name} is not right: {', or '.join(dict.fromkeys(same))}; "
        f"found {value!r}.",
        hint=quote if option in ("labels", "pos_label") and isinstance(value, bool) else None,
    )
