"""Spreadsheets that need a library of their own."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import MissingExtraError
from harness.ratings.returns.returns import read_return


def numbers_file(path: Path) -> Path:
    """A document as Apple's Numbers saves one, with a second table below the first."""
    library = pytest.importorskip("numbers_parser", reason="numbers-parser is not installed")
    document = library.Document(num_rows=3, num_cols=4)
    sheet = document.sheets[0]
    sheet.name = "Ratings"
    tables: list[list[list[Any]]] = [
        [
            ["row", "fluency", "comment", "minutes"],
            ["bcdfghjk", 5, "two\nlines", 1.5],
            ["cdfghjkl", "4 - good", None, datetime.datetime(2026, 5, 4)],
        ],
        [["row", "preference"], ["klmnpqrs", "A"]],
    ]
    sheet.add_table("Others", num_rows=2, num_cols=2)
    for table, rows in zip(sheet.tables, tables, strict=True):
        for number, row in enumerate(rows):
            for column, value in enumerate(row):
                if value is not None:
                    table.write(number, column, value)
    document.save(path)
    return path


def test_numbers_documents_are_read(tmp_path: Path) -> None:
    """Each table of each sheet, with numbers, dates and line breaks; notes are not looked at."""
    returned = read_return(numbers_file(tmp_path / "ada.numbers"))
    assert returned.format == "numbers"
    assert [(row.token, dict(row.cells)) for row in returned.rows] == [
        ("bcdfghjk", {"fluency": "5", "comment": "two\nlines", "minutes": "1.5"}),
        ("cdfghjkl", {"fluency": "4 - good", "minutes": "2026-05-04"}),
        ("klmnpqrs", {"preference": "A"}),
    ]
    assert returned.rows[0].address("fluency") == "Ratings!B2"
    assert returned.rows[2].address("preference") == "Ratings, Others!B2"
    assert "a date, 2026-05-04" in returned.rows[1].turned["minutes"]
    (note,) = returned.notes
    assert "notes on cells are not looked at" in note


def test_numbers_without_its_library_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is about the package that is missing, not about the file."""
    path = numbers_file(tmp_path / "ada.numbers")
    monkeypatch.setitem(sys.modules, "numbers_parser", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'qlora-harness\[numbers\]'"):
        read_return(path)
