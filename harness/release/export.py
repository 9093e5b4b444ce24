"""Leaves the choice of a run in a folder of its own, ready to ship.

Nothing here loads torch: weights are copied as files and checked by their digests.
"""

import errno
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.digests import file_digest
from harness.errors import DiskError, StoreError, UsageError
from harness.files import local_path, room_on_disk, write_atomic
from harness.models import identity
from harness.models.beside import TOKENIZER_PROBE
from harness.release.card.card import card_files
from harness.release.card.data import card_of
from harness.release.card.forms import (
    Form,
    check_proof,
    merged_digests,
    merged_form,
    merged_weights,
    named_form,
)
from harness.release.card.results import hub_installed
from harness.release.select import FINISH, RunSelection, as_json, no_score_words, unscored
from harness.report.view.records import View
from harness.schema import Precision, Variant
from harness.store.runs import Store

RECORD = "harness-selection.json"
ADAPTER_CONFIG = "adapter_config.json"
_BASE_NAME = "base_model_name_or_path"


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


def ship(store: Store, selected: RunSelection, folder: Path, form: Form | None = None) -> Path:
    """Leave the chosen checkpoint in a folder of its own, ready to ship, with its record.

    Weights, configuration and tokenizer are copied, what only a trainer needs is not, nor a
    tokenizer or chat template by which the figures are not. A model card
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
    if lacking := unscored(manifest):
        raise StoreError(
            f"Nothing is copied from an unfinished run: {no_score_words(manifest, lacking)}",
            where=manifest.name,
            hint=FINISH,
        )
    if form == "merged":
        variant = merged_form(manifest, variant)
    target = local_path(folder).absolute()
    with _writing_to(target):
        _check_empty(target)
    source, saved_as = _source(store, variant)
    with store.locked(reading=True), room_on_disk(target.parent):
        with _writing_to(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        try:
            left_out = _not_evaluated_with(selected.view, variant, source)
            names = [name for name in _files_of(source, variant) if name not in left_out]
            for name in names:
                shutil.copyfile(source / name, made / name)
            _verify(made, variant, source)
            card = card_of(store, manifest, selected.view, variant)
            card = replace(card, saved_as=saved_as, files=tuple(names), record=RECORD)
            changed = _name_base(made, variant, hub=card.base.hub)
            files = {name: file_digest(made / name) for name in names}
            record = _record(selected, variant, files) | changed
            record |= {"left_out_of_copy": left_out} if left_out else {}
            write_atomic(made / RECORD, as_json(record))
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
    merged = merged_weights(store, variant)
    if merged is not None:
        check_proof(variant)
        return merged[0], merged[1].saved_as
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
    patterns = identity.ADAPTER_PATTERNS if variant.kind == "adapter" else identity.MODEL_PATTERNS
    return [path.name for path in identity.model_files(source, patterns)]


def _not_evaluated_with(view: View, variant: Variant, source: Path) -> dict[str, str]:
    """Tokenizer files beside an adapter that it was not evaluated with, and why they stay behind.

    Whoever loads the copy then takes the base's, by which its figures are.
    """
    failed = [
        own.proof.words
        for own in view.proofs
        if (own.variant, own.proof.probe, own.proof.outcome)
        == (variant.id, TOKENIZER_PROBE, "fails")
    ]
    if variant.kind != "adapter" or not failed:
        return {}
    files = identity.model_files(source, identity.TOKENIZER_PATTERNS)
    return {file.name: failed[0] for file in files}


def _verify(folder: Path, variant: Variant, source: Path) -> None:
    """Refuse weights that are not those the run was evaluated with."""
    differ = [
        name
        for name, digest in merged_digests(variant).items()
        if file_digest(folder / name) != digest
    ]
    wanted = variant.digests.get("adapter")
    if variant.kind != "merged" and wanted and identity.checkpoint_digest(folder) != wanted:
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
    name = identity.public_base_name(named, variant.base_model, hub=hub) if named else named
    if name == named:
        return {}
    write_atomic(file, json.dumps(config | {_BASE_NAME: name}, indent=2, sort_keys=True))
    why = "the suite's name of the base, in place of a folder of the machine that trained"
    return {"changed_in_copy": {ADAPTER_CONFIG: {_BASE_NAME: name, "why": why}}}


def _record(selected: RunSelection, variant: Variant, files: dict[str, str]) -> dict[str, Any]:
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
        "training_key": manifest.training_keys.get(variant.training),
        "environment": environment and environment.model_dump(mode="json"),
    }
