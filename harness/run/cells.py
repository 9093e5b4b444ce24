"""Cells stage: what is missing becomes jobs for the executor, and what comes back is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.doors import EXECUTORS
from harness.plan.keys import Keyed
from harness.plan.plan import EvalCell
from harness.run.executors import CellJob, CellOutcome, CellStart, StoreKey, Workers
from harness.run.state import Run, named
from harness.schema import Finding, Proof


def compute_cells(
    run: Run,
    workers: Workers,
    cells: Sequence[EvalCell],
    weights: Path | None = None,
    proofs: Sequence[Proof] = (),
) -> None:
    """Take note of the cells that are there, and compute those that are missing and wanted.

    Args:
        run: The run.
        workers: Who computes them.
        cells: Cells of the plan.
        weights: Folder of their merged model, where they are of one.
        proofs: What was proved of that model.

    Raises:
        UsageError: A mistake of the user's; what was finished is kept.
    """
    for cell in cells:
        if cell.stored:
            run.take(cell)
    missing = [cell for cell in cells if not cell.stored and run.wants(cell)]
    run.expected += len(missing)
    first, equal = _equal_apart(run, missing)
    _compute(run, workers, first, [_job(run, cell, weights, proofs) for cell in first])
    for cell in equal:
        _take_equal(run, cell)


def _compute(
    run: Run, workers: Workers, cells: Sequence[EvalCell], jobs: Sequence[CellJob]
) -> None:
    """Have cells computed, and record what becomes of each; an executor must tell of all."""
    name = run.options.executor.partition(":")[0]
    left = {cell.id: cell for cell in cells}
    for event in _events(name, workers, jobs):
        if not isinstance(event, CellStart | CellOutcome):
            raise EXECUTORS.broken(name, f"told of {event!r}, which is no event of a cell")
        cell = left.get(f"{event.variant}/{event.task}")
        if cell is None:
            what = f"{event.variant}/{event.task}, which it was not given, or had told of"
            raise EXECUTORS.broken(name, f"told of {what}")
        if isinstance(event, CellStart):
            run.begin(cell)
        else:
            del left[cell.id]
            _record(run, cell, event)
    if left:
        raise EXECUTORS.broken(name, f"did not tell what became of {', '.join(left)}")


def _events(name: str, workers: Workers, jobs: Sequence[CellJob]) -> Iterator[Any]:
    """What workers tell; what an executor of another package raises is told as its fault."""
    events = EXECUTORS.ask(name, lambda: iter(workers.compute(jobs)))
    end = object()
    while (event := EXECUTORS.ask(name, lambda: next(events, end))) is not end:
        yield event


def fail_cells(run: Run, cells: Sequence[EvalCell], reason: str) -> None:
    """Record that cells failed for a reason that was told already."""
    for cell in cells:
        run.record(cell.failed(reason))


def _equal_apart(run: Run, cells: Sequence[EvalCell]) -> tuple[list[EvalCell], list[EvalCell]]:
    """Cells to compute, and those that equal one of them or one that was computed since planning.

    Copies of a checkpoint under several names have equal keys.
    """
    begun: set[str] = set()
    first: list[EvalCell] = []
    equal: list[EvalCell] = []
    for cell in cells:
        key = cell.scores.key
        (equal if key in begun or cell.is_in(run.store) else first).append(cell)
        begun.add(key)
    return first, equal


def _job(run: Run, cell: EvalCell, weights: Path | None, proofs: Sequence[Proof]) -> CellJob:
    variant = next(v for v in run.plan.variants if v.id == cell.variant)
    examples = run.plan.examples.get(cell.task)
    # training's examples where there are some
    probe = next(((item.key, task) for task, item in run.plan.examples.items()), None)
    folder = variant.adapter if variant.kind == "full" else weights
    return CellJob(
        suite=run.spec,
        base_dir=str(run.file.base_dir),
        runs_dir=str(run.store.root),
        variant=variant,
        task=cell.task,
        scores=_store_key(cell.scores),
        predictions=_store_key(cell.predictions) if cell.predictions else None,
        examples=examples.key if examples else None,
        probe=probe,
        weights=None if folder is None else str(folder),
        proofs=tuple(proofs),
    )


def _store_key(item: Keyed) -> StoreKey:
    return StoreKey(key=item.key, identity=item.identity)


def _record(run: Run, cell: EvalCell, outcome: CellOutcome) -> None:
    run.environment = outcome.environment or run.environment
    reason = outcome.reason
    if reason is None and not cell.is_in(run.store):
        name = run.options.executor
        reason = f"the executor {name} calls it done, but {run.store.root} has no scores of it"
    if reason is not None:
        run.reporter.warn(f"{cell.id} failed: {reason}")
        run.record(cell.failed(reason, outcome.seconds))
        return
    run.findings += named(cell.variant, outcome.findings)
    run.record(cell.done(seconds=outcome.seconds, computed=True))


def _take_equal(run: Run, cell: EvalCell) -> None:
    """Take over what became of an equal cell."""
    run.begin(cell)
    if not cell.is_in(run.store):
        reason = "a cell with equal weights and inputs failed."
        run.reporter.warn(f"{cell.id} failed: {reason}")
        run.record(cell.failed(reason))
        return
    kept = run.store.read_records("scores", cell.scores.key, "findings", Finding)
    run.findings += named(cell.variant, kept)
    run.record(cell.done())
