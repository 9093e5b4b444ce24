"""The built-in executor: cells are computed in this process, each base loaded once.

An executor that computes them elsewhere runs :func:`local_workers` there: it needs nothing of the
caller but the jobs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.checks.adapter_effect import AdapterFacts
from harness.checks.base import findings_about
from harness.console import Reporter
from harness.engines.base import LoadedModel, Progress
from harness.errors import ModelError, UsageError
from harness.run.execution import Execution
from harness.run.executors import CellJob, CellOutcome, CellStart, Workers
from harness.schema import Finding, Proof, Variant
from harness.tasks.base import BatchingSession, Outputs, TaskOutcome

_PROBE_PROMPTS = 2  # prompts on which an adapter must change the logits
_PROBE_TEXT = "The capital of France is"  # where no task brings prompts of its own

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
    """Load the weights, and compute variant by variant; free them afterwards."""
    variants = list({job.variant.id: job.variant for job in jobs}.values())
    names = ", ".join(variant.id for variant in variants)
    work.reporter.say(f"Loading {variants[0].base_model} for {names}")
    with ExitStack() as loading:
        try:
            weights = work.engine.load(work.weights(jobs[0]), work.policy)
            model = loading.enter_context(weights)
        except UsageError:
            raise
        except Exception as error:  # whatever it is, it is these cells' result
            reason = work.in_a_line(error)
            yield from (_failure(work, job, reason) for job in jobs)
            return
        probes = {v.id: _probe(work, model, v, jobs[0]) for v in variants if v.kind == "adapter"}
        able = [job for job in jobs if not isinstance(probes.get(job.variant.id), str)]
        _predict_together(work, model, able)
        for variant in variants:
            own = [job for job in jobs if job.variant.id == variant.id]
            probe = probes.get(variant.id, _Probed())
            if isinstance(probe, str):
                yield from (_failure(work, job, probe) for job in own)
            else:
                yield from _compute_variant(work, model, variant, own, probe)


@dataclass(frozen=True)
class _Probed:
    """What was noticed of a variant before its cells, and is kept with each of them."""

    findings: tuple[Finding, ...] = ()
    proofs: tuple[Proof, ...] = ()


def _probe(work: Execution, model: LoadedModel, variant: Variant, job: CellJob) -> _Probed | str:
    """Load and probe one adapter: what checks say of it, or why it cannot be used.

    One that fails leaves the others alone.
    """
    prompts, chat = [_PROBE_TEXT], False
    if job.probe is not None:
        key, task = job.probe
        prompts = [example.prompt for example in work.examples(key)[:_PROBE_PROMPTS]]
        chat = work.suite.task_data(task)[1].is_chat
    try:
        model.add_adapter(variant.id, Path(str(variant.adapter)))
        effect = model.adapter_effect(variant.id, prompts, chat=chat)
    except UsageError:
        raise
    except Exception as error:  # whatever it is, it is these cells' result
        return work.in_a_line(error)
    work.reporter.detail(f"  {variant.id}: largest change of a logit {effect:.3g}")
    return _Probed(findings=tuple(findings_about(AdapterFacts(variant.id, effect))))


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
        work.keep_outputs(job, outputs[name])
    return None


def _adapter_of(variant: Variant) -> str | None:
    """The adapter that makes the variant; None where it is the loaded weights alone."""
    return variant.id if variant.kind == "adapter" else None


def _compute_variant(
    work: Execution,
    model: LoadedModel,
    variant: Variant,
    jobs: Sequence[CellJob],
    probe: _Probed,
) -> Events:
    """Compute a variant's cells; what was noticed of itself (``probe``) is kept with each."""
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
            yield _outcome(work, job, partial(work.session(job).predict, active), probe)


def _outcome(
    work: Execution,
    job: CellJob,
    predict: Callable[[Progress], Outputs] | None,
    probe: _Probed = _Probed(),
) -> CellOutcome:
    """Compute and keep one cell; a failure is its result."""
    started = time.perf_counter()
    try:
        with work.reporter.task(job.id) as advance:
            outcome = _scores(work, job, predict, advance)
        outcome.proofs = [*job.proofs, *probe.proofs, *outcome.proofs]
        outcome.findings += probe.findings
        outcome.findings += (noted for proof in outcome.proofs for noted in findings_about(proof))
        work.keep_scores(job.scores, outcome)
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
    predict: Callable[[Progress], Outputs] | None,
    advance: Progress,
) -> TaskOutcome:
    """Scores of outputs that are in the store, or are made and kept."""
    if predict is None or work.lacks_only_scores(job):
        return work.score_kept(job)
    outputs = predict(advance)
    work.keep_outputs(job, outputs)
    return work.score_kept(job) if outputs.outcome is None else outputs.outcome


def _failure(work: Execution, job: CellJob, reason: str, seconds: float = 0.0) -> CellOutcome:
    return CellOutcome(
        variant=job.variant.id,
        task=job.task,
        reason=reason,
        seconds=seconds,
        environment=work.environment,
    )
