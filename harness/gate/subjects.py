"""What a run offers a gate: its gated variants with their scores, and what produced them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from harness.digests import file_digest, short_digest
from harness.errors import UsageError
from harness.results.scores import Key, Reading, read_results
from harness.schema import (
    HUMAN,
    CellResult,
    Environment,
    Manifest,
    Measurement,
    Prediction,
    Variant,
)
from harness.store.runs import Store
from harness.suite.deciding import CLAIMED
from harness.suite.deciding import SPLIT as CHOOSING
from harness.suite.record import suite_of
from harness.suite.rules import CHOSEN, MERGED, GatedMetric, GateSpec


@dataclass(frozen=True)
class SubjectMeasurements:
    """Memory and speed of a gated variant, and the hardware they belong to."""

    fingerprint: str  # of the hardware
    device_name: str  # of the hardware, in words
    items: tuple[Measurement, ...]  # all that was measured
    key: str  # of the stored record, by which a run that measured nothing anew is known


@dataclass(frozen=True)
class GateSubject:
    """A gated variant of a run."""

    name: str  # as ``gate.variants`` has it
    # what it stands for; None with a reason where the run has no such variant
    variant: Variant | None = None
    reason: str | None = None  # why there is none
    # its scores by task, metric and split
    readings: Mapping[Key, Reading] = field(default_factory=dict)
    cells: Mapping[str, CellResult] = field(default_factory=dict)  # its cells by task
    # memory and speed; None with a reason where there are none
    measurements: SubjectMeasurements | None = None
    unmeasured: str = "the suite measures nothing"  # why there are no measurements

    @property
    def variant_id(self) -> str | None:
        """The id of what it stands for."""
        return self.variant.id if self.variant else None

    def is_pending(self, manifest: Manifest, task: str) -> bool:
        """Whether a task's scores are missing only because the run is not complete."""
        there = task in self.cells or task.partition("/")[0] in self.cells
        return not manifest.complete and not (self.variant is not None and there)

    def why_missing(self, task: str) -> str:
        """Why a score of a task (or of a member of it) is not there."""
        if self.variant is None:
            return self.reason or "the run has no such variant"
        cell = self.cells.get(task) or self.cells.get(task.partition("/")[0])
        if cell is None and task == HUMAN:
            return (
                f"no ratings of {self.variant.id} were imported into this run "
                "(harness sheet export, then harness sheet import)"
            )
        if cell is None:
            return f"the run has no cell {self.variant.id}/{task.partition('/')[0]}"
        if cell.status != "done":
            return f"the cell {cell.variant}/{cell.task} {cell.status}: {cell.reason}"
        return "it is not among the run's scores"


def gate_rules(manifest: Manifest) -> GateSpec:
    """The run's rules; the defaults for runs of before there were any.

    Raises:
        UsageError: The manifest holds rules that are unknown or invalid.
    """
    try:
        return GateSpec.model_validate(manifest.spec.get("gate") or {})
    except ValidationError as error:
        faults = (
            f"{'.'.join(['gate', *map(str, fault['loc'])])}: {fault['msg']}"
            for fault in error.errors()
        )
        raise UsageError(
            f"The run's rules cannot be used: {'; '.join(faults)}.",
            where=f"the manifest of {manifest.name}",
            hint="Run the eval again with the suite as it is now, and with this version.",
        ) from error


def subjects_of(store: Store, manifest: Manifest, names: Iterable[str]) -> dict[str, GateSubject]:
    """Look up gated variants and read their results.

    Args:
        store: Where the results lie.
        manifest: The run.
        names: As ``gate.variants`` has them.

    Raises:
        StoreError: A result that the manifest names is missing or unreadable.
    """
    return {name: _subject(store, manifest, name) for name in names}


def _subject(store: Store, manifest: Manifest, name: str) -> GateSubject:
    variant = _resolve(manifest, name)
    if isinstance(variant, str):
        return GateSubject(name, reason=variant)
    cells = {cell.task: cell for cell in manifest.cells if cell.variant == variant.id}
    readings = read_results(store, cells.values(), suite_of(manifest).tasks)
    measure = next((cell for cell in cells.values() if cell.kind == "measure"), None)
    measurements, unmeasured = None, GateSubject(name).unmeasured
    if measure is not None and measure.measurements_key is not None:
        key = measure.measurements_key
        environment = store.read_record("measurements", key, "environment", Environment)
        measurements = SubjectMeasurements(
            fingerprint=environment.fingerprint,
            device_name=environment.device_name,
            items=tuple(store.read_records("measurements", key, "measurements", Measurement)),
            key=key,
        )
    elif measure is not None:
        unmeasured = f"the measurement {measure.status}: {measure.reason}"
    return GateSubject(
        name,
        variant,
        readings={reading.key: reading for reading in readings},
        cells=cells,
        measurements=measurements,
        unmeasured=unmeasured,
    )


def _resolve(manifest: Manifest, name: str) -> Variant | str:
    """The variant that a name stands for, or why there is none."""
    variants = {variant.id: variant for variant in manifest.variants}
    if name not in (CHOSEN, MERGED):  # even where a checkpoint folder has such a name
        return variants.get(name) or f"the run has no variant {name}; it has {', '.join(variants)}"
    selection = manifest.selection
    chosen = variants.get(selection.chosen or "") if selection else None
    if chosen is None:
        reason = selection.reason if selection else "the run has nothing to choose from"
        return f"no checkpoint was chosen: {reason}"
    if name == CHOSEN:
        return chosen
    merged = manifest.merged_forms(chosen.id)
    return merged[0] if merged else f"{chosen.id} was not merged (matrix.merged)"


def score_words(subject: str, key: Key) -> str:
    """A score of a gated variant, as messages name it."""
    return f"{subject} {key[0]}/{key[1]} on {key[2]}"


def no_variant(subject: GateSubject) -> UsageError:
    """That the gate names a variant that does not exist, and which do."""
    return UsageError(
        f"gate.variants names {subject.name!r}: {subject.reason}.",
        where=f"gate.variants: {subject.name}",
        hint="Name one of these, or chosen, or merged.",
    )


def no_score(rule: GatedMetric, subject: GateSubject) -> UsageError:
    """That the gate names a score that does not exist, and which do."""
    there = ", ".join("/".join(key) for key in list(subject.readings)[:12]) or "none"
    split = f" on {rule.split}" if rule.split else ""
    return UsageError(
        f"gate.metrics names {rule.task}/{rule.metric}{split}, which {subject.name} does not have.",
        where="gate.metrics",
        hint=f"It has, as task/metric/split: {there}.",
    )


def default_keys(subject: GateSubject) -> Iterator[Key]:
    """Scores that are gated where ``gate.metrics`` names none.

    Every metric with statistics of every task as a whole. A group of lm-eval whose average is not
    one over documents has none; its members stand for it then. Ratings are gated only where they
    are named: most runs have none.
    """
    by_metric: dict[tuple[str, str], list[Reading]] = {}
    for reading in subject.readings.values():
        if reading.kind == HUMAN:
            continue
        by_metric.setdefault((reading.suite_task, reading.score.metric), []).append(reading)
    for (task, metric), readings in by_metric.items():
        # it has statistics, or would have some if its value were defined
        there = {r.key for r in readings if r.sample is not None or r.score.value is None}
        whole = _on_split(there, task, metric)
        if whole is not None:
            yield whole
            continue
        members = (r for r in readings if r.sample is not None and "/" in r.key[0])
        yield from (reading.key for reading in members if reading.is_leaf)


def not_gated(subject: GateSubject) -> Iterator[tuple[Key, str]]:
    """Scores of whole tasks that are not gated by default, and why.

    They lack the statistics that pairing needs, or are only on a split that is for choosing.
    """
    if any(reading.kind == HUMAN for reading in subject.readings.values()):
        yield (HUMAN, "ratings", "report"), "they are where gate.metrics names them"
    gated = [subject.readings[key] for key in default_keys(subject)]
    covered = {(reading.suite_task, reading.score.metric) for reading in gated}
    whole = [
        r for r in subject.readings.values() if r.score.task == r.suite_task and r.kind != HUMAN
    ]
    for reading in whole:
        if (reading.suite_task, reading.score.metric) in covered:
            continue
        if reading.score.split in CLAIMED:
            yield reading.key, reading.reason or "it gives no per-example statistics"
        elif not any(_on_split([other.key], *reading.key[:2]) for other in whole):
            where = ", ".join(CLAIMED)
            reason = f"by default only scores on {where} are; gate.metrics can name it"
            yield reading.key, choosing_words(subject, reading.score.split) or reason


def choosing_words(subject: GateSubject, split: str) -> str | None:
    """Why a score says too much good of a subject: it stands on what the subject was chosen by."""
    if split != CHOOSING or subject.name not in (CHOSEN, MERGED):
        return None
    return f"the {split} split is what the checkpoint was chosen by, so it looks better there"


def named_key(rule: GatedMetric, there: Iterable[Key]) -> Key | None:
    """The score that an entry of ``gate.metrics`` means, among those that there are."""
    if rule.split is not None:
        key = (rule.task, rule.metric, rule.split)
        return key if key in set(there) else None
    return _on_split(there, rule.task, rule.metric)


def _on_split(there: Iterable[Key], task: str, metric: str) -> Key | None:
    keys = set(there)
    return next((key for split in CLAIMED if (key := (task, metric, split)) in keys), None)


def outputs_name(reading: Reading) -> str:
    """What :func:`outputs_of` calls the outputs that a score is of."""
    return f"{reading.suite_task}/{reading.score.split}"


def outputs_of(store: Store, subject: GateSubject, readings: Iterable[Reading]) -> dict[str, str]:
    """Digests of what a subject wrote for the examples of scores, by task and split.

    Tasks that write nothing have none, nor have scores whose examples are not known.
    """
    digests: dict[str, str] = {}
    texts: dict[str, list[tuple[str, str]]] = {}  # of each task, with the examples' ids
    for reading in readings:
        task, name = reading.suite_task, outputs_name(reading)
        cell = subject.cells.get(task)
        if cell is None or cell.predictions_key is None or name in digests:
            continue
        key = cell.predictions_key
        samples = store.path("predictions", key) / "samples.jsonl"
        if samples.is_file():  # lm-eval's, whose documents are all on one split
            digests[name] = file_digest(samples)
        elif reading.sample is not None and samples.with_name("predictions.jsonl").is_file():
            if task not in texts:
                read = store.read_records("predictions", key, "predictions", Prediction)
                texts[task] = sorted((item.example_id, item.text) for item in read)
            ids = set(reading.sample.ids.tolist())
            own = [item for item in texts[task] if item[0] in ids]
            if len(own) == len(ids):
                digests[name] = short_digest(own)
    return digests
