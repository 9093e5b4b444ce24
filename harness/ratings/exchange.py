"""``harness sheet``: rating sheets out, ratings back, and how far they have come.

Nothing here loads torch. What raters get goes to one folder each; what tells variants apart stays
in another, and in the store.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.console import Reporter
from harness.errors import UsageError
from harness.files import make_folder, write_atomic
from harness.ratings.design.advice import advice
from harness.ratings.design.design import make_plan
from harness.ratings.design.items import choose_items
from harness.ratings.layout import ELSEWHERE, RaterSheet, rater_sheets
from harness.ratings.methods.documents import heds_draft, methods_paragraph
from harness.ratings.returns.checking import Checked, check_returns
from harness.ratings.returns.returns import read_return
from harness.ratings.scores import write_scores
from harness.ratings.sheets.delimited import is_instructions, write_delimited
from harness.ratings.sheets.leaks import find_leaks
from harness.ratings.sheets.page import render_page
from harness.ratings.sheets.workbook import write_workbook
from harness.ratings.store import (
    Sheets,
    StoredRatings,
    ratings_of,
    read_ratings,
    read_sheets,
    write_ratings,
    write_sheets,
)
from harness.schema import HUMAN, Finding, HumanKeys, Manifest
from harness.store.runs import Store, now
from harness.suite.record import suite_of

FORMATS = ("xlsx", "csv", "html")
SEND, KEEP = "send", "keep"
Changes = Counter[str]
"""Reason -> texts that a format could not hold as they are."""


# -- out ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exported:
    """Sheets that were written.

    Attributes:
        sheets: What is asked of whom.
        folder: Holds ``send`` (a folder per rater) and ``keep``.
        changes: Texts that could not be shown as they are, by reason.
        leaks: What may tell raters which variant wrote a text.
        advice: How much can be learned from it, and how long it takes.
        taken_over: Ratings of the same sheets that the store had already.
    """

    sheets: Sheets
    folder: Path
    changes: Changes
    leaks: tuple[Finding, ...]
    advice: tuple[str, ...]
    taken_over: int = 0


def export_sheets(
    store: Store,
    manifest: Manifest,
    output: Path | None = None,
    formats: Sequence[str] = FORMATS,
    *,
    replace: bool = False,
    reporter: Reporter | None = None,
) -> Exported:
    """Write one sheet per rater, as the suite's ``human`` block asks, and the key that stays.

    The same run gives the same files, byte for byte, so exporting again changes nothing.

    Args:
        store: Where the run's results lie.
        manifest: The run.
        output: Folder to write to; default: ``human/<id>`` in the run's own.
        formats: Some of ``FORMATS``.
        replace: Whether sheets of which ratings have come back may be replaced by others.
        reporter: Is told how far it has come.

    Raises:
        UsageError: There is nothing to rate, or ratings of other sheets of this run exist.
        DiskError: The folder cannot be written.
    """
    reporter = reporter or Reporter(-1)
    suite = suite_of(manifest)
    spec = suite.human
    chosen = choose_items(store, manifest, spec)
    sheets = make_plan(chosen, spec, seed=suite.seed, run=manifest.name)
    earlier = store.latest(manifest).human
    if earlier is not None and earlier.ratings and earlier.sheets != sheets.key and not replace:
        raise UsageError(
            "This run has ratings of other sheets: the outputs, the choice or what is asked have "
            "changed since. With new sheets, the report would show those ratings no longer.",
            where=manifest.name,
            hint="Add --replace for new sheets (the ratings so far stay in the store).",
        )
    own = store.run_dir(manifest.suite, manifest.run_id) / HUMAN
    folder = (output or own / sheets.plan.id).expanduser().absolute()
    _check_folder(sheets, folder)
    for part in (SEND, KEEP):
        make_folder(folder / part, hint=ELSEWHERE)
    with store.locked():
        write_sheets(store, sheets)
        changes = _write_sheets(sheets, folder / SEND, formats, reporter)
        leaks = find_leaks(sheets.plan, sheets.items, names=_model_names(manifest))
        lines = advice(sheets.plan, sheets.items, sheets.rows)
        _write_kept(sheets, folder / KEEP, manifest, leaks, lines)
        taken_over = _adopt(store, manifest, sheets)
    return Exported(sheets, folder, changes, leaks, lines, taken_over)


def _adopt(store: Store, manifest: Manifest, sheets: Sheets) -> int:
    """Name the sheets in the manifest, and ratings that the store has of them already.

    Returns:
        How many ratings were taken over.
    """
    with store.holding(manifest.suite, manifest.run_id):
        latest = store.latest(manifest)
        if latest.human is not None and latest.human.sheets == sheets.key:
            return 0
        key = ratings_of(store, sheets.key)
        kept = read_ratings(store, key) if key else StoredRatings()
        cells = write_scores(store, sheets, kept, key) if key else ()
        _record(store, latest, HumanKeys(sheets=sheets.key, ratings=key), cells)
    return len(kept.ratings)


def _check_folder(sheets: Sheets, folder: Path) -> None:
    """Refuse a folder that holds the files of another export: they would look sendable.

    Raises:
        UsageError: It does, or cannot be looked into.
    """
    path = folder / KEEP / "key.csv"
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            tokens = {row.get("row") for row in csv.DictReader(stream)}
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"This may be the key of another export, and cannot be read: {error}.",
            where=str(path),
            hint=ELSEWHERE,
        ) from error
    if not tokens & {row.token for row in sheets.rows}:
        raise UsageError(
            "This folder holds the sheets of another export.",
            where=str(folder),
            hint="Choose another folder with --output, or move those sheets away.",
        )


def _model_names(manifest: Manifest) -> list[str]:
    """Names of the base model, which an output should not give away."""
    return sorted({variant.base_model for variant in manifest.variants})


def _write_sheets(
    sheets: Sheets, folder: Path, formats: Sequence[str], reporter: Reporter
) -> Changes:
    """Each rater's files, in a folder of their own, so that nobody is sent another's."""
    changes: Changes = Counter()
    found = rater_sheets(sheets.plan, sheets.items, sheets.rows)
    with reporter.task("rating sheets", len(found)) as advance:
        for done, sheet in enumerate(found, start=1):
            target = folder / sheet.rater
            make_folder(target, hint=ELSEWHERE)
            for name in formats:
                changes.update(_WRITERS[name](sheet, target))
            advance(done)
    return changes


def _workbook(sheet: RaterSheet, folder: Path) -> Mapping[str, int]:
    return write_workbook(sheet, folder / f"{sheet.rater}.xlsx")


def _page(sheet: RaterSheet, folder: Path) -> Mapping[str, int]:
    write_atomic(folder / f"{sheet.rater}.html", render_page(sheet), hint=ELSEWHERE)
    return {}


_WRITERS: dict[str, Callable[[RaterSheet, Path], Mapping[str, int]]] = {
    "xlsx": _workbook,
    "csv": write_delimited,
    "html": _page,
}


def _write_kept(
    sheets: Sheets,
    folder: Path,
    manifest: Manifest,
    leaks: Sequence[Finding],
    lines: Sequence[str],
) -> None:
    """What stays with the team: the key, and what to know and to write about the study."""
    plan = sheets.plan
    texts = {
        "key.csv": _key_table(sheets),
        "heds.md": heds_draft(plan, sheets.items, sheets.rows, suite_of(manifest)),
        "methods.md": methods_paragraph(plan, sheets.items, sheets.rows),
        "advice.md": _advice(lines, leaks, plan.notes),
    }
    for name, text in texts.items():
        write_atomic(folder / name, text, hint=ELSEWHERE)


def _key_table(sheets: Sheets) -> str:
    """Which variant stands behind which row; the ``key.csv`` that raters must not see."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ["row", "rater", "kind", "position", "purpose", "example", "output (A)", "output B"]
    )
    for row in sheets.rows:
        shown = list(row.variants)
        if row.kind == "scale":
            shown = [" = ".join(shown)]
        if row.spoilt is not None:
            shown[-1] += " (spoilt)"
        if row.swapped:
            shown.reverse()
        place = (row.token, row.rater, row.kind, row.position, row.purpose, row.item)
        writer.writerow([*place, *shown])
    return stream.getvalue()


def _advice(lines: Sequence[str], leaks: Sequence[Finding], notes: Sequence[str]) -> str:
    parts = ["# Before the sheets go out\n", *(f"- {line}\n" for line in (*lines, *notes))]
    parts.append("\n## What may tell raters which variant wrote a text\n\n")
    parts += [f"- {leak.words}\n" for leak in leaks]
    return "".join(parts if leaks else [*parts, "Nothing was found.\n"])


# -- back -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Imported:
    """What came of returned files.

    Attributes:
        checked: Ratings, problems and notes.
        manifest: The run with its ratings.
        changed: Whether anything was imported, so that the report is to be written again.
    """

    checked: Checked
    manifest: Manifest
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
        return _import(store, manifest, paths, replace=replace, skip_invalid=skip_invalid)


def _import(
    store: Store,
    manifest: Manifest,
    paths: Sequence[Path],
    *,
    replace: bool,
    skip_invalid: bool,
) -> Imported:
    keys = _keys(manifest)
    sheets = read_sheets(store, keys.sheets)
    gone = keys.ratings is not None and not store.has("ratings", keys.ratings)
    known = read_ratings(store, keys.ratings) if keys.ratings and not gone else StoredRatings()
    returned, unreadable, notes = [], [], []
    for path in paths:
        if is_instructions(path):
            notes.append(f"{path}: passed over; these are the instructions.")
            continue
        try:
            returned.append(read_return(path))
        except UsageError as error:  # told together with the mistakes of the other files
            unreadable.append(str(error))
    checked = check_returns(
        returned,
        sheets.plan,
        sheets.rows,
        known,
        now(),
        replace=replace,
        skip_invalid=skip_invalid,
        elsewhere=_Elsewhere(store, keys.sheets),
        unreadable=unreadable,
    )
    if gone:  # moved away because it was damaged, as its error says to
        notes.append("What was imported before is not in the store: only these files now count.")
    checked = dataclasses.replace(checked, notes=(*notes, *checked.notes))
    if (checked.problems and not skip_invalid) or checked.ratings == known.ratings:
        return Imported(checked, manifest)
    kept = StoredRatings(checked.ratings, checked.files)
    ratings_key = write_ratings(store, keys.sheets, kept.ratings, kept.files, checked.blobs)
    cells = write_scores(store, sheets, kept, ratings_key)
    found = HumanKeys(sheets=keys.sheets, ratings=ratings_key)
    return Imported(checked, _record(store, manifest, found, cells), changed=True)


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


@dataclass
class _Elsewhere:
    """Knows which other run a row belongs to; looks only when it is asked."""

    store: Store
    own: str
    _tokens: dict[str, str] | None = None

    def __call__(self, token: str) -> str | None:
        if self._tokens is None:
            self._tokens = {}
            for key in self.store.keys("sheets"):
                if key != self.own:
                    sheets = read_sheets(self.store, key)
                    self._tokens |= {row.token: sheets.plan.run for row in sheets.rows}
        return self._tokens.get(token)


def _record(store: Store, manifest: Manifest, keys: HumanKeys, cells: Sequence[Any]) -> Manifest:
    """The manifest with its sheets and ratings, written; the caller holds it and just read it."""
    others = tuple(cell for cell in manifest.cells if cell.kind != HUMAN)
    updated = manifest.model_copy(update={"human": keys, "cells": (*others, *cells)})
    store.write_manifest(updated)
    return updated


# -- how far it has come --------------------------------------------------------------------------


@dataclass(frozen=True)
class RaterStatus:
    """How much of one rater's sheet has come back.

    Attributes:
        rater: The rater.
        asked: Rows, checks included.
        answered: Rows with an answer.
        files: Names of the files that came back, each once, the latest last.
        returns: How many files came back; several may have one name.
        last: When the latest was imported, ISO 8601.
    """

    rater: str
    asked: int
    answered: int
    files: tuple[str, ...] = ()
    last: str | None = None
    returns: int = 0


def sheet_status(store: Store, manifest: Manifest) -> tuple[Sheets, tuple[RaterStatus, ...]]:
    """What has come back of a run's sheets, rater by rater.

    Raises:
        UsageError: No sheets were exported from this run.
        StoreError: What was kept of the sheets is missing or unreadable.
    """
    keys = _keys(manifest)
    sheets = read_sheets(store, keys.sheets)
    kept = read_ratings(store, keys.ratings) if keys.ratings else StoredRatings()
    asked = Counter(row.rater for row in sheets.rows)
    answered = Counter(rating.rater for rating in kept.ratings)
    states = []
    for rater in sheets.plan.raters:
        files = sorted((f for f in kept.files if f.rater == rater), key=lambda f: f.imported)
        names = dict.fromkeys(file.name for file in reversed(files))
        states.append(
            RaterStatus(
                rater,
                asked[rater],
                answered[rater],
                tuple(reversed(names)),
                files[-1].imported if files else None,
                len(files),
            )
        )
    return sheets, tuple(states)
