"""Pools the runs of one recipe: each held-out row once, or the same rows over several seeds.

A metric is a function of summed statistics, so pooled values of corpus metrics are those of all
rows together, and no means of folds' values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.compare.pooled import CHOICE, MemberRun, MemberScore, PooledRow, PooledView
from harness.compare.pooled_pairs import BASE, RECIPE, Pair, Panels, Pooled, pooled
from harness.errors import PairingError
from harness.results.scores import Key, Reading, read_results
from harness.schema import HUMAN, Manifest, Variant
from harness.stats.paired import Difference
from harness.stats.panel import Sample
from harness.store.runs import Store
from harness.suite.deciding import CANDIDATES, is_constrained, primary_metric
from harness.suite.members import members_of
from harness.suite.record import suite_of
from harness.suite.spec import Suite

_CLAIMED = ("report", "all")  # what no choice was made on


@dataclass(frozen=True)
class _Member:
    """A member's run with its readings by what they are about and by variant."""

    label: str
    manifest: Manifest
    readings: Mapping[tuple[Key, str], Reading]

    def variant(self, what: str) -> str | None:
        """The variant that a row is about; None where the member has none."""
        if what != CHOICE:
            return what if any(v.id == what for v in self.manifest.variants) else None
        return self.manifest.selection.chosen if self.manifest.selection else None


def pool(store: Store, manifest: Manifest) -> PooledView:
    """Pool what the members of a run have finished.

    Args:
        store: Where the runs and results lie.
        manifest: The run that names its members.

    Raises:
        StoreError: A member's results are missing or unreadable.
    """
    suite = suite_of(manifest)
    labels = list(members_of(suite))
    there = [_manifest(store, name) for name in manifest.members]
    runs = [_member_run(store, *it) for it in zip(labels, manifest.members, there, strict=True)]
    members = [
        _Member(label, own, _readings(store, own, suite))
        for label, own in zip(labels, there, strict=True)
        if own is not None
    ]
    rows: list[PooledRow] = []
    notes = _notes(suite)
    if len(members) == len(labels):
        rows = _rows(members, suite)
    else:
        notes.append(f"{len(members)} of {len(labels)} members have begun, so nothing is pooled.")
    return PooledView(
        suite=manifest.suite,
        run_id=manifest.run_id,
        suite_digest=manifest.suite_digest,
        command=manifest.command,
        updated=manifest.updated,
        complete=manifest.complete,
        by="seeds" if suite.seeds else "folds",
        smoke=suite.smoke,
        members=tuple(runs),
        rows=tuple(rows),
        deciding=_deciding(rows, suite),
        notes=tuple(notes),
        limited=bool(suite.data and suite.data.limits),
        splits=_splits(suite),
    )


def _manifest(store: Store, name: str) -> Manifest | None:
    folder, _, run_id = name.partition("/")
    return store.earlier_manifest(folder, run_id)


def _member_run(store: Store, label: str, name: str, own: Manifest | None) -> MemberRun:
    if own is None:
        return MemberRun(label=label, run=name, state="missing")
    chosen = own.selection.chosen if own.selection else None
    steps = {variant.id: variant.step for variant in own.variants}
    report = own.data.get("train")
    sizes = report.split_sizes if report is not None else {}
    return MemberRun(
        label=label,
        run=name,
        state=store.state_of(own),
        chosen=chosen,
        step=steps.get(chosen) if chosen else None,
        train_rows=sizes.get("train", 0),
        held_out_rows=sizes.get("report", 0),
    )


def _readings(store: Store, own: Manifest, suite: Suite) -> dict[tuple[Key, str], Reading]:
    readings = read_results(store, own.cells, suite.tasks)
    return {(r.key, r.variant): r for r in readings if r.kind != HUMAN and _is_shown(r, suite)}


def _is_shown(reading: Reading, suite: Suite) -> bool:
    """Whether it is a score of a whole task, on rows that no choice was made on."""
    whole = reading.score.task == reading.suite_task
    unread = reading.score.split == "report" or not is_constrained(suite, reading.suite_task)
    return whole and reading.score.split in _CLAIMED and unread


def _notes(suite: Suite) -> list[str]:
    notes = [
        f"{name} is not pooled: constraints on it took part in the choice."
        for name, task in suite.tasks.items()
        if task.brings_data and is_constrained(suite, name)
    ]
    for name, task in suite.tasks.items():
        if not task.brings_data and "report" not in task.scored_splits:
            notes.append(f"{name} is not pooled: it is not scored on the report split.")
    return notes


def _splits(suite: Suite) -> tuple[str, ...]:
    """Splits of the suite's own data that its tasks and its training need rows in."""
    own = [t for t in suite.tasks.values() if not t.brings_data and not getattr(t, "data", None)]
    asked = {split for task in own for split in task.scored_splits}
    if any(train.early_stopping is not None for train in suite.trainings.values()):
        asked.add("eval")
    return tuple(split for split in ("eval", "select", "report") if split in asked)


def _rows(members: Sequence[_Member], suite: Suite) -> list[PooledRow]:
    """A row per metric, of the choice and then of each checkpoint that all members have."""
    keys = dict.fromkeys(key for member in members for key, _ in member.readings)
    steps = _common(members)
    panels = Panels(suite.seed)
    return [_row(members, key, what, panels, suite) for what in (CHOICE, *steps) for key in keys]


def _common(members: Sequence[_Member]) -> list[str]:
    def own(variants: Sequence[Variant]) -> list[str]:
        return [variant.id for variant in variants if variant.kind in CANDIDATES]

    first, *others = (own(member.manifest.variants) for member in members)
    return [name for name in first if all(name in other for other in others)]


def _row(
    members: Sequence[_Member], key: Key, what: str, panels: Panels, suite: Suite
) -> PooledRow:
    task, metric, split = key
    row = PooledRow(task=task, metric=metric, split=split, what=what)
    try:
        pairs = [_pair(member, key, what) for member in members]
        together = pooled(pairs, panels, suite)
    except PairingError as error:
        return row.model_copy(update={"reason": error.problem})
    return _filled(row, members, pairs, together)


def _pair(member: _Member, key: Key, what: str) -> Pair:
    """A member's samples.

    Raises:
        PairingError: It lacks one of the two.
    """
    variant = member.variant(what)
    if variant is None:
        raise PairingError(f"{member.label} has no such checkpoint, or has chosen none.")
    samples = []
    for name in (member.manifest.baseline, variant):
        reading = member.readings.get((key, name))
        if reading is None or reading.sample is None or reading.quantity is None:
            why = (reading.reason if reading is not None else None) or "it has no such score"
            raise PairingError(f"{name} of {member.label}: {why}.")
        samples.append(reading.sample)
        quantity = reading.quantity
    return Pair(member.label, quantity, samples[0], samples[1])


def _filled(
    row: PooledRow, members: Sequence[_Member], pairs: Sequence[Pair], own: Pooled
) -> PooledRow:
    panel, repeated = own.panel, own.repeated
    pooled_difference, quantity = repeated.difference, panel.quantity
    return row.model_copy(
        update={
            "unit": quantity.unit,
            "scale": quantity.scale,
            "higher_is_better": quantity.higher_is_better,
            "rows": "the same" if own.same_rows else "held out once",
            "n": len(panel.ids),
            "clusters": panel.resamples.n_clusters,
            "base": panel.value(BASE),
            "value": panel.value(RECIPE),
            "delta": pooled_difference.delta,
            "low": pooled_difference.low,
            "high": pooled_difference.high,
            "identical": pooled_difference.identical,
            "sampling": repeated.sampling,
            "training": repeated.training,
            "spread": repeated.spread,
            "noise": repeated.noise,
            "method": pooled_difference.method,
            "reason": pooled_difference.reason,
            "members": tuple(
                _score(member, row.what, pair, difference)
                for member, pair, difference in zip(members, pairs, own.each, strict=True)
            ),
        }
    )


def _score(member: _Member, what: str, pair: Pair, own: Difference) -> MemberScore:
    def value(sample: Sample) -> float | None:
        total = float(pair.quantity.aggregate(sample.stats.sum(axis=0)))
        return total if np.isfinite(total) else None

    return MemberScore(
        label=member.label,
        variant=member.variant(what) or "",
        n=len(pair.base.ids),
        base=value(pair.base),
        value=value(pair.candidate),
        delta=own.delta,
        low=own.low,
        high=own.high,
    )


def _deciding(rows: Sequence[PooledRow], suite: Suite) -> int | None:
    """The choice's row by the suite's primary metric, else its first row that was pooled."""
    own = [(place, row) for place, row in enumerate(rows) if row.what == CHOICE and row.rows]
    primary = primary_metric(suite)
    named = [place for place, row in own if (row.task, row.metric) == primary]
    return next(iter([*named, *(place for place, _ in own)]), None)
