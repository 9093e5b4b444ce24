"""``harness gate accept``: make a run the baseline that later runs are compared with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.digests import text_digest
from harness.errors import BaselineError, QualityError, UsageError
from harness.gate import compatibility
from harness.gate.baseline import (
    Acceptance,
    Baseline,
    BaselineFiles,
    BaselineMeasurements,
    BaselineScore,
    BaselineSubject,
    name_fault,
    read_baseline,
    rounded,
    stored_readings,
    write_baseline,
)
from harness.gate.repeats import main_readings
from harness.gate.subjects import (
    GateSubject,
    choosing_words,
    default_keys,
    gate_rules,
    named_key,
    no_score,
    no_variant,
    outputs_of,
    score_words,
    subjects_of,
)
from harness.results.scores import Key, Reading
from harness.schema import Manifest
from harness.stats.panel import Quantity, Sample
from harness.store.runs import Store, now
from harness.suite.rules import CHOSEN, MERGED, GateSpec, in_points, own_unit

# fields of a score that the baseline has under the same name
_AS_SCORED = {"task", "metric", "split", "unit", "scale", "higher_is_better", "signature"}


@dataclass(frozen=True)
class SoundScore:
    """A score that later runs can be compared with."""

    reading: Reading
    quantity: Quantity
    sample: Sample


def accept_baseline(
    store: Store, manifest: Manifest, path: Path, reason: str, who: str
) -> Baseline:
    """Make a run the baseline, keeping the history of the one it replaces.

    Args:
        store: Where the run's results lie.
        manifest: The run.
        path: The baseline's JSON file; the sidecar goes beside it.
        reason: Why, for the history.
        who: By whom, for the history.

    Returns:
        The baseline as written.

    Raises:
        UsageError: Nothing can be gated, the gate names what the run does not have, or the file
            belongs to another suite.
        BaselineError: The run was made with ``--limit``.
        QualityError: The run is not complete, or a gated score is undefined or invalid.
    """
    rules = gate_rules(manifest)
    _check_acceptable(manifest, path, reason)
    subjects = subjects_of(store, manifest, rules.variants)
    arrays: dict[str, NDArray[Any]] = {}
    accepted: dict[str, BaselineSubject] = {}
    tasks: dict[str, None] = {}
    for name, subject in subjects.items():
        scores = _acceptable(subject, rules)
        readings = [score.reading for score in scores]
        tasks |= dict.fromkeys(reading.suite_task for reading in readings)
        kept, stats = _accepted_scores(name, scores)
        measurements, repeats = _accepted_measurements(name, subject, rules)
        arrays |= stats | repeats
        accepted[name] = BaselineSubject(
            variant=subject.variant_id or "",
            weights=compatibility.own_weights(store, subject),
            outputs=outputs_of(store, subject, readings),
            scores=kept,
            measurements=measurements,
        )
    fingerprint = compatibility.fingerprint_of(store, manifest, subjects.values(), tasks)
    loaded, note = _earlier(path, manifest)
    deltas: dict[str, float] = {}
    if loaded is not None:
        splits = loaded.baseline.splits
        others = compatibility.fingerprint_differences(
            loaded.baseline.fingerprint, rounded(fingerprint), splits
        )
        changed = [*others, *compatibility.rule_differences(loaded.baseline.gate, rules)]
        note = f"changed against the replaced baseline: {'; '.join(changed)}" if changed else ""
        deltas = _deltas(loaded, accepted, subjects, others)
    old = loaded.baseline if loaded else None
    run, when = manifest.name, now()
    entry = Acceptance(when=when, who=who, why=reason, run=run, deltas=deltas, note=note)
    baseline = Baseline(
        suite=manifest.suite,
        run=run,
        accepted=when,
        gate=rules,
        fingerprint=fingerprint,
        context=compatibility.context_of(store, manifest, subjects.values()),
        subjects=accepted,
        history=(*(old.history if old else ()), entry),
    )
    return write_baseline(path, baseline, arrays)


def broken_floors(baseline: Baseline) -> list[str]:
    """Floors of a baseline's rules that its own values do not keep to."""
    lines = []
    for name, subject in baseline.subjects.items():
        scores = {score.key: score for score in subject.scores}
        for rule in baseline.gate.metrics:
            key = named_key(rule, scores)
            if key is None or rule.floor is None:
                continue
            score = scores[key]
            short = own_unit(rule.floor, score.scale) - score.value
            if (short if score.higher_is_better else -short) > 0:
                side = "below its floor" if score.higher_is_better else "above its ceiling"
                value = f"{in_points(score.value, score.scale):.4g}"
                lines.append(f"{score_words(name, key)}: {value} is {side} of {rule.floor:.4g}")
    return lines


def _check_acceptable(manifest: Manifest, path: Path, reason: str) -> None:
    if not reason.strip():
        raise UsageError("A baseline is accepted for a reason.", where="--reason")
    fault = name_fault(path)
    if fault is not None:
        raise UsageError(fault, where=str(path), hint="Give its name to --baseline.")
    limited = compatibility.limit_differences(manifest)
    where = manifest.name
    if limited:
        raise BaselineError(f"{limited[0]}.", where=where, hint="Run the eval without --limit.")
    failed = [f"{c.variant}/{c.task}: {c.reason}" for c in manifest.cells if c.status == "failed"]
    if not manifest.complete or failed:
        what = f"; failed: {'; '.join(failed[:3])}" if failed else ""
        raise QualityError(
            f"The run is not complete, so it cannot be a baseline{what}.",
            where=where,
            hint="Run harness eval again to compute the rest.",
        )


def _acceptable(subject: GateSubject, rules: GateSpec) -> list[SoundScore]:
    """Gated scores of a subject, all of them sound."""
    if subject.variant is None and subject.name in (CHOSEN, MERGED):
        raise UsageError(
            f"gate.variants names {subject.name}, but {subject.reason}.",
            where="gate.variants",
            hint="Set gate.variants to what is to be gated, such as [base@nf4].",
        )
    if subject.variant is None:
        raise no_variant(subject)
    scores = [_sound(subject, subject.readings[key]) for key in _keys(subject, rules)]
    if not scores:
        raise UsageError(
            f"{subject.name} has no score that could be gated.",
            where="gate.metrics",
            hint="Score a task on the report split, or name scores of another.",
        )
    return scores


def _keys(subject: GateSubject, rules: GateSpec) -> Iterable[Key]:
    """Scores that the rules name, once each; by default those of whole tasks."""
    if not rules.metrics:
        return default_keys(subject)
    keys: dict[Key, None] = {}
    for rule in rules.metrics:
        key = named_key(rule, subject.readings)
        if key is None:
            raise no_score(rule, subject)
        keys[key] = None
    return keys


def _sound(subject: GateSubject, reading: Reading) -> SoundScore:
    """Refuse a score that later runs could not be compared with."""
    where = score_words(subject.name, reading.key)
    sample, quantity = reading.sample, reading.quantity
    if reading.score.value is None:
        reason = reading.score.reason or "no reason was recorded"
        hint = "Leave it out by naming the others in gate.metrics, or mend the task."
        raise QualityError(f"The value is undefined: {reason}.", where=where, hint=hint)
    if sample is None or quantity is None:
        hint = "Name another in gate.metrics."
        raise UsageError(f"It cannot be gated: {reading.reason}.", where=where, hint=hint)
    biased = choosing_words(subject, reading.score.split)
    if biased is not None:
        hint = "Gate it on report: change its split in gate.metrics, and run the eval again."
        raise UsageError(f"It cannot be gated: {biased}.", where=where, hint=hint)
    broken = int((~np.isfinite(sample.stats)).any(axis=1).sum())
    if broken:
        raise QualityError(f"{broken} examples hold NaN or infinity.", where=where)
    if len(np.unique(sample.ids)) < len(sample.ids):
        hint = "Give every row an id of its own (data.id_field)."
        raise QualityError("Example ids are repeated.", where=where, hint=hint)
    return SoundScore(reading, quantity, sample)


def _accepted_scores(
    subject: str, scores: Iterable[SoundScore]
) -> tuple[tuple[BaselineScore, ...], dict[str, NDArray[Any]]]:
    """The records of scores, and the sidecar's arrays of their statistics, sorted by id."""
    records = []
    arrays: dict[str, NDArray[Any]] = {}
    for sound in scores:
        sample, score = sound.sample, sound.reading.score
        order = np.argsort(sample.ids, kind="stable")
        ids, clusters = sample.ids[order], sample.clusters[order]
        examples = text_digest("\0".join([*ids, "", *clusters]))[:12]
        stats = "/".join(("stats", subject, *sound.reading.key))
        arrays |= {f"ids/{examples}": ids, f"clusters/{examples}": clusters}
        arrays[stats] = sample.stats[order]
        records.append(
            BaselineScore(
                **score.model_dump(include=_AS_SCORED),
                n=len(ids),
                value=float(sound.quantity.aggregate(sample.stats.sum(axis=0))),
                examples=examples,
                stats=stats,
            )
        )
    return tuple(records), arrays


def _accepted_measurements(
    name: str, subject: GateSubject, rules: GateSpec
) -> tuple[BaselineMeasurements | None, dict[str, NDArray[Any]]]:
    """What is kept of memory and speed, and the sidecar's arrays of the repeats."""
    measured = subject.measurements
    there = main_readings(measured.items) if measured else {}
    for rule in rules.measurements:
        if rule.measurement not in there:
            raise UsageError(
                f"gate.measurements names {rule.measurement}, which {subject.name} does not have.",
                where="gate.measurements",
                hint=f"It has: {', '.join(there) or subject.unmeasured}.",
            )
    if measured is None:
        return None, {}
    readings, arrays = stored_readings(name, measured.items)
    record = BaselineMeasurements(
        fingerprint=measured.fingerprint,
        device_name=measured.device_name,
        readings=readings,
        key=measured.key,
    )
    return record, arrays


def _earlier(path: Path, manifest: Manifest) -> tuple[BaselineFiles | None, str]:
    """The baseline that is replaced; or None, and a note where its history is lost."""
    try:
        loaded = read_baseline(path)
    except BaselineError as error:
        if isinstance(error.__cause__, FileNotFoundError) and error.where == str(path):
            return None, ""
        return None, f"the earlier baseline could not be read, nor its history: {error.problem}"
    if loaded.baseline.suite != manifest.suite:
        raise UsageError(
            f"This is the baseline of suite {loaded.baseline.suite}, and the run is of "
            f"{manifest.suite}.",
            where=str(path),
            hint="Name another file with --baseline.",
        )
    return loaded, ""


def _deltas(
    old: BaselineFiles,
    new: Mapping[str, BaselineSubject],
    subjects: Mapping[str, GateSubject],
    others: Iterable[str],
) -> dict[str, float]:
    """New minus old value of every score that both have, in the metric's own unit.

    Both are computed from their statistics, by the same rule. Scores of a task whose data, prompt
    or settings differ (``others``) answer another question, and have none.
    """
    lines = list(others)
    before = {
        (name, score.key): score
        for name, subject in old.baseline.subjects.items()
        for score in subject.scores
    }
    deltas = {}
    for name, subject in new.items():
        for score in subject.scores:
            accepted = before.get((name, score.key))
            quantity = subjects[name].readings[score.key].quantity
            other = any(line.startswith(f"tasks.{score.task.partition('/')[0]}.") for line in lines)
            if accepted is None or quantity is None or other:
                continue
            then = float(quantity.aggregate(old.sample(accepted).stats.sum(axis=0)))
            deltas[score_words(name, score.key)] = rounded(score.value - then) + 0.0
    return deltas
