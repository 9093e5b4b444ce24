"""JSONL, JSON and CSV: every text stays what it is, and errors name file and line."""

import pytest

from harness.data.files import read_csv, read_json, read_jsonl
from harness.errors import DataError


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def fields(rows):
    return [row.fields for row in rows]


def test_jsonl(write):
    """One object per line; a byte order mark, CRLF, blank lines and U+2028 do no harm."""
    path = write("a.jsonl", '\ufeff{"a": "x\u2028y"}\r\n\n{"a": [1, null]}\n')
    rows = list(read_jsonl(path, "train"))
    assert fields(rows) == [{"a": "x\u2028y"}, {"a": [1, None]}]
    assert [row.where for row in rows] == [f"{path}:1", f"{path}:3"]
    assert {row.split for row in rows} == {"train"}


def test_texts_that_look_like_other_types_stay_texts(write):
    """Dates, numbers and NA are not guessed to be something else, as other readers do."""
    path = write("a.jsonl", '{"a": "2020-01-01", "b": "007"}\n{"a": "NA", "b": 1}\n')
    assert fields(read_jsonl(path, "x")) == [{"a": "2020-01-01", "b": "007"}, {"a": "NA", "b": 1}]
    path = write("a.csv", "a,b\n2020-01-01,007\nNA,null\n1.10,\n")
    assert fields(read_csv(path, "x")) == [
        {"a": "2020-01-01", "b": "007"},
        {"a": "NA", "b": "null"},
        {"a": "1.10", "b": ""},
    ]


def test_jsonl_errors_name_the_line(write):
    """A broken line and a line that is no object are found."""
    path = write("a.jsonl", '{"a": 1}\n{"a": 2\n{"a": 3}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:2: Not valid JSON"):
        list(read_jsonl(path, "x"))
    path = write("b.jsonl", '{"a": 1}\n\n["a"]\n')
    with pytest.raises(DataError, match=r"b\.jsonl:3: .*found list"):
        list(read_jsonl(path, "x"))
    path = write("c.jsonl", '{"a": ' + "[" * 100_000)
    with pytest.raises(DataError, match=r"c\.jsonl:1: Not valid JSON"):
        list(read_jsonl(path, "x"))


def test_not_utf8_names_line_and_byte(write):
    """Latin-1 text is refused with its line, and how to convert it."""
    path = write("a.jsonl", b'{"a": 1}\n{"a": "caf\xe9"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:2: Not UTF-8: byte 0xe9.*iconv"):
        list(read_jsonl(path, "x"))


def test_json(write):
    """A .json file holds an array of objects, or one object per line."""
    assert fields(read_json(write("a.json", ' [{"a": 1},\n {"a": 2}]'), "x")) == [
        {"a": 1},
        {"a": 2},
    ]
    assert fields(read_json(write("b.json", '{"a": 1}\n{"a": 2}\n'), "x")) == [{"a": 1}, {"a": 2}]


def test_json_errors(write):
    """A file that is neither says so; a broken array names the line, a wrong item its index."""
    path = write("a.json", '{\n  "data": []\n}\n')
    with pytest.raises(DataError, match=r"a\.json:1: Neither an array of objects nor"):
        list(read_json(path, "x"))
    path = write("b.json", '[{"a": 1},\n{"a": }]')
    with pytest.raises(DataError, match=r"b\.json:2: Not valid JSON"):
        list(read_json(path, "x"))
    path = write("c.json", '[{"a": 1}, "b"]')
    with pytest.raises(DataError, match=r"c\.json\[1\]: .*found str"):
        list(read_json(path, "x"))


def test_csv(write):
    """Quoted separators, line breaks and long cells are read; .tsv is separated by tabs."""
    long = "x" * 200_000
    path = write("a.csv", f'\ufeffa,b\n"x, ""y""\nz",{long}\n\n1,2\n')
    rows = list(read_csv(path, "x"))
    assert fields(rows) == [{"a": 'x, "y"\nz', "b": long}, {"a": "1", "b": "2"}]
    assert rows[1].where == f"{path}:5"
    assert fields(read_csv(write("a.tsv", "a\tb\n1,5\t2\n"), "x")) == [{"a": "1,5", "b": "2"}]
    assert fields(read_csv(write("empty.csv", ""), "x")) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n1,2,3\n", r"a\.csv:3: This row has 3 cells, the header 2"),
        ("a,b\n1\n", r"a\.csv:2: This row has 1 cells, the header 2"),
        ("a,a\n1,2\n", r"a\.csv:1: Column 'a' occurs twice"),
        ('a,b\n1,"2\n', r"a\.csv:2: Not valid CSV"),
    ],
)
def test_csv_errors(write, content, message):
    """Rows that do not fit the header are refused instead of shifted."""
    with pytest.raises(DataError, match=message):
        list(read_csv(write("a.csv", content), "x"))


def test_an_unreadable_file(tmp_path):
    """A file that vanished after it was found is named."""
    with pytest.raises(DataError, match=r"gone\.jsonl: Cannot read this file"):
        list(read_jsonl(tmp_path / "gone.jsonl", "x"))
