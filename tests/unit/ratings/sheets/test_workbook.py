"""A rater's sheet as XLSX, read back with another library and in the raw."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from harness.errors import UsageError
from harness.ratings.layout import (
    EMPTY,
    PREFERENCE_ANSWERS,
    RaterSheet,
    ShownRow,
    answers,
    columns,
)
from harness.ratings.sheets import formula_guard as cells
from harness.ratings.sheets import workbook
from harness.ratings.sheets.formula_guard import cell_text
from harness.ratings.sheets.workbook import write_workbook
from harness.suite.ratings import CRITERIA, CriterionSpec

HOSTILE = [
    "=1+1",
    '=HYPERLINK("http://x","y")',
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "a\x00\x07\x1b\x7f\x85b",
    "\ufffe\uffff",
    "_x000D_",
    "_x000d__x000D_",
    "_x000D_x000D_x000D_",
    "_x005F_x000D_",
    "_xFFFE_xD800_",
    "<r>bold</r>",
    "<r><t>_x000D_x000D_</t></r>",
    "<r></r>",
    "</t></si><si><t>injected",
    "]]>&amp;&#13;",
    "lone \ud83d and \ude00",
    "x" * 40_000,
    "😀" * 40_000,
    "x" + "😀" * 16_383,
    "مرحبا بالعالم",
    "שלום \u202eolleh",
    "👩‍👩‍👧‍👦 🇩🇪",
    "two\nlines\n\nand more\r\n",
    'say "so"',
    "a; b, c",
    "  blanks  ",
    "\n\n",
    "",
    "TRUE",
    "12E5",
    "00123",
    "1/2",
    "#REF!",
    "http://example.org",
    "'quoted",
]
NAMESPACE = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


def a_sheet(texts: list[str], **more: object) -> RaterSheet:
    scale = tuple(
        ShownRow(f"bcdfgh{i}", f"prompt {i}", None, (text,)) for i, text in enumerate(texts)
    )
    pair = tuple(
        ShownRow(f"jklmnp{i}", text, None, (f"one {i}", text)) for i, text in enumerate(texts)
    )
    values = {"id": "sheet-1", "rater": "rater-1", "criteria": tuple(CRITERIA.values())}
    values |= {"instructions": "First line.\nSecond line.", "scale": scale, "pair": pair}
    return RaterSheet(**(values | more))  # type: ignore[arg-type]


def read_back(path: Path) -> dict[str, list[list[object]]]:
    book = CalamineWorkbook.from_filelike(io.BytesIO(path.read_bytes()))
    return {
        name: book.get_sheet_by_name(name).to_python(skip_empty_area=False)
        for name in book.sheet_names
    }


def parts(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[RaterSheet, Path]:
    sheet = a_sheet(HOSTILE)
    path = tmp_path_factory.mktemp("workbook") / "rater-1.xlsx"
    write_workbook(sheet, path)
    return sheet, path


def test_hostile_texts_come_back(written: tuple[RaterSheet, Path]):
    """Every text reads as cell_text says, in its row, with all answers empty."""
    sheet, path = written
    pages = read_back(path)
    assert list(pages) == ["Instructions", "Ratings", "Preferences"]
    assert pages["Ratings"][0] == columns(sheet, "scale")
    for row, shown in zip(pages["Ratings"][1:], sheet.scale, strict=True):
        texts = [cell_text(text) for text in (shown.prompt, *shown.outputs)]
        assert row == [shown.token, *texts, "", "", "", "", ""]
    assert pages["Preferences"][0] == columns(sheet, "pair")
    for row, shown in zip(pages["Preferences"][1:], sheet.pair, strict=True):
        texts = [cell_text(text) for text in (shown.prompt, *shown.outputs)]
        assert row == [shown.token, *texts, "", "", ""]


def test_changes_are_counted(tmp_path: Path):
    """A cell counts once per reason; the instructions need no change."""
    changes = write_workbook(a_sheet(["a\x00", "plain", ""]), tmp_path / "a.xlsx")
    assert changes == {cells.CONTROLS: 3, cells.BLANK: 3}  # an output, and a prompt and an output


def test_nothing_is_a_formula_but_the_progress(written: tuple[RaterSheet, Path]):
    """Formula starts are text cells that also stay text when a rater edits them."""
    files = parts(written[1])
    for number in (2, 3):
        assert "<f>" not in files[f"xl/worksheets/sheet{number}.xml"]
        assert "<hyperlink" not in files[f"xl/worksheets/sheet{number}.xml"]
    progress = re.findall("<f>(.*?)</f>", files["xl/worksheets/sheet1.xml"])
    assert len(progress) == 2
    assert all(formula.startswith("SUMPRODUCT((") for formula in progress)
    styles = ElementTree.fromstring(files["xl/styles.xml"])  # noqa: S314  # our own file
    quoted = {
        str(index)
        for index, style in enumerate(styles.findall("m:cellXfs/m:xf", NAMESPACE))
        if style.get("quotePrefix") == "1"
    }
    ratings = ElementTree.fromstring(files["xl/worksheets/sheet2.xml"])  # noqa: S314
    outputs = [
        cell
        for cell in ratings.iterfind(".//m:c", NAMESPACE)
        if re.fullmatch(r"C([2-9]|\d\d+)", cell.get("r", ""))
    ]
    assert [cell.get("s") in quoted for cell in outputs] == [
        text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) and bool(text.strip())
        for text in HOSTILE
    ]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.one_of(
            st.text(st.characters(exclude_categories=()), max_size=80),
            # what XLSX writers and readers take for escapes and markup
            st.text(st.sampled_from("_x0DAd<r>/t&; \n\r\x00"), max_size=80),
            st.from_regex(r"\A(<r>)?(_x[0-9a-fA-F]{4}_?){1,4}(</r>)?\Z"),
        ),
        min_size=1,
        max_size=20,
    )
)
@example(["_x0041_x0041_"])
def test_any_text_comes_back(tmp_path: Path, texts: list[str]):
    """Whatever a model writes, another library reads what cell_text says."""
    path = tmp_path / "any.xlsx"
    write_workbook(a_sheet(texts), path)
    ratings = read_back(path)["Ratings"][1:]
    assert [row[2] for row in ratings] == [cell_text(text) for text in texts]


def test_same_sheet_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No clock enters the file: neither its properties nor the archive's entries."""
    write_workbook(a_sheet(HOSTILE), tmp_path / "a.xlsx")
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    write_workbook(a_sheet(HOSTILE), tmp_path / "b.xlsx")
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.xlsx") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert not archive.comment
    dates = re.findall(r"\d{4}-\d\d-\d\dT[\d:]+Z", parts(tmp_path / "a.xlsx")["docProps/core.xml"])
    assert {datetime.fromisoformat(date).year for date in dates} == {2000}


def test_nothing_else_enters(tmp_path: Path):
    """Properties are neutral, no worksheet is hidden, and no name is defined but print titles."""
    path = tmp_path / "a.xlsx"
    write_workbook(a_sheet(["plain"]), path)
    files = parts(path)
    core = files["docProps/core.xml"]
    assert "<dc:title>Rating sheet</dc:title>" in core
    assert "<dc:creator></dc:creator>" in core
    assert "state=" not in files["xl/workbook.xml"]
    names = re.findall(r'definedName name="(.*?)"', files["xl/workbook.xml"])
    assert set(names) == {"_xlnm.Print_Titles"}
    assert str(tmp_path) not in "".join(files.values())


def page_of(path: Path, number: int) -> ElementTree.Element:
    return ElementTree.fromstring(parts(path)[f"xl/worksheets/sheet{number}.xml"])  # noqa: S314


def test_dropdowns_hold_the_answers(written: tuple[RaterSheet, Path]):
    """Each answer column lists what may be answered, points alone behind; else it asks."""
    sheet, path = written
    instructions = read_back(path)["Instructions"]
    last = len(HOSTILE) + 1
    wanted = {
        f"{letter}2:{letter}{last}": [*answers(criterion), *map(str, criterion.points)]
        for letter, criterion in zip("DEF", sheet.criteria, strict=True)
    }
    for number, expected in ((2, wanted), (3, {f"E2:E{last}": list(PREFERENCE_ANSWERS)})):
        found = {}
        for rule in page_of(path, number).iterfind(".//m:dataValidation", NAMESPACE):
            if rule.get("type") != "list":
                continue
            assert rule.get("allowBlank") == rule.get("showErrorMessage") == "1"
            assert rule.get("errorStyle") == "warning"
            source = rule.findtext("m:formula1", "", NAMESPACE)
            match = re.fullmatch(r"Instructions!\$([AC])\$(\d+):\$\1\$(\d+)", source)
            assert match is not None
            column = "ABC".index(match[1])
            rows = range(int(match[2]) - 1, int(match[3]))
            found[rule.get("sqref")] = [instructions[row][column] for row in rows]
        assert found == expected


def test_minutes_are_numbers_of_a_working_day(written: tuple[RaterSheet, Path]):
    """Words and negative numbers are stopped as they are typed."""
    rules = page_of(written[1], 2).findall(".//m:dataValidation[@type='decimal']", NAMESPACE)
    assert [rule.get("sqref") for rule in rules] == [f"H2:H{len(HOSTILE) + 1}"]
    assert rules[0].findtext("m:formula1", "", NAMESPACE) == "0"
    assert rules[0].findtext("m:formula2", "", NAMESPACE) == "600"


def test_only_answers_can_be_edited(written: tuple[RaterSheet, Path]):
    """All worksheets are protected without a password; cells to answer in, and no others, open."""
    path = written[1]
    styles = ElementTree.fromstring(parts(path)["xl/styles.xml"])  # noqa: S314
    unlocked = {
        str(index)
        for index, style in enumerate(styles.findall("m:cellXfs/m:xf", NAMESPACE))
        for protection in style.findall("m:protection", NAMESPACE)
        if protection.get("locked") == "0"
    }
    for number, open_columns in ((1, ""), (2, "DEFGH"), (3, "EFG")):
        page = page_of(path, number)
        protection = page.find("m:sheetProtection", NAMESPACE)
        assert protection is not None
        assert protection.get("sheet") == "1"
        assert protection.get("password") is None
        assert protection.get("formatColumns") == protection.get("formatRows") == "0"  # allowed
        assert protection.get("selectLockedCells") is None  # likewise: texts can be clicked
        for cell in page.iterfind(".//m:c", NAMESPACE):
            address = cell.get("r", "")
            answer = address[0] in open_columns and address[1:] != "1"
            assert (cell.get("s") in unlocked) == answer, address


def test_layout_for_screen_and_print(written: tuple[RaterSheet, Path]):
    """Header and token stay in view; printing is landscape, a page wide, header on each page."""
    path = written[1]
    for number in (2, 3):
        page = page_of(path, number)
        pane = page.find(".//m:pane", NAMESPACE)
        assert pane is not None
        assert (pane.get("xSplit"), pane.get("ySplit")) == ("1", "1")
        assert pane.get("state") == "frozen"
        setup = page.find("m:pageSetup", NAMESPACE)
        assert setup is not None
        assert (setup.get("orientation"), setup.get("fitToHeight")) == ("landscape", "0")
        footer = page.findtext("m:headerFooter/m:oddFooter", "", NAMESPACE)
        assert footer == "&Lsheet-1&CPage &P of &N&Rrater-1"
    assert "Ratings!$1:$1" in parts(path)["xl/workbook.xml"]


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("short", None),  # the default
        ("one\ntwo\r\nthree", 45),
        ("word " * 39, 60),  # 195 characters in lines of at most 65
        ("字" * 65, 45),  # two columns each
        ("😀\n\n" * 3, 90),
        ("x" * 1_700, 405),
        ("x" * 40_000, 405),  # Excel allows 409
        ("\n" * 5_000 + "x", 405),
    ],
)
def test_rows_are_as_tall_as_their_text(tmp_path: Path, text: str, points: int | None):
    """LibreOffice fits no row on opening, and what a row hides is not judged."""
    rows = (ShownRow("bcdf", "p", None, (text,)),)
    write_workbook(a_sheet([], scale=rows, pair=()), tmp_path / "a.xlsx")
    row = page_of(tmp_path / "a.xlsx", 2).find(".//m:row[@r='2']", NAMESPACE)
    assert row is not None
    height = row.get("ht")
    assert (height and float(height)) == points


def test_questions_stand_at_the_columns(written: tuple[RaterSheet, Path]):
    """A note on each criterion's header says what is asked."""
    notes = parts(written[1])["xl/comments1.xml"]
    assert all(criterion.question in notes for criterion in CRITERIA.values())
    assert "<author></author>" in notes


def test_instructions_come_first(written: tuple[RaterSheet, Path]):
    """The first worksheet says what to do, by whom, how far it is, and what each point means."""
    page = read_back(written[1])["Instructions"]
    words = [str(cell) for row in page for cell in row if cell]
    assert {"sheet-1", "rater-1", "First line.", "Second line."} <= set(words)
    assert f"0 of {len(HOSTILE)} rows" in words
    for criterion in CRITERIA.values():
        assert {criterion.name, criterion.question, *answers(criterion)} <= set(words)
    assert set(PREFERENCE_ANSWERS.values()) <= set(words)


def test_only_kinds_with_rows_have_a_worksheet(tmp_path: Path):
    """Neither rows nor instructions ask for what nobody is asked."""
    sheet = a_sheet(["plain"], pair=())
    write_workbook(sheet, tmp_path / "a.xlsx")
    pages = read_back(tmp_path / "a.xlsx")
    assert list(pages) == ["Instructions", "Ratings"]
    assert "preference" not in {cell for row in pages["Instructions"] for cell in row}
    write_workbook(a_sheet(["plain"], scale=(), criteria=()), tmp_path / "b.xlsx")
    assert list(read_back(tmp_path / "b.xlsx")) == ["Instructions", "Preferences"]


def test_references_have_a_column_where_any_is_shown(tmp_path: Path):
    """A row without one says so, and the columns behind it move on with their dropdowns."""
    rows = (ShownRow("bcdf", "p", "known", ("a",)), ShownRow("ghjk", "p", None, ("b",)))
    write_workbook(a_sheet([], scale=rows, pair=()), tmp_path / "a.xlsx")
    page = read_back(tmp_path / "a.xlsx")["Ratings"]
    assert [row[2] for row in page] == ["reference", "known", EMPTY]
    rules = page_of(tmp_path / "a.xlsx", 2).findall(".//m:dataValidation", NAMESPACE)
    assert [rule.get("sqref") for rule in rules] == ["E2:E3", "F2:F3", "G2:G3", "I2:I3"]


def test_long_answers_are_no_problem(tmp_path: Path):
    """A list written into a rule holds 255 characters; one in cells holds any, commas included."""
    points = {point: f"{point}, " + "in many words " * 30 for point in range(11)}
    criterion = CriterionSpec(name="tone", question="=How?", scale=points)
    sheet = a_sheet(["plain"], criteria=(criterion,))
    write_workbook(sheet, tmp_path / "a.xlsx")
    words = {cell for row in read_back(tmp_path / "a.xlsx")["Instructions"] for cell in row}
    assert {*answers(criterion), "=How?"} <= words


def test_more_rows_than_a_worksheet_holds_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Nothing is dropped at the end: the header and 1,048,575 rows are what Excel holds."""
    monkeypatch.setattr(workbook, "MAX_ROWS", 3)
    write_workbook(a_sheet(["a", "b"]), tmp_path / "a.xlsx")
    with pytest.raises(UsageError, match="would get 3 rows, but a worksheet holds 2"):
        write_workbook(a_sheet(["a", "b", "c"]), tmp_path / "b.xlsx")
    assert not (tmp_path / "b.xlsx").exists()
