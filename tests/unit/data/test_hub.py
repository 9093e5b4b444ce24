"""Parquet files and Hub data sets, through the datasets library."""

import sys
from datetime import date
from types import SimpleNamespace

import pytest

from harness.data.hub import read_hub, read_parquet
from harness.errors import DataError, MissingExtraError
from harness.resources import cache_dir
from harness.suite.spec import DataSpec

datasets = pytest.importorskip("datasets", reason="the hf extra is not installed")


@pytest.fixture
def parquet(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "q": ["x", None],
            "tags": [["a", "b"], []],
            "day": [date(2020, 1, 2), None],
            "pixels": [b"\x00", None],
        }
    )
    pq.write_table(table, path)
    return path


def test_parquet(parquet):
    """Rows come with their types and places, and no copy stays in the cache."""
    rows = read_parquet(parquet, "train")
    assert rows[0].fields == {
        "q": "x",
        "tags": ["a", "b"],
        "day": date(2020, 1, 2),
        "pixels": b"\x00",
    }
    assert rows[1].fields["q"] is None
    assert rows[1].where == f"{parquet}[1]"
    assert list((cache_dir() / "datasets").iterdir()) == []


def test_progress_bars_and_logging_are_as_before(parquet):
    """Reading is quiet and leaves the library's settings alone."""
    verbosity = datasets.logging.get_verbosity()
    datasets.enable_progress_bars()
    read_parquet(parquet, "train")
    assert not datasets.are_progress_bars_disabled()
    assert datasets.logging.get_verbosity() == verbosity


def test_a_file_that_is_not_parquet(tmp_path, capfd):
    """The file is named, with the reader's own reason, and nothing else is printed."""
    path = tmp_path / "a.parquet"
    path.write_text("no")
    with pytest.raises(DataError, match=r"a\.parquet: Cannot be read as Parquet: .*[Pp]arquet"):
        read_parquet(path, "train")
    assert capfd.readouterr() == ("", "")


def test_hub_without_network():
    """An unreachable Hub data set is named with its revision, and what to do instead."""
    spec = DataSpec(source="nobody/nothing", revision="abc")
    with pytest.raises(DataError) as caught:
        read_hub(spec)
    message = str(caught.value)
    assert message.startswith("nobody/nothing@abc: The Hub data set cannot be reached")
    assert "give their path as data.source" in message
    assert caught.value.exit_code == 2


def test_hub_rows(monkeypatch):
    """Own splits that are mapped are read; revision, configuration and cache are passed on."""
    calls = []

    def load_dataset(*args, **options):
        calls.append((args, options))
        return datasets.DatasetDict(
            {
                "train": datasets.Dataset.from_list([{"q": "a"}, {"q": "b"}]),
                "test": datasets.Dataset.from_list([{"q": "c"}]),
            }
        )

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    spec = DataSpec(source="o/n", name="conf", revision="r1", split_map={"test": "report"})
    read = read_hub(spec)
    assert [(row.fields, row.split, row.where) for row in read.rows] == [
        ({"q": "c"}, "test", "o/n (test)[0]")
    ]
    assert read.splits == ("train", "test")
    assert read.notes == []
    assert calls == [
        (("o/n", "conf"), {"revision": "r1", "cache_dir": str(cache_dir() / "datasets")})
    ]
    unpinned = read_hub(DataSpec(source="o/n"))
    assert len(unpinned.rows) == 3
    assert unpinned.notes == ["No revision of the Hub data set is pinned."]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (datasets.exceptions.DatasetNotFoundError("Dataset 'o/n' doesn't exist."), "Check the id"),
        (ValueError("Config name is missing.\nPick one"), "is missing. Name the configuration"),
        (RuntimeError(), "RuntimeError. Check data.source"),
    ],
)
def test_hub_errors(monkeypatch, error, message):
    """Whatever the library raises becomes one message with a hint."""

    def load_dataset(*args, **options):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError, match=message):
        read_hub(DataSpec(source="o/n"))


def test_without_the_library(monkeypatch, parquet):
    """A base install says which extra to install."""
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"'datasets'.*qlora-harness\[hf\]"):
        read_parquet(parquet, "train")


def test_a_broken_install_is_not_a_missing_one(monkeypatch, parquet):
    """A module that datasets itself lacks is reported as what it is."""

    def import_module(name):
        raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")

    monkeypatch.setattr("harness.data.hub.importlib", SimpleNamespace(import_module=import_module))
    with pytest.raises(ModuleNotFoundError, match="pyarrow"):
        read_parquet(parquet, "train")
