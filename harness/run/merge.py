"""Merging stage: which checkpoints to merge, and their weights, made once and kept in the store."""

from __future__ import annotations

from pathlib import Path

from harness.checks.base import findings_about
from harness.checks.unchosen_merge import UnchosenMergeFacts
from harness.plan.keys import merged_of
from harness.plan.plan import make_plan
from harness.plan.variants import may_merge, names_to_merge
from harness.run.state import Run
from harness.schema import MergedModel, Variant
from harness.suite.deciding import primary_metric


def plan_merged(run: Run) -> list[Variant]:
    """Plan what ``matrix.merged`` asks for, now that checkpoints are scored and one is chosen.

    Where ``--only`` left checkpoints without the score that decides, ``merged: best`` stays
    undecided, or as an earlier invocation decided it.
    """
    suite = run.file.suite
    adapters = [variant for variant in run.plan.variants if may_merge(suite, variant)]
    if run.file.suite.matrix.merged != "best" or _all_scored(run, adapters):
        names = names_to_merge(run.file.suite, adapters, _best(run, adapters))
        run.plan = make_plan(run.file, run.store, names)
    return [variant for variant in run.plan.variants if variant.kind == "merged"]


def merged_weights(run: Run, variant: Variant) -> tuple[Path, MergedModel]:
    """Folder of a merged model with its record, merged now unless the store has it."""
    item = merged_of(run.file.suite, variant)
    if not run.store.has("merged", item.key):
        from harness.train.merge import merge_adapter

        adapter = Path(str(variant.adapter))
        run.reporter.say(f"Merging {adapter.name} into the base")
        base, base_dir = run.file.suite.base, run.file.base_dir
        with run.store.writing("merged", item.key, item.identity) as folder:
            policy, _ = run.decide_device()
            merged = merge_adapter(
                base, adapter, folder, policy, base_dir=base_dir, save_as=variant.precision
            )
            run.store.write_record(folder, "merged", merged)
    made = run.store.read_record("merged", item.key, "merged", MergedModel)
    return run.store.path("merged", item.key), made


def is_damaged(run: Run, variant: Variant) -> bool:
    """Whether merged weights are there but not as they were written; they may also be pruned."""
    key = merged_of(run.file.suite, variant).key
    return run.store.path("merged", key).exists() and not run.store.has("merged", key)


def unmerged(error: Exception) -> str:
    """Why a checkpoint has no merged form, for its cells."""
    return f"it cannot be merged: {str(error).strip() or type(error).__name__}"


def _all_scored(run: Run, adapters: list[Variant]) -> bool:
    """Whether every checkpoint has a result (if only a failure) of the task that decides."""
    primary = primary_metric(run.file.suite)
    if primary is None or not run.options.only:
        return True
    return all((adapter.id, primary[0]) in run.results for adapter in adapters)


def _all_excluded(run: Run) -> bool:
    """Whether the constraints leave no checkpoint to ship, and so none to merge."""
    found = run.selection.candidates if run.selection is not None else ()
    scored = [candidate for candidate in found if candidate.value is not None]
    return bool(scored) and not any(candidate.allowed for candidate in scored)


def _best(run: Run, adapters: list[Variant]) -> str | None:
    """The chosen checkpoint, which may be none to merge; where none was chosen the last adapter.

    The report says so.
    """
    names = [adapter.id for adapter in adapters]
    chosen = run.selection.chosen if run.selection is not None else None
    if chosen is not None or not names or _all_excluded(run):
        return chosen
    if run.file.suite.matrix.merged == "best":
        reason = run.selection.reason if run.selection is not None else ""
        run.findings += findings_about(UnchosenMergeFacts(names[-1], reason))
    return names[-1]
