"""Measuring stage: each distinct shape of model once, in a process of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from harness.errors import DiskError, UsageError
from harness.measure.job import MeasureJob, measurement_identity
from harness.measure.process import measure
from harness.models.load import architecture_of
from harness.plan.keys import Keyed, keyed, merged_of
from harness.plan.plan import MeasureCell, PlannedCell
from harness.run.merge import merged_weights, unmerged
from harness.run.state import Run
from harness.schema import CellResult, Taken, Variant
from harness.store.runs import now
from harness.suite.spec import MeasureSpec


def measure_cells(
    run: Run,
    grid: MeasureSpec,
    cells: Iterable[PlannedCell],
    failures: dict[str, str],
    refused: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Take note of measurements that are there, and make those that are missing and wanted.

    Args:
        run: The run.
        grid: What to measure.
        cells: Those to look at; only measurements whose variant exists matter.
        failures: Key -> reason: equal shapes fail alike, so each is tried once in an invocation.
        refused: Variant -> why it cannot be merged; it is not measured in another's place.
    """
    own = [cell for cell in cells if isinstance(cell, MeasureCell)]
    if not own:
        return
    architecture = architecture_of(run.file.suite.base, run.file.base_dir)
    variants = {variant.id: variant for variant in run.plan.variants}
    for cell in own:
        variant = variants[cell.variant]
        wanted, job = run.wants(cell), _job(run, grid, variant)
        reason = refused.get(cell.variant) if wanted else None
        shape = _shape(run, cell, variant, job, architecture)
        if reason is None and shape is None and wanted:
            reason = _merge(run, variant)
            shape = _shape(run, cell, variant, job, architecture)
        if shape is None and reason is None:
            continue
        item = keyed(measurement_identity(job, shape or architecture))
        again = run.options.measure_again and wanted and item.key not in run.measured
        there = run.store.has("measurements", item.key) and not again
        if reason is None and not there:
            if not wanted:
                continue
            reason = failures.get(item.key) or _measure(run, variant, job, item)
            failures |= {item.key: reason} if reason is not None else {}
        if reason is not None:
            run.reporter.warn(f"{cell.id} failed: {reason}")
            run.record(cell.failed(reason))
            continue
        result = cell.done(computed=not there)
        _keep(run, cell, result.model_copy(update={"measurements_key": item.key}))


def _shape(
    run: Run, cell: MeasureCell, variant: Variant, job: MeasureJob, base: dict[str, Any]
) -> dict[str, Any] | None:
    """The architecture that is measured; None where only merging will tell.

    A merged model has the base's, unless its embeddings had to be untied. Where its weights are
    gone, an earlier measurement in this run tells.
    """
    untied = {**base, "tie_word_embeddings": False}
    if variant.kind != "merged":
        return base
    if run.store.has("merged", merged_of(run.file.suite, variant).key):
        return untied if merged_weights(run, variant)[1].untied else base
    known = run.results.get((cell.variant, cell.task))
    keys = {keyed(measurement_identity(job, shape)).key: shape for shape in (untied, base)}
    return keys.get(str(known.measurements_key)) if known is not None else None


def _merge(run: Run, variant: Variant) -> str | None:
    """Merge what is to be measured, if it is not there; returns the reason if that failed."""
    if variant.kind == "merged":
        try:
            merged_weights(run, variant)
        except DiskError:
            raise
        except Exception as error:  # it is this cell's result and not the run's end
            return unmerged(error)
    return None


def _keep(run: Run, cell: PlannedCell, result: CellResult) -> None:
    if result.computed:
        run.record(result)
    else:  # nothing new: the manifest is written when the run ends
        run.results[(cell.variant, cell.task)] = result


def _measure(run: Run, variant: Variant, job: MeasureJob, item: Keyed) -> str | None:
    """Measure and keep it; returns the reason if that failed."""
    if (reason := _merge(run, variant)) is not None:  # the weights may be gone by now
        return reason
    run.reporter.say(f"Measuring memory and speed of {variant.id}")
    try:
        measured = measure(job, progress=run.reporter.detail)
    except UsageError:
        raise
    except Exception as error:  # one failed measurement must not end a long run
        return str(error).strip() or type(error).__name__
    again = run.options.measure_again
    with run.store.writing("measurements", item.key, item.identity, replace=again) as folder:
        run.store.write_records(folder, "measurements", measured)
        run.store.write_record(folder, "environment", run.decide_device()[1])
        run.store.write_record(folder, "taken", Taken(at=now()))
    run.measured.add(item.key)
    return None


def _job(run: Run, grid: MeasureSpec, variant: Variant) -> MeasureJob:
    suite, folder = run.file.suite, None
    if variant.kind == "merged":
        folder = str(run.store.path("merged", merged_of(suite, variant).key))
    elif variant.kind == "full":
        folder = variant.adapter
    return MeasureJob(
        base=suite.base,
        base_dir=str(run.file.base_dir),
        precision=run.precision_of(variant),
        adapter=variant.adapter if variant.kind == "adapter" else None,
        merged_dir=folder,
        grid=grid,
        seed=suite.seed,
        quantization=suite.quantization,
    )
