"""What a run offers a gate: its gated variants with their scores, and what produced them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

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
from harness.suite.deciding import SPLIT as CHOOSING
from harness.suite.record import suite_of
from harness.suite.rules import CHOSEN, MERGED, GatedMetric, GateSpec

_SPLITS = ("report", "all", "eval")  # where a score is gated, the first that there is

# What can flip a near-tie in floating point and changes nothing else, and lists whose entries are
# compared one by one. They may differ from the baseline's, and are listed where they do.
_MAY_DIFFER = ("weights", "predictions", "metrics", "versions", "splits", "batch_size", "ratings")
_LM_EVAL_MAY_DIFFER = ("batch_size", "batch_tokens", "engine")


@dataclass(frozen=True)
class Measured:
    """Memory and speed of a gated variant, and the hardware they belong to.

    Attributes:
        fingerprint: Of the hardware.
        device_name: Of the hardware, in words.
        items: All that was measured.
        key: Of the stored record, by which a run that measured nothing anew is known.
    """

    fingerprint: str
    device_name: str
    items: tuple[Measurement, ...]
    key: str


@dataclass(frozen=True)
class Subject:
    """A gated variant of a run.

    Attributes:
        name: As ``gate.variants`` has it.
        variant: What it stands for; None with a reason where the run has no such variant.
        reason: Why there is none.
        readings: Its scores by task, metric and split.
        cells: Its cells by task.
        measurements: Memory and speed; None with a reason where there are none.
        unmeasured: Why there are no measurements.
    """

    name: str
    variant: Variant | None = None
    reason: str | None = None
    readings: Mapping[Key, Reading] = field(default_factory=dict)
    cells: Mapping[str, CellResult] = field(default_factory=dict)
    measurements: Measured | None = None
    unmeasured: str = "the suite measures nothing"

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


def subjects_of(store: Store, manifest: Manifest, names: Iterable[str]) -> dict[str, Subject]:
    """Look up gated variants and read their results.

    Args:
        store: Where the results lie.
        manifest: The run.
        names: As ``gate.variants`` has them.

    Raises:
        StoreError: A result that the manifest names is missing or unreadable.
    """
    return {name: _subject(store, manifest, name) for name in names}


def _subject(store: Store, manifest: Manifest, name: str) -> Subject:
    found = _resolve(manifest, name)
    if isinstance(found, str):
        return Subject(name, reason=found)
    cells = {cell.task: cell for cell in manifest.cells if cell.variant == found.id}
    readings = read_results(store, cells.values(), suite_of(manifest).tasks)
    measure = next((cell for cell in cells.values() if cell.kind == "measure"), None)
    measurements, unmeasured = None, Subject(name).unmeasured
    if measure is not None and measure.measurements_key is not None:
        key = measure.measurements_key
        environment = store.read_record("measurements", key, "environment", Environment)
        measurements = Measured(
            fingerprint=environment.fingerprint,
            device_name=environment.device_name,
            items=tuple(store.read_records("measurements", key, "measurements", Measurement)),
            key=key,
        )
    elif measure is not None:
        unmeasured = f"the measurement {measure.status}: {measure.reason}"
    return Subject(
        name,
        found,
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


def limit_differences(manifest: Manifest) -> list[str]:
    """Why a run with ``--limit`` is neither compared nor accepted; empty for whole runs."""
    if manifest.limit is None:
        return []
    return [
        f"limit: the run was made with --limit {manifest.limit}, so it holds a part of the "
        "examples; a gate takes whole runs (limits that are meant to stay belong into the suite)"
    ]


def score_words(subject: str, key: Key) -> str:
    """A score of a gated variant, as messages name it."""
    return f"{subject} {key[0]}/{key[1]} on {key[2]}"


def no_variant(subject: Subject) -> UsageError:
    """That the gate names a variant that does not exist, and which do."""
    return UsageError(
        f"gate.variants names {subject.name!r}: {subject.reason}.",
        where=f"gate.variants: {subject.name}",
        hint="Name one of these, or chosen, or merged.",
    )


def no_score(rule: GatedMetric, subject: Subject) -> UsageError:
    """That the gate names a score that does not exist, and which do."""
    there = ", ".join("/".join(key) for key in list(subject.readings)[:12]) or "none"
    split = f" on {rule.split}" if rule.split else ""
    return UsageError(
        f"gate.metrics names {rule.task}/{rule.metric}{split}, which {subject.name} does not have.",
        where="gate.metrics",
        hint=f"It has, as task/metric/split: {there}.",
    )


# -- which scores ---------------------------------------------------------------------------------


def default_keys(subject: Subject) -> Iterator[Key]:
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
        there = {r.key for r in readings if _can_be_gated(r)}
        whole = _on_split(there, task, metric)
        if whole is not None:
            yield whole
            continue
        members = [r.key for r in readings if r.key in there and "/" in r.key[0] and _is_leaf(r)]
        yield from members


def not_gated(subject: Subject) -> Iterator[tuple[Key, str]]:
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
        if reading.score.split in _SPLITS:
            yield reading.key, reading.reason or "it gives no per-example statistics"
        elif not any(_on_split([other.key], *reading.key[:2]) for other in whole):
            where = ", ".join(_SPLITS)
            reason = f"by default only scores on {where} are; gate.metrics can name it"
            yield reading.key, choosing_words(subject, reading.score.split) or reason


def choosing_words(subject: Subject, split: str) -> str | None:
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
    for split in _SPLITS:
        if (task, metric, split) in keys:
            return (task, metric, split)
    return None


def _can_be_gated(reading: Reading) -> bool:
    """Whether it has statistics, or would have some if its value were defined."""
    return reading.sample is not None or reading.score.value is None


def _is_leaf(reading: Reading) -> bool:
    """Whether a score is of one lm-eval task: a group's ids carry the names of its tasks."""
    return reading.sample is not None and not any("/" in text for text in reading.sample.ids[:1])


# -- what produced them ---------------------------------------------------------------------------


def fingerprint_of(
    store: Store, manifest: Manifest, subjects: Iterable[Subject], tasks: Iterable[str]
) -> dict[str, Any]:
    """What must be equal in the baseline and in a run for their scores to be comparable.

    It is made of the identities of stored results: everything that can change a score, except the
    weights and what only decides speed.

    Returns:
        ``suite`` and ``tasks``; of each task that some subject has a finished cell of: examples
        (data, prompt, split), limit, decoding, lm-eval's task, and metrics and signatures by name.
    """
    subjects = list(subjects)
    return {
        "suite": manifest.suite,
        "tasks": {
            task: _task_fingerprint(store, manifest, subject, task)
            for task in tasks
            if (subject := next((s for s in subjects if _is_done(s, task)), None)) is not None
        },
    }


def _is_done(subject: Subject, task: str) -> bool:
    cell = subject.cells.get(task)
    return cell is not None and cell.status == "done" and cell.scores_key is not None


def _task_fingerprint(
    store: Store, manifest: Manifest, subject: Subject, task: str
) -> dict[str, Any]:
    cell = subject.cells[task]
    identity = cell_identity(store, cell)
    found = {key: value for key, value in identity.items() if key not in _MAY_DIFFER}
    metrics = identity.get("metrics")
    if isinstance(metrics, list):
        found["metrics"] = {str(metric["name"]): metric for metric in metrics}
    if "lm_eval" in found:
        lm_eval = found["lm_eval"]
        found["lm_eval"] = {k: v for k, v in lm_eval.items() if k not in _LM_EVAL_MAY_DIFFER}
    if cell.kind == "perplexity":  # a loss is one per token, and the base brings the tokenizer
        found["base"] = identity.get("weights", {}).get("base")
    if "examples" in found:
        found["examples"] = _examples(found["examples"], manifest, task)
    found["signatures"] = {
        f"{r.score.task} {r.score.metric}": r.score.signature
        for r in subject.readings.values()
        if r.suite_task == task
    }
    return found


def _examples(identity: Mapping[str, Any], manifest: Manifest, task: str) -> dict[str, Any]:
    """Identity of examples, by the rows' content rather than by the Python that they come with."""
    data = {key: value for key, value in identity.get("data", {}).items() if key != "python"}
    report = manifest.data.get(task)
    return {**identity, "data": {**data, "rows": report.digest if report else None}}


def cell_identity(store: Store, cell: CellResult) -> dict[str, Any]:
    """The readable identities of a cell's predictions and scores in one."""
    identity: dict[str, Any] = {}
    if cell.predictions_key is not None:
        identity |= store.identity("predictions", cell.predictions_key)
    if cell.scores_key is not None:
        identity |= store.identity("scores", cell.scores_key)
    return identity


def weights_identity(store: Store, subject: Subject) -> dict[str, Any]:
    """What determined a subject's outputs for given inputs; empty where nothing is done."""
    for cell in subject.cells.values():
        if cell.status == "done" and cell.scores_key is not None:
            weights: dict[str, Any] = cell_identity(store, cell).get("weights", {})
            return weights
    return {}


def own_weights(store: Store, subject: Subject) -> dict[str, Any]:
    """What determined a subject's outputs, without what the context has of the whole run."""
    weights = weights_identity(store, subject)
    return {k: v for k, v in weights.items() if k not in ("base", "versions", "engine")}


def outputs_name(reading: Reading) -> str:
    """What :func:`outputs_of` calls the outputs that a score is of."""
    return f"{reading.suite_task}/{reading.score.split}"


def outputs_of(store: Store, subject: Subject, readings: Iterable[Reading]) -> dict[str, str]:
    """Digests of what a subject wrote for the examples of scores, by task and split.

    Tasks that write nothing have none, nor have scores whose examples are not known.
    """
    found: dict[str, str] = {}
    texts: dict[str, list[tuple[str, str]]] = {}  # of each task, with the examples' ids
    for reading in readings:
        task, name = reading.suite_task, outputs_name(reading)
        cell = subject.cells.get(task)
        if cell is None or cell.predictions_key is None or name in found:
            continue
        key = cell.predictions_key
        samples = store.path("predictions", key) / "samples.jsonl"
        if samples.is_file():  # lm-eval's, whose documents are all on one split
            found[name] = file_digest(samples)
        elif reading.sample is not None and samples.with_name("predictions.jsonl").is_file():
            if task not in texts:
                read = store.read_records("predictions", key, "predictions", Prediction)
                texts[task] = sorted((item.example_id, item.text) for item in read)
            ids = set(reading.sample.ids.tolist())
            own = [item for item in texts[task] if item[0] in ids]
            if len(own) == len(ids):
                found[name] = short_digest(own)
    return found


def context_of(store: Store, manifest: Manifest, subjects: Iterable[Subject]) -> dict[str, Any]:
    """What may differ from the baseline, and may explain a difference."""
    environment = manifest.environment
    weights = next((w for s in subjects if (w := weights_identity(store, s))), {})
    spec = {key: part for key, part in manifest.spec.items() if key not in ("description", "gate")}
    kept = {"versions", "python", "platform", "device", "device_name", "compute_dtype"}
    return {
        "suite": spec,
        "base": weights.get("base"),
        "engine": weights.get("engine"),
        "environment": environment.model_dump(mode="json", include=kept) if environment else {},
    }
