"""Workbooks through a real LibreOffice, as raters open, fill in and save them."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from harness.ratings.layout import (
    CANNOT_JUDGE,
    PREFERENCE_ANSWERS,
    SHEET_NAMES,
    RaterSheet,
    ShownRow,
    answers,
    columns,
)
from harness.ratings.returns.returns import read_return
from harness.ratings.sheets.formula_guard import cell_text
from harness.ratings.sheets.workbook import write_workbook
from harness.suite.ratings import CRITERIA

SOFFICE = shutil.which("soffice")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SOFFICE is None, reason="LibreOffice (soffice) is not installed"),
]

TEXTS = [
    "=1+1",
    '=HYPERLINK("http://x","y")',
    "+1",
    "-1",
    "@SUM(A1)",
    "\tindented",
    "\r\n=1",
    "a\x00\x07\x1b\x7f\x85b",
    "\ufffe\uffff lone \ud83d and \ude00",
    "_x000D_",
    "_x000D_x000D_x000D_",
    "_x005F_x000D_",
    "<r>bold</r>",
    "<r><t>_x000D_x000D_</t></r>",
    "</t></si>]]>&amp;&#13;",
    "x" * 40_000,
    "😀" * 40_000,
    "مرحبا بالعالم",
    "שלום \u202eolleh",
    "👩‍👩‍👧‍👦 🇩🇪",
    "two\nlines\n\nand more",
    'say "so"',
    "a; b, c\td",
    "  two  blanks  ",
    "",
    "TRUE",
    "12E5",
    "00123",
    "1/2",
    "1 - 2",
    "#REF!",
    "http://example.org",
    "'quoted",
]
# As the dropdowns give them, and what else a rater may write. LibreOffice's CSV has no types.
ENTRIES: list[dict[str, str]] = [
    {criterion.name: answers(criterion)[i] for i, criterion in enumerate(CRITERIA.values())},
    {"fluency": CANNOT_JUDGE, "relevance": "1", "minutes": "1.5"},
    {"comment": '=not a formula; "so" it is,\nover two lines'},
    {"comment": "- weak, 😀", "minutes": "0"},
    {"correctness": "5", "comment": "00123"},
]
CHOICES: list[dict[str, str]] = [
    {"preference": answer, "comment": "1/2", "minutes": "12.25"} for answer in PREFERENCE_ANSWERS
]
OVERLAPPING = re.compile("_x[0-9a-fA-F]{4}_x[0-9a-fA-F]{4}_")
ONE_CSV_PER_SHEET = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1"


def a_sheet() -> RaterSheet:
    """A letter each tells tokens apart: digits could become numbers."""
    names = ["".join("bcdfghjklm"[int(digit)] for digit in f"{i:03}") for i in range(len(TEXTS))]
    scale = tuple(
        ShownRow(f"s{name}", f"prompt {name}", text, (text,))
        for name, text in zip(names, TEXTS, strict=True)
    )
    pair = tuple(
        ShownRow(f"p{name}", text, None, (f"one {name}", text))
        for name, text in zip(names, TEXTS, strict=True)
    )
    return RaterSheet("sheet-1", "rater-1", tuple(CRITERIA.values()), "", scale, pair)


def fill_in(path: Path, target: Path, entries: Mapping[str, str]) -> None:
    """Put answers into the empty cells of a workbook: ``Ratings!D2`` -> what stands there.

    This is what a program does that saves a rater's typing; the cells' styles stay.
    """
    parts = {name: f"xl/worksheets/sheet{i}.xml" for i, name in enumerate(SHEET_NAMES.values(), 2)}
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for address, entry in entries.items():
        page, cell = address.split("!")
        xml = files[parts[page]].decode()
        words = entry.replace("&", "&amp;").replace("<", "&lt;")
        filled = f' t="inlineStr"><is><t xml:space="preserve">{words}</t></is></c>'
        if address in NUMBERS:
            filled = f"><v>{entry}</v></c>"
        pattern = rf'(<c r="{cell}" s="\d+")/>'
        assert re.search(pattern, xml), address
        files[parts[page]] = re.sub(pattern, lambda m, f=filled: f"{m[1]}{f}", xml).encode()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


SHEET = a_sheet()
SAID = {"scale": ENTRIES, "pair": CHOICES}
PLACES = {
    f"{SHEET_NAMES[kind]}!{'ABCDEFGHIJ'[columns(SHEET, kind).index(name)]}{number}": (name, entry)
    for kind in SHEET.kinds
    for number, row in enumerate(SAID[kind], 2)
    for name, entry in row.items()
}
NUMBERS = {place for place, (name, _) in PLACES.items() if name == "minutes"}


@dataclass(frozen=True)
class Saved:
    """One filled workbook, and what LibreOffice makes of it."""

    original: Path
    xlsx: Path
    ods: Path
    csvs: dict[str, Path]  # kind -> file
    csvs_of_ods: dict[str, Path]


def convert(path: Path, ending: str, folder: Path, profile: Path) -> None:
    folder.mkdir(exist_ok=True)
    command = ["soffice", f"-env:UserInstallation={profile.as_uri()}", "--headless"]
    command += ["--convert-to", ending, "--outdir", str(folder), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    folder = tmp_path_factory.mktemp("libreoffice")
    write_workbook(SHEET, folder / "empty.xlsx")
    original = folder / "rater-1.xlsx"
    fill_in(folder / "empty.xlsx", original, {at: entry for at, (_, entry) in PLACES.items()})
    for name, ending in (("xlsx", "xlsx"), ("ods", "ods"), ("csv", ONE_CSV_PER_SHEET)):
        convert(original, ending, folder / name, folder / "profile")
    ods = folder / "ods" / "rater-1.ods"
    convert(ods, ONE_CSV_PER_SHEET, folder / "again", folder / "profile")
    csvs, again = (
        {kind: folder / part / f"rater-1-{name}.csv" for kind, name in SHEET_NAMES.items()}
        for part in ("csv", "again")
    )
    return Saved(original, folder / "xlsx" / "rater-1.xlsx", ods, csvs, again)


def shown(kind: str) -> list[list[str]]:
    """What each row shows, token first."""
    rows = SHEET.scale if kind == "scale" else SHEET.pair
    return [
        [row.token]
        + [
            cell_text(text)
            for text in (row.prompt, row.reference or "", *row.outputs)
        ]
        for row in rows
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["scale", "pair"])
def test_texts_and_tokens_come_back_as_xlsx(saved: Saved, kind: str):
    """LibreOffice saves every text as it was written; nothing has become a formula."""
    book = CalamineWorkbook.from_path(str(saved.xlsx))
    rows = book.get_sheet_by_name(SHEET_NAMES[kind]).to_python(skip_empty_area=False)
    assert rows[0] == columns(SHEET, kind)
    pairs = list(zip(rows[1:], shown(kind), strict=True))
    # LibreOffice reads escapes that share an underscore, but does not save them as such.
    plain = [pair for pair in pairs if not OVERLAPPING.search(pair[1][-1])]
    assert len(plain) == len(TEXTS) - 3
    assert [row[: len(texts)] for row, texts in plain] == [texts for _, texts in plain]
    assert [row[0] for row, _ in pairs] == [texts[0] for _, texts in pairs]


@pytest.mark.parametrize("source", ["xlsx", "ods"])
@pytest.mark.parametrize("kind", ["scale", "pair"])
def test_texts_and_tokens_come_back_as_csv(saved: Saved, source: str, kind: str):
    """What LibreOffice shows of our file, and of its own OpenDocument one, is every text."""
    csvs = saved.csvs if source == "xlsx" else saved.csvs_of_ods
    with csvs[kind].open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    texts = shown(kind)
    if source == "ods":  # LibreOffice 7.4 loses tabs on the way to OpenDocument and back
        texts = [[text.replace("\t", "") for text in row] for row in texts]
    assert rows[0] == columns(SHEET, kind)
    assert [row[: len(texts[0])] for row in rows[1:]] == texts


def test_rules_and_protection_survive_as_xlsx(saved: Saved):
    """A rater who saves with LibreOffice hands on a sheet that still guides and guards."""
    with zipfile.ZipFile(saved.xlsx) as archive:
        pages = [archive.read(f"xl/worksheets/sheet{i}.xml").decode() for i in (1, 2, 3)]
        names = archive.read("xl/workbook.xml").decode()
    assert re.findall('<sheet name="(.*?)"', names) == ["Instructions", *SHEET_NAMES.values()]
    assert 'state="hidden"' not in names
    for page in pages:
        assert re.search('<sheetProtection [^>]*sheet="(1|true)"', page)
        assert "password" not in page
    for page, lists in zip(pages[1:], (3, 1), strict=True):
        assert len(re.findall('<dataValidation [^>]*type="list"', page)) == lists
        assert len(re.findall('<dataValidation [^>]*type="decimal"', page)) == 1
        assert len(re.findall(r"<formula1>Instructions!\$[AC]\$\d+:\$[AC]\$\d+<", page)) == lists


def test_rules_and_protection_survive_as_ods(saved: Saved):
    """So does the OpenDocument format."""
    with zipfile.ZipFile(saved.ods) as archive:
        content = archive.read("content.xml").decode()
    tables = re.findall("<table:table [^>]*>", content)
    assert len(tables) == 3
    assert all('table:protected="true"' in table for table in tables)
    rules = re.findall("<table:content-validation [^>]*>", content)
    assert sum("cell-content-is-in-list" in rule for rule in rules) == 4
    assert sum("cell-content-is-decimal-number" in rule for rule in rules) == 2


def expected(kind: str) -> dict[str, dict[str, str]]:
    tokens = [row[0] for row in shown(kind)]
    return dict(zip(tokens, SAID[kind], strict=False))


@pytest.mark.parametrize("name", ["original", "xlsx", "ods"])
def test_answers_come_back(saved: Saved, name: str):
    """The reader finds every answer at its token, whichever program saved the file."""
    returned = read_return(getattr(saved, name))
    assert not returned.problems
    found = {row.token: dict(row.cells) for row in returned.rows if row.cells}
    assert found == expected("scale") | expected("pair")
    assert {row.token for row in returned.rows} == {row[0] for k in SAID for row in shown(k)}


@pytest.mark.parametrize("kind", ["scale", "pair"])
def test_answers_come_back_from_csv(saved: Saved, kind: str):
    """The same from one CSV file per worksheet."""
    returned = read_return(saved.csvs[kind])
    assert not returned.problems
    assert {row.token: dict(row.cells) for row in returned.rows if row.cells} == expected(kind)
