"""Evaluation results of a model card, through huggingface_hub's own classes.

Scores that have a best possible value are stored of 100, as the Hub's leaderboards have them and
as the card's table shows them; others in the metric's own unit.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from harness.errors import MissingExtraError
from harness.printable import visible
from harness.release.card.data import Card, TaskData, lm_eval_name
from harness.render.numbers import metric_name
from harness.report.view.records import Figure, MatrixRow
from harness.report.words.comparison import figure_words
from harness.schema import TrainingRun
from harness.suite.rules import in_points

PACKAGE = "huggingface_hub"
FOLDER = ".eval_results"
_TASK = "text-generation"
_DECIMALS = 4  # of values of 100; an interval is never so narrow
_COMMIT = re.compile(r"[0-9a-f]{40}")
_RELATIONS = {"adapter": "adapter", "merged": "finetune", "full": "finetune"}
"""On the Hub, ``merge`` is a mixture of several models; an adapter merged into its own base is a
fine-tuned model."""


@dataclass(frozen=True)
class CardScore:
    """One row of the matrix with the shipped variant's figure and where its data come from."""

    row: MatrixRow
    figure: Figure
    data: TaskData

    @property
    def value(self) -> float:
        """The value as the metadata hold it."""
        if self.figure.value is None:
            raise TypeError("only rows with a value are stored")
        if not self.row.scale:
            return self.figure.value
        return round(in_points(self.figure.value, self.row.scale), _DECIMALS)


def hub_installed() -> bool:
    """Whether huggingface_hub can be imported."""
    return find_spec(PACKAGE) is not None


def require_hub() -> None:
    """Refuse to go on without huggingface_hub.

    Raises:
        MissingExtraError: It is not installed.
    """
    if not hub_installed():
        raise MissingExtraError(PACKAGE, "card")


def scored(card: Card) -> list[CardScore]:
    """The variant's scores of automatic metrics, those of one data set together."""
    items = [
        CardScore(row, figure, card.data[row.task])
        for row in card.rows
        if (figure := row.figure(card.variant.id)) is not None
        and figure.value is not None
        and row.task in card.data
    ]
    groups: dict[tuple[str | None, ...], list[CardScore]] = {}
    for item in items:
        data = item.data
        key = (data.hub or data.name, data.config, _split(item), data.revision)
        groups.setdefault(key, []).append(item)
    return [item for group in groups.values() for item in group]


def eval_results(items: Sequence[CardScore]) -> list[Any]:
    """``huggingface_hub.EvalResult`` of every score, for the ``model-index``."""
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type=_TASK,
            task_name="Text generation",  # as the Hub groups them, all of a data set share it
            dataset_type=_line(item.data.hub or item.data.name),
            dataset_name=_line(" ".join(p for p in (item.data.name, item.data.config) if p)),
            dataset_config=_line(item.data.config),
            dataset_split=_line(_split(item)),
            dataset_revision=_line(item.data.revision),
            metric_type=_line(item.row.metric),
            metric_name=_line(f"{metric_name(item.row.metric)} ({_setup(item.row)})"),
            metric_value=item.value,
            metric_config=_line(item.row.signature) or None,
        )
        for item in items
    ]


def result_files(card: Card, items: Sequence[CardScore]) -> dict[str, str]:
    """``.eval_results/*.yaml``, a file per data set: path -> YAML.

    There is one entry for each task that scored a whole split of a data set on the Hub: the
    format has one value per task, so it is that of the task's first (or the primary) metric.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    from huggingface_hub.utils import yaml_dump

    entries: dict[str, list[Any]] = {}
    for item in _leading(items):
        data = item.data
        revision = data.revision if data.revision and _COMMIT.fullmatch(data.revision) else None
        if data.hub is None or data.why_not:
            continue
        is_lm_eval = item.row.kind == "lm_eval"
        entries.setdefault(data.hub, []).append(
            EvalResultEntry(
                dataset_id=_line(data.hub),
                task_id=_line(lm_eval_name(item.row) if is_lm_eval else item.row.task),
                value=item.value,
                dataset_revision=revision,
                date=card.manifest.updated,
                notes=_line(_notes(item)),
            )
        )
    return {
        f"{FOLDER}/{hub.replace('/', '--')}.yaml": yaml_dump(
            eval_result_entries_to_yaml(of_hub), sort_keys=False
        )
        for hub, of_hub in entries.items()
    }


def left_out(items: Sequence[CardScore]) -> dict[str, str]:
    """Tasks that no entry of ``.eval_results`` stands for, and why."""
    return {item.row.task: item.data.why_not for item in _leading(items) if item.data.why_not}


def metadata(card: Card, items: Sequence[CardScore]) -> Any:
    """``huggingface_hub.ModelCardData`` with what is known of the model, and nothing else."""
    from huggingface_hub import ModelCardData

    results = eval_results(items)
    training, data = card.training, card.training_data
    return ModelCardData(
        base_model=card.base.name if card.base.hub else None,
        base_model_relation=_RELATIONS.get(card.variant.kind) if card.base.hub else None,
        datasets=[data.hub] if data is not None and data.hub else None,
        library_name=library(card),
        pipeline_tag=_TASK,
        tags=_tags(training),
        model_name=_line(card.title) if results else None,
        eval_results=results or None,
    )


def _tags(training: TrainingRun | None) -> list[str] | None:
    """The method's name, as people search the Hub for it."""
    if training is None:
        return None
    is_lora = training.peft_type in (None, "LORA")
    return [training.method if is_lora else str(training.peft_type).lower().replace("_", "-")]


def library(card: Card) -> str:
    """The library that loads the weights."""
    return "peft" if card.variant.kind == "adapter" else "transformers"


def normalised(text: str) -> str:
    """A card as huggingface_hub reads and writes it again.

    Raises:
        ValueError: The text is no model card.
    """
    from huggingface_hub import ModelCard

    return str(ModelCard(text))


def _leading(items: Sequence[CardScore]) -> list[CardScore]:
    """One score per task: of the primary metric, else of the first."""
    leading: dict[str, CardScore] = {}
    for item in items:
        if item.row.task not in leading or item.row.primary:
            leading[item.row.task] = item
    return list(leading.values())


def _split(item: CardScore) -> str:
    return item.data.split or item.row.split


def _setup(row: MatrixRow) -> str:
    shots = f", {row.num_fewshot}-shot" if row.num_fewshot is not None else ""
    return f"{row.task}{shots}"


def _notes(item: CardScore) -> str:
    row, figure = item.row, item.figure
    value, bounds = figure_words(figure, row)
    parts = [
        f"{metric_name(row.metric)} {value}{' of 100' if row.scale else f' {row.unit}'.rstrip()}",
        f"95 % interval {bounds}" if bounds else "no interval",
        f"n = {figure.n}",
        f"{row.num_fewshot}-shot" if row.num_fewshot is not None else "",
        f"split {_split(item)}",
        f"config {item.data.config}" if item.data.config else "",
        f"made by qlora-harness as {row.signature}" if row.signature else "made by qlora-harness",
    ]
    return "; ".join(part for part in parts if part)


def _line(text: str | None) -> str | None:
    """Text of unknown origin on one line, its unseen characters escaped; None stays."""
    return None if text is None else visible(" ".join(text.split()))
