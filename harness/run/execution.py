"""What computing the cells of one suite needs, made in the process in which they are computed."""

from __future__ import annotations

import json
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from harness.console import Reporter
from harness.doors import ENGINES, TASK_TYPES
from harness.engines.base import Engine, Weights
from harness.models.device import decide, environment
from harness.run.executors import CellJob, StoreKey
from harness.schema import Environment, Example, Precision, Proof, Record
from harness.store.runs import Store
from harness.suite.spec import suite_model
from harness.tasks.base import (
    Outputs,
    RescoringTaskType,
    TaskOutcome,
    TaskRequest,
    TaskSession,
    TaskType,
    examples_of,
)


class Execution:
    """The execution context of one suite: what its jobs share.

    Args:
        job: Any of them.
        reporter: Says what is going on.
        held: Closes what sessions hold open, at the end.

    Attributes:
        suite: The suite.
        base_dir: Folder that its relative paths start from.
        store: Where results go.
        engine: The suite's inference engine.
        policy: Device and dtype, as decided for this machine.
        environment: This machine, as it is kept with each result.
    """

    def __init__(self, job: CellJob, reporter: Reporter, held: ExitStack) -> None:
        self.reporter = reporter
        self.suite = suite_model(job.suite).model_validate(job.suite)
        self.base_dir = Path(job.base_dir)
        self.store = Store(Path(job.runs_dir))
        self.engine: Engine = ENGINES.get(self.suite.base.engine)
        self.policy = decide(self.suite.base)
        self.environment: Environment = environment(self.policy)
        for decision in self.policy.decisions:
            reporter.detail(f"  {decision}")
        self._held = held
        self._sessions: dict[str, TaskSession] = {}
        self.examples = cache(self._examples)

    def _examples(self, key: str) -> list[Example]:
        return self.store.read_records("examples", key, "examples", Example)

    @cached_property
    def tokenizer(self) -> Any:
        """That of every variant."""
        return self.engine.tokenizer(self.suite.base, self.base_dir)

    def type_of(self, job: CellJob) -> TaskType:
        """The type of a job's task."""
        task_type: TaskType = TASK_TYPES.get(self.suite.tasks[job.task].type)
        return task_type

    def request(self, job: CellJob) -> TaskRequest:
        """A job's task with its examples."""
        examples = self.examples(job.examples) if job.examples is not None else []
        chosen = examples_of(self.suite.tasks[job.task], examples)
        return TaskRequest(job.task, self.suite, self.base_dir, chosen)

    def session(self, job: CellJob) -> TaskSession:
        """A job's task made ready; once for all variants.

        Raises:
            UsageError: The task is wrong, or its data.
        """
        if job.task not in self._sessions:
            opened = self.type_of(job).open(self.request(job), self.tokenizer, self.reporter)
            self._sessions[job.task] = self._held.enter_context(opened)
        return self._sessions[job.task]

    def weights(self, job: CellJob) -> Weights:
        """What a job's variant stands on."""
        auto = job.variant.precision == "auto"
        precision: Precision = self.policy.compute_dtype if auto else job.variant.precision  # type: ignore[assignment]
        return Weights(
            base=self.suite.base,
            base_dir=self.base_dir,
            precision=precision,
            quantization=self.suite.quantization,
            folder=None if job.weights is None else Path(job.weights),
        )

    def lacks_only_scores(self, job: CellJob) -> bool:
        """Whether its outputs are there to be scored, so that no model is needed."""
        kept = job.predictions is not None and self.store.has("predictions", job.predictions.key)
        return kept and self.rescores(job)

    def rescores(self, job: CellJob) -> bool:
        """Whether its outputs are kept, and can be scored as they are kept."""
        return job.predictions is not None and isinstance(self.type_of(job), RescoringTaskType)

    def score_kept(self, job: CellJob) -> TaskOutcome:
        """Score outputs that are in the store."""
        task_type = self.type_of(job)
        if job.predictions is None or not isinstance(task_type, RescoringTaskType):
            raise TASK_TYPES.broken(self.suite.tasks[job.task].type, "gave no scores")
        key = job.predictions.key
        outcome = task_type.score(
            self.request(job),
            lambda name, model: self.store.read_later_records("predictions", key, name, model),
        )
        outcome.proofs += self.store.read_later_records("predictions", key, "proofs", Proof)
        return outcome

    def keep_outputs(self, job: CellJob, outputs: Outputs, proofs: Sequence[Proof]) -> None:
        """Write outputs into the store, unless it has them, or none are kept.

        Args:
            job: Whose they are.
            outputs: What the task's session gave.
            proofs: What was measured of the model's answers.

        Raises:
            PluginError: The task type says that it writes texts, and gives none.
        """
        task, at = self.suite.tasks[job.task], job.predictions
        if task.writes_texts and (at is None or "predictions" not in outputs.records):
            raise TASK_TYPES.broken(
                task.type, "says that it writes texts, but keeps no predictions"
            )
        if at is None or self.store.has("predictions", at.key):
            return
        with self.store.writing("predictions", at.key, at.identity) as folder:
            for name, lines in outputs.records.items():
                text = "".join(
                    f"{line.model_dump_json() if isinstance(line, Record) else json.dumps(line)}\n"
                    for line in lines
                )
                (folder / f"{name}.jsonl").write_text(text, "utf-8")
            self.store.write_records(folder, "proofs", proofs)
            self.store.write_record(folder, "environment", self.environment)

    def keep_scores(self, at: StoreKey, outcome: TaskOutcome) -> None:
        """Write scores with their statistics and findings into the store."""
        with self.store.writing("scores", at.key, at.identity) as folder:
            self.store.write_records(folder, "scores", outcome.scores)
            self.store.write_records(folder, "findings", outcome.findings)
            self.store.write_records(folder, "proofs", outcome.proofs)
            self.store.write_record(folder, "environment", self.environment)
            with (folder / "stats.npz").open("wb") as stream:
                np.savez_compressed(stream, allow_pickle=False, **outcome.arrays)

    def in_a_line(self, error: Exception, job: CellJob | None = None) -> str:
        """An error in one line, with the packages that took part; its traceback is a detail."""
        self.reporter.detail("".join(traceback.format_exception(error)))
        parts = [(ENGINES, self.suite.base.engine)]
        parts += [(TASK_TYPES, self.suite.tasks[job.task].type)] if job is not None else []
        packages = [door.origin(name) for door, name in parts if name not in door.built_in]
        told = f" ({', '.join(packages)})" if packages else ""
        return f"{type(error).__name__}: {str(error).strip() or 'no message'}{told}"
