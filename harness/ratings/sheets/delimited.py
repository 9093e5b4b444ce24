"""A rater's sheet as CSV files, for those who have neither Excel nor LibreOffice at hand."""

from pathlib import Path

from harness.files import write_atomic
from harness.ratings import layout
from harness.ratings.records import RowKind
from harness.ratings.sheets.formula_guard import APOSTROPHE, Changes, delimited_text, shown_texts
from harness.render.delimited import csv_text
from harness.suite.ratings import PREFERENCE

_ENCODING = "utf-8-sig"  # without the mark, Excel takes UTF-8 for the code page of its country
_TITLE = "Rating sheet "  # which the instructions begin with


def write_delimited(sheet: layout.RaterSheet, folder: Path) -> Changes:
    """Write one CSV file per kind of rows, and the instructions beside them as text.

    Args:
        sheet: What the rater gets; nothing else enters the files.
        folder: Where ``RATER-ratings.csv``, ``RATER-preferences.csv`` and
            ``RATER-instructions.txt`` are written; made where it is missing.

    Returns:
        Cells whose text had to be changed, by reason.

    Raises:
        DiskError: The folder cannot be written.
    """
    changes = Changes()
    for kind in sheet.kinds:
        empty = [""] * len(layout.asked(sheet.criteria, kind))
        lines: list[list[str]] = [layout.columns(sheet, kind)]
        for row in sheet.rows(kind):
            texts = [delimited_text(text, changes) for text in shown_texts(sheet, row)]
            lines.append([row.token, *texts, *empty])
        content = csv_text(lines, end="\r\n").encode(_ENCODING)
        write_atomic(file_of(sheet, kind, folder), content, hint=layout.ELSEWHERE)
    text = "\n\n".join([*_instructions(sheet, quoted=APOSTROPHE in changes), ""])
    text = text.replace("\n", "\r\n")
    path = folder / f"{sheet.rater}-instructions.txt"
    write_atomic(path, text.encode(_ENCODING), hint=layout.ELSEWHERE)
    return changes


def file_of(sheet: layout.RaterSheet, kind: RowKind, folder: Path) -> Path:
    """Where the rows of one kind are written."""
    return folder / f"{sheet.rater}-{layout.SHEET_NAMES[kind].lower()}.csv"


def is_instructions(path: Path) -> bool:
    """Whether a file is the instructions beside the CSV files, which raters return now and then."""
    try:
        with path.open("rb") as stream:
            return stream.read(40).lstrip(b"\xef\xbb\xbf").startswith(_TITLE.encode())
    except OSError:
        return False  # whoever reads it will say why


def _instructions(sheet: layout.RaterSheet, *, quoted: bool) -> list[str]:
    paragraphs = [
        f"{_TITLE}{sheet.id} for {sheet.rater}",
        *layout.general_instructions(sheet),
        "Open the .csv files with a spreadsheet program and fill in the empty columns. Leave the "
        "column “row” as it is: your answers are found by it, so the order of the rows does not "
        "matter. Save as CSV (UTF-8), or as .xlsx or .ods, and send back what you filled in, under "
        "the names that the files have now. You may stop at any row and go on later.",
    ]
    if quoted:
        paragraphs.append(
            "An apostrophe in front of a text that begins with =, +, - or @ keeps programs from "
            "taking it for a formula; it is no part of the text."
        )
    if sheet.scale:
        paragraphs.append("In the columns of ratings, write the number or the whole line:")
        for criterion in sheet.criteria:
            points = "".join(f"\n    {answer}" for answer in layout.answers(criterion))
            paragraphs.append(f"{criterion.name}: {criterion.question}{points}")
    if sheet.pair:
        lines = "".join(f"\n    {line}" for line in layout.PREFERENCE_LINES.values())
        paragraphs.append(f"{PREFERENCE}: {layout.PREFERENCE_QUESTION}{lines}")
    return paragraphs
