"""The spine: examples, training, cells, measurements, choice, merging, manifest.

Each step takes what the one before it left and looks in the store first, so running again is
resuming, and a finished run computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from harness.checks.base import findings_about
from harness.console import Reporter
from harness.doors import EXECUTORS, TASK_TYPES
from harness.errors import DiskError
from harness.models.source import locate
from harness.plan.plan import EvalCell, make_plan
from harness.run.cells import compute_cells, fail_cells
from harness.run.examples import read_examples
from harness.run.executors import Executor, Workers
from harness.run.measure import measure_cells
from harness.run.merge import is_damaged, merged_weights, plan_merged, unmerged
from harness.run.only import check_matches, check_patterns, needs_training
from harness.run.overlaps import look_for_overlaps
from harness.run.state import Options, Run, start
from harness.run.trackers import track
from harness.run.trained import look_at_training
from harness.run.written import look_at_outputs
from harness.schema import TRAIN, Example, Manifest, Proof
from harness.select.checkpoint import select_checkpoint
from harness.store.prune import referenced
from harness.store.runs import Store
from harness.suite.rules import SelectSpec
from harness.suite.spec import TrainSpec
from harness.tasks.base import TaskRequest, examples_of
from harness.validate.suite import CheckedSuite


def run_suite(file: CheckedSuite, store: Store, options: Options, reporter: Reporter) -> Manifest:
    """Train if needed, compute and measure what is missing, choose, merge; write the manifest.

    Raises:
        UsageError: The suite's data or its models are wrong; what was finished is kept.
    """
    name, _, address = options.executor.partition(":")
    executor: Executor = EXECUTORS.get(name, where=f"--executor {name}")
    with store.locked():
        _pin_base(file)
        run = start(file, store, options, reporter)
        check_patterns(run)
        run.findings += findings_about(file.suite)
        examples = read_examples(run)
        look_for_overlaps(run, examples)
        with store.running(file.suite.name, run.plan.run_id), ExitStack() as held:
            workers = None
            if not options.train_only:  # a wrong address must not show after hours of training
                start_workers = partial(executor.start, address, reporter)
                workers = EXECUTORS.ask(name, lambda: held.enter_context(start_workers()))
            _train(run, examples)
            look_at_training(run)
            run.ended = options.train_only
            manifest = run.save()  # it names the training, which prune might take for garbage else
            return manifest if workers is None else _evaluate(run, workers)


def _evaluate(run: Run, workers: Workers) -> Manifest:
    """All that follows training."""
    compute_cells(run, workers, _first_phase(run))
    failures = _measure(run, merged=False)  # memory and speed may constrain the choice
    run.catch_up()
    _choose(run)
    refused = _merge_and_compute(run, workers)
    _measure(run, merged=True, failures=failures, refused=refused)
    return _finish(run)


def _choose(run: Run) -> None:
    run.selection = select_checkpoint(
        run.store, run.plan.variants, run.results.values(), run.file.suite, run.plan.baseline
    )


def _pin_base(file: CheckedSuite) -> None:
    """Resolve a Hub model's revision to a commit first, for that is part of every key."""
    base = file.suite.base
    if locate(base, file.base_dir).kind == "hub":
        from harness.models.builtin import resolve_model

        resolve_model(base, file.base_dir)


def _train(run: Run, examples: Mapping[str, Sequence[Example]]) -> None:
    """Train what something waits for; then plan again, now with its checkpoints."""
    wanted = [training for training in run.plan.trainings if needs_training(run, training)]
    if not wanted:
        return
    if not run.options.train_only:
        _rehearse(run, examples)
    run.save()  # a training that is cut off leaves a run to see
    from harness.train.session import train_once

    for training in wanted:
        item = training.item
        train_once(
            *(run.file, training.spec, run.store, item.key, item.identity),
            *(examples[TRAIN], run.reporter, _watch(run, training.spec)),
        )
        run.plan = make_plan(run.file, run.store)
        run.save()


def _watch(run: Run, spec: TrainSpec) -> Callable[[Any], Any] | None:
    """What stops a training by a task, where that is asked for."""
    stopping = spec.early_stopping
    if stopping is None or stopping.task is None:
        return None
    from harness.run.callback import HarnessCallback

    rules = SelectSpec(task=stopping.task, metric=stopping.metric)
    file = replace(run.file, suite=run.file.suite.model_copy(update={"select": rules}))
    return partial(
        HarnessCallback,
        suite=file,
        tasks=[stopping.task],
        limit=stopping.limit,
        patience=stopping.patience,
        budget=None,  # by a clock, no training would be like another
        say=lambda line: run.reporter.say(f"  {line}"),
    )


def _rehearse(run: Run, examples: Mapping[str, Sequence[Example]]) -> None:
    """Try every task once before a training: a mistake in one must not show hours later."""
    suite, base_dir = run.file.suite, run.file.base_dir
    for name, task in suite.tasks.items():
        own = examples_of(task, examples.get(name, ()))
        TASK_TYPES.get(task.type).rehearse(TaskRequest(name, suite, base_dir, own))


def _merged(run: Run) -> set[str]:
    return {variant.id for variant in run.plan.variants if variant.kind == "merged"}


def _first_phase(run: Run) -> list[EvalCell]:
    """All cells but measurements and those of merged models, which wait for the choice."""
    merged = _merged(run)
    cells = [cell for cell in run.plan.cells if isinstance(cell, EvalCell)]
    return [cell for cell in cells if cell.variant not in merged]


def _merge_and_compute(run: Run, workers: Workers) -> dict[str, str]:
    """Phase two: merge what ``matrix.merged`` asks for, and evaluate it; returns what cannot be."""
    refused = {}
    for variant in plan_merged(run):
        own = [c for c in run.plan.cells if isinstance(c, EvalCell) and c.variant == variant.id]
        missing = [cell for cell in own if not cell.stored and run.wants(cell)]
        weights = None
        proofs: tuple[Proof, ...] = ()
        if missing or is_damaged(run, variant):
            try:
                weights, made = merged_weights(run, variant)
                proofs = (made.proof,) if made.proof else ()
            except DiskError:
                raise
            except Exception as error:  # it is these cells' result and not the run's end
                refused[variant.id] = reason = unmerged(error)
                run.reporter.warn(f"{variant.id} failed: {reason}")
                fail_cells(run, missing, reason)
                own = [cell for cell in own if cell not in missing]
        compute_cells(run, workers, own, weights, proofs)
    return refused


def _measure(
    run: Run,
    *,
    merged: bool,
    failures: dict[str, str] | None = None,
    refused: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Measure merged variants, or all others; returns what failed, for equal shapes fail alike."""
    failures = {} if failures is None else failures
    grid = run.file.suite.measure
    if grid is not None:
        of_merged = _merged(run)
        cells = [cell for cell in run.plan.cells if (cell.variant in of_merged) == merged]
        measure_cells(run, grid, cells, failures, refused)
    return failures


def _finish(run: Run) -> Manifest:
    """Write the manifest of what was planned, without what is not part of the run any more.

    Where another eval of the same run has finished cells meanwhile, the choice is made among all.
    """
    with run.holding():
        if run.catch_up():
            _choose(run)
            plan_merged(run)
        planned = [(cell.variant, cell.task) for cell in run.plan.cells]
        run.results = {place: run.results[place] for place in planned if place in run.results}
        run.take_over()  # ratings are no part of the plan
        run.ended = True
        look_at_outputs(run)
        manifest = run.write()
    for kind, key in referenced([manifest]):
        run.store.add_digests(kind, key)
    check_matches(run)
    track(run, manifest)
    return manifest
