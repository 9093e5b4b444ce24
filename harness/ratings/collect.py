"""``harness sheet import`` and ``status``: ratings back, and how far they have come."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.errors import UsageError
from harness.ratings.records import Sheets
from harness.ratings.returns.checking import Checked, check_returns
from harness.ratings.returns.encodings import runs
from harness.ratings.returns.formats import is_lock_file
from harness.ratings.returns.sandbox import ReturnReader
from harness.ratings.scores import record_ratings
from harness.ratings.sheets.delimited import is_instructions
from harness.ratings.store import StoredRatings, read_ratings, read_sheets, write_ratings
from harness.schema import HumanKeys, Manifest
from harness.store.runs import Store, now


@dataclass(frozen=True)
class Imported:
    """What came of returned files."""

    checked: Checked  # ratings, problems and notes
    manifest: Manifest  # the run with its ratings
    # whether anything was imported, so that the report is to be written again
    changed: bool = False


def import_returns(
    store: Store,
    manifest: Manifest,
    paths: Sequence[Path],
    *,
    replace: bool = False,
    skip_invalid: bool = False,
) -> Imported:
    """Read returned files; keep them and their ratings.

    Either everything is imported or nothing, unless ``skip_invalid``: then what is wrong is left
    out, and still among the problems.

    Args:
        store: Where the run's results lie.
        manifest: The run.
        paths: Files that raters returned, in any of the formats.
        replace: Whether a later file of the same rater may change answers given before.
        skip_invalid: Whether right answers of a file with mistakes are taken.

    Raises:
        UsageError: No sheets were exported from this run.
        StoreError: What was kept of the sheets is missing or unreadable.
    """
    with store.locked(), store.holding(manifest.suite, manifest.run_id):
        manifest = store.latest(manifest)
        keys = _keys(manifest)
        sheets = read_sheets(store, keys.sheets)
        gone = keys.ratings is not None and not store.has("ratings", keys.ratings)
        known = StoredRatings()
        if keys.ratings and not gone:
            known = read_ratings(store, keys.ratings)
        returned, unreadable, notes = [], [], []
        with ReturnReader(lambda: _words(sheets)) as reader:
            for path in paths:
                if idle := _no_return(path):
                    notes.append(f"{path}: passed over; {idle}.")
                    continue
                try:
                    returned.append(reader.read(path))
                except UsageError as error:  # told together with the mistakes of the other files
                    unreadable.append(str(error))
        checked = check_returns(
            returned,
            sheets,
            known,
            now(),
            replace=replace,
            skip_invalid=skip_invalid,
            elsewhere=_elsewhere(store, keys.sheets),
            unreadable=unreadable,
        )
        if gone:  # moved away because it was damaged, as its error says to
            notes.append(
                "What was imported before is not in the store: only these files now count."
            )
        checked = dataclasses.replace(checked, notes=(*notes, *checked.notes))
        if (checked.problems and not skip_invalid) or checked.ratings == known.ratings:
            return Imported(checked, manifest)
        stored = StoredRatings(checked.ratings, checked.files)
        key = write_ratings(store, keys.sheets, stored.ratings, stored.files, checked.blobs)
        return Imported(checked, record_ratings(store, manifest, sheets, stored, key), changed=True)


def _no_return(path: Path) -> str | None:
    """Why a file that lies among the returned ones is none; None of others."""
    if is_instructions(path):
        return "these are the instructions"
    if is_lock_file(path):
        return "it only marks a file that is open in a program; close that one before it is sent"
    return None


def _words(sheets: Sheets) -> set[str]:
    """What tells the encoding of a returned text: characters that it was sent with."""
    shown = [(item.prompt, item.reference or "", *item.outputs.values()) for item in sheets.items]
    scales = [criterion.scale.values() for criterion in sheets.plan.criteria]
    return {run for texts in (*shown, *scales) for text in texts for run in runs(text)}


def _keys(manifest: Manifest) -> HumanKeys:
    run = manifest.name
    if manifest.human is None:
        raise UsageError(
            "No rating sheets were exported from this run.",
            where=run,
            hint=f"Export them with: harness sheet export {run} (which takes over what has come "
            "back of the same sheets for another run of the suite).",
        )
    return manifest.human


def _elsewhere(store: Store, own: str) -> Callable[[str], str | None]:
    """Tells which other run a row belongs to; looks only when it is asked."""

    @cache
    def runs() -> dict[str, str]:
        others = (read_sheets(store, key) for key in store.keys("sheets") if key != own)
        return {row.token: sheets.plan.run for sheets in others for row in sheets.rows}

    return lambda token: runs().get(token)


@dataclass(frozen=True)
class RaterStatus:
    """How much of one rater's sheet has come back."""

    rater: str
    asked: int  # rows, checks included
    answered: int  # rows with an answer
    files: tuple[str, ...] = ()  # names of the files that came back, each once, the latest last
    last: str | None = None  # when the latest was imported, ISO 8601
    returns: int = 0  # how many files came back; several may have one name


def sheet_status(store: Store, manifest: Manifest) -> tuple[Sheets, tuple[RaterStatus, ...]]:
    """What has come back of a run's sheets, rater by rater.

    Raises:
        UsageError: No sheets were exported from this run.
        StoreError: What was kept of the sheets is missing or unreadable.
    """
    keys = _keys(manifest)
    sheets = read_sheets(store, keys.sheets)
    stored = read_ratings(store, keys.ratings) if keys.ratings else StoredRatings()
    asked = Counter(row.rater for row in sheets.rows)
    answered = Counter(rating.rater for rating in stored.ratings)
    states = []
    for rater in sheets.plan.raters:
        files = sorted((f for f in stored.files if f.rater == rater), key=lambda f: f.imported)
        names = tuple(reversed(dict.fromkeys(file.name for file in reversed(files))))
        last = files[-1].imported if files else None
        states.append(RaterStatus(rater, asked[rater], answered[rater], names, last, len(files)))
    return sheets, tuple(states)
