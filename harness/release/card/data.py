"""What a model card is about: the weights, their base, and where the data come from."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.report.view.records import MatrixRow, View
from harness.results.pairing import cell_identity
from harness.schema import CellResult, HubData, Manifest, Precision, TrainingRun, Variant
from harness.store.runs import Store

CLAIMED = ("report", "all")  # splits whose scores a card claims: no choice was made by them
_LOCAL = "its data are not on the Hub"
_MOST_FILES = 3  # that a data set is named by


@dataclass(frozen=True)
class Base:
    """What was fine-tuned."""

    name: str  # as the suite names it
    hub: bool  # whether that is a Hub id
    revision: str | None  # as pinned in the suite, else the commit that was loaded


@dataclass(frozen=True)
class TaskData:
    """Where the examples of a task (or of the training) come from."""

    name: str  # what to call the data set; no folder of this machine is in it
    hub: str | None = None  # its Hub id
    config: str | None = None  # its configuration on the Hub
    split: str | None = None  # the split of it that was scored, where that is one of its own
    revision: str | None = None  # its revision on the Hub
    # why its scores are not of one whole split of a data set on the Hub; empty where they are
    why_not: str = ""


@dataclass(frozen=True)
class Card:
    """Everything a card is written from."""

    manifest: Manifest  # the run
    view: View  # its report
    variant: Variant  # the weights that the card is of
    checkpoint: Variant  # what they were merged from; else they themselves
    base: Base  # what was fine-tuned
    # task, as in ``Score.task`` -> where its examples come from
    data: Mapping[str, TaskData] = field(default_factory=dict)
    # where those of the training come from; None without a training
    training_data: TaskData | None = None
    saved_as: Precision | None = None  # precision that merged weights are stored at, where known
    files: tuple[str, ...] = ()  # names of the files beside the card
    record: str | None = None  # the one of them that holds the whole record
    repo_id: str | None = None  # the Hub repository that it will be in

    @property
    def training(self) -> TrainingRun | None:
        """What the weights came of; None where they were trained elsewhere."""
        name = self.variant.training
        return self.view.trainings.get(name) if name else self.view.training

    @property
    def chosen(self) -> bool:
        """Whether it is the run's choice, or a merged form of it."""
        selection = self.manifest.selection
        return selection is not None and selection.chosen in (self.variant.id, self.checkpoint.id)

    @property
    def title(self) -> str:
        """What the model is called."""
        return self.repo_id or f"{self.manifest.suite}-{self.variant.id}"

    @property
    def rows(self) -> tuple[MatrixRow, ...]:
        """Whole tasks on what no choice read: members only of tasks that have no average."""
        rows = [row for row in self.view.rows if row.split in CLAIMED]
        whole = {row.suite_task for row in rows if row.task == row.suite_task}
        return tuple(r for r in rows if r.task == r.suite_task or r.suite_task not in whole)

    @property
    def members(self) -> tuple[MatrixRow, ...]:
        """Members of groups that have an average."""
        rows = self.rows
        return tuple(r for r in self.view.rows if r.split in CLAIMED and r not in rows)


def card_of(store: Store, manifest: Manifest, view: View, variant: Variant) -> Card:
    """Gather what a card is written from, as far as the records of a run tell.

    Args:
        store: Where the results lie.
        manifest: The run.
        view: Its report.
        variant: The weights to ship.

    Raises:
        StoreError: A result that the manifest names is unreadable.
    """
    cells = [c for c in manifest.cells if c.variant == variant.id and c.status == "done"]
    identities = [(cell, cell_identity(store, cell)) for cell in cells if cell.kind != "human"]
    data = {
        row.task: _task_data(store, manifest, cell, identity, row)
        for cell, identity in identities
        for row in view.rows
        if row.suite_task == cell.task and row.split in CLAIMED
    }
    sources = (v for v in manifest.variants if v.kind == "adapter")
    made_from = (v for v in sources if variant in manifest.merged_forms(v.id))
    return Card(
        manifest=manifest,
        view=view,
        variant=variant,
        checkpoint=next(made_from, variant),
        base=_base(variant, (identity for _, identity in identities)),
        data=data,
        training_data=_training_data(store, manifest),
    )


def _base(variant: Variant, identities: Iterable[Mapping[str, Any]]) -> Base:
    bases = (identity["weights"]["base"] for identity in identities if "weights" in identity)
    base: Mapping[str, Any] = next(bases, {})
    commit = base.get("commit")
    return Base(variant.base_model, base.get("kind") == "hub", variant.base_revision or commit)


def _training_data(store: Store, manifest: Manifest) -> TaskData | None:
    key = manifest.examples.get("train")
    if not manifest.training_keys:
        return None
    identity = store.identity("examples", key) if key is not None else {}
    return _own_data(identity.get("data") or {}, _reported(manifest, "train"), "train")


def _reported(manifest: Manifest, task: str) -> str:
    """The name of a task's data without the folders above it, as the reading of them noted it."""
    report = manifest.data.get(task)
    return Path(report.source).name if report else task


def _task_data(
    store: Store, manifest: Manifest, cell: CellResult, identity: Mapping[str, Any], row: MatrixRow
) -> TaskData:
    if cell.kind == "lm_eval":
        return _lm_eval_data(store, cell, identity, row)
    data = (identity.get("examples") or {}).get("data") or {}
    source = _own_data(data, _reported(manifest, cell.task), row.split)
    if source.hub and not source.why_not and identity.get("limit"):
        return replace(source, why_not=f"scored on {identity['limit']} examples only")
    return source


def _own_data(data: Mapping[str, Any], fallback: str, split: str) -> TaskData:
    """Data that the harness reads itself, by the identity of its examples."""
    kind = data.get("kind")
    if kind == "files":
        names = sorted({name for files in data["files"].values() for name in files})
        more = ", …" if len(names) > _MOST_FILES else ""
        return TaskData(", ".join(names[:_MOST_FILES]) + more, why_not=_LOCAL)
    if kind != "hub":
        return TaskData(str(data.get("id") or fallback), why_not=_LOCAL)
    name = str(data["id"])
    targets = {
        own: [target] if isinstance(target, str) else list(target)
        for own, target in (data.get("split_map") or {}).items()
    }
    own = [part for part, target in targets.items() if split in target]
    source = TaskData(name, name, data.get("name"), split, data.get("revision"))
    if len(own) != 1 or targets[own[0]] != [split]:
        return replace(source, why_not="scored on a part of the data set, drawn by hash")
    limit = (data.get("limits") or {}).get(split)
    why_not = f"scored on {limit} examples only" if limit else ""
    return replace(source, split=own[0], why_not=why_not)


def _lm_eval_data(
    store: Store, cell: CellResult, identity: Mapping[str, Any], row: MatrixRow
) -> TaskData:
    """Data that lm-eval reads, by what was recorded beside its samples."""
    name = lm_eval_name(row)
    asked = identity.get("lm_eval") or {}
    recorded = _recorded(store, cell)
    if asked.get("data") is not None or recorded == []:
        return TaskData(name, why_not=_LOCAL)
    if recorded is None:
        return TaskData(name, why_not="an earlier version did not record which data set it reads")
    parts = [d for d in recorded if d.task == row.task or d.task.startswith(f"{row.task}/")]
    ids = {part.dataset for part in parts}
    if len(ids) != 1:
        return TaskData(name, why_not="it reads several data sets" if ids else _LOCAL)
    return TaskData(
        name=parts[0].dataset,
        hub=parts[0].dataset,
        config=_common(part.config for part in parts),
        split=_common(part.split for part in parts),
        revision=_common(part.revision for part in parts),
        why_not=scored_part(row),
    )


def _recorded(store: Store, cell: CellResult) -> list[HubData] | None:
    key = cell.predictions_key
    if key is None or not store.holds("predictions", key, "datasets.jsonl"):
        return None
    return store.read_records("predictions", key, "datasets", HubData)


def scored_part(row: MatrixRow) -> str:
    """Which part of an lm-eval task was scored, by its signature; empty for the whole."""
    limit = re.search(r"\|limit:(\d+)", row.signature)
    tasks = re.search(r"\|tasks:(\d+)of(\d+)", row.signature)
    if limit:
        return f"scored on the first {limit[1]} documents only"
    return f"scored on {tasks[1]} of its {tasks[2]} tasks" if tasks else ""


def _common(values: Iterable[str | None]) -> str | None:
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def lm_eval_name(row: MatrixRow) -> str:
    """What lm-eval calls a task, which its signature says; else what the suite does."""
    task = re.search(r"\|task:([^|]+)", row.signature)
    return task[1] if task else row.task
