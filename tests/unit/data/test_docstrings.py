"""The built-in pairs of docstring body and summary."""

import collections
import inspect
import shutil
import statistics
import textwrap

import pytest

from harness.data import docstrings
from harness.data.docstrings import read_docstrings, split_docstring
from harness.errors import DataError

BODY = "It does so for every item of the sequence, in order, and stops at the first that fails."


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        (f"Do something useful.\n\n{BODY}", ("Do something useful.", BODY)),
        (
            f"\nDo something useful.\n\n\n{BODY}\n\nMore.\n",
            ("Do something useful.", f"{BODY}\n\nMore."),
        ),
        ("Do something useful.", "docstring without a body"),
        ("", "docstring without a body"),
        (f"Do something,\nslowly.\n\n{BODY}", "summary longer than one line"),
        (f"thing(a, b) -> c\n\n{BODY}", "summary not a sentence"),
        (f"Do this.\n\n{BODY}", "summary not a sentence"),
        (f"Do something useful\n\n{BODY}", "summary not a sentence"),
        (f"Do {'very ' * 30}much.\n\n{BODY}", "summary too short or too long"),
        ("Do something useful.\n\nShort.", "body too short"),
        (f"Do something useful.\n\n{BODY * 20}", "body too long"),
        (f"Do something useful.\n\nSo:\n\n>>> thing()\n{BODY}", "body is mostly a doctest"),
        (
            f"Do something useful.\n\n{BODY}\nDo something\n  useful twice.",
            "summary repeated in the body",
        ),
    ],
)
def test_split_docstring(docstring, expected):
    """A pair needs a sentence of one line and a body that does not give it away."""
    assert split_docstring(docstring) == expected


@pytest.fixture
def library(tmp_path):
    """A standard library of two modules, and folders that do not count."""
    for path in ("test/a.py", "site-packages/b.py", "idlelib/c.py", "config-3.11/d.py"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(f'"""Do something useful.\n\n{BODY}\n"""\n')
    (tmp_path / "broken.py").write_text("def (:\n")
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text(f'"""Hold the things.\n\n{BODY}\n"""\n')
    (tmp_path / "thing.py").write_text(
        f'def f():\n    """Do something useful.\n\n    {BODY}\n    """\n'
        "class C:\n"
        f'    """Be something else.\n\n    {BODY}\n    """\n'
        "    if True:\n        async def m(self):\n"
        f'            """Make something new.\n\n            {BODY}\n            """\n'
        '    def n(self):\n        """Short."""\n'
    )
    return tmp_path


def test_names_kinds_and_counts(library, monkeypatch):
    """Names are qualified, rows sorted by them, and everything left out is counted."""
    monkeypatch.setattr(docstrings.sysconfig, "get_path", lambda name: str(library))
    read = read_docstrings()
    assert [
        (row.fields["name"], row.fields["kind"], row.fields["module"]) for row in read.rows
    ] == [
        ("pkg", "module", "pkg"),
        ("thing.C", "class", "thing"),
        ("thing.C.m", "method", "thing"),
        ("thing.f", "function", "thing"),
    ]
    assert read.rows[0].fields["summary"] == "Hold the things."
    assert {row.fields["body"] for row in read.rows} == {BODY}
    assert read.dropped == {"docstring without a body": 1}
    assert read.notes == ["1 files of the standard library could not be parsed."]


def test_a_library_without_sources_is_an_error(tmp_path, monkeypatch):
    """A zipped standard library has nothing to read."""
    monkeypatch.setattr(docstrings.sysconfig, "get_path", lambda name: str(tmp_path / "lib.zip"))
    with pytest.raises(DataError, match=r"lib\.zip: .*there are none"):
        read_docstrings()


def test_this_pythons_library():
    """The running Python gives well over a thousand clean pairs."""
    read = read_docstrings()
    assert 1_000 <= len(read.rows) <= 2_500
    assert read.dropped["docstring without a body"] > len(read.rows)
    names = [row.fields["name"] for row in read.rows]
    assert names == sorted(names)
    assert {row.fields["kind"] for row in read.rows} == {"module", "class", "function", "method"}
    for row in read.rows:
        fields = row.fields
        assert 80 <= len(fields["body"]) <= 1200
        assert "\n" not in fields["summary"]
        assert fields["summary"] not in fields["body"]
        assert not {"test", "tests", "site-packages", "idlelib"} & set(fields["module"].split("."))


def test_rows_are_what_the_library_says():
    """What Python itself shows for a function is among the rows of that name."""
    rows = collections.defaultdict(set)  # a name may be defined once per platform
    for row in read_docstrings().rows:
        rows[row.fields["name"]].add((row.fields["summary"], row.fields["body"]))
    checked = 0
    for module in (inspect, shutil, statistics, textwrap):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and f"{module.__name__}.{name}" in rows:
                summary, _, body = inspect.getdoc(function).partition("\n\n")
                assert (summary, body.strip()) in rows[f"{module.__name__}.{name}"]
                checked += 1
    assert checked >= 20
