"""Whether the rules of a suite name what there is: what is rated, chosen by and gated."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from harness.errors import SuiteError
from harness.hints import choices
from harness.metrics.evaluate_options import read_options
from harness.metrics.quantities import MEASURED
from harness.metrics.registry import is_evaluate_module
from harness.schema import HUMAN
from harness.suite.deciding import SPLIT, primary_metric
from harness.suite.file import SuiteFile
from harness.suite.ratings import PREFERENCE
from harness.suite.rules import CHOSEN, MERGED, ConstraintSpec, GatedMetric
from harness.suite.spec import TaskSpec
from harness.validate.splits import split_checks

_CHOOSE = "Choose by a generation or perplexity task whose splits hold select."


def rule_checks(file: SuiteFile) -> Iterator[Callable[[], None]]:
    """Checks of what one part says of another; each raises a SuiteError with its place."""
    suite = file.suite
    yield partial(_check_human, file)
    yield from split_checks(file)
    yield partial(_check_choice, file)
    yield partial(_check_stopping, file)
    for place, constraint in enumerate(suite.select.constraints):
        yield partial(_check_constraint, file, f"select.constraints[{place}]", constraint)
    yield partial(_check_select, file)
    for place, rule in enumerate(suite.gate.metrics):
        yield partial(_check_gated, file, f"gate.metrics[{place}]", rule)
    for place, watched in enumerate(suite.gate.measurements):
        key = f"gate.measurements[{place}]"
        yield partial(_check_measured, file, key, watched.measurement)


def _check_choice(file: SuiteFile) -> None:
    """Refuse what waits for a choice that nothing can make."""
    suite = file.suite
    if primary_metric(suite) is not None or (suite.train is None and suite.checkpoints is None):
        return
    asked = {
        "matrix.merged": "merged" in suite.matrix.model_fields_set and suite.matrix.merged,
        "gate.variants": next((v for v in suite.gate.variants if v == MERGED), None),
    }
    for key, value in asked.items():
        if value in ("best", MERGED):
            raise SuiteError(
                f"{key} asks for {value}, but no task is scored on the select split, so no "
                "checkpoint is chosen.",
                where=file.at(key),
                hint=_CHOOSE,
            )


def _check_stopping(file: SuiteFile) -> None:
    """Refuse to stop a training by a task that is not there, or has not what is needed."""
    stopping = file.suite.train and file.suite.train.early_stopping
    if not stopping or stopping.task is None:
        return
    key, task = "train.early_stopping.task", file.suite.tasks.get(stopping.task)
    if task is None or task.brings_data or SPLIT not in task.scored_splits:
        raise SuiteError(
            f"{key} is {stopping.task}, which is no generation or perplexity task that is scored "
            f"on {SPLIT}.",
            where=file.at(key),
            hint=_CHOOSE,
        )
    names = [spec.name for spec in task.metric_specs or ()]
    if stopping.metric is not None and stopping.metric not in names:
        raise SuiteError(
            f"{stopping.task} has no metric {stopping.metric}; it has {', '.join(names)}.",
            where=file.at("train.early_stopping.metric"),
        )


def _check_human(file: SuiteFile) -> None:
    """Refuse to have outputs rated that are not generated, or not on the splits of the items."""
    human, tasks = file.suite.human, file.suite.tasks
    name = human.task
    if name is not None and not _task_named(file, "human.task", name).writes_texts:
        raise SuiteError(
            f"human.task names {name!r}, which generates no text that could be rated.",
            where=file.at("human.task"),
            hint="Name a generation task.",
        )
    if name is None and "human" in file.suite.model_fields_set:
        generating = [task for task, spec in tasks.items() if spec.writes_texts]
        deciding = primary_metric(file.suite)
        named = [deciding[0]] if deciding and deciding[0] in generating else generating
        name = next(iter(named), None)
    task = tasks.get(name or "")
    if task is None or not task.writes_texts:
        return  # nobody asked for ratings
    lacking = [split for split in human.splits if split not in task.scored_splits]
    if lacking:
        raise SuiteError(
            f"human.splits names {', '.join(lacking)}, on which {name} is not generated.",
            where=file.at("human.splits"),
            hint=f"It is generated on: {', '.join(task.scored_splits)}.",
        )


def _check_rated(file: SuiteFile, key: str, metric: str | None, split: str) -> None:
    """Refuse a rule about ratings that are not asked for, or not on its split."""
    human = file.suite.human
    names = [criterion.name for criterion in human.all_criteria]
    names += [PREFERENCE] if human.preference != "none" else []
    if metric not in names:
        raise SuiteError(
            f"{key}.metric is {metric!r}, but raters are asked for: {', '.join(names)}.",
            where=file.at(f"{key}.metric"),
            hint="Name one of these; preference is the share of comparisons won by a variant.",
        )
    if split not in human.splits:
        raise SuiteError(
            f"{key} reads ratings of the {split} split, but human.splits holds "
            f"{', '.join(human.splits)}.",
            where=file.at(key),
            hint=f"Add {split} to human.splits.",
        )


def _check_constraint(file: SuiteFile, key: str, constraint: ConstraintSpec) -> None:
    """Refuse a constraint by what is never scored on the select split, or never measured."""
    if constraint.task is not None:
        _check_watched(file, key, constraint.task, constraint.metric)
    else:
        _check_measurement(file, key, constraint)


def _check_select(file: SuiteFile) -> None:
    """Refuse a choice by what is never scored on the select split."""
    chosen = file.suite.select
    if chosen.task is not None:
        task = _task_named(file, "select.task", chosen.task)
        if SPLIT not in task.scored_splits:
            raise SuiteError(
                f"select.task names {chosen.task!r}, which is not scored on the select split.",
                where=file.at("select.task"),
                hint=_CHOOSE,
            )
        if task.metric_specs is None:
            raise SuiteError(
                f"select.task names {chosen.task!r}, whose metrics show only when it runs, so no "
                "checkpoint is chosen by them.",
                where=file.at("select.task"),
                hint=_CHOOSE,
            )
    choosing = file.suite.train is not None or file.suite.checkpoints is not None
    if chosen.metric is None and not choosing:
        return
    deciding = primary_metric(file.suite)
    named = file.suite.tasks[deciding[0]] if deciding else None
    if chosen.metric is None and named is None:
        return  # nothing decides, which the choice says
    if deciding is None or named is None or named.metric_specs is None:
        raise SuiteError(
            f"select.metric names {chosen.metric!r}, but no task is scored on the select split.",
            where=file.at("select.metric"),
            hint=_CHOOSE,
        )
    _check_metric_of(file, "select.metric", deciding[0], named, chosen.metric)


def _check_watched(file: SuiteFile, key: str, name: str, metric: str | None) -> None:
    """Refuse a score that no choice can look at. What lm-eval's tasks hold shows when they run."""
    if name == HUMAN:
        _check_rated(file, key, metric, "select")
        return
    task_id = name.partition("/")[0]
    task = _task_named(file, f"{key}.task", task_id)
    if task.brings_data:
        return
    _check_no_member(file, key, name)
    if SPLIT not in task.scored_splits:
        raise SuiteError(
            f"{key}.task names {name!r}, which is not scored on the select split.",
            where=file.at(f"{key}.task"),
            hint=f"Add select to tasks.{name}.splits: a choice reads nothing that is claimed.",
        )
    _check_metric_of(file, f"{key}.metric", name, task, metric)


def _check_gated(file: SuiteFile, key: str, rule: GatedMetric) -> None:
    """Refuse a gate that watches what is never scored."""
    if rule.task == HUMAN:
        _check_rated(file, key, rule.metric, rule.split or "report")
        _check_not_chosen_by(file, f"{key}.split", rule.split)
        return
    task_id = rule.task.partition("/")[0]
    task = _task_named(file, f"{key}.task", task_id)
    splits = task.scored_splits
    if rule.split is not None and rule.split not in splits:
        raise SuiteError(
            f"{key}.split names {rule.split!r}, on which {task_id} is not scored.",
            where=file.at(f"{key}.split"),
            hint=f"It is scored on: {', '.join(splits)}.",
        )
    _check_not_chosen_by(file, f"{key}.split", rule.split)
    if task.brings_data:
        return  # its metrics and members show when it runs
    _check_no_member(file, key, rule.task)
    _check_metric_of(file, f"{key}.metric", task_id, task, rule.metric)


def _check_no_member(file: SuiteFile, key: str, name: str) -> None:
    """Refuse a member of a task that has none."""
    task_id, slash, _ = name.partition("/")
    if slash:
        raise SuiteError(
            f"{key}.task names {name!r}, but {task_id} has no members.",
            where=file.at(f"{key}.task"),
            hint=f"Write {task_id}; only groups of lm-eval have members.",
        )


def _check_not_chosen_by(file: SuiteFile, key: str, split: str | None) -> None:
    """Refuse to gate a choice on the split that it was made on: the best of several looks better.

    A variant that is named was not chosen there, and may be.
    """
    chosen = [name for name in file.suite.gate.variants if name in (CHOSEN, MERGED)]
    if split == SPLIT and chosen:
        raise SuiteError(
            f"{key} is {split}, but the checkpoint is chosen on that split, so {chosen[0]} looks "
            "better there than it is.",
            where=file.at(key),
            hint="Gate it on report.",
        )


def check_gated(file: SuiteFile, known: Sequence[str]) -> None:
    """Refuse to gate a variant that the run cannot have.

    Args:
        file: The suite and its place.
        known: Variants of the run, as patterns where training has yet to name them.

    Raises:
        SuiteError: Names the variant, and those that there are.
    """
    for name in file.suite.gate.variants:
        if name not in (CHOSEN, MERGED) and not any(fnmatch.fnmatchcase(name, k) for k in known):
            raise SuiteError(
                f"gate.variants names {name!r}, which is not a variant of this suite.",
                where=file.at("gate.variants"),
                hint=choices(name, (CHOSEN, MERGED, *known)),
            )


def _check_measurement(file: SuiteFile, key: str, constraint: ConstraintSpec) -> None:
    name = str(constraint.measurement)
    _check_measured(file, key, name)
    sizes = [bound for bound in (constraint.min, constraint.max) if isinstance(bound, str)]
    if sizes and "bytes" not in name:
        raise SuiteError(
            f"{key} bounds {name} by {sizes[0]!r}, but it is not counted in bytes.",
            where=file.at(key),
            hint="Write a number in the quantity's own unit.",
        )


def _check_measured(file: SuiteFile, key: str, name: str) -> None:
    if name not in MEASURED:
        raise SuiteError(
            f"{key}.measurement names {name!r}, which is not a measured quantity.",
            where=file.at(f"{key}.measurement"),
            hint=choices(name, sorted(MEASURED)),
        )
    if file.suite.measure is None:
        raise SuiteError(
            f"{key} names {name}, but the suite measures nothing.",
            where=file.at(key),
            hint="Add a measure section.",
        )


def _task_named(file: SuiteFile, key: str, name: str) -> TaskSpec:
    tasks = file.suite.tasks
    if name not in tasks:
        raise SuiteError(
            f"{key} names {name!r}, which is not a task of this suite.",
            where=file.at(key),
            hint=choices(name, tasks),
        )
    return tasks[name]


def _check_metric_of(
    file: SuiteFile, key: str, name: str, task: TaskSpec, metric: str | None
) -> None:
    if task.metric_specs is None:
        return  # only its run will tell
    metrics = {entry.name: entry for entry in task.metric_specs}
    modules = [name for name in metrics if is_evaluate_module(name)]
    if metric and metric not in metrics:
        hint = ""
        if modules:
            hint = (
                f" {modules[0]} is one metric, by this whole name; its option key says which of "
                "the module's results it is."
            )
        raise SuiteError(
            f"{key} names {metric!r}, which {name} does not have.",
            where=file.at(key),
            hint=f"It has: {', '.join(metrics)}.{hint}",
        )
    entry = metrics[metric or next(iter(metrics))]
    if is_evaluate_module(entry.name) and not read_options(entry).per_example:
        raise SuiteError(
            f"{key} is {entry.name}, which scores all examples at once: nothing per example, so "
            "nothing to compare variants by.",
            where=file.at(key),
            hint="Give it the option per_example: true, if its value is the mean over examples, "
            "or name another metric.",
        )
