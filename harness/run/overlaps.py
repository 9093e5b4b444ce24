"""Overlap stage: what scored examples share with training rows, found once and kept."""

from collections.abc import Mapping, Sequence

from harness.checks.base import findings_about
from harness.checks.overlap import OverlapFacts
from harness.data.overlap import overlaps
from harness.plan.keys import keyed
from harness.run.state import Run
from harness.schema import TRAIN, Example, Overlap
from harness.tasks.base import examples_of

_VERSION = 1  # raised when other overlaps come of the same examples


def look_for_overlaps(run: Run, examples: Mapping[str, Sequence[Example]]) -> None:
    """Compare the examples of each task with the training rows; only suites that train have some.

    Tasks that bring their own documents are left out: those are known when they run.
    """
    trained = [example for example in examples.get(TRAIN, ()) if example.split == "train"]
    if not trained:
        return
    for name, task in run.file.suite.tasks.items():
        if task.brings_data:
            continue
        scored = examples_of(task, examples[name])
        item = keyed(
            {
                "trained": run.plan.examples[TRAIN].key,
                "scored": run.plan.examples[name].key,
                "splits": sorted({example.split for example in scored}),
                "limit": task.limit,
                "version": _VERSION,
            }
        )
        if not run.store.has("overlaps", item.key):
            run.reporter.detail(f"Looking for training rows among the examples of {name}")
            with run.store.writing("overlaps", item.key, item.identity) as folder:
                run.store.write_records(folder, "overlaps", overlaps(trained, scored))
        run.overlaps[name] = item.key
        known = run.store.read_records("overlaps", item.key, "overlaps", Overlap)
        run.findings += findings_about(OverlapFacts(name, len(scored), len(trained), known))
