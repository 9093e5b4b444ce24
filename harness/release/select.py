"""``harness select``: choose again from what is stored, and say why.

Nothing here loads torch.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import DiskError
from harness.files import room_on_disk, write_atomic
from harness.printable import visible
from harness.report.browser.view import AllExamples
from harness.report.build import build_view
from harness.report.view.records import View
from harness.report.words.selection import selection_text
from harness.report.write import write_report
from harness.schema import ConstraintCheck, Manifest
from harness.select.checkpoint import select_checkpoint
from harness.store.runs import Store
from harness.suite.deciding import CANDIDATES
from harness.suite.record import suite_of

FINISH = "Run harness eval again to finish."


@dataclass(frozen=True)
class RunSelection:
    """A choice made again."""

    manifest: Manifest  # the run, with the choice as it is now
    view: View  # its report
    changed: bool  # whether the choice or its evidence is not as it was recorded
    files: tuple[Path, ...]  # what was written into the run's folder
    unwritten: str | None = None  # why nothing, or not all of it, could be written there

    @property
    def chosen(self) -> str | None:
        """The chosen checkpoint."""
        return self.manifest.selection.chosen if self.manifest.selection else None

    @property
    def record(self) -> dict[str, Any]:
        """The choice as ``selection.json`` has it."""
        manifest = self.manifest
        return {
            "run": manifest.name,
            "suite_digest": manifest.suite_digest,
            "baseline": manifest.baseline,
            "complete": manifest.complete,
            "updated": manifest.updated,
            "selection": manifest.selection and manifest.selection.model_dump(mode="json"),
            "report": self.view.choice.model_dump(mode="json"),
        }


def select_run(store: Store, manifest: Manifest) -> RunSelection:
    """Choose by the run's suite from the stored results, and write what came of it.

    ``selection.json`` goes into the run's folder once the run is complete; before, the rest of the
    run may change the choice, so there is none. Where the choice is not as it was recorded, the
    manifest and the report are written again as well, unless an eval has gone on meanwhile. Where
    the folder cannot be written, as in a copy that is read-only, the choice says so.

    Raises:
        StoreError: A result that the manifest names is missing or unreadable.
    """
    selection = select_checkpoint(
        store, manifest.variants, manifest.cells, suite_of(manifest), manifest.baseline
    )
    changed, before = selection != manifest.selection, manifest
    manifest = manifest.model_copy(update={"selection": selection})
    selected = RunSelection(manifest, build_view(store, manifest), changed, ())
    files: list[Path] = []
    unwritten = None
    try:
        with room_on_disk(store.run_dir(manifest.suite, manifest.run_id)):
            for path in _write(store, selected, before):
                files.append(path)  # as far as it comes
    except DiskError as error:  # the choice is known all the same
        unwritten = error.problem
    return replace(selected, files=tuple(files), unwritten=unwritten)


def _write(store: Store, selected: RunSelection, before: Manifest) -> Iterator[Path]:
    """Write what came of a choice, file by file."""
    manifest = selected.manifest
    folder = store.run_dir(manifest.suite, manifest.run_id)
    path = folder / "selection.json"
    if manifest.complete:
        write_atomic(path, as_json(selected.record))
        yield path
    else:
        path.unlink(missing_ok=True)
    if selected.changed and _written(store, manifest, before):
        yield from write_report(selected.view, folder, examples=AllExamples(store, manifest))


def _written(store: Store, manifest: Manifest, before: Manifest) -> bool:
    """Write a run's manifest, unless it is not what it was: then another command is at it."""
    with store.holding(manifest.suite, manifest.run_id):
        if store.latest(manifest) != before:
            return False
        store.write_manifest(manifest)
    return True


def describe(selected: RunSelection) -> str:
    """The choice for a terminal, first of all what speaks against relying on it."""
    text, manifest, chosen = selection_text(selected.view), selected.manifest, selected.chosen
    if notes := _notes(manifest):
        text = visible("\n".join(f"Note: {line}" for line in notes)) + f"\n\n{text}"
    merged = suite_of(manifest).matrix.merged
    adapters = {variant.id for variant in manifest.variants if variant.kind == "adapter"}
    if chosen in adapters and merged == "best" and not manifest.merged_forms(str(chosen)):
        text += f"\n\n{chosen} is not merged yet: run harness eval again to merge it."
    return text


def _notes(manifest: Manifest) -> list[str]:
    notes = []
    if lacking := unscored(manifest):
        notes.append(f"{no_score_words(manifest, lacking)} {FINISH}")
    elif not manifest.complete:
        notes.append("the run is not complete; run harness eval again to compute the rest.")
    checks: dict[str, list[ConstraintCheck]] = {}
    for check in manifest.selection.constraints if manifest.selection else ():
        checks.setdefault(check.what, []).append(check)
    for what, of_all in checks.items():
        if all(check.status == "unknown" for check in of_all):
            reasons = "; ".join(dict.fromkeys(str(check.reason) for check in of_all))
            notes.append(f"no checkpoint could be checked for “{what}”: {reasons}.")
    return notes


def unscored(manifest: Manifest) -> list[str]:
    """Checkpoints that the run has not scored yet on the task that decides."""
    if manifest.selection is None or not manifest.selection.task:
        return []
    task = manifest.selection.task
    done = {c.variant for c in manifest.cells if c.task == task and c.status == "done"}
    return [v.id for v in manifest.variants if v.kind in CANDIDATES and v.id not in done]


def no_score_words(manifest: Manifest, lacking: Sequence[str]) -> str:
    """That these have no score on the task that decides."""
    task = manifest.selection.task if manifest.selection else ""
    return f"{', '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no score of {task} yet."


def as_json(value: Any) -> str:
    """A record as it is written beside a choice."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
