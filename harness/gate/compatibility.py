"""What must be equal in a baseline and in a run, and what else is not as it was."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from harness.diff import difference
from harness.gate.baseline import rounded
from harness.gate.subjects import GateSubject
from harness.results.pairing import cell_identity, lm_eval_task, metric_options
from harness.schema import CellResult, Manifest
from harness.store.runs import Store
from harness.suite.rules import GateSpec
from harness.suite.spec import task_facts

# What can flip a near-tie in floating point and changes nothing else, and lists whose entries are
# compared one by one. They may differ from the baseline's, and are listed where they do.
_MAY_DIFFER = ("weights", "predictions", "metrics", "versions", "splits", "batch_size", "ratings")
_PLACE = {"versions", "python", "platform", "device", "device_name", "compute_dtype"}


def fingerprint_of(
    store: Store, manifest: Manifest, subjects: Iterable[GateSubject], tasks: Iterable[str]
) -> dict[str, Any]:
    """What must be equal in the baseline and in a run for their scores to be comparable.

    It is made of the identities of stored results: everything that can change a score, except the
    weights and what only decides speed.

    Returns:
        ``suite`` and ``tasks``; of each task that some subject has a finished cell of: examples
        (data, prompt, split), limit, decoding, lm-eval's task, and metrics and signatures by name.
    """
    prints: dict[str, Any] = {}
    subjects = list(subjects)
    for task in tasks:
        done = (s for s in subjects if task in s.cells and _is_scored(s.cells[task]))
        subject = next(done, None)
        if subject is not None:
            prints[task] = _task_fingerprint(store, manifest, subject, task)
    return {"suite": manifest.suite, "tasks": prints}


def _is_scored(cell: CellResult) -> bool:
    return cell.status == "done" and cell.scores_key is not None


def _task_fingerprint(
    store: Store, manifest: Manifest, subject: GateSubject, task: str
) -> dict[str, Any]:
    cell = subject.cells[task]
    identity = cell_identity(store, cell)
    fingerprint = {key: value for key, value in identity.items() if key not in _MAY_DIFFER}
    if isinstance(identity.get("metrics"), list):
        fingerprint["metrics"] = metric_options(identity)
    if "lm_eval" in identity:
        fingerprint["lm_eval"] = lm_eval_task(identity)
    if task_facts(
        cell.kind
    ).per_token:  # a loss is one per token, and the base brings the tokenizer
        fingerprint["base"] = identity.get("weights", {}).get("base")
    if "examples" in identity:  # rows by their content rather than by the Python they come with
        examples, report = identity["examples"], manifest.data.get(task)
        data = {key: value for key, value in examples.get("data", {}).items() if key != "python"}
        data["rows"] = report.digest if report else None
        fingerprint["examples"] = {**examples, "data": data}
    fingerprint["signatures"] = {
        f"{r.score.task} {r.score.metric}": r.score.signature
        for r in subject.readings.values()
        if r.suite_task == task
    }
    return fingerprint


def weights_of(store: Store, subject: GateSubject) -> dict[str, Any]:
    """What determined a subject's outputs for given inputs; empty where nothing is done."""
    for cell in subject.cells.values():
        if _is_scored(cell):
            weights: dict[str, Any] = cell_identity(store, cell).get("weights", {})
            return weights
    return {}


def own_weights(store: Store, subject: GateSubject) -> dict[str, Any]:
    """What determined a subject's outputs, without what the context has of the whole run."""
    weights = weights_of(store, subject)
    return {k: v for k, v in weights.items() if k not in ("base", "versions", "engine")}


def context_of(store: Store, manifest: Manifest, subjects: Iterable[GateSubject]) -> dict[str, Any]:
    """What may differ from the baseline, and may explain a difference."""
    place = manifest.environment
    weights = next((w for s in subjects if (w := weights_of(store, s))), {})
    return {
        "suite": {k: v for k, v in manifest.spec.items() if k not in ("description", "gate")},
        "base": weights.get("base"),
        "engine": weights.get("engine"),
        "environment": place.model_dump(mode="json", include=_PLACE) if place else {},
    }


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Dotted keys whose values differ, sorted, each with what it was and is."""
    return [
        f"{key}: was {_shown(old)}, is {_shown(new)}" for key, old, new in difference(before, after)
    ]


def _shown(value: Any, limit: int = 80) -> str:
    if value is None:
        return "not set"
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def limit_differences(manifest: Manifest) -> list[str]:
    """Why a run with ``--limit`` is neither compared nor accepted; empty for whole runs."""
    if manifest.limit is None:
        return []
    return [
        f"limit: the run was made with --limit {manifest.limit}, so it holds a part of the "
        "examples; a gate takes whole runs (limits that are meant to stay belong into the suite)"
    ]


def fingerprint_differences(
    before: Mapping[str, Any], after: Mapping[str, Any], splits: Mapping[str, Collection[str]]
) -> list[str]:
    """Fields that make two fingerprints incompatible, each with what it was and is.

    Tasks, metrics and signatures that only one of the two has are no difference: what the run
    lacks is missing, and what it adds is new. Nor is a limit of a split that is not compared.

    Args:
        before: The baseline's.
        after: The run's.
        splits: The splits that are compared, by task; see :attr:`Baseline.splits`.
    """
    lines = differences({"suite": before.get("suite")}, {"suite": after.get("suite")})
    then, now = before.get("tasks", {}), after.get("tasks", {})
    for task in sorted(then.keys() & now.keys()):
        sides = [_of_splits(side[task], splits.get(task, ())) for side in (then, now)]
        for part in ("metrics", "signatures"):
            common = sides[0].get(part, {}).keys() & sides[1].get(part, {}).keys()
            for side in sides:
                side[part] = {key: side.get(part, {})[key] for key in common}
        lines += differences(*({"tasks": {task: side}} for side in sides))
    return lines


def _of_splits(task: Mapping[str, Any], splits: Collection[str]) -> dict[str, Any]:
    """The fingerprint of a task, of the limits of its data only those of some splits."""
    examples = task.get("examples") or {}
    data = examples.get("data") or {}
    if "limits" not in data:
        return dict(task)
    limits = {split: n for split, n in data["limits"].items() if split in splits}
    return {**task, "examples": {**examples, "data": {**data, "limits": limits}}}


def rule_differences(before: GateSpec, after: GateSpec) -> list[str]:
    """Rules that differ; entries of lists are compared one by one, whatever their order."""
    then, now = (rounded(rules.model_dump(mode="json")) for rules in (before, after))
    lines = []
    for name, old in then.items():
        key, new = f"gate.{name}", now[name]
        if not isinstance(old, list):
            lines += _changed_rule(key, old, new)
            continue
        if name == "metrics" and bool(old) != bool(new):
            words = ("every score (none is named)", "the named ones only")
            was, is_ = words if new else reversed(words)
            lines.append(f"{key}: was {was}, is {is_}")
        olds, news = _by_name(old), _by_name(new)
        for label in dict.fromkeys((*olds, *news)):
            entry = f"{key}[{label}]"
            if label not in news:
                lines.append(f"{entry} is not gated any more")
            elif label not in olds:
                lines.append(f"{entry} is new")
            else:
                for part, value in olds[label].items():
                    lines += _changed_rule(f"{entry}.{part}", value, news[label][part])
    return lines


def _changed_rule(key: str, old: Any, new: Any) -> list[str]:
    was, is_ = (
        "not set" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
        for value in (old, new)
    )
    return [] if old == new else [f"{key}: was {was}, is {is_}"]


def _by_name(entries: Iterable[str | dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Entries of a list of rules by what they are about; what is named again is numbered."""
    named: dict[str, dict[str, Any]] = {}
    for entry in entries:
        fields = {} if isinstance(entry, str) else dict(entry)
        if isinstance(entry, str):
            name = entry
        elif "measurement" in fields:
            name = fields.pop("measurement")
        else:
            name = f"{fields.pop('task')}/{fields.pop('metric')}"
            split = fields.pop("split")
            name = f"{name} on {split}" if split else name
        again = sum(label == name or label.startswith(f"{name} #") for label in named)
        named[f"{name} #{again + 1}" if again else name] = fields
    return named
