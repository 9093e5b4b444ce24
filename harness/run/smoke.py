"""A suite at the size of a smoke test: the same steps and code, on a tiny model and a few rows.

All that a suite says stays as it is unless it costs time, so that what does not fit shows within a
minute: columns, templates, lengths, target modules, options that a library refuses.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.data.few import few_rows
from harness.doors import TASK_TYPES
from harness.errors import OutOfReachError, UsageError
from harness.models.stand_in import stand_in
from harness.run.smoke_checkpoints import small_adapters, with_steps_saved
from harness.schema import TRAIN
from harness.suite.file import SuiteFile
from harness.suite.rules import ConstraintSpec, GatedMetric
from harness.suite.spec import DataSpec, MeasureSpec, PromptSpec, Suite, TaskSpec, TrainSpec
from harness.tasks.base import TaskRequest
from harness.validate.suite import CheckedSuite, check_suite

FOLDER = ".smoke"  # of the folder of runs: nothing in it can be taken for a result
_STEPS, _BATCH, _EXAMPLES, _DOCUMENTS, _NEW_TOKENS = 4, 2, 4, 2, 8
_SILENT = {"report_to": "none", "push_to_hub": False}
_GRID = MeasureSpec(prompt_tokens=(16,), new_tokens=(4,), batch_sizes=(1,), repeats=2)


def smoke_suite(file: CheckedSuite, folder: Path) -> CheckedSuite:
    """A suite's smoke test, as a suite whose ``smoke`` says what was replaced.

    Args:
        file: The suite.
        folder: Where rows, and what else it needs, are written.

    Raises:
        UsageError: The data cannot be read, nothing tells the base's architecture, or no task is
            left that can run here.
    """
    told: list[str] = []
    base, line = stand_in(file.suite.base, file.base_dir)
    told.append(line)
    suite = _with_tasks_here(file, told)
    suite = _with_few_rows(suite, file.base_dir, folder, told)
    change: dict[str, Any] = {"base": base, "tasks": _small_tasks(suite, told)}
    if suite.train is not None:
        change["train"] = _few_steps_each(suite.train, told)
    change |= _two_trainings(suite, told)
    if suite.checkpoints is not None and base != suite.base:  # those of a small one fit already
        change["checkpoints"], line = small_adapters(file, base)
        told.append(line)
    if suite.measure is not None:
        change["measure"] = suite.measure.model_copy(update=_GRID.model_dump(exclude_unset=True))
        told.append("measure: one small size, twice")
    small = suite.model_copy(update=change)
    if small.train is not None:
        small = with_steps_saved(small, told)
    small = small.model_copy(update={"smoke": tuple(told)})
    whole = SuiteFile(small, file.path, file.base_dir, None, file.places)
    check_suite(whole, rows=True)  # trackers and packages of the training included
    return check_suite(replace(whole, suite=_silent(small)))


def _silent(suite: Suite) -> Suite:
    """The suite with nothing that would put random figures among real ones."""
    change: dict[str, Any] = {"report": suite.report.model_copy(update={"trackers": ()})}
    if suite.train is not None:
        methods = {  # whose own arguments go before those of all
            name: own.model_copy(update={"args": {**own.args, **_SILENT}})
            for name, own in suite.train.methods.items()
        }
        args = {**suite.train.args, **_SILENT}
        change["train"] = suite.train.model_copy(update={"args": args, "methods": methods})
    return suite.model_copy(update=change)


def _two_trainings(suite: Suite, told: list[str]) -> dict[str, Any]:
    """Two folds or seeds of as many as there are: what one finds, all would."""
    if suite.seeds:
        told.append("seeds: the first two")
        return {"seeds": suite.seeds[:2]}
    if suite.data is not None and suite.data.folds and suite.data.fold is None:
        told.append("data.folds: two")
        return {"data": suite.data.model_copy(update={"folds": 2})}
    return {}


def _with_tasks_here(file: CheckedSuite, told: list[str]) -> Suite:
    """The suite without tasks whose documents are on the Hub, where that is out of reach."""
    suite, away = file.suite, set()
    for name, task in suite.tasks.items():
        if task.brings_data and getattr(task, "data", None) is None:
            try:
                TASK_TYPES.get(task.type).rehearse(TaskRequest(name, suite, file.base_dir))
            except OutOfReachError:
                away.add(name)
                told.append(f"tasks.{name}: left out, for its documents are out of reach")
    if not away:
        return suite
    tasks = {name: task for name, task in suite.tasks.items() if name not in away}
    if not tasks:
        raise UsageError(
            "Nothing is left to try: the documents of all tasks are out of reach.",
            where=str(file.path),
            hint="Connect to the network, or give local files under data.",
        )

    def is_here(rule: GatedMetric | ConstraintSpec) -> bool:
        return (rule.task or "").partition("/")[0] not in away

    metrics = tuple(filter(is_here, suite.gate.metrics))
    constraints = tuple(filter(is_here, suite.select.constraints))
    gate = suite.gate.model_copy(update={"metrics": metrics})
    select = suite.select.model_copy(update={"constraints": constraints})
    return suite.model_copy(update={"tasks": tasks, "gate": gate, "select": select})


def _with_few_rows(suite: Suite, base_dir: Path, folder: Path, told: list[str]) -> Suite:
    """The suite with each of its sources replaced by files of a few rows."""
    readers: list[tuple[DataSpec, list[PromptSpec]]] = []
    names = [name for name, task in suite.tasks.items() if not task.brings_data]
    for name in [*names, *([TRAIN] if suite.train is not None else [])]:
        data, prompt = suite.task_data(name)
        prompts = next((own for known, own in readers if known == data), None)
        if prompts is None:
            readers.append((data, prompts := []))
        prompts.append(prompt)
    small: list[tuple[DataSpec, DataSpec]] = []
    for data, prompts in readers:
        few, line = few_rows(data, prompts, base_dir, folder)
        small.append((data, few))
        told.append(line)

    def few_of(data: Any) -> Any:
        return next((few for known, few in small if known == data), data)

    tasks = {
        name: task
        if task.brings_data
        else task.model_copy(update={"data": few_of(getattr(task, "data", None))})
        for name, task in suite.tasks.items()
    }
    return suite.model_copy(update={"data": few_of(suite.data), "tasks": tasks})


def _small_tasks(suite: Suite, told: list[str]) -> dict[str, TaskSpec]:
    told.append(
        f"tasks: at most {_EXAMPLES} examples a split ({_DOCUMENTS} of documents that a task "
        f"brings) and {_NEW_TOKENS} new tokens"
    )
    return {name: _small(task) for name, task in suite.tasks.items()}


def _small(task: TaskSpec) -> TaskSpec:
    most = _DOCUMENTS if task.brings_data else _EXAMPLES
    change: dict[str, Any] = {"limit": min(task.limit or most, most)}
    if hasattr(task, "max_new_tokens"):
        change["max_new_tokens"] = min(task.max_new_tokens, _NEW_TOKENS)
    return task.model_copy(update=change)


def _few_steps(train: TrainSpec, told: list[str]) -> TrainSpec:
    """A training of few steps of small batches, that saves and evaluates as often as it may.

    What follows from the whole's length does not: a warm-up of 100 steps stays one of 100.
    """
    args = dict(train.args)
    for name in ("per_device_train_batch_size", "gradient_accumulation_steps"):
        args[name] = min(int(args.get(name, 1)), _BATCH)
    name = "per_device_eval_batch_size"
    args[name] = min(int(args.get(name, _BATCH)), _BATCH)
    if args.get("save_strategy", "steps") == "epoch":
        args |= {"num_train_epochs": 1, "max_steps": -1}
        steps = "one epoch"
    else:
        args |= {"max_steps": _STEPS, "save_steps": _STEPS // 2}
        steps = f"{_STEPS} steps"
        if "eval_steps" in args:
            args["eval_steps"] = _STEPS // 2
    told.append(
        f"train: {steps}, batches of at most {_BATCH} and {_BATCH} of them a step; no tracker is "
        "written to, and nothing pushed"
    )
    change: dict[str, Any] = {"args": args}
    if train.peft_type == "ADALORA":  # its phases are as long as the training
        change["peft"] = {k: v for k, v in train.peft.items() if k not in ("tinit", "tfinal")}
    return train.model_copy(update=change)


def _few_steps_each(train: TrainSpec, told: list[str]) -> TrainSpec:
    """The same of each of a suite's trainings."""
    if not train.methods:
        return _few_steps(train, told)
    lines: list[str] = []
    few = {name: _few_steps(spec, lines) for name, spec in train.each.items()}
    told += dict.fromkeys(lines)
    methods = {
        name: own.model_copy(update={"args": few[name].args, "peft": few[name].peft})
        for name, own in train.methods.items()
    }
    return train.model_copy(update={"methods": methods})
