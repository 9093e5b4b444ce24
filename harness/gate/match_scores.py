"""Which of a run's scores are held against which of the baseline's, on which examples."""

from collections.abc import Container
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from harness.gate import subjects
from harness.gate.baseline import BaselineFiles, BaselineScore, BaselineSubject
from harness.gate.decide import Match, ScorePair
from harness.results.pairing import FORM
from harness.results.scores import Reading
from harness.schema import HUMAN, GateCheck, GateVerdict, Manifest
from harness.select.scores import ALL, half_of
from harness.stats.panel import Quantity, Sample
from harness.store.runs import Store
from harness.suite.deciding import is_constrained
from harness.suite.record import recorded_suite, suite_of
from harness.suite.rules import CHOSEN, MERGED, GatedMetric, GateSpec, Margin
from harness.suite.spec import Suite

# fields of a score that its check has under the same name
_OF_SCORE = {"task", "metric", "split", "unit", "scale", "higher_is_better", "n"}

ScoreRule = tuple[BaselineScore, GatedMetric | None]
"""An accepted score that the rules name, with its rule where it has one of its own."""


def match_scores(
    store: Store,
    manifest: Manifest,
    rules: GateSpec,
    baseline: BaselineFiles,
    subject: subjects.GateSubject,
) -> Match:
    """Match the scores of a gated variant that the baseline has as well.

    Raises:
        UsageError: The rules name a score that neither the run nor the baseline has.
        BaselineError: The baseline's statistics are not there, or not those of its values.
    """
    accepted = baseline.baseline.subjects[subject.name]
    scores, match = _named_scores(rules, accepted, subject)
    there = [subject.readings[s.key] for s, _ in scores if s.key in subject.readings]
    outputs = subjects.outputs_of(store, subject, there)
    same = {name for name, digest in outputs.items() if accepted.outputs.get(name) == digest}
    for score, rule in scores:
        match += _match(manifest, rules, baseline, subject, score, rule, same)
    if rules.metrics:
        return match
    known = {score.key for score, _ in scores}
    reason = "new: the baseline does not have it; accept one that does"
    return match + Match(
        checks=tuple(
            _unpaired(subject, subject.readings[key], "not_compared", reason)
            for key in subjects.default_keys(subject)
            if key not in known
        ),
        changes=tuple(
            f"not gated: {subjects.score_words(subject.name, key)}: {why}"
            for key, why in subjects.not_gated(subject)
        ),
    )


def _named_scores(
    rules: GateSpec, accepted: BaselineSubject, subject: subjects.GateSubject
) -> tuple[list[ScoreRule], Match]:
    """Accepted scores that the rules name, and what they name beyond, or no longer."""
    before = {score.key: score for score in accepted.scores}
    if not rules.metrics:
        return [(score, None) for score in before.values()], Match()
    keys = [(subjects.named_key(rule, before), rule) for rule in rules.metrics]
    unknown = [rule for key, rule in keys if key is None]
    for rule in unknown:
        if subjects.named_key(rule, subject.readings) is None:
            raise subjects.no_score(rule, subject)
    named = {key for key, _ in keys}
    return [(before[key], rule) for key, rule in keys if key is not None], Match(
        differences=tuple(
            f"gate.metrics: names {rule.task}/{rule.metric}, which the baseline does not "
            f"have of {subject.name}; accept a new one with it"
            for rule in unknown
        ),
        changes=tuple(
            f"not gated any more: {subjects.score_words(subject.name, key)}"
            for key in before
            if key not in named
        ),
    )


def _match(
    manifest: Manifest,
    rules: GateSpec,
    baseline: BaselineFiles,
    subject: subjects.GateSubject,
    score: BaselineScore,
    rule: GatedMetric | None,
    same_outputs: Container[str],
) -> Match:
    """One accepted score and the run's."""
    reading = subject.readings.get(score.key)
    if reading is None and subject.is_pending(manifest, score.task):
        return Match()
    if reading is None:
        missing = _unpaired(subject, score, "missing", subject.why_missing(score.task))
        return Match(checks=(missing,))
    if reading.score.value is None or reading.sample is None or reading.quantity is None:
        reason = reading.score.reason or reading.reason or "it is undefined"
        return Match(checks=(_unpaired(subject, score, "invalid", reason),))
    differences = tuple(
        f"{subjects.score_words(subject.name, score.key)}: {what}: was {then!r}, is {now!r}"
        for what in FORM
        if (then := getattr(score, what)) != (now := getattr(reading.score, what))
    )
    if score.signature == reading.score.signature:
        baseline.value(score, reading.quantity)  # refuses a value that was edited
    own = _Examples(reading.quantity, baseline.sample(score), reading.sample)
    examples = _common(manifest, baseline, subject, score, reading, own)
    noticed = Match(differences=differences, changes=examples.changes)
    if not len(examples.after.ids):
        reason = "select.constraints read all of its documents, so none is left to gate it on"
        return noticed + Match(checks=(_unpaired(subject, score, "invalid", reason),))
    pair = ScorePair(
        subject.name,
        subject.variant_id,
        examples.quantity,
        examples.before,
        examples.after,
        _margin(rules, rule, score.scale),
        unit=score.unit,
        floor=rule.floor if rule else None,
        same_outputs=subjects.outputs_name(reading) in same_outputs,
        kind=reading.kind,
    )
    return noticed + Match(pairs=(pair,))


class _Examples(NamedTuple):
    """What a score is called where it is compared, its examples there, and what is to be told."""

    quantity: Quantity
    before: Sample
    after: Sample
    changes: tuple[str, ...] = ()


def _common(
    manifest: Manifest,
    baseline: BaselineFiles,
    subject: subjects.GateSubject,
    score: BaselineScore,
    reading: Reading,
    own: _Examples,
) -> _Examples:
    """The examples of a score that may be compared, of those that both sides have."""
    words, changes = subjects.score_words(subject.name, score.key), []
    biased = subjects.choosing_words(subject, score.split)
    if biased is not None:  # an old run's: suites and baselines with such rules are refused
        changes.append(f"{words} is biased: {biased}; gate it on report")
    quantity, before, after, _ = own
    if reading.kind == HUMAN:  # raters leave a row out now and then
        both = np.intersect1d(before.ids, after.ids)
        total = np.union1d(before.ids, after.ids).size
        if 0 < both.size < total:
            changes.append(
                f"{words}: {both.size} of {total} items were rated both times, and only these are "
                "compared"
            )
        if both.size:  # else they cannot be paired, which the pairing says
            before, after = before.only(both), after.only(both)
    elif subject.name in (CHOSEN, MERGED) and score.split == ALL:
        n = len(after.ids)
        earlier = recorded_suite(baseline.baseline.context.get("suite") or {})
        suites = (earlier, suite_of(manifest))
        read = _constrained(suites, score.task, (before, after))
        before, after = (side.only(np.setdiff1d(side.ids, read)) for side in (before, after))
        if len(after.ids) < n:
            quantity = replace(quantity, split="report half")
            changes.append(
                f"{words}: compared on the {len(after.ids):,} of {n:,} documents that "
                "select.constraints did not read"
            )
    return _Examples(quantity, before, after, tuple(changes))


def _constrained(suites: tuple[Suite, ...], task: str, samples: tuple[Sample, ...]) -> list[str]:
    """Documents that a constraint read, of the run or of the baseline's run.

    A checkpoint that only chance kept within a constraint looks better than it is on the
    documents that the constraint read.
    """
    ids: set[str] = set()
    for suite, sample in zip(suites, samples, strict=True):
        if is_constrained(suite, task):
            ids.update(half_of(sample, "select", suite.seed).ids.tolist())
    return sorted(ids)


def _margin(rules: GateSpec, rule: GatedMetric | None, scale: float | None) -> Margin:
    if rule is not None and rule.margin is not None:
        return rule.margin
    return rules.margin if scale else rules.unscaled_margin


def _unpaired(
    subject: subjects.GateSubject, score: BaselineScore | Reading, verdict: GateVerdict, reason: str
) -> GateCheck:
    """A check of a score that only one side has, or that has no value."""
    record = score.score if isinstance(score, Reading) else score
    return GateCheck(
        **record.model_dump(include=_OF_SCORE),
        subject=subject.name,
        variant=subject.variant_id,
        kind="quality",
        verdict=verdict,
        decides=verdict != "not_compared",
        baseline_value=None if isinstance(score, Reading) else score.value,
        value=score.score.value if isinstance(score, Reading) else None,
        reason=reason,
    )
