"""A suite's quick tasks on a model that is being trained, and the choice among what they scored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.console import Reporter
from harness.data.examples import load_examples
from harness.doors import TASK_TYPES
from harness.engines.base import ActiveModel
from harness.errors import HarnessError, SuiteError
from harness.files import write_atomic
from harness.results.scores import Reading, reading
from harness.schema import CellResult, Record, Score, Selection
from harness.select.checkpoint import select
from harness.stats.panel import Panel
from harness.suite.deciding import SPLIT, primary_metric
from harness.suite.file import SuiteFile
from harness.tasks.base import TaskOutcome, TaskRequest, TaskSession, examples_of

_SCORES, _ARRAYS = "scores.jsonl", "stats.npz"


@dataclass
class QuickTasks:
    """Tasks made ready, on the ``select`` split alone: nothing is claimed on it afterwards.

    Attributes:
        requests: The tasks with their examples, by name.
        sessions: The same, ready to run.
        decides: Task and metric by which checkpoints are compared.
        seed: Of the resampling.
    """

    requests: Mapping[str, TaskRequest]
    sessions: Mapping[str, TaskSession]
    decides: tuple[str, str]
    seed: int
    readings: dict[int, list[Reading]] = field(default_factory=dict)  # by step

    def evaluate(self, model: ActiveModel, folder: Path, step: int) -> dict[str, float]:
        """Run all tasks, keep texts, scores and statistics, and give the values.

        Args:
            model: The model, in evaluation mode.
            folder: Where to keep them; what is there is replaced.
            step: Of the training.

        Returns:
            ``task/metric`` -> value, of those that have one.
        """
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        scores: list[Score] = []
        arrays: dict[str, NDArray[Any]] = {}
        for name, session in self.sessions.items():
            outcome = self._outcome(name, session, model, folder)
            scores += outcome.scores
            arrays |= {f"{name}:{key}": array for key, array in outcome.arrays.items()}
        with (folder / _ARRAYS).open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)
        write_atomic(folder / _SCORES, "".join(f"{s.model_dump_json()}\n" for s in scores))
        self.remember(folder, step)
        named = {f"{score.task}/{score.metric}": score.value for score in scores}
        return {name: value for name, value in named.items() if value is not None}

    def _outcome(
        self, name: str, session: TaskSession, model: ActiveModel, folder: Path
    ) -> TaskOutcome:
        request = self.requests[name]
        outputs = session.predict(model, lambda *_, **__: None)
        for kind, lines in outputs.records.items():
            text = (r.model_dump_json() if isinstance(r, Record) else json.dumps(r) for r in lines)
            write_atomic(folder / f"{name}-{kind}.jsonl", "".join(f"{line}\n" for line in text))
        if outputs.outcome is not None:
            return outputs.outcome
        task_type: Any = TASK_TYPES.get(request.spec.type)
        kept: TaskOutcome = task_type.score(request, lambda kind, _: outputs.records[kind])
        return kept

    def remember(self, folder: Path, step: int) -> None:
        """Take note of what was kept of a checkpoint; of one that was cut off there is nothing."""
        if not (folder / _SCORES).is_file():
            return
        lines = (folder / _SCORES).read_text("utf-8").splitlines()
        with np.load(folder / _ARRAYS, allow_pickle=False) as kept:
            arrays = dict(kept)
        self.readings[step] = [
            self._reading(Score.model_validate_json(line), arrays, folder, step) for line in lines
        ]

    def _reading(
        self, score: Score, arrays: Mapping[str, NDArray[Any]], folder: Path, step: int
    ) -> Reading:
        spec = self.requests[score.task].spec
        cell = CellResult(variant=_name(step), task=score.task, kind=spec.type, status="done")
        start = f"{score.task}:"
        own = {key.removeprefix(start): a for key, a in arrays.items() if key.startswith(start)}
        return reading(cell, score, own, spec, str(folder / _ARRAYS))

    def choose(self, steps: Sequence[int]) -> tuple[int | None, Selection | None]:
        """The checkpoint that ``harness eval`` would choose of these: by paired differences.

        Args:
            steps: Checkpoints to choose among; those that were not evaluated are passed over.

        Returns:
            The step and the choice with its reason; None where the metric has no value.
        """
        readings = [r for step in sorted(steps) for r in self.readings.get(step, ())]
        deciding = [r for r in readings if r.key == (*self.decides, SPLIT)]
        samples = [r.sample for r in deciding if r.sample is not None]
        quantity = next((r.quantity for r in deciding if r.quantity is not None), None)
        if quantity is None:
            return None, None
        panel = Panel(quantity, samples, seed=self.seed)
        evaluated = {_name(step): step for step in sorted(steps) if step in self.readings}
        chosen = select(panel, evaluated, None)
        return (None if chosen.chosen is None else evaluated[chosen.chosen]), chosen


def _name(step: int) -> str:
    return f"checkpoint-{step}"


def open_tasks(
    file: SuiteFile, tokenizer: Any, names: Sequence[str] | None, limit: int, held: ExitStack
) -> QuickTasks:
    """Read a suite's data and make its quick tasks ready.

    Args:
        file: The suite.
        tokenizer: The trainer's.
        names: Tasks to run; None: all that are scored on ``select`` and bring no data.
        limit: Most examples of each.
        held: Closes what the tasks hold open.

    Raises:
        SuiteError: No such task, or none that is scored on ``select``; no examples there.
    """
    quick = [
        name
        for name, task in file.suite.tasks.items()
        if not task.brings_data and SPLIT in task.scored_splits
    ]
    wrong = sorted(set(names or ()) - set(quick))
    if wrong or not quick:
        raise SuiteError(
            f"{wrong[0] if wrong else 'No task'} is not a task of the suite's own examples that is "
            f"scored on {SPLIT}.",
            where=file.at("tasks"),
            hint=f"Those that are: {', '.join(quick) or 'none'}. Give a generation or perplexity "
            f"task splits: [{SPLIT}, report].",
        )
    wanted = [name for name in quick if names is None or name in names]
    own = {
        name: task.model_copy(update={"splits": [SPLIT], "limit": min(limit, task.limit or limit)})
        for name, task in file.suite.tasks.items()
        if name in wanted
    }
    suite = file.suite.model_copy(update={"tasks": own})
    requests = {name: _request(file, suite, name, tokenizer) for name in wanted}
    decides = primary_metric(file.suite)
    if decides is None or decides[0] not in wanted:
        decides = primary_metric(suite.model_copy(update={"select": type(suite.select)()}))
    if decides is None:
        raise HarnessError("None of the tasks has a metric.", where=file.at("tasks"))
    sessions = {
        name: held.enter_context(
            TASK_TYPES.get(request.spec.type).open(request, tokenizer, Reporter(-1))
        )
        for name, request in requests.items()
    }
    return QuickTasks(requests, sessions, decides, suite.seed)


def _request(file: SuiteFile, suite: Any, name: str, tokenizer: Any) -> TaskRequest:
    data, prompt = suite.task_data(name)
    chat: dict[str, Any] = {}
    if prompt.is_chat:
        from harness.models.tokens import ChatTurns, render_chat

        turns = ChatTurns(tokenizer)
        chat = {"render_chat": render_chat(tokenizer), "printed": turns.printed}
    examples, report = load_examples(data, prompt, seed=suite.seed, base_dir=file.base_dir, **chat)
    chosen = examples_of(suite.tasks[name], examples)
    if not chosen:
        raise SuiteError(
            f"The {SPLIT} split of {name} is empty; the splits hold {dict(report.split_sizes)}.",
            where=file.at("data.splits"),
            hint=f"Give {SPLIT} a share.",
        )
    return TaskRequest(name, suite, file.base_dir, chosen)
