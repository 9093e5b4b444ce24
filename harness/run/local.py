"""The built-in executor: cells are computed in this process, each base loaded once.

An executor that computes them elsewhere runs :func:`local_workers` there: it needs nothing of the
caller but the jobs.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from harness.checks.base import findings_about
from harness.console import Reporter
from harness.engines.base import ActiveModel, LoadedModel, Progress
from harness.errors import ModelError, UsageError
from harness.run.beside import Placement, Probed, place, probe
from harness.run.execution import Execution
from harness.run.executors import CellJob, CellOutcome, CellStart, Workers
from harness.schema import Variant
from harness.tasks.base import BatchingSession, TaskOutcome

_NOTHING = Probed()
_BESIDE = 16  # variants over one loaded base
Events = Iterator[CellStart | CellOutcome]


class LocalExecutor:
    """Computes cells in this process."""

    @contextmanager
    def start(self, address: str, reporter: Reporter) -> Iterator[Workers]:
        """Make ready; there is nowhere else to compute, so there is no address."""
        if address:
            raise UsageError(
                "The executor local has no address: it computes in this process.",
                where=f"--executor local:{address}",
                hint="Leave the address out.",
            )
        with local_workers(reporter) as workers:
            yield workers


EXECUTOR = LocalExecutor()


@contextmanager
def local_workers(reporter: Reporter) -> Iterator[Workers]:
    """Workers in this process; what they hold open is closed at the end."""
    with ExitStack() as held:
        yield _LocalWorkers(reporter, held)


class _LocalWorkers:
    def __init__(self, reporter: Reporter, held: ExitStack) -> None:
        self._reporter = reporter
        self._held = held
        self._work: Execution | None = None

    def compute(self, jobs: Sequence[CellJob]) -> Events:
        if not jobs:
            return
        if self._work is None:  # it takes torch, which a finished run does not load
            self._work = Execution(jobs[0], self._reporter, self._held)
        yield from _compute(self._work, jobs)


def _compute(work: Execution, jobs: Sequence[CellJob]) -> Events:
    to_score = [job for job in jobs if work.lacks_only_scores(job)]
    for job in to_score:  # a new metric needs no model
        yield CellStart(variant=job.variant.id, task=job.task)
        yield _outcome(work, job, None)
    ready = []
    for job in jobs:  # a mistake in the last of them must not show hours later
        if job in to_score:
            continue
        try:
            work.session(job)
        except UsageError:
            raise
        except Exception as error:  # whatever it is, it is this cell's result
            yield _failure(work, job, work.in_a_line(error, job))
        else:
            ready.append(job)
    for group in _by_weights(ready):
        yield from _compute_group(work, group)


def _by_weights(jobs: Sequence[CellJob]) -> list[list[CellJob]]:
    """Group jobs whose variants stand on the same loaded weights."""
    groups: dict[tuple[str, str], list[CellJob]] = {}
    for job in jobs:
        shared = job.variant.kind in ("base", "adapter")
        key = (job.variant.precision, "" if shared else job.variant.id)
        groups.setdefault(key, []).append(job)
    return list(groups.values())


def _compute_group(work: Execution, jobs: Sequence[CellJob]) -> Events:
    """Compute variants of the same weights, loaded once; those that need a base of their own last.

    An adapter that changes the base spoils it for the others: it is loaded anew without that one.
    Nor do more than a few stand over one base, since PEFT goes through all of them at each switch.
    """
    apart: dict[str, str] = {}
    refused: dict[str, str] = {}
    left = list(dict.fromkeys(job.variant.id for job in jobs))
    while left:
        some = left[:_BESIDE]
        placement = yield from _compute_beside(work, [j for j in jobs if j.variant.id in some])
        apart |= placement.apart
        refused |= placement.refused
        settled = {*apart, *refused, *([] if placement.spoiled else some)}
        left = [name for name in left if name not in settled]
    for name, reason in apart.items():
        yield from _compute_apart(work, _of(jobs, name), reason)
    for name, reason in refused.items():
        yield from (_failure(work, job, reason) for job in _of(jobs, name))


def _of(jobs: Sequence[CellJob], name: str) -> list[CellJob]:
    return [job for job in jobs if job.variant.id == name]


def _compute_beside(
    work: Execution, jobs: Sequence[CellJob]
) -> Generator[CellStart | CellOutcome, None, Placement]:
    """Load weights, and compute the variants that can stand beside each other over them."""
    variants = list({job.variant.id: job.variant for job in jobs}.values())
    with ExitStack() as loading:
        try:
            model = _loaded(work, jobs, loading)
            placement = place(work, model, variants, jobs[0])
        except UsageError:
            raise
        except Exception as error:  # whatever it is, it is these cells' result
            reason = work.in_a_line(error)
            return Placement(refused={variant.id: reason for variant in variants})
        if not placement.spoiled:
            _predict_together(work, model, [j for j in jobs if j.variant.id in placement.beside])
            for name, probed in placement.beside.items():
                yield from _compute_variant(work, model, _of(jobs, name), probed)
    return placement


def _compute_apart(work: Execution, jobs: Sequence[CellJob], reason: str) -> Events:
    """Compute one adapter on a base of its own."""
    variant = jobs[0].variant
    with ExitStack() as loading:
        try:
            model = _loaded(work, jobs, loading)
            probed = probe(work, model, variant, jobs[0], alone=reason)
        except ModelError as error:
            yield from (_failure(work, job, str(error)) for job in jobs)
        except UsageError:
            raise
        except Exception as error:  # whatever it is, it is these cells' result
            yield from (_failure(work, job, work.in_a_line(error)) for job in jobs)
        else:
            yield from _compute_variant(work, model, jobs, probed)


def _loaded(work: Execution, jobs: Sequence[CellJob], loading: ExitStack) -> LoadedModel:
    names = ", ".join(dict.fromkeys(job.variant.id for job in jobs))
    work.reporter.say(f"Loading {jobs[0].variant.base_model} for {names}")
    return loading.enter_context(work.engine.load(work.weights(jobs[0]), work.policy))


def _predict_together(work: Execution, model: LoadedModel, jobs: Sequence[CellJob]) -> None:
    """Let several variants of one base answer in common batches, task by task.

    Each variant's outputs are stored as if it had been alone; its cells then find them. What
    cannot be done together, for whatever reason, is left to be done one after another.
    """
    if not any(job.variant.kind == "adapter" for job in jobs):
        return
    for task in dict.fromkeys(job.task for job in jobs):
        own = [job for job in jobs if job.task == task]
        session = work.session(own[0])
        if len(own) < 2 or not isinstance(session, BatchingSession) or not work.rescores(own[0]):
            continue
        if not session.shares_batches(work.policy):
            continue
        try:
            reason = _predict_mixed(work, model, session, own)
        except ModelError as error:  # memory for one at a time may still suffice
            reason = str(error)
        except UsageError:
            raise
        except Exception as error:  # likewise
            reason = work.in_a_line(error)
        if reason is not None:
            work.reporter.say(f"{task}: variants are predicted one after another: {reason}")


def _predict_mixed(
    work: Execution, model: LoadedModel, session: BatchingSession, jobs: Sequence[CellJob]
) -> str | None:
    """Run one task on several variants at once, and keep the outputs; or say why not."""
    by_name = {_adapter_of(job.variant): job for job in jobs}
    reason = model.why_not_mixed(list(by_name))
    if reason is not None:
        return reason
    label = f"{jobs[0].task} for {', '.join(job.variant.id for job in jobs)}"
    with model.mixed(list(by_name)) as mixture, work.reporter.task(label) as advance:
        outputs = session.predict_together(mixture, advance)
    for name, job in by_name.items():
        with model.active(name) as active:
            work.keep_outputs(job, outputs[name], active.proofs)
    return None


def _adapter_of(variant: Variant) -> str | None:
    """The adapter that makes the variant; None where it is the loaded weights alone."""
    return variant.id if variant.kind == "adapter" else None


def _compute_variant(
    work: Execution, model: LoadedModel, jobs: Sequence[CellJob], probed: Probed
) -> Events:
    """Compute a variant's cells; what was noticed of itself is kept with each."""
    variant = jobs[0].variant
    noticed = replace(probed, proofs=(*model.proofs, *probed.proofs))
    with ExitStack() as held:
        try:
            active = held.enter_context(model.active(_adapter_of(variant)))
        except UsageError:
            raise
        except Exception as error:  # whatever it is, it is these cells' result
            reason = work.in_a_line(error)
            yield from (_failure(work, job, reason) for job in jobs)
            return
        for job in jobs:
            yield CellStart(variant=variant.id, task=job.task)
            yield _outcome(work, job, active, noticed)


def _outcome(
    work: Execution,
    job: CellJob,
    active: ActiveModel | None,
    probed: Probed = _NOTHING,
) -> CellOutcome:
    """Compute and keep one cell; a failure is its result."""
    started = time.perf_counter()
    try:
        with work.reporter.task(job.id) as advance:
            outcome = _scores(work, job, active, advance)
        outcome.proofs = [*job.proofs, *probed.proofs, *outcome.proofs]
        outcome.findings += probed.findings
        outcome.findings += (noted for proof in outcome.proofs for noted in findings_about(proof))
        work.keep_scores(job.scores, outcome)
    except ModelError as error:  # this variant cannot answer it; others may
        return _failure(work, job, str(error), time.perf_counter() - started)
    except UsageError:
        raise
    except Exception as error:  # one failed cell must not end a long run
        return _failure(work, job, work.in_a_line(error, job), time.perf_counter() - started)
    return CellOutcome(
        variant=job.variant.id,
        task=job.task,
        seconds=time.perf_counter() - started,
        findings=tuple(outcome.findings),
        environment=work.environment,
    )


def _scores(
    work: Execution,
    job: CellJob,
    active: ActiveModel | None,
    advance: Progress,
) -> TaskOutcome:
    """Scores of outputs that are in the store, or are made and kept."""
    if active is None or work.lacks_only_scores(job):
        return work.score_kept(job)
    outputs = work.session(job).predict(active, advance)
    work.keep_outputs(job, outputs, active.proofs)
    if outputs.outcome is None:
        return work.score_kept(job)
    outputs.outcome.proofs += active.proofs
    return outputs.outcome


def _failure(work: Execution, job: CellJob, reason: str, seconds: float = 0.0) -> CellOutcome:
    return CellOutcome(
        variant=job.variant.id,
        task=job.task,
        reason=reason,
        seconds=seconds,
        environment=work.environment,
    )
