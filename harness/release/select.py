"""``harness select``: choose again from what is stored, say why, and leave the choice to ship.

Nothing here loads torch: weights are copied as files and checked by their digests.
"""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.digests import file_digest
from harness.errors import DiskError, StoreError, UsageError
from harness.files import room_on_disk, write_atomic
from harness.models.identity import (
    ADAPTER_PATTERNS,
    MODEL_PATTERNS,
    checkpoint_digest,
    model_files,
    public_base_name,
)
from harness.release.card.card import card_files
from harness.release.card.data import card_of
from harness.release.card.forms import Form, merged_digests, merged_form, merged_weights, named_form
from harness.release.card.results import hub_installed
from harness.render.text import visible
from harness.report.browser.view import AllExamples
from harness.report.build import build_view
from harness.report.view.records import View
from harness.report.words.selection import selection_text
from harness.report.write import write_report
from harness.schema import ConstraintCheck, Manifest, Precision, Variant
from harness.select.checkpoint import select_checkpoint
from harness.store.runs import Store
from harness.suite.deciding import CANDIDATES
from harness.suite.record import suite_of

_FINISH = "Run harness eval again to finish."
RECORD = "harness-selection.json"
ADAPTER_CONFIG = "adapter_config.json"
_BASE_NAME = "base_model_name_or_path"


@dataclass(frozen=True)
class Selected:
    """A choice made again.

    Attributes:
        manifest: The run, with the choice as it is now.
        view: Its report.
        changed: Whether the choice or its evidence is not as it was recorded.
        files: What was written into the run's folder.
        unwritten: Why nothing, or not all of it, could be written there.
    """

    manifest: Manifest
    view: View
    changed: bool
    files: tuple[Path, ...]
    unwritten: str | None = None

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


def select_run(store: Store, manifest: Manifest) -> Selected:
    """Choose by the run's suite from the stored results, and write what came of it.

    ``selection.json`` goes into the run's folder once the run is complete; before, the rest of the
    run may change the choice, so there is none. Where the choice is not as it was recorded, the
    manifest and the report are written again as well, unless an eval has gone on meanwhile. Where
    the folder cannot be written, as in a copy that is read-only, the choice says so.

    Raises:
        StoreError: A result that the manifest names is missing or unreadable.
    """
    found = select_checkpoint(
        store, manifest.variants, manifest.cells, suite_of(manifest), manifest.baseline
    )
    changed, before = found != manifest.selection, manifest
    manifest = manifest.model_copy(update={"selection": found})
    selected = Selected(manifest, build_view(store, manifest), changed, ())
    files: list[Path] = []
    unwritten = None
    try:
        with room_on_disk(store.run_dir(manifest.suite, manifest.run_id)):
            _write(store, selected, before, files)
    except DiskError as error:  # the choice is known all the same
        unwritten = error.problem
    return replace(selected, files=tuple(files), unwritten=unwritten)


def _write(store: Store, selected: Selected, before: Manifest, files: list[Path]) -> None:
    """Write what came of a choice; ``files`` takes what was written."""
    manifest = selected.manifest
    folder = store.run_dir(manifest.suite, manifest.run_id)
    path = folder / "selection.json"
    if manifest.complete:
        write_atomic(path, _json(selected.record))
        files.append(path)
    else:
        path.unlink(missing_ok=True)
    if selected.changed and _written(store, manifest, before):
        files += write_report(selected.view, folder, examples=AllExamples(store, manifest))


def _written(store: Store, manifest: Manifest, before: Manifest) -> bool:
    """Write a run's manifest, unless it is not what it was: then another command is at it."""
    with store.holding(manifest.suite, manifest.run_id):
        if store.latest(manifest) != before:
            return False
        store.write_manifest(manifest)
    return True


def describe(selected: Selected) -> str:
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
    if lacking := _unscored(manifest):
        notes.append(f"{_no_score(manifest, lacking)} {_FINISH}")
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


def _unscored(manifest: Manifest) -> list[str]:
    """Checkpoints that the run has not scored yet on the task that decides."""
    if manifest.selection is None or not manifest.selection.task:
        return []
    task = manifest.selection.task
    done = {c.variant for c in manifest.cells if c.task == task and c.status == "done"}
    return [v.id for v in manifest.variants if v.kind in CANDIDATES and v.id not in done]


def _no_score(manifest: Manifest, lacking: Sequence[str]) -> str:
    task = manifest.selection.task if manifest.selection else ""
    return f"{', '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no score of {task} yet."


def form_named(name: str | None, copy_to: Path | None) -> Form | None:
    """What ``--form`` asks for.

    Raises:
        UsageError: There is no such form, or nothing is copied.
    """
    if name is None:
        return None
    if copy_to is None:
        raise UsageError("--form says what to copy, but nothing is copied.", hint="Add --copy-to.")
    return named_form(name)


# -- shipping -------------------------------------------------------------------------------------


def ship(store: Store, selected: Selected, folder: Path, form: Form | None = None) -> Path:
    """Leave the chosen checkpoint in a folder of its own, ready to ship, with its record.

    Weights, configuration and tokenizer are copied, what only a trainer needs is not. A model card
    lies beside them, with its results as metadata where huggingface_hub is installed. The copy is
    checked against the digests of the run before it appears under its name.

    Args:
        store: Where merged weights lie.
        selected: The choice.
        folder: A new or empty folder.
        form: ``adapter`` as it was trained (or the whole model, of a full fine-tuning), or
            ``merged``; default: adapter.

    Returns:
        The folder.

    Raises:
        UsageError: Nothing was chosen, the folder is not empty or cannot be written, or there is
            no merged form.
        StoreError: The weights are missing, or not those that were evaluated; or checkpoints have
            no score yet, so that the choice is not made among all of them.
    """
    manifest = selected.manifest
    variant = next((v for v in manifest.variants if v.id == selected.chosen), None)
    if variant is None:
        raise UsageError("No checkpoint was chosen, so there is nothing to copy.")
    if lacking := _unscored(manifest):
        raise StoreError(
            f"Nothing is copied from an unfinished run: {_no_score(manifest, lacking)}",
            where=manifest.name,
            hint=_FINISH,
        )
    if form == "merged":
        variant = merged_form(manifest, variant)
    target = folder.expanduser().absolute()
    with _writing_to(target):
        _check_empty(target)
    source, saved_as = _source(store, variant)
    with store.locked(reading=True), room_on_disk(target.parent):
        with _writing_to(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        try:
            names = _files_of(source, variant)
            for name in names:
                shutil.copyfile(source / name, made / name)
            _verify(made, variant, source)
            card = card_of(
                store,
                manifest,
                selected.view,
                variant,
                saved_as=saved_as,
                files=names,
                record=RECORD,
            )
            changed = _name_base(made, variant, hub=card.base.hub)
            files = {name: file_digest(made / name) for name in names}
            write_atomic(made / RECORD, _json(_record(selected, variant, files) | changed))
            for name, text in card_files(card).files.items():
                write_atomic(made / name, text)
            made.chmod(0o755)
            with _writing_to(target):
                made.rename(target)  # an empty folder of that name is replaced
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
    return target


def card_note() -> str | None:
    """What the shipped card lacks on this machine; None where it is whole."""
    if hub_installed():
        return None
    extra = "pip install 'qlora-harness[card]'"
    return f"The card has no results as metadata: huggingface_hub is not installed ({extra})."


@contextmanager
def _writing_to(target: Path) -> Iterator[None]:
    """Say of a folder that cannot be written which one it is, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskError(
            f"The folder cannot be written: {error.strerror}.",
            where=str(target),
            hint="Choose another folder with --copy-to.",
        ) from error


def _check_empty(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise UsageError(
            "This is a file, but a folder is needed.",
            where=str(target),
            hint="Give --copy-to the name of a new folder.",
        )
    if target.is_dir() and any(target.iterdir()):
        raise UsageError(
            "The folder is not empty, and nothing is overwritten.",
            where=str(target),
            hint="Give --copy-to a new or empty folder.",
        )


def _source(store: Store, variant: Variant) -> tuple[Path, Precision | None]:
    """Where a variant's weights lie, and at which precision merged ones are stored."""
    if variant.kind != "merged":
        path = Path(str(variant.adapter))
        if variant.adapter is None or not path.is_dir():
            raise StoreError(
                f"The weights of {variant.id} are gone.",
                where=str(path),
                hint="Run the eval again to train it anew.",
            )
        return path, None
    found = merged_weights(store, variant)
    if found is not None:
        return found[0], found[1].saved_as
    raise StoreError(
        f"The weights of {variant.id} are not kept any more.",
        where=str(store.root / ".store" / "merged"),
        hint="Copy the adapter with --form adapter, or add something to the suite that the merged "
        "model is scored on: the next eval then merges it again.",
    )


def _files_of(source: Path, variant: Variant) -> list[str]:
    """Names of the files that belong to the model, sorted."""
    if variant.kind == "merged":
        return sorted(merged_digests(variant))
    patterns = ADAPTER_PATTERNS if variant.kind == "adapter" else MODEL_PATTERNS
    return [path.name for path in model_files(source, patterns)]


def _verify(folder: Path, variant: Variant, source: Path) -> None:
    """Refuse weights that are not those the run was evaluated with."""
    differ = [
        name
        for name, digest in merged_digests(variant).items()
        if file_digest(folder / name) != digest
    ]
    wanted = variant.digests.get("adapter")
    if variant.kind != "merged" and wanted and checkpoint_digest(folder) != wanted:
        differ = [variant.id]
    if differ:
        raise StoreError(
            f"The weights have changed since they were evaluated: {', '.join(differ)}.",
            where=str(source),
            hint="Run the eval again, so that the figures are those of these weights.",
        )


def _name_base(folder: Path, variant: Variant, *, hub: bool) -> dict[str, Any]:
    """Have the copied adapter name its base as the suite does, not by a folder of this machine.

    What the adapter computes, and so its digest, does not depend on that name.

    Returns:
        What was changed, for the record.
    """
    file = folder / ADAPTER_CONFIG
    if variant.kind != "adapter":
        return {}
    config = json.loads(file.read_text("utf-8"))
    named = config.get(_BASE_NAME)
    name = public_base_name(named, variant.base_model, hub=hub) if named else named
    if name == named:
        return {}
    write_atomic(file, json.dumps(config | {_BASE_NAME: name}, indent=2, sort_keys=True))
    why = "the suite's name of the base, in place of a folder of the machine that trained"
    return {"changed_in_copy": {ADAPTER_CONFIG: {_BASE_NAME: name, "why": why}}}


def _record(selected: Selected, variant: Variant, files: dict[str, str]) -> dict[str, Any]:
    """Everything that tells where the copied weights come from and why they were chosen."""
    manifest = selected.manifest
    environment = manifest.environment
    return {
        **selected.record,
        "suite": manifest.spec,
        "variant": variant.model_dump(mode="json"),
        "base_model": variant.base_model,
        "base_revision": variant.base_revision,
        "files": files,
        "training_key": manifest.training_key,
        "environment": environment and environment.model_dump(mode="json"),
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
