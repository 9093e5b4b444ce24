"""``harness gate``: compare a run with the accepted baseline."""

from __future__ import annotations

import shlex
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from os import environ
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import BaselineError, StoreError
from harness.gate.baseline import (
    BaselineMeasurements,
    BaselineScore,
    BaselineSubject,
    Loaded,
    differences,
    fingerprint_differences,
    name_fault,
    read_baseline,
    rounded,
    rule_differences,
    sidecar_of,
)
from harness.gate.decide import Pair, conclude, decide
from harness.gate.subjects import (
    Measured,
    Subject,
    choosing_words,
    context_of,
    default_keys,
    fingerprint_of,
    gate_rules,
    limit_differences,
    named_key,
    no_score,
    no_variant,
    not_gated,
    outputs_name,
    outputs_of,
    own_weights,
    score_words,
    subjects_of,
)
from harness.gate.words import check_label
from harness.results.measurements import point, sizes
from harness.results.repeats import Repeats, at_point, main_readings
from harness.results.scores import Key, Reading
from harness.schema import HUMAN, MEASURE, GateCheck, GateResult, Manifest, Measurement
from harness.select.scores import ALL, half_of
from harness.stats.panel import Quantity, Sample
from harness.store.runs import Store, now
from harness.suite.deciding import is_constrained
from harness.suite.record import recorded_suite, suite_of
from harness.suite.rules import CHOSEN, MERGED, GatedMetric, GateSpec, Margin, share

_NOT_AGAIN = "not measured again: the same record as the baseline's"


def run_gate(store: Store, manifest: Manifest, path: Path) -> GateResult:
    """Decide whether a run is worse than the baseline allows.

    A baseline that cannot be used and results that cannot be read are outcomes, not errors, so
    that there is always something to write and to show. The rules must be those that the baseline
    was accepted with, so that no change can loosen the gate that it has to pass.

    Args:
        store: Where the run's results lie.
        manifest: The run.
        path: The baseline's JSON file.

    Raises:
        UsageError: The run's rules are invalid, or name a variant, score or measurement that
            neither the run nor the baseline has.
    """
    rules = gate_rules(manifest)
    result = GateResult(
        verdict="invalid",
        exit_code=5,
        headline="",
        run=manifest.name,
        baseline=str(path),
        alpha=rules.alpha,
        on_inconclusive=rules.on_inconclusive,
        created=now(),
    )
    accept = _accept_command(store, result.run, path)
    try:
        loaded = read_baseline(path)
        known = {"baseline_run": loaded.baseline.run, "accepted": loaded.baseline.accepted}
        result = result.model_copy(update=known)
        gate = _Gate(store, manifest, rules, loaded)
        result = result.model_copy(update=gate.compare())
        if result.differences:
            result = result.model_copy(update=gate.mending(accept))
        result = conclude(result, check_label)
        if result.verdict == "invalid" and not manifest.complete:
            return result.model_copy(update={"headline": result.problems[0]})
        return result
    except BaselineError as error:
        return _unusable(result, error, path, accept)
    except StoreError as error:
        return conclude(result.model_copy(update={"problems": (str(error),)}))


def _accept_command(store: Store, run: str, path: Path) -> str:
    """The whole command that would make a run the baseline, where this one was called."""
    words = ["harness", "gate", "accept", run, "--baseline", str(path)]
    if store.root != Path(environ.get("HARNESS_RUNS", "runs")).expanduser().absolute():
        words += ["--runs-dir", str(store.root)]
    return f'{shlex.join(words)} --reason "..."'


def _unusable(result: GateResult, error: BaselineError, path: Path, accept: str) -> GateResult:
    """The result where there is no baseline, or one that cannot be used."""
    if isinstance(error.__cause__, FileNotFoundError) and error.where == str(path):
        found = {
            "verdict": "incompatible",
            "exit_code": 4,
            "headline": f"No baseline yet: {path} does not exist.",
            "advice": "Make one from a run you trust, such as this one:",
            "hint": accept,
        }
        return result.model_copy(update=found)
    where = f"{error.where}: " if error.where else ""
    found = {"differences": (f"{where}{error.problem}",), "baseline_run": None, "accepted": None}
    if name_fault(path) is not None:
        return conclude(result.model_copy(update={**found, "advice": error.hint or ""}))
    files = f"{path.name} and {sidecar_of(path).name}"
    advice = f"Restore {files} from version control, or accept a new baseline:"
    return conclude(result.model_copy(update={**found, "advice": advice, "hint": accept}))


@dataclass
class _Gate:
    """One comparison: what is found on the way to a result."""

    store: Store
    manifest: Manifest
    rules: GateSpec
    loaded: Loaded
    checks: list[GateCheck] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    repeats: list[Repeats] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def compare(self) -> dict[str, Any]:
        """Fields of the result, the verdict aside."""
        baseline, manifest = self.loaded.baseline, self.manifest
        subjects = subjects_of(self.store, manifest, self.rules.variants)
        self.differences += limit_differences(manifest)
        self.differences += rule_differences(baseline.gate, self.rules)
        tasks = baseline.fingerprint.get("tasks", {})
        now = fingerprint_of(self.store, manifest, subjects.values(), tasks)
        self.differences += fingerprint_differences(
            baseline.fingerprint, rounded(now), baseline.splits
        )
        if not manifest.complete:
            self.problems.append(_unfinished(manifest))
        self.problems += _unsettled(manifest, self.rules)
        for name, subject in subjects.items():
            accepted = baseline.subjects.get(name)
            if accepted is not None:
                self._scores(subject, accepted)
                self._measurements(subject, accepted)
            else:
                self._unknown(subject)
        self.changes += self._changed(subjects)
        found: dict[str, Any] = {
            "differences": tuple(self.differences),
            "changes": tuple(self.changes),
        }
        if self.differences:
            return found
        decision = decide(
            self.pairs,
            self.repeats,
            alpha=self.rules.alpha,
            seed=suite_of(manifest).seed,
        )
        checks = (*decision.checks, *self.checks)
        problems = tuple(self.problems)
        return {**found, "checks": checks, "level": decision.level, "problems": problems}

    def mending(self, accept: str) -> dict[str, str]:
        """What can be done about differences, and the command for it where one is enough."""
        if self.manifest.limit is not None:
            return {"advice": "Run the eval without --limit."}
        if self.manifest.suite != self.loaded.baseline.suite:
            return {"advice": "Name the baseline of this suite with --baseline."}
        if not self.manifest.complete:
            return {"advice": _unfinished(self.manifest)}
        advice = "If the change is meant, accept this run as the new baseline, with a reason:"
        return {"advice": advice, "hint": accept}

    def _pending(self, subject: Subject, task: str) -> bool:
        """Whether something is missing only because the run is not complete."""
        there = subject.variant is not None and (
            task in subject.cells or task.partition("/")[0] in subject.cells
        )
        return not self.manifest.complete and not there

    def _unknown(self, subject: Subject) -> None:
        """A gated variant that the baseline does not have."""
        if subject.variant is None and subject.name not in (CHOSEN, MERGED):
            raise no_variant(subject)
        self.differences.append(
            f"gate.variants: names {subject.name}, which the baseline does not have; "
            "accept a new one with it"
        )

    # -- scores -------------------------------------------------------------------------------

    def _scores(self, subject: Subject, accepted: BaselineSubject) -> None:
        before = {score.key: score for score in accepted.scores}
        watched = list(self._watched(subject, before))
        there = [subject.readings[key] for key, _ in watched if key in subject.readings]
        outputs = outputs_of(self.store, subject, there)
        same = {name for name, digest in outputs.items() if accepted.outputs.get(name) == digest}
        for key, rule in watched:
            self._score(subject, before[key], rule, same)
        if self.rules.metrics:
            return
        for key in (key for key in default_keys(subject) if key not in before):
            reading = subject.readings[key]
            reason = "new: the baseline does not have it; accept one that does"
            self.checks.append(_unpaired(subject, key, reading, "not_compared", reason))
        self.changes += [
            f"not gated: {score_words(subject.name, key)}: {reason}"
            for key, reason in not_gated(subject)
        ]

    def _watched(
        self, subject: Subject, before: Mapping[Key, BaselineScore]
    ) -> Iterator[tuple[Key, GatedMetric | None]]:
        """Accepted scores that the rules watch, each with its entry where it has one."""
        if not self.rules.metrics:
            yield from ((key, None) for key in before)
            return
        named = set()
        for rule in self.rules.metrics:
            key = named_key(rule, before)
            if key is not None:
                named.add(key)
                yield key, rule
            elif named_key(rule, subject.readings) is None:
                raise no_score(rule, subject)
            else:
                self.differences.append(
                    f"gate.metrics: names {rule.task}/{rule.metric}, which the baseline does not "
                    f"have of {subject.name}; accept a new one with it"
                )
        self.changes += [
            f"not gated any more: {score_words(subject.name, key)}"
            for key in before
            if key not in named
        ]

    def _score(
        self,
        subject: Subject,
        score: BaselineScore,
        rule: GatedMetric | None,
        same_outputs: Container[str],
    ) -> None:
        reading = subject.readings.get(score.key)
        if reading is None and self._pending(subject, score.task):
            return
        if reading is None:
            reason = subject.why_missing(score.task)
            self.checks.append(_unpaired(subject, score.key, score, "missing", reason))
            return
        if reading.score.value is None or reading.sample is None or reading.quantity is None:
            reason = reading.score.reason or reading.reason or "it is undefined"
            self.checks.append(_unpaired(subject, score.key, score, "invalid", reason))
            return
        for what in ("higher_is_better", "scale"):
            then, now = getattr(score, what), getattr(reading.score, what)
            if then != now:
                where = f"{score_words(subject.name, score.key)}: {what}"
                self.differences.append(f"{where}: was {then}, is {now}")
        if score.signature == reading.score.signature:
            self.loaded.value(score, reading.quantity)  # refuses a value that was edited
        quantity, before, after = self._examples(subject, score, reading)
        if not len(after.ids):
            reason = "select.constraints read all of its documents, so none is left to gate it on"
            self.checks.append(_unpaired(subject, score.key, score, "invalid", reason))
            return
        self.pairs.append(
            Pair(
                subject.name,
                subject.variant.id if subject.variant else None,
                quantity,
                before,
                after,
                _margin(self.rules, rule, score.scale),
                unit=score.unit,
                floor=rule.floor if rule else None,
                same_outputs=outputs_name(reading) in same_outputs,
            )
        )

    def _examples(
        self, subject: Subject, score: BaselineScore, reading: Reading
    ) -> tuple[Quantity, Sample, Sample]:
        """The examples that a score is compared on, and what it is called there."""
        if reading.quantity is None or reading.sample is None:
            raise TypeError("a score without statistics cannot be compared")
        quantity, before, after = reading.quantity, self.loaded.sample(score), reading.sample
        words = score_words(subject.name, score.key)
        biased = choosing_words(subject, score.split)
        if biased is not None:  # an old run's: suites and baselines with such rules are refused
            self.changes.append(f"{words} is biased: {biased}; gate it on report")
        if reading.kind == HUMAN:
            before, after = self._rated_in_both(subject, score, before, after)
        elif subject.name in (CHOSEN, MERGED) and score.split == ALL:
            n = len(after.ids)
            before, after = self._not_chosen_by(score, before, after)
            if len(after.ids) < n:
                quantity = replace(quantity, split="report half")
                self.changes.append(
                    f"{words}: compared on the {len(after.ids):,} of {n:,} documents that "
                    "select.constraints did not read"
                )
        return quantity, before, after

    def _not_chosen_by(
        self, score: BaselineScore, before: Sample, after: Sample
    ) -> tuple[Sample, Sample]:
        """The documents that no constraint read, neither of the run nor of the baseline's run.

        A checkpoint that only chance kept within a constraint looks better than it is on the
        documents that the constraint read.
        """
        read: set[str] = set()
        earlier = recorded_suite(self.loaded.baseline.context.get("suite") or {})
        for suite, sample in ((earlier, before), (suite_of(self.manifest), after)):
            if is_constrained(suite, score.task):
                half = half_of(sample, "select", suite.seed)
                read.update(half.ids.tolist())
        if not read:
            return before, after
        left = [np.setdiff1d(sample.ids, list(read)) for sample in (before, after)]
        return before.only(left[0]), after.only(left[1])

    def _rated_in_both(
        self, subject: Subject, score: BaselineScore, before: Sample, after: Sample
    ) -> tuple[Sample, Sample]:
        """Ratings of the items that both have: raters leave a row out now and then."""
        common = np.intersect1d(before.ids, after.ids)
        total = np.union1d(before.ids, after.ids).size
        if 0 < common.size < total:
            self.changes.append(
                f"{score_words(subject.name, score.key)}: {common.size} of {total} items were "
                "rated both times, and only these are compared"
            )
        if not common.size:
            return before, after  # which cannot be paired, and says so
        return before.only(common), after.only(common)

    # -- memory and speed ---------------------------------------------------------------------

    def _measurements(self, subject: Subject, accepted: BaselineSubject) -> None:
        before, then = accepted.measurements, self.loaded.measured(accepted)
        margins = {rule.measurement: share(rule.margin) for rule in self.rules.measurements}
        for name in margins.keys() - then.keys():
            self.differences.append(
                f"gate.measurements: names {name}, which the baseline does not have of "
                f"{subject.name}; accept a new one with it"
            )
        if before is None:
            return
        other = _other_hardware(before, then, subject.measurements)
        if other is not None and self.rules.require_hardware:
            self.differences.append(f"hardware: {other} (gate.require_hardware)")
        elif other is not None:
            self.changes.append(f"{subject.name}: memory and speed are not compared: {other}")
        if other is None and _same_record(before, then, subject.measurements):
            self.changes += [
                f"{subject.name}: {name} decides nothing, though gate.measurements names it: "
                f"{_NOT_AGAIN}"
                for name in margins.keys() & then.keys()
            ]
            other, margins = _NOT_AGAIN, {}
        for name, item in then.items():
            found, missing = _same_point(item, subject)
            if missing is not None and (name not in margins or self._pending(subject, MEASURE)):
                continue  # nothing decides by it; that the run measured nothing is listed once
            self.repeats.append(
                Repeats(
                    subject.name,
                    subject.variant.id if subject.variant else None,
                    name,
                    item.unit,
                    sizes(item),
                    item.values,
                    tuple(rounded(found.values)) if found else (),
                    margins.get(name),
                    missing,
                    other,
                )
            )

    # -- what else changed --------------------------------------------------------------------

    def _changed(self, subjects: Mapping[str, Subject]) -> Iterator[str]:
        baseline, manifest = self.loaded.baseline, self.manifest
        for name, accepted in baseline.subjects.items():
            subject = subjects.get(name)
            if subject is None:
                continue  # the rules differ, which says so
            if subject.variant is None and not manifest.complete:
                continue  # it is yet to come
            now = subject.variant.id if subject.variant else "missing"
            if now != accepted.variant:
                yield f"{name}: was {accepted.variant}, is {now}"
            weights = rounded(own_weights(self.store, subject))
            if weights or manifest.complete:
                yield from (f"{name}: {line}" for line in differences(accepted.weights, weights))
            unmeasured = accepted.measurements is not None and subject.measurements is None
            if unmeasured and not self._pending(subject, MEASURE):
                yield f"{name}: memory and speed are missing: {subject.unmeasured}"
        context = rounded(context_of(self.store, manifest, subjects.values()))
        known = {  # of what is yet to come nothing is known
            key: part
            for key, part in baseline.context.items()
            if manifest.complete or context.get(key)
        }
        yield from differences(known, context)


def _unsettled(manifest: Manifest, rules: GateSpec) -> list[str]:
    """Checkpoints that were not there to be chosen, where the choice is what is gated."""
    selection = manifest.selection
    if selection is None or not {CHOSEN, MERGED} & set(rules.variants):
        return []
    task = selection.task.partition("/")[0]
    done = {cell.variant for cell in manifest.cells if (cell.task, cell.status) == (task, "done")}
    if not manifest.complete:  # then only what failed is more than yet to come
        recorded = {cell.variant for cell in manifest.cells if cell.task == task}
        done |= {variant.id for variant in manifest.variants} - recorded
    left = [v.id for v in manifest.variants if v.kind in ("adapter", "full") and v.id not in done]
    if not left:
        return []
    return [f"the choice was made without {', '.join(left)}, not scored on {selection.task}"]


def _unfinished(manifest: Manifest) -> str:
    """That a run is not complete, how much of it there is, and how to go on."""
    done, planned = manifest.done_cells, manifest.planned_cells
    there = f"{done} of {planned} cells" if done < planned else f"{done} cells are done"
    return f"The run is not complete ({there}). Run: harness eval SUITE"


def _same_record(
    before: BaselineMeasurements, then: Mapping[str, Measurement], after: Measured | None
) -> bool:
    """Whether a run took its measurements from the stored record that the baseline has."""
    if after is None or not before.key or before.key != after.key:
        return False
    now = main_readings(after.items)
    return {name: (point(item), list(item.values)) for name, item in then.items()} == {
        name: (point(item), rounded(item.values)) for name, item in now.items()
    }


def _margin(rules: GateSpec, rule: GatedMetric | None, scale: float | None) -> Margin:
    if rule is not None and rule.margin is not None:
        return rule.margin
    return rules.margin if scale else rules.unscaled_margin


def _unpaired(
    subject: Subject, key: Key, score: BaselineScore | Reading, verdict: Any, reason: str
) -> GateCheck:
    """A check of a score that only one side has, or that has no value."""
    record = score.score if isinstance(score, Reading) else score
    return GateCheck(
        subject=subject.name,
        variant=subject.variant.id if subject.variant else None,
        kind="quality",
        task=key[0],
        metric=key[1],
        split=key[2],
        verdict=verdict,
        decides=verdict != "not_compared",
        unit=record.unit,
        scale=record.scale,
        higher_is_better=record.higher_is_better,
        n=record.n,
        baseline_value=None if isinstance(score, Reading) else score.value,
        value=score.score.value if isinstance(score, Reading) else None,
        reason=reason,
    )


def _other_hardware(
    before: BaselineMeasurements, then: Mapping[str, Measurement], after: Measured | None
) -> str | None:
    if after is None:
        return None
    both = main_readings(after.items)
    pairs = [(item.device, both[name].device) for name, item in then.items() if name in both]
    if before.fingerprint == after.fingerprint and all(was == is_ for was, is_ in pairs):
        return None
    was, is_ = (
        f"{', '.join(sorted({item.device for item in items}))} of {name} ({fingerprint[:8]})"
        for items, name, fingerprint in (
            (then.values(), before.device_name, before.fingerprint),
            (after.items, after.device_name, after.fingerprint),
        )
    )
    return f"other hardware: was {was}, is {is_}"


def _same_point(item: Measurement, subject: Subject) -> tuple[Measurement | None, str | None]:
    """The run's reading of the same quantity at the same sizes, or why there is none."""
    if subject.variant is None:
        return None, subject.reason
    if subject.measurements is None:
        return None, subject.unmeasured
    found = at_point(subject.measurements.items, item)
    if found is None:
        return None, f"not measured at {sizes(item) or 'all'}"
    return (found, None) if found.values else (None, found.reason or "no readings")
