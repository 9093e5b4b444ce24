"""Overlap stage: what scored examples share with training rows, found once and kept."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.checks.base import findings_about
from harness.checks.overlap import OverlapFacts
from harness.data.overlap import overlaps
from harness.doors import TASK_TYPES
from harness.errors import UsageError
from harness.plan.keys import Keyed, keyed
from harness.run.state import Run
from harness.schema import TRAIN, Example, Overlap, Record
from harness.suite.spec import TaskSpec
from harness.tasks.base import DocumentTaskType, TaskRequest, examples_of

_EXTENT = "extent"  # name of the record of how much was looked at
_VERSION = 1  # raised when other overlaps come of the same examples


class _Extent(Record):
    """How much was looked at."""

    scored: int


def look_for_overlaps(run: Run, examples: Mapping[str, Sequence[Example]]) -> None:
    """Compare what each task is scored on with the training rows, where these are known."""
    trained = [example for example in examples.get(TRAIN, ()) if example.split == "train"]
    if not trained:
        return
    for name, task in run.file.suite.tasks.items():
        if task.brings_data:
            _look_at_documents(run, name, task, trained)
            continue
        scored = examples_of(task, examples[name])
        key = _key(
            run,
            scored=run.plan.examples[name].key,
            splits=sorted({example.split for example in scored}),
            limit=task.limit,
        )
        if not run.store.has("overlaps", key.key):
            run.reporter.detail(f"Looking for training rows among the examples of {name}")
            _keep(run, key, overlaps(trained, scored))
        _tell(run, name, key, len(scored), len(trained))


def _look_at_documents(run: Run, name: str, task: TaskSpec, trained: Sequence[Example]) -> None:
    """Compare documents that come with a task; they are read only where that was not done."""
    kind = TASK_TYPES.get(task.type)
    if not isinstance(kind, DocumentTaskType):
        return
    request = TaskRequest(name, run.file.suite, run.file.base_dir)
    key = _key(run, documents=kind.inputs(request, None), seed=run.file.suite.seed)
    if not run.store.has("overlaps", key.key):
        run.reporter.detail(f"Looking for training rows among the documents of {name}")
        try:
            documents = kind.documents(request)
        except UsageError as error:  # the task itself fails for it, where it is still to be run
            run.reporter.warn(
                f"Not looked for training rows among the documents of {name}: {error}"
            )
            return
        shared = [o.model_copy(update={"split": "all"}) for o in overlaps(trained, documents)]
        _keep(run, key, shared, _Extent(scored=len(documents)))
    extent = run.store.read_record("overlaps", key.key, _EXTENT, _Extent)
    _tell(run, name, key, extent.scored, len(trained))


def _key(run: Run, **scored: Any) -> Keyed:
    trained = run.plan.examples[TRAIN].key
    return keyed({"trained": trained, **scored, "version": _VERSION})


def _keep(run: Run, key: Keyed, shared: Sequence[Overlap], extent: _Extent | None = None) -> None:
    with run.store.writing("overlaps", key.key, key.identity) as folder:
        run.store.write_records(folder, "overlaps", shared)
        if extent is not None:
            run.store.write_record(folder, _EXTENT, extent)


def _tell(run: Run, name: str, key: Keyed, scored: int, trained: int) -> None:
    """Have the run name what was found, and take the findings about it."""
    run.overlaps[name] = key.key
    known = run.store.read_records("overlaps", key.key, "overlaps", Overlap)
    run.findings += findings_about(OverlapFacts(name, scored, trained, known))
