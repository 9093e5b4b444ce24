"""What is told of each run of a comparison: costs, training, and the settings that differ."""

from collections.abc import Iterator, Mapping, Sequence

from harness.compare.pairing import Side
from harness.compare.view import How, RunCosts, RunSummary, RunTraining, SettingDifference
from harness.diff import leaves
from harness.digests import canonical_json
from harness.report.parts.costs import build_measurements, build_trade_off
from harness.results.measurements import measured_on
from harness.schema import Comparison, Manifest, TrainingRun

_HARDWARE = ("device", "device_name", "cpu_count", "memory_bytes", "compute_dtype", "fingerprint")
_SOFTWARE = ("python", "platform", "versions")

# fields of records that a summary has under the same name
_OF_MANIFEST = {
    *("suite", "run_id", "suite_digest", "baseline", "command", "created", "updated"),
    *("complete", "limit", "training_key"),
}
_OF_POINT = {"memory_bytes", "decode_tokens_per_s", "price_per_million_new_tokens"}
_OF_TRAINING = {
    *("steps", "seconds", "tokens_per_second", "peak_memory_bytes", "trainable_parameters"),
    *("rows_used", "stopped_early"),
}

_GROUPS = (
    "Training",
    "Model",
    "Data and prompts",
    "Tasks",
    "Other settings",
    "Hardware and versions",
)
_GROUP_OF: Mapping[str, str] = {
    "train": "Training",
    "seed": "Training",
    "base": "Model",
    "matrix": "Model",
    "checkpoints": "Model",
    "data": "Data and prompts",
    "prompt": "Data and prompts",
    "tasks": "Tasks",
}


def run_facts(
    side: Side,
    picked: tuple[How, str],
    primary: tuple[str, str] | None,
    over_base: Comparison | None,
) -> RunSummary:
    """Everything that is told of one run besides its scores.

    Args:
        side: The run and its compared variant.
        picked: How the variant was picked, and the same in words.
        primary: Task and metric that decide in this run.
        over_base: The variant with the run's own baseline.

    Raises:
        StoreError: A finished measurement or training is missing or unreadable.
    """
    manifest = side.manifest
    return RunSummary(
        **manifest.model_dump(include=_OF_MANIFEST),
        label=side.label,
        runs_dir=str(side.store.root),
        variant=side.variant.id,
        how=picked[0],
        why=picked[1],
        primary=primary,
        over_base=over_base,
        costs=_costs(side),
        training=_training(side),
        unfinished=sum(cell.status != "done" for cell in manifest.cells),
        seed=side.suite.seed,
        environment=manifest.environment,
    )


def _costs(side: Side) -> RunCosts:
    measurements = build_measurements(side.store, side.manifest)
    trade_off = build_trade_off(side.manifest, measurements, None)
    point = next((p for p in trade_off.points if p.variant == side.variant.id), None)
    cell = next((c for c in side.cells.values() if c.kind == "measure"), None)
    if point is None or cell is None or cell.measurements_key is None:
        reason = side.missing(cell.task) if cell else "the suite measures nothing"
        return RunCosts(reason=reason)
    place = measured_on(side.store, cell.measurements_key) or side.manifest.environment
    return RunCosts(
        **point.model_dump(include=_OF_POINT),
        **trade_off.model_dump(include={"memory_name", "speed_sizes", "currency"}),
        fingerprint=place.fingerprint if place else None,
    )


def _training(side: Side) -> RunTraining | None:
    key = side.manifest.training_keys.get(side.variant.training)
    if key is None:
        return None
    run = side.store.read_record("training", key, "training", TrainingRun)
    losses = [entry.loss for entry in run.log if entry.loss is not None]
    evals = [entry.eval_loss for entry in run.log if entry.eval_loss is not None]
    return RunTraining(
        **run.model_dump(include=_OF_TRAINING),
        key=key,
        final_loss=losses[-1] if losses else None,
        final_eval_loss=evals[-1] if evals else None,
        best_eval_loss=min(evals, default=None),
        device_name=run.environment.device_name,
        log=tuple(e for e in run.log if e.loss is not None or e.eval_loss is not None),
    )


def setting_differences(manifests: Sequence[Manifest]) -> Iterator[SettingDifference]:
    """Settings, data, hardware and versions that are not the same in all runs, group by group."""
    settings = [dict(_settings(manifest)) for manifest in manifests]
    keys = sorted({key for own in settings for key in own})
    groups: dict[str, list[SettingDifference]] = {}
    for group, key in keys:
        values = tuple(own.get((group, key)) for own in settings)
        if len(set(values)) > 1:
            groups.setdefault(group, []).append(
                SettingDifference(group=group, key=key, values=values)
            )
    for group in _GROUPS:
        yield from groups.get(group, ())


def _settings(manifest: Manifest) -> Iterator[tuple[tuple[str, str], str]]:
    """(group, dotted key) and value as text of everything that a run was made with."""
    for key, value in leaves(manifest.spec):
        yield (_GROUP_OF.get(key.partition(".")[0], "Other settings"), key), _text(value)
    for task, report in manifest.data.items():
        yield ("Data and prompts", f"rows of {task}: digest"), report.digest
        yield ("Data and prompts", f"rows of {task}: kept"), str(report.rows_kept)
    if manifest.limit is not None:
        yield ("Other settings", "--limit"), str(manifest.limit)
    for variant in manifest.variants:
        if variant.id == manifest.baseline and "base" in variant.digests:
            yield ("Model", "weights of the base: digest"), variant.digests["base"]
    if manifest.environment is not None:
        place = manifest.environment.model_dump(mode="json", include={*_HARDWARE, *_SOFTWARE})
        for key, value in leaves(place):
            yield ("Hardware and versions", key.removeprefix("versions.")), _text(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else canonical_json(value)
