"""``harness card``: the model card of a run's choice, with its results as the Hub reads them.

Nothing here loads torch; huggingface_hub is imported when a card is written.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.files import local_path, write_atomic
from harness.printable import visible
from harness.release.card.card import README, CardFiles, card_files, is_untouched
from harness.release.card.data import card_of
from harness.release.card.forms import Form, check_proof, is_hub_id, merged_form, merged_weights
from harness.release.card.results import FOLDER, require_hub
from harness.render.numbers import count
from harness.report.build import build_view
from harness.schema import Manifest, Variant
from harness.store.runs import Store

DEFAULT = "card"  # folder within the run's own
_ELSEWHERE = "Choose another folder with --output."


@dataclass(frozen=True)
class CardOutput:
    """A card that was written."""

    variant: str  # the weights that it is of
    paths: tuple[Path, ...]  # the files: the card first, then those of ``.eval_results``
    scores: int  # how many scores the ``model-index`` has
    # task -> why ``.eval_results`` has no entry for it
    left_out: dict[str, str] = field(default_factory=dict)
    to_fill_in: tuple[str, ...] = ()  # what only the model's author can say

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {**asdict(self), "paths": [str(path) for path in self.paths]}


def card_run(
    store: Store,
    manifest: Manifest,
    *,
    output: Path | None = None,
    variant: str | None = None,
    form: Form | None = None,
    repo_id: str | None = None,
    force: bool = False,
) -> CardOutput:
    """Write the model card of a checkpoint.

    Args:
        store: Where the results lie.
        manifest: The run.
        output: Folder to write to; default: ``card`` in the run's folder.
        variant: The checkpoint or merged model; default: the run's choice.
        form: The checkpoint as it was trained, or merged; default: as named.
        repo_id: The Hub repository that the model will be in.
        force: Replace files that were not written here, or were changed since.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        UsageError: Nothing was chosen and nothing is named, there is no such variant, form or
            repository, or a file is in the way.
        StoreError: A result that the manifest names is unreadable, or the merged form that is asked
            for was not compared with its adapter.
        DiskError: The folder cannot be written.
    """
    require_hub()
    if repo_id is not None and not is_hub_id(repo_id):
        raise UsageError(
            f"{repo_id!r} is no repository of the Hub.", where="--repo-id", hint="Use OWNER/NAME."
        )
    shipped = shipped_variant(manifest, variant, form)
    check_proof(shipped)
    merged = merged_weights(store, shipped)
    card = replace(
        card_of(store, manifest, build_view(store, manifest), shipped),
        saved_as=merged[1].saved_as if merged is not None else None,
        files=_names(Path(shipped.adapter)) if shipped.adapter else (),
        repo_id=repo_id,
    )
    made = card_files(card)
    folder = output or store.run_dir(manifest.suite, manifest.run_id) / DEFAULT
    return _written(made, local_path(folder).absolute(), shipped.id, force)


def shipped_variant(manifest: Manifest, name: str | None, form: Form | None) -> Variant:
    """The weights that a card is asked for.

    Raises:
        UsageError: There are none of that name or form.
    """
    run = manifest.name
    trained = [variant for variant in manifest.variants if variant.kind != "base"]
    known = ", ".join(variant.id for variant in trained) or "none"
    chosen = manifest.selection.chosen if manifest.selection else None
    if name is None and chosen is None:
        raise UsageError(
            f"No checkpoint was chosen in this run; it has: {known}.",
            where=run,
            hint="Name one with --variant.",
        )
    named = next((variant for variant in trained if variant.id == (name or chosen)), None)
    if named is None:
        raise UsageError(
            f"There is no trained variant {name or chosen!r} in this run; it has: {known}.",
            where="--variant" if name else run,
            hint="Name one of these with --variant.",
        )
    if form == "adapter" and named.kind == "merged":
        raise UsageError(
            f"{named.id} is a merged model, and --form adapter is asked for.",
            where="--form adapter",
            hint="Name the checkpoint, or leave --form out.",
        )
    return merged_form(manifest, named) if form == "merged" and named.kind != "merged" else named


def describe(carded: CardOutput) -> str:
    """What was written, what is not in it and why, and what is left to do; for a terminal."""
    entries = len(carded.paths) - 1
    lines = [str(path) for path in carded.paths]
    lines.append(
        f"{count(carded.scores, 'score')} of {carded.variant} in the model-index; "
        f"{count(entries, 'data set')} in {FOLDER}."
    )
    if carded.left_out:
        why = "; ".join(f"{task}: {reason}" for task, reason in carded.left_out.items())
        lines.append(f"{count(len(carded.left_out), 'task')} left out of {FOLDER}: {why}.")
    if carded.to_fill_in:
        left = ", ".join(carded.to_fill_in)
        lines.append(f"{count(len(carded.to_fill_in), 'line')} TO FILL IN: {left}.")
    return visible("\n".join(lines))


def _names(folder: Path) -> tuple[str, ...]:
    """Names of the files of a checkpoint; none where it is gone."""
    return tuple(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else ()


def _written(made: CardFiles, folder: Path, variant: str, force: bool) -> CardOutput:
    """Write the files, and remove results of an earlier card that this one does not have."""
    earlier = sorted((folder / FOLDER).glob("*.yaml"))
    ours = [path for path in earlier if _is_ours(path)]
    if not force:
        _check_free(folder, [folder / name for name in made.files])
    for path in ours:
        if str(path.relative_to(folder)) not in made.files:
            path.unlink()
    for name, text in made.files.items():
        write_atomic(folder / name, text, hint=_ELSEWHERE)
    return CardOutput(
        variant=variant,
        paths=tuple(folder / name for name in made.files),
        scores=made.scores or 0,
        left_out=dict(made.left_out),
        to_fill_in=made.to_fill_in,
    )


def _check_free(folder: Path, paths: Iterable[Path]) -> None:
    for path in paths:
        if path.exists() and not _is_ours(path):
            name = "card" if path.name == README else "file"
            raise UsageError(
                f"This {name} was not written by harness card, or was changed since; it is kept.",
                where=str(path),
                hint=f"{_ELSEWHERE.removesuffix('.')}, or replace it with --force.",
            )


def _is_ours(path: Path) -> bool:
    try:
        return is_untouched(path.read_bytes().decode())
    except (OSError, UnicodeDecodeError):
        return False
