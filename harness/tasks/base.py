"""The door of task types: what a variant is asked to do, and the scores of it.

A task type is named by ``tasks.<name>.type`` of a suite. Its ``spec`` is what the suite may say;
``open`` makes a session that is run on one variant after another. Results are keyed by what
``identity`` says can change them.

A task type's module must not import torch: it is loaded to validate suites and to plan. What needs
torch is imported when a session is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from harness.engines.base import ActiveModel, MixedModel, Progress
from harness.models.policy import DevicePolicy
from harness.schema import Example, Finding, Proof, Record, Score
from harness.suite.spec import PromptSpec, Suite, TaskSpec

if TYPE_CHECKING:
    from harness.console import Reporter  # rich, which planning does not need


@dataclass(frozen=True)
class TaskRequest:
    """A task as a suite asks for it.

    Attributes:
        task_id: Its name in the suite.
        suite: The suite.
        base_dir: Folder that relative paths start from.
        examples: What it is run on: those of its splits, within its limit. Empty where the type
            brings its own documents, and while only identities are asked for.
    """

    task_id: str
    suite: Suite
    base_dir: Path
    examples: tuple[Example, ...] = ()

    @property
    def spec(self) -> Any:
        """What the suite says of it, in the type's own model."""
        return self.suite.tasks[self.task_id]

    @property
    def prompt(self) -> PromptSpec:
        """The template that its examples were rendered with."""
        return self.suite.task_data(self.task_id)[1]


@dataclass
class TaskOutcome:
    """Scores of one variant on one task.

    Attributes:
        scores: One per metric and split.
        arrays: ``Score.stats`` -> statistics, shape (n, k); ``ids/<split>`` and
            ``clusters/<split>`` -> strings, shape (n,), in the same order.
        findings: What should be shown beside the scores, such as missing subjects.
        proofs: What was proved of the task before it was run, such as that a perfect answer scores
            full marks.
    """

    scores: list[Score] = field(default_factory=list)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)


@dataclass(frozen=True)
class Outputs:
    """What one variant put out on one task.

    Attributes:
        records: File name, without ``.jsonl`` -> its lines, kept under the predictions' key.
        outcome: The scores, where they come with the outputs; None where ``score`` makes them.
    """

    records: Mapping[str, Sequence[Record | Mapping[str, Any]]]
    outcome: TaskOutcome | None = None


@dataclass(frozen=True)
class ResultIdentity:
    """What can change a task's results beside the weights, as JSON values.

    Attributes:
        outputs: Of the outputs that are kept apart from scores; None where none are.
        scores: Of the scores, given the outputs (or, without any, by themselves).
    """

    outputs: dict[str, Any] | None
    scores: Any


class TaskSession(Protocol):
    """A task made ready once, to be run on any number of variants."""

    def predict(self, model: ActiveModel, progress: Progress) -> Outputs:
        """Run the task on one variant."""


@runtime_checkable
class BatchingSession(TaskSession, Protocol):
    """A session that can let variants of one base answer in common batches.

    Outputs are kept first and scored then, so its task type must be a ``RescoringTaskType``.
    """

    def shares_batches(self, policy: DevicePolicy) -> bool:
        """Whether that pays, and is what the suite wants."""

    def predict_together(
        self, mixture: MixedModel, progress: Progress
    ) -> Mapping[str | None, Outputs]:
        """Run the task on several variants at once; None is the plain base."""


class TaskType(Protocol):
    """One type of task.

    Attributes:
        spec: What a suite may say; ``type`` is a Literal of the entry's name.
    """

    spec: type[TaskSpec]

    def identity(self, request: TaskRequest, inputs: Any) -> ResultIdentity:
        """What can change the results; ``inputs`` as made by :meth:`inputs`."""

    def inputs(self, request: TaskRequest, examples: Mapping[str, Any] | None) -> Any:
        """Identity of what the task is run on, made once for all variants since it reads files.

        Args:
            request: The task.
            examples: Identity of the rendered examples; None where the type brings its own.
        """

    def rehearse(self, request: TaskRequest) -> None:
        """Try, before anything long, what could fail for a mistake of the user's.

        Raises:
            UsageError: Names the mistake.
        """

    def open(
        self, request: TaskRequest, tokenizer: Any, reporter: Reporter
    ) -> AbstractContextManager[TaskSession]:
        """Make a session; ``tokenizer`` is that of every variant."""


@runtime_checkable
class CheckingTaskType(TaskType, Protocol):
    """A task type that tells of some mistakes at once, without a model, data or the network."""

    def check(self, request: TaskRequest) -> None:
        """Refuse what cannot be run here, for ``harness validate``.

        Raises:
            UsageError: Names the mistake.
        """


@runtime_checkable
class DocumentTaskType(TaskType, Protocol):
    """A task type that brings documents of its own, and can show them as texts."""

    def documents(self, request: TaskRequest) -> Sequence[Example]:
        """What it is scored on, for the search for training rows among it.

        Ids are those of ``TaskOutcome.arrays``; the splits of the examples say nothing.

        Raises:
            HarnessError: The documents cannot be read here.
        """


@runtime_checkable
class RescoringTaskType(TaskType, Protocol):
    """A task type that scores stored outputs, so that a new metric needs no model."""

    def score(
        self, request: TaskRequest, kept: Callable[[str, type[Any]], Sequence[Any]]
    ) -> TaskOutcome:
        """Score outputs that were kept, without a model.

        Args:
            request: The task.
            kept: ``kept(name, model)`` reads the records of ``Outputs.records[name]``.
        """


def score_of(metric: Any, task: str, split: str, **outcome: Any) -> Score:
    """The record of a metric's value.

    Args:
        metric: What it was scored by: a ``metrics.base.Metric`` or anything that has its
            ``name``, ``scale``, ``unit`` and ``higher_is_better``.
        task: The suite's name of the task.
        split: Of the examples.
        outcome: What else a `Score` holds: ``n``, ``value``, ``reason``, ``signature``, ``stats``.
    """
    about = {name: getattr(metric, name) for name in ("scale", "unit", "higher_is_better")}
    return Score(task=task, metric=metric.name, split=split, **about, **outcome)


def example_arrays(split: str, examples: Sequence[Example]) -> dict[str, NDArray[Any]]:
    """The id and cluster arrays of a split's examples, each of shape (n,)."""
    return {
        f"ids/{split}": np.array([example.id for example in examples], dtype=np.str_),
        f"clusters/{split}": np.array([example.cluster for example in examples], dtype=np.str_),
    }


def examples_of(spec: TaskSpec, examples: Sequence[Example]) -> tuple[Example, ...]:
    """Examples of a task's splits, at most ``limit`` of each, in the order of the splits."""
    by_split = ([e for e in examples if e.split == split] for split in spec.scored_splits)
    return tuple(example for own in by_split for example in own[: spec.limit])
