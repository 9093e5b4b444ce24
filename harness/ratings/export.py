"""``harness sheet export``: what raters get, a folder each, and what stays with the team.

Nothing here loads torch. What tells variants apart goes to a folder of its own, and to the store.
"""

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.checks.base import findings_about
from harness.console import Reporter
from harness.errors import UsageError
from harness.files import local_path, make_folder, write_atomic
from harness.ratings.design.advice import advice
from harness.ratings.design.design import make_plan
from harness.ratings.design.items import choose_items
from harness.ratings.layout import ELSEWHERE, RaterSheet, rater_sheets
from harness.ratings.methods.documents import heds_draft, methods_paragraph
from harness.ratings.records import Sheets
from harness.ratings.scores import record_ratings
from harness.ratings.sheets.delimited import write_delimited
from harness.ratings.sheets.leaks import SheetFacts
from harness.ratings.sheets.page import render_page
from harness.ratings.sheets.workbook import write_workbook
from harness.ratings.store import StoredRatings, ratings_of, read_ratings, write_sheets
from harness.render.delimited import csv_text
from harness.schema import HUMAN, Finding, Manifest
from harness.store.runs import Store
from harness.suite.record import suite_of

SEND, KEEP = "send", "keep"
_KEY = "key.csv"


def _write_page(sheet: RaterSheet, folder: Path) -> Mapping[str, int]:
    write_atomic(folder / f"{sheet.rater}.html", render_page(sheet), hint=ELSEWHERE)
    return {}


_WRITERS: dict[str, Callable[[RaterSheet, Path], Mapping[str, int]]] = {
    "xlsx": lambda sheet, folder: write_workbook(sheet, folder / f"{sheet.rater}.xlsx"),
    "csv": write_delimited,
    "html": _write_page,
}
FORMATS = tuple(_WRITERS)


@dataclass(frozen=True)
class Exported:
    """Sheets that were written."""

    sheets: Sheets  # what is asked of whom
    folder: Path  # holds ``send`` (a folder per rater) and ``keep``
    changes: Counter[str]  # texts that a format could not show as they are, by reason
    leaks: tuple[Finding, ...]  # what may tell raters which variant wrote a text
    advice: tuple[str, ...]  # how much can be learned from it, and how long it takes
    taken_over: int = 0  # ratings of the same sheets that the store had already


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
    suite = suite_of(manifest)
    chosen = choose_items(store, manifest, suite.human)
    sheets = make_plan(chosen, suite.human, seed=suite.seed, run=manifest.name)
    plan = sheets.plan
    earlier = store.latest(manifest).human
    if earlier is not None and earlier.ratings and earlier.sheets != sheets.key and not replace:
        raise UsageError(
            "This run has ratings of other sheets: the outputs, the choice or what is asked have "
            "changed since. With new sheets, the report would show those ratings no longer.",
            where=manifest.name,
            hint="Add --replace for new sheets (the ratings so far stay in the store).",
        )
    own = store.run_dir(manifest.suite, manifest.run_id) / HUMAN
    folder = local_path(output or own / plan.id, hint=ELSEWHERE).absolute()
    _check_folder(sheets, folder)
    for part in (SEND, KEEP):
        make_folder(folder / part, hint=ELSEWHERE)
    with store.locked():
        write_sheets(store, sheets)
        changes = _write_sheets(sheets, folder / SEND, formats, reporter or Reporter(-1))
        # names of the base model, which an output should not give away
        names = sorted({variant.base_model for variant in manifest.variants})
        leaks = tuple(findings_about(SheetFacts(plan, sheets.items, names)))
        lines = advice(sheets)
        texts = {
            _KEY: _key_table(sheets),
            "heds.md": heds_draft(sheets, suite),
            "methods.md": methods_paragraph(sheets),
            "advice.md": _advice_text((*lines, *plan.notes), leaks),
        }
        for name, text in texts.items():
            # who may read the key is not blind
            write_atomic(folder / KEEP / name, text, hint=ELSEWHERE, private=name == _KEY)
        taken_over = _adopt(store, manifest, sheets)
    return Exported(sheets, folder, changes, leaks, lines, taken_over)


def _adopt(store: Store, manifest: Manifest, sheets: Sheets) -> int:
    """Name the sheets in the manifest, and ratings that the store has of them already: how many."""
    with store.holding(manifest.suite, manifest.run_id):
        latest = store.latest(manifest)
        if latest.human is not None and latest.human.sheets == sheets.key:
            return 0
        key = ratings_of(store, sheets.key)
        stored = read_ratings(store, key) if key else StoredRatings()
        record_ratings(store, latest, sheets, stored, key)
    return len(stored.ratings)


def _check_folder(sheets: Sheets, folder: Path) -> None:
    """Refuse a folder that holds the files of another export: they would look sendable."""
    path = folder / KEEP / _KEY
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


def _write_sheets(
    sheets: Sheets, folder: Path, formats: Sequence[str], reporter: Reporter
) -> Counter[str]:
    """Each rater's files, in a folder of their own, so that nobody is sent another's."""
    changes: Counter[str] = Counter()
    by_rater = rater_sheets(sheets)
    with reporter.task("rating sheets", len(by_rater)) as advance:
        for done, sheet in enumerate(by_rater, start=1):
            make_folder(folder / sheet.rater, hint=ELSEWHERE)
            for name in formats:
                changes.update(_WRITERS[name](sheet, folder / sheet.rater))
            advance(done)
    return changes


def _key_table(sheets: Sheets) -> str:
    """Which variant stands behind which row; the ``key.csv`` that raters must not see."""
    about = ("row", "rater", "kind", "position", "purpose", "example")
    lines: list[list[str | int]] = [[*about, "output (A)", "output B"]]
    for row in sheets.rows:
        shown = [" = ".join(row.variants)] if row.kind == "scale" else list(row.variants)
        if row.spoilt is not None:
            shown[-1] += " (spoilt)"
        if row.swapped:
            shown.reverse()
        place = (row.token, row.rater, row.kind, row.position, row.purpose, row.item)
        lines.append([*place, *shown])
    return csv_text(lines)


def _advice_text(lines: Sequence[str], leaks: Sequence[Finding]) -> str:
    told = [f"- {leak.words}\n" for leak in leaks] or ["Nothing was found.\n"]
    heading = "\n## What may tell raters which variant wrote a text\n\n"
    return "".join(["# Before the sheets go out\n", *(f"- {x}\n" for x in lines), heading, *told])
