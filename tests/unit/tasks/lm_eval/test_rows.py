"""Rows of HellaSwag's, MMLU's and the Hub's files; bad rows are named by file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError
from harness.tasks.lm_eval.rows import (
    check_parquet,
    hellaswag_rows,
    hub_rows,
    mmlu_rows,
    write_parquet,
)

HELLASWAG_ROW: dict[str, Any] = {
    "ind": 24,
    "activity_label": "Making tea",
    "ctx_a": "A woman fills a kettle.",
    "ctx_b": "she",
    "ctx": "A woman fills a kettle. she",
    "split": "val",
    "split_type": "indomain",
    "label": 3,
    "endings": ["sings.", "flies.", "sleeps.", "boils the water."],
    "source_id": "x~1",
}


def _file(folder: Path, name: str, *rows: Any) -> Path:
    path = folder / name
    texts = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(texts) + "\n", "utf-8")
    return path


def test_hellaswag_row_becomes_the_hubs_form(tmp_path: Path) -> None:
    """The Hub's Rowan/hellaswag holds the same fields, with the label as a string."""
    [row] = hellaswag_rows(_file(tmp_path, "val.jsonl", HELLASWAG_ROW))
    assert row == {**HELLASWAG_ROW, "label": "3"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 4}, "'label' must be 0 to 3, found 4"),
        ({"label": None}, "found None"),
        ({"endings": ["one", "two"]}, "must hold 4 texts, found 2"),
        ({"endings": "one"}, "must be a list of texts"),
        ({"endings": ["a", "b", "c", ""]}, "must be a list of texts"),
        ({"ctx_b": None}, "'ctx_b' is missing"),
        ({"ctx_a": "", "ctx_b": ""}, "both empty"),
    ],
)
def test_bad_hellaswag_row_is_named_by_line(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    """Nothing of a bad row is guessed: the error says which line and what is wrong with it."""
    path = _file(tmp_path, "val.jsonl", HELLASWAG_ROW, {**HELLASWAG_ROW, **change})
    with pytest.raises(DataError, match=message) as caught:
        list(hellaswag_rows(path))
    assert caught.value.where == f"{path}:2"


def test_mmlu_letters_become_indices(tmp_path: Path) -> None:
    """Answer letters A to D are 0 to 3 in the Hub's cais/mmlu; quoted commas and lines survive."""
    path = _file(tmp_path, "anatomy_test.csv", '"What, now?",1,2,3,4,A', '"a\nb",w,x,y,z,D')
    rows = list(mmlu_rows(path, "anatomy"))
    assert rows[0] == {
        "question": "What, now?",
        "subject": "anatomy",
        "choices": ["1", "2", "3", "4"],
        "answer": 0,
    }
    assert (rows[1]["question"], rows[1]["answer"]) == ("a\nb", 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q,1,2,3,A", "6 columns are needed .* found 5"),
        ("q,1,2,3,4,E", "must be one of the letters A, B, C, D, found 'E'"),
        ("q,1,2,3,4,AB", "found 'AB'"),
        ("q,1,2,3,4,", "found ''"),
        ('q,1,2,3,4,"A', "Not valid CSV"),
    ],
)
def test_bad_mmlu_row_is_named_by_line(tmp_path: Path, line: str, message: str) -> None:
    """A wrong number of columns and a bad letter are errors, not rows scored wrongly."""
    path = _file(tmp_path, "anatomy_test.csv", "q,1,2,3,4,B", line)
    with pytest.raises(DataError, match=message) as caught:
        list(mmlu_rows(path, "anatomy"))
    assert str(caught.value.where).startswith(f"{path}:")


def test_header_line_in_mmlu_csv_is_pointed_out(tmp_path: Path) -> None:
    """MMLU's own files have no header, so one is told apart from a bad answer."""
    path = _file(tmp_path, "a.csv", "question,A,B,C,D,answer", "q,1,2,3,4,B")
    with pytest.raises(DataError, match="Take the header line out"):
        list(mmlu_rows(path, "a"))


def test_not_utf8_is_an_error(tmp_path: Path) -> None:
    """A Latin-1 file is refused rather than read as mojibake."""
    path = tmp_path / "a.csv"
    path.write_bytes("caf\u00e9,1,2,3,4,A\n".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        list(mmlu_rows(path, "a"))


def test_csv_columns_of_numbers_and_lists_get_their_types(tmp_path: Path) -> None:
    """A target index must be a number for lm-eval; texts that only look like one stay texts."""
    path = _file(
        tmp_path, "a.csv", "q,answer,choices,code", 'x,1,"[""a"", ""b""]",007', "y,0,[],NA"
    )
    assert hub_rows(path, {"q", "answer"}) == [
        {"q": "x", "answer": 1, "choices": ["a", "b"], "code": "007"},
        {"q": "y", "answer": 0, "choices": [], "code": "NA"},
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
def test_row_without_a_needed_field_is_an_error(tmp_path: Path, suffix: str) -> None:
    """A template that names a field the rows do not have would render an empty prompt."""
    rows = {".jsonl": ['{"q": 1}'], ".json": ['[{"q": 1}]'], ".csv": ["q", "1"]}[suffix]
    with pytest.raises(DataError, match="reads the field 'answer', and the row has only 'q'"):
        hub_rows(_file(tmp_path, f"a{suffix}", *rows), {"q", "answer"})


def test_unknown_kind_of_file_is_refused(tmp_path: Path) -> None:
    """Only formats with a reader are taken."""
    with pytest.raises(DataError, match=r"found \.txt"):
        hub_rows(_file(tmp_path, "a.txt", "x"), set())


def test_parquet_keeps_types_and_texts_as_they_are(tmp_path: Path) -> None:
    """The JSON reader of datasets 5.2 would turn this text into a timestamp."""
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"q": "2020-01-01", "n": 1}, {"q": "2021-01-01", "n": 2, "extra": ["x"]}]
    write_parquet(rows, tmp_path / "a.jsonl", tmp_path / "sub" / "a.parquet")
    table = parquet.read_table(tmp_path / "sub" / "a.parquet")
    assert table.to_pylist() == [{**rows[0], "extra": None}, rows[1]]


def test_field_of_mixed_types_is_an_error(tmp_path: Path) -> None:
    """A field that is a number here and a text there has no column type."""
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match="'q' does not hold values of one type"):
        write_parquet([{"q": 1}, {"q": "a"}], tmp_path / "a.jsonl", tmp_path / "a.parquet")


def test_empty_files_are_errors(tmp_path: Path) -> None:
    """A split without rows is a mistake, not a score of nothing."""
    with pytest.raises(DataError, match="no rows"):
        write_parquet([], tmp_path / "a.jsonl", tmp_path / "a.parquet")


def test_parquet_is_checked_for_fields(tmp_path: Path) -> None:
    """Parquet files pass through, once their schema has what the task reads."""
    pytest.importorskip("pyarrow")
    target = tmp_path / "a.parquet"
    write_parquet([{"q": "x"}], tmp_path / "a.jsonl", target)
    check_parquet(target, {"q"})
    with pytest.raises(DataError, match="'answer'"):
        check_parquet(target, {"answer"})
    target.write_text("no")
    with pytest.raises(DataError, match="Not a valid Parquet file"):
        check_parquet(target, set())


@pytest.mark.realdata
def test_all_published_files_are_readable(realdata: Path) -> None:
    """Every shared row of HellaSwag and MMLU converts: 1,000, 57 x 5 shots and 2,280 questions."""
    hellaswag = list(hellaswag_rows(realdata / "hellaswag" / "hellaswag_val_1000.jsonl"))
    assert len(hellaswag) == 1000
    counts = {}
    for split in ("dev", "test"):
        files = sorted((realdata / "mmlu" / split).glob("*.csv"))
        counts[split] = sum(len(list(mmlu_rows(file, file.stem))) for file in files)
    assert counts == {"dev": 285, "test": 2280}
