"""Computes cells: variant by variant over each loaded base, and keeps what comes out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.engines.probe import EngineChoice
from harness.errors import ModelError, UsageError
from harness.plan.plan import Cell
from harness.run.context import Workplace
from harness.run.host import Host, loaded
from harness.run.state import named
from harness.schema import Environment, Example, Finding, Prediction, Variant
from harness.store.runs import Store
from harness.suite.spec import GenerationTask, PerplexityTask
from harness.tasks.generation import (
    predict,
    predict_together,
    score,
    select_examples,
    together_pays,
)
from harness.tasks.outcome import TaskOutcome
from harness.tasks.perplexity import run_perplexity


def compute_cells(work: Workplace, variants: Sequence[Variant], cells: Sequence[Cell]) -> None:
    """Compute cells, each base loaded once for all variants that stand on it.

    A failure in one cell marks that cell and leaves the others alone; an error of the user's
    (``UsageError``) ends the run, with what was finished kept.
    """
    cells, equal = _told_apart(work.store, cells)
    texts_there = [cell for cell in cells if _only_to_score(work.store, cell)]
    for cell in texts_there:  # a new metric needs no model
        _compute_cell(work, cell, None, None)
    cells = [cell for cell in cells if cell not in texts_there]
    wanted = {cell.variant for cell in cells}
    for group in _by_weights([variant for variant in variants if variant.id in wanted]):
        with loaded(work, group) as host:
            _predict_together(work, host, group, cells)
            for variant in group:
                own = [cell for cell in cells if cell.variant == variant.id]
                _compute_variant(work, host, variant, own)
    for cell in equal:
        _take_equal(work, cell)


def _told_apart(store: Store, cells: Sequence[Cell]) -> tuple[list[Cell], list[Cell]]:
    """Cells to compute, and those that equal one of them or one that was computed since planning.

    Copies of a checkpoint under several names have equal keys.
    """
    begun: set[str] = set()
    first: list[Cell] = []
    equal: list[Cell] = []
    for cell in cells:
        key = cell.scores.key if cell.scores is not None else cell.id
        known = key in begun or store.has("scores", key)
        (equal if known else first).append(cell)
        begun.add(key)
    return first, equal


def _take_equal(work: Workplace, cell: Cell) -> None:
    """Take over what became of an equal cell."""
    work.begin(cell)
    if cell.scores is None or not work.store.has("scores", cell.scores.key):
        work.failed(cell, "a cell with equal weights and inputs failed.")
        return
    kept = work.store.read_records("scores", cell.scores.key, "findings", Finding)
    work.findings += named(cell.variant, kept)
    work.on_result(cell.done())


def _only_to_score(store: Store, cell: Cell) -> bool:
    there = cell.predictions is not None and store.has("predictions", cell.predictions.key)
    return there and cell.kind == "generation"


def _by_weights(variants: Sequence[Variant]) -> list[list[Variant]]:
    """Group variants that stand on the same loaded weights."""
    groups: dict[tuple[str, str], list[Variant]] = {}
    for variant in variants:
        shared = variant.kind in ("base", "adapter")
        key = (variant.precision, "" if shared else variant.id)
        groups.setdefault(key, []).append(variant)
    return list(groups.values())


def _predict_together(
    work: Workplace, host: Host, group: Sequence[Variant], cells: Sequence[Cell]
) -> None:
    """Generate what several variants of one base lack in common batches, task by task.

    Each variant's texts are stored as if it had written them alone; its cells then find them. What
    cannot be done together, for whatever reason, is left to be done one after another.
    """
    able = {v.id: v.kind == "adapter" for v in group if host.failure_of(v) is None}
    if host.adapters is None or len(able) < 2:
        return
    for task_id, task in work.file.suite.tasks.items():
        lacking = [
            cell
            for cell in cells
            if (cell.task, cell.variant in able) == (task_id, True)
            and not _only_to_score(work.store, cell)
        ]
        if not isinstance(task, GenerationTask) or len(lacking) < 2:
            continue
        examples = select_examples(work.examples[task_id], task.splits, task.limit)
        if not together_pays(task, examples, work.policy):
            continue
        of_cell = {(c.variant if able[c.variant] else None): c for c in lacking}
        reason = host.adapters.why_not_mixed(list(of_cell))
        if reason is None:
            try:
                _predict_mixed(work, host, task, examples, of_cell)
            except ModelError as error:  # memory for one at a time may still suffice
                reason = str(error)
            except UsageError:
                raise
            except Exception as error:  # likewise
                reason = work.reason(error)
        if reason is not None:
            work.reporter.say(f"{task_id}: variants are predicted one after another: {reason}")


def _predict_mixed(
    work: Workplace,
    host: Host,
    task: GenerationTask,
    examples: Sequence[Example],
    of_cell: Mapping[str | None, Cell],
) -> None:
    """Generate one task's texts by several variants at once, and store them."""
    if host.adapters is None:
        raise TypeError("no adapters are loaded")
    task_id = next(iter(of_cell.values())).task
    _, prompt = work.file.suite.task_data(task_id)
    label = f"{task_id} for {', '.join(cell.variant for cell in of_cell.values())}"
    with host.adapters.mixed(list(of_cell)) as mixture, work.reporter.task(label) as advance:
        texts = predict_together(
            task,
            prompt,
            examples,
            mixture,
            host.tokenizer,
            seed=work.file.suite.seed,
            progress=advance,
        )
    for variant, cell in of_cell.items():
        _store_predictions(work, cell, texts[variant])


def _compute_variant(work: Workplace, host: Host, variant: Variant, cells: Sequence[Cell]) -> None:
    failure = host.failure_of(variant)
    if failure is not None:
        for cell in cells:
            work.failed(cell, failure)
        return
    with host.active(variant) as model:
        for cell in cells:
            _compute_cell(work, cell, model, host.tokenizer, host.probed.get(variant.id, ()))


def _compute_cell(
    work: Workplace, cell: Cell, model: Any, tokenizer: Any, probed: Sequence[Finding] = ()
) -> None:
    """Compute and keep one cell; a failure is its result.

    There is no model where the texts are there and only scores are missing. What was noticed
    about the variant itself (``probed``) is kept with each of its cells.
    """
    work.begin(cell)
    started = time.perf_counter()
    try:
        _store_cell(work, cell, model, tokenizer, probed)
    except UsageError:
        raise
    except Exception as error:  # one failed cell must not end a long run
        work.failed(cell, work.reason(error), time.perf_counter() - started)
        return
    work.on_result(cell.done(seconds=time.perf_counter() - started, computed=True))


def _store_cell(
    work: Workplace, cell: Cell, model: Any, tokenizer: Any, probed: Sequence[Finding]
) -> None:
    suite, store = work.file.suite, work.store
    task = suite.tasks[cell.task]
    with work.reporter.task(cell.id) as advance:
        if isinstance(task, GenerationTask):
            outcome = _generation(work, cell, task, model, tokenizer, advance)
        elif isinstance(task, PerplexityTask):
            _, prompt = suite.task_data(cell.task)
            outcome = run_perplexity(
                cell.task,
                task,
                prompt,
                select_examples(work.examples[cell.task], task.splits, task.limit),
                model,
                tokenizer,
                progress=advance,
            )
        else:
            outcome = _lm_eval(work, cell, model, advance)
    outcome.findings += probed
    work.findings += named(cell.variant, outcome.findings)
    _write_scores(store, cell, outcome, work.environment)


def _generation(
    work: Workplace,
    cell: Cell,
    task: GenerationTask,
    model: Any,
    tokenizer: Any,
    advance: Callable[..., None],
) -> TaskOutcome:
    """Predictions from the store, or generated; then scores."""
    _, prompt = work.file.suite.task_data(cell.task)
    examples = select_examples(work.examples[cell.task], task.splits, task.limit)
    keyed = cell.predictions
    if keyed is None:
        raise TypeError(f"{cell.id} has no predictions key")
    if not work.store.has("predictions", keyed.key):
        predictions = predict(
            task,
            prompt,
            examples,
            model,
            tokenizer,
            seed=work.file.suite.seed,
            progress=advance,
        )
        _store_predictions(work, cell, predictions)
    stored = work.store.read_records("predictions", keyed.key, "predictions", Prediction)
    return score(cell.task, task, examples, stored, base_dir=work.file.base_dir)


def _store_predictions(work: Workplace, cell: Cell, predictions: Sequence[Prediction]) -> None:
    keyed = cell.predictions
    if keyed is None:
        raise TypeError(f"{cell.id} has no predictions key")
    with work.store.writing("predictions", keyed.key, keyed.identity) as folder:
        work.store.write_records(folder, "predictions", predictions)
        work.store.write_record(folder, "environment", work.environment)


def _lm_eval(work: Workplace, cell: Cell, model: Any, advance: Callable[..., None]) -> TaskOutcome:
    work.prepare([cell.task])

    def tell(choice: EngineChoice) -> None:
        # whoever waits for a slower engine should know from the start
        say = work.reporter.detail if choice.engine == "tree" else work.reporter.say
        say(f"  engine {choice.engine}: {choice.why}")

    outcome = work.lm_eval[cell.task].run(
        model, device=work.policy.device, progress=advance, on_engine=tell
    )
    keyed = cell.predictions
    if keyed is not None and not work.store.has("predictions", keyed.key):
        with work.store.writing("predictions", keyed.key, keyed.identity) as folder:
            lines = "".join(json.dumps(sample) + "\n" for sample in outcome.samples)
            (folder / "samples.jsonl").write_text(lines, "utf-8")
            work.store.write_records(folder, "datasets", outcome.datasets)
            work.store.write_record(folder, "environment", work.environment)
    return outcome


def _write_scores(store: Store, cell: Cell, outcome: TaskOutcome, environment: Environment) -> None:
    if cell.scores is None:
        raise TypeError(f"{cell.id} has no scores key")
    with store.writing("scores", cell.scores.key, cell.scores.identity) as folder:
        store.write_records(folder, "scores", outcome.scores)
        store.write_records(folder, "findings", outcome.findings)
        store.write_record(folder, "environment", environment)
        with (folder / "stats.npz").open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **outcome.arrays)
