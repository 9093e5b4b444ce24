"""Filled workbooks through a real Gnumeric, and through LibreOffice's other formats."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.ratings.returns.returned import Returned
from harness.ratings.returns.returns import read_return
from harness.ratings.sheets.workbook import write_workbook
from tests.e2e.test_libreoffice import PLACES, SAID, SHEET, convert, fill_in, shown

GNUMERIC, LIBREOFFICE = shutil.which("ssconvert"), shutil.which("soffice")
pytestmark = pytest.mark.slow
gnumeric = pytest.mark.skipif(
    GNUMERIC is None, reason="Gnumeric is not installed (apt-get install gnumeric)"
)
libreoffice = pytest.mark.skipif(LIBREOFFICE is None, reason="LibreOffice is not installed")

EXPECTED = {shown(kind)[number][0]: said for kind in SAID for number, said in enumerate(SAID[kind])}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workbook with answers, comments with line breaks among them."""
    folder = tmp_path_factory.mktemp("filled")
    write_workbook(SHEET, folder / "empty.xlsx")
    entries = {place: entry for place, (_, entry) in PLACES.items()}
    fill_in(folder / "empty.xlsx", folder / "rater-1.xlsx", entries)
    return folder / "rater-1.xlsx"


def ssconvert(source: Path, target: Path, exporter: str, *more: str) -> Path:
    command = ["ssconvert", f"--export-type={exporter}", *more, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return target


def answers_of(returned: Returned) -> dict[str, dict[str, str]]:
    assert not returned.problems
    return {row.token: dict(row.cells) for row in returned.rows if row.cells}


@gnumeric
@pytest.mark.parametrize(
    ("exporter", "form"),
    [
        ("Gnumeric_OpenCalc:openoffice", "ods"),
        ("Gnumeric_OpenCalc:odf", "ods"),
        ("Gnumeric_Excel:xlsx2", "xlsx"),
        ("Gnumeric_Excel:xlsx", "xlsx"),
    ],
)
def test_answers_come_back_from_gnumeric(
    filled: Path, tmp_path: Path, exporter: str, form: str
) -> None:
    """Every answer is at its token, comments with their line breaks, as the rater left them."""
    returned = read_return(ssconvert(filled, tmp_path / f"rater-1.{form}", exporter))
    assert returned.format == form
    assert answers_of(returned) == EXPECTED
    assert returned.sheet == SHEET.id


@gnumeric
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16LE"])
def test_answers_come_back_as_text(
    filled: Path, tmp_path: Path, delimiter: str, encoding: str
) -> None:
    """One worksheet as CSV, with any delimiter."""
    options = f"--export-options=sheet=Preferences separator='{delimiter}' charset={encoding}"
    path = ssconvert(filled, tmp_path / "x.txt", "Gnumeric_stf:stf_assistant", options)
    wanted = {row[0]: said for row, said in zip(shown("pair"), SAID["pair"], strict=False)}
    returned = read_return(path)
    # Gnumeric puts a text in quotes for the usual delimiters, but not for this one
    assert len(returned.problems) == (delimiter == ";")
    assert {row.token: dict(row.cells) for row in returned.rows if row.cells} == wanted


@gnumeric
@pytest.mark.parametrize(
    ("exporter", "what"),
    [
        ("Gnumeric_XmlIO:sax", "a compressed file, such as Gnumeric's own"),
        ("Gnumeric_XmlIO:sax:0", "an XML file"),
        ("Gnumeric_sylk:sylk", "a SYLK file"),
        ("Gnumeric_dif:dif", "a DIF file"),
        ("Gnumeric_pdf:pdf_assistant", "a PDF file"),
        ("Gnumeric_html:html40", "a web page"),
    ],
)
def test_other_formats_of_gnumeric_are_named(
    filled: Path, tmp_path: Path, exporter: str, what: str
) -> None:
    """What cannot be read is called by its name, and never damaged."""
    path = ssconvert(filled, tmp_path / "rater-1", exporter)
    with pytest.raises(DataError, match=what):
        read_return(path)


@libreoffice
@pytest.mark.parametrize(
    ("ending", "form"), [("ods", "ods"), ("fods", "fods"), ("xls", "xls"), ("xlsx", "xlsx")]
)
def test_answers_come_back_from_libreoffice(
    filled: Path, tmp_path: Path, ending: str, form: str
) -> None:
    """The same, line breaks within a paragraph included."""
    convert(filled, ending, tmp_path, tmp_path / "profile")
    returned = read_return(tmp_path / f"rater-1.{ending}")
    assert returned.format == form
    assert answers_of(returned) == EXPECTED


@libreoffice
@pytest.mark.parametrize(
    ("ending", "what"), [("slk", "a SYLK file"), ("dif", "a DIF file"), ("pdf", "a PDF file")]
)
def test_other_formats_of_libreoffice_are_named(
    filled: Path, tmp_path: Path, ending: str, what: str
) -> None:
    """What cannot be read is called by its name, and never damaged."""
    convert(filled, ending, tmp_path, tmp_path / "profile")
    with pytest.raises(DataError, match=what):
        read_return(tmp_path / f"rater-1.{ending}")
