"""Whether the parts of a suite fit each other, and what they name exists.

These are the checks that need more than the file itself; they cost next to nothing, so that a
mistake shows before anything long.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterator, Sequence

from harness.analysis.select import primary_metric
from harness.errors import SuiteError
from harness.human_spec import PREFERENCE
from harness.identities import TRAIN
from harness.measure.glossary import definitions
from harness.metrics.registry import check_metric, is_evaluate_module
from harness.rules import CHOSEN, MERGED, ConstraintSpec
from harness.schema import HUMAN, MEASURE
from harness.spec import GenerationTask, LmEvalTask, MetricSpec, PerplexityTask, TaskSpec
from harness.suite import SuiteFile
from harness.train.arguments import check_arguments

_TAKEN = (MEASURE, HUMAN, TRAIN)  # names that stand for something else
_LOSSES = ("eval_loss", "perplexity")  # metrics of a perplexity task


def check_suite(file: SuiteFile) -> None:
    """Checks that need more than the file itself: arguments of TRL, metrics, what decides.

    Raises:
        UsageError: Something is wrong.
    """
    suite = file.suite
    if suite.train is not None:
        check_arguments(suite.train, str(file.path))
    for task_id, task in suite.tasks.items():
        if task_id in _TAKEN or "/" in task_id:
            raise SuiteError(
                f"tasks.{task_id}: a task must not be called {', '.join(map(repr, _TAKEN))}, "
                "nor hold a slash.",
                where=str(file.path),
                mend="Choose another name.",
            )
        if isinstance(task, GenerationTask):
            for metric in task.metrics:
                check_metric(metric)
    _check_human(file)
    _check_select(file)
    _check_gate(file)


def _check_human(file: SuiteFile) -> None:
    """Refuse to have outputs rated that are not generated, or not on the splits of the items."""
    human, where, tasks = file.suite.human, str(file.path), file.suite.tasks
    name = human.task
    if name is not None and not isinstance(_task_named(file, "human.task", name), GenerationTask):
        raise SuiteError(
            f"human.task names {name!r}, which generates no text that could be rated.",
            where=where,
            mend="Name a generation task.",
        )
    if name is None and "human" in file.suite.model_fields_set:
        generating = [task for task, spec in tasks.items() if isinstance(spec, GenerationTask)]
        deciding = primary_metric(file.suite)
        named = [deciding[0]] if deciding and deciding[0] in generating else generating
        name = next(iter(named), None)
    task = tasks.get(name or "")
    if not isinstance(task, GenerationTask):
        return  # nobody asked for ratings
    lacking = [split for split in human.splits if split not in task.splits]
    if lacking:
        raise SuiteError(
            f"human.splits names {', '.join(lacking)}, on which {name} is not generated.",
            where=where,
            mend=f"It is generated on: {', '.join(task.splits)}.",
        )


def _check_rated(file: SuiteFile, key: str, metric: str | None, split: str) -> None:
    """Refuse a rule about ratings that are not asked for, or not on its split."""
    human = file.suite.human
    names = [criterion.name for criterion in human.all_criteria]
    names += [PREFERENCE] if human.preference != "none" else []
    if metric not in names:
        raise SuiteError(
            f"{key}.metric is {metric!r}, but raters are asked for: {', '.join(names)}.",
            where=str(file.path),
            mend="Name one of these; preference is the share of comparisons won by a variant.",
        )
    if split not in human.splits:
        raise SuiteError(
            f"{key} reads ratings of the {split} split, but human.splits holds "
            f"{', '.join(human.splits)}.",
            where=str(file.path),
            mend=f"Add {split} to human.splits.",
        )


def _check_select(file: SuiteFile) -> None:
    """Refuse a choice, or a constraint of it, by what is never scored on the select split."""
    chosen, where = file.suite.select, str(file.path)
    for place, constraint in enumerate(chosen.constraints):
        key = f"select.constraints[{place}]"
        if constraint.task is not None:
            _check_watched(file, key, constraint.task, constraint.metric)
        else:
            _check_measurement(file, key, constraint)
    mend = "Choose by a generation or perplexity task whose splits hold select."
    if chosen.task is not None:
        task = _task_named(file, "select.task", chosen.task)
        if isinstance(task, LmEvalTask) or "select" not in task.splits:
            raise SuiteError(
                f"select.task names {chosen.task!r}, which is not scored on the select split.",
                where=where,
                mend=mend,
            )
    if chosen.metric is None:
        return
    deciding = primary_metric(file.suite)
    named = file.suite.tasks[deciding[0]] if deciding else None
    if deciding is None or named is None or isinstance(named, LmEvalTask):
        raise SuiteError(
            f"select.metric names {chosen.metric!r}, but no task is scored on the select split.",
            where=where,
            mend=mend,
        )
    _check_metric_of(file, "select.metric", deciding[0], named, chosen.metric)


def _check_watched(file: SuiteFile, key: str, name: str, metric: str | None) -> None:
    """Refuse a score that no choice can look at. What lm-eval's tasks hold shows when they run."""
    if name == HUMAN:
        _check_rated(file, key, metric, "select")
        return
    task_id, slash, _ = name.partition("/")
    task = _task_named(file, f"{key}.task", task_id)
    if isinstance(task, LmEvalTask):
        return
    if slash:
        raise SuiteError(
            f"{key}.task names {name!r}, but {task_id} has no members.",
            where=str(file.path),
            mend=f"Write {task_id}; only groups of lm-eval have members.",
        )
    if "select" not in task.splits:
        raise SuiteError(
            f"{key}.task names {name!r}, which is not scored on the select split.",
            where=str(file.path),
            mend=f"Add select to tasks.{name}.splits: a choice reads nothing that is claimed.",
        )
    _check_metric_of(file, f"{key}.metric", name, task, metric)


def _check_gate(file: SuiteFile) -> None:
    """Refuse a gate that watches what is never scored or measured."""
    for place, rule in enumerate(file.suite.gate.metrics):
        key = f"gate.metrics[{place}]"
        if rule.task == HUMAN:
            _check_rated(file, key, rule.metric, rule.split or "report")
            continue
        task_id, slash, _ = rule.task.partition("/")
        task = _task_named(file, f"{key}.task", task_id)
        splits = ("all",) if isinstance(task, LmEvalTask) else task.splits
        if rule.split is not None and rule.split not in splits:
            raise SuiteError(
                f"{key}.split names {rule.split!r}, on which {task_id} is not scored.",
                where=str(file.path),
                mend=f"It is scored on: {', '.join(splits)}.",
            )
        if isinstance(task, LmEvalTask):
            continue  # its metrics and members show when it runs
        if slash:
            raise SuiteError(
                f"{key}.task names {rule.task!r}, but {task_id} has no members.",
                where=str(file.path),
                mend=f"Write {task_id}; only groups of lm-eval have members.",
            )
        _check_metric_of(file, f"{key}.metric", task_id, task, rule.metric)
    for place, watched in enumerate(file.suite.gate.measurements):
        _check_measured(file, f"gate.measurements[{place}]", watched.measurement)


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
            near = difflib.get_close_matches(name, [CHOSEN, MERGED, *known], n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise SuiteError(
                f"gate.variants names {name!r}, which is not a variant of this suite.",
                where=str(file.path),
                mend=f"{hint}There are: {CHOSEN}, {MERGED}, {', '.join(known)}.",
            )


def _check_measurement(file: SuiteFile, key: str, constraint: ConstraintSpec) -> None:
    name = str(constraint.measurement)
    _check_measured(file, key, name)
    sizes = [bound for bound in (constraint.min, constraint.max) if isinstance(bound, str)]
    if sizes and "bytes" not in name:
        raise SuiteError(
            f"{key} bounds {name} by {sizes[0]!r}, but it is not counted in bytes.",
            where=str(file.path),
            mend="Write a number in the quantity's own unit.",
        )


def _check_measured(file: SuiteFile, key: str, name: str) -> None:
    known = definitions()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise SuiteError(
            f"{key}.measurement names {name!r}, which is not a measured quantity.",
            where=str(file.path),
            mend=f"{hint}There are: {', '.join(sorted(known))}.",
        )
    if file.suite.measure is None:
        raise SuiteError(
            f"{key} names {name}, but the suite measures nothing.",
            where=str(file.path),
            mend="Add a measure section.",
        )


def _task_named(file: SuiteFile, key: str, name: str) -> TaskSpec:
    tasks = file.suite.tasks
    if name not in tasks:
        near = difflib.get_close_matches(name, tasks, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise SuiteError(
            f"{key} names {name!r}, which is not a task of this suite.",
            where=str(file.path),
            mend=f"{hint}There are: {', '.join(tasks)}.",
        )
    return tasks[name]


def _check_metric_of(
    file: SuiteFile,
    key: str,
    name: str,
    task: GenerationTask | PerplexityTask,
    metric: str | None,
) -> None:
    metrics = list(_metric_names(task))
    if metric and metric not in metrics and not any(map(is_evaluate_module, metrics)):
        raise SuiteError(
            f"{key} names {metric!r}, which {name} does not have.",
            where=str(file.path),
            mend=f"It has: {', '.join(metrics)}.",
        )


def _metric_names(task: GenerationTask | PerplexityTask) -> Iterator[str]:
    if isinstance(task, PerplexityTask):
        yield from _LOSSES
    else:
        yield from (m.name if isinstance(m, MetricSpec) else m for m in task.metrics)
