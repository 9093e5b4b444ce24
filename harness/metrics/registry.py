"""Which metrics there are, and how one is made from its entry in a suite."""

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
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


_METRICS: Mapping[str, partial[Any]] = {
    "rouge1": partial(Rouge, "rouge1"),
    "rouge2": partial(Rouge, "rouge2"),
    "rougeL": partial(Rouge, "rougeL"),
    "rougeLsum": partial(RougeLsum),
    "bleu": partial(Bleu),
    "chrf": partial(Chrf),
    "ter": partial(Ter),
    "meteor": partial(Meteor),
    "exact_match": partial(ExactMatch),
    "f1": partial(TokenF1),
    "accuracy": partial(Accuracy),
    "precision": partial(LabelScore, "precision", "precision"),
    "recall": partial(LabelScore, "recall", "recall"),
    "macro_f1": partial(LabelScore, "macro_f1", "f1", average="macro"),
    "micro_f1": partial(LabelScore, "micro_f1", "f1", average="micro"),
    "weighted_f1": partial(LabelScore, "weighted_f1", "f1", average="weighted"),
    "binary_f1": partial(LabelScore, "binary_f1", "f1", average="binary"),
    "eval_loss": partial(TokenLoss, "eval_loss"),
    "perplexity": partial(TokenLoss, "perplexity"),
}


def metric_names() -> tuple[str, ...]:
    """Names of all built-in metrics, in the order of the guide."""
    return tuple(_METRICS)


def options_of(name: str) -> tuple[str, ...]:
    """Names of the options that a built-in metric takes.

    Raises:
        MetricError: The metric is unknown.
    """
    return tuple(_options(_entry(name)))


def is_evaluate_module(name: str) -> bool:
    """Whether a name is ``evaluate:<module>``, a module of Hugging Face evaluate."""
    return name.startswith(EVALUATE)


def needs_labels(spec: str | MetricSpec) -> bool:
    """Whether a metric needs a label set that its options do not give.

    Raises:
        MetricError: The metric is unknown.
    """
    spec = MetricSpec.of(spec)
    labels = _options(_entry(spec.name)).get("labels")
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
    name, options = spec.name, {**spec.options}
    entry = _entry(name)
    valid = _options(entry)
    for option in options:
        if option not in valid:
            known = choices(option, valid, "The options are") if valid else "It has no options."
            raise MetricError(f"{name} has no option {option!r}. {known}")
    if labels is not None and needs_labels(spec):
        options["labels"] = list(labels)
    try:
        metric: Metric = entry(**options)
    except ValidationError as error:
        raise _refusal(name, error) from error
    return metric


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


def _options(entry: partial[Any]) -> dict[str, inspect.Parameter]:
    """The options a suite may give, by name."""
    parameters = inspect.signature(entry.func).parameters.values()
    given = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in entry.keywords]
    return {parameter.name: parameter for parameter in given}


def _entry(name: str) -> partial[Any]:
    if name in _METRICS:
        return _METRICS[name]
    if is_evaluate_module(name):
        raise MetricError(
            f"{name!r} is a module of Hugging Face evaluate, which gives no statistics per "
            "example; it cannot be used where a built-in metric is needed."
        )
    raise MetricError(
        f"There is no metric {name!r}. " + choices(name, _METRICS, "The metrics are"),
        hint=f"For a module of Hugging Face evaluate write {EVALUATE}<module>.",
    )


def _refusal(name: str, error: ValidationError) -> MetricError:
    """The first option that pydantic refused, in words."""
    problems = error.errors()
    first = problems[0]
    option = str(first["loc"][0])
    if first["type"] == "missing":
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
