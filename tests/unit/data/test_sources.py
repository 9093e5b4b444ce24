"""Finding sources, their identity, and what is said about missing ones."""

import hashlib
import json
import subprocess
import sys

import pytest

from harness import resources
from harness.data.sources import DataSource, format_of, resolve, source_identity
from harness.errors import DataError
from harness.suite.spec import DataSpec


@pytest.fixture
def folder(tmp_path):
    for name in ("train.jsonl", "test.jsonl", "notes.txt", "sub/more.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"name": name}) + "\n")
    return tmp_path


def missing(folder, **spec):
    with pytest.raises(DataError) as caught:
        resolve(DataSpec(**spec), folder)
    return str(caught.value)


def test_paths_globs_and_files(folder):
    """A path, a glob and a path per split are looked for from the suite's folder."""
    one = resolve(DataSpec(source="train.jsonl"), folder)
    assert one == DataSource("files", "train.jsonl", {"train": (folder / "train.jsonl",)})
    many = resolve(DataSpec(source="**/*.jsonl"), folder)
    assert [path.name for path in many.files["train"]] == [
        "more.jsonl",
        "test.jsonl",
        "train.jsonl",
    ]
    split = resolve(DataSpec(files={"a": "train.jsonl", "b": "sub/*"}), folder)
    assert split.files == {"a": (folder / "train.jsonl",), "b": (folder / "sub/more.jsonl",)}
    assert split.name == "a=train.jsonl, b=sub/*"
    absolute = DataSpec(source=str(folder / "train.jsonl"))
    assert resolve(absolute, folder / "sub").files == one.files


def test_a_name_with_brackets_is_a_file_where_there_is_one(folder):
    """A file whose name looks like a glob is found by its name."""
    path = folder / "a[1].jsonl"
    path.write_text("{}\n")
    assert resolve(DataSpec(source="a[1].jsonl"), folder).files["train"] == (path,)


def test_shipped_data_is_found_after_the_suites_own(folder, tmp_path, monkeypatch):
    """A suite copied from the shipped ones still finds the shipped data."""
    shipped = tmp_path / "shipped"
    (shipped / "data").mkdir(parents=True)
    (shipped / "data" / "qa.jsonl").write_text("{}\n")
    monkeypatch.setattr("harness.data.sources.resource_dir", lambda name: shipped)
    spec = DataSpec(source="data/qa.jsonl")
    assert resolve(spec, folder).files["train"] == (shipped / "data" / "qa.jsonl",)
    (folder / "data").mkdir()
    (folder / "data" / "qa.jsonl").write_text("{}\n")
    assert resolve(spec, folder).files["train"] == (folder / "data" / "qa.jsonl",)


def test_an_installation_without_suites_is_no_obstacle(folder, monkeypatch, tmp_path):
    """The suite's own data is found where no suites were shipped."""
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "nowhere" / "harness")
    assert resolve(DataSpec(source="train.jsonl"), folder).kind == "files"


def test_hub_ids(folder):
    """owner/name is a Hub id unless its owner is a folder here or it ends like a data file."""
    assert resolve(DataSpec(source="allenai/scitldr"), folder).kind == "hub"
    assert resolve(DataSpec(source="squad", format="hub"), folder).kind == "hub"
    assert resolve(DataSpec(source="sub/x", format="hub"), folder).kind == "hub"
    assert "no such file" in missing(folder, source="sub/x")
    assert "no such file" in missing(folder, source="allenai/scitldr.json")


def test_builtin(folder):
    """The built-in is known by its name; another is refused with those there are."""
    assert resolve(DataSpec(source="stdlib-docstrings"), folder).kind == "builtin"
    assert "There are: stdlib-docstrings" in missing(folder, source="x", format="builtin")
    assert "Did you mean the built-in stdlib-docstrings?" in missing(folder, source="stdlib-docs")


def test_missing_files_name_their_neighbours(folder):
    """The message has the full path and the likely names beside it."""
    assert missing(folder, source="trian.jsonl") == (
        f"{folder}/trian.jsonl: There is no such file. Did you mean train.jsonl in {folder}?"
    )
    found = missing(folder, source="*.csv")
    assert "No file matches this pattern" in found
    assert f"{folder} has: test.jsonl, train.jsonl." in found
    assert f"Did you mean sub in {folder}" in missing(folder, source="subs/deep/x.jsonl")
    assert "This is a folder" in missing(folder, source="sub")
    assert "sub/*.jsonl" in missing(folder, source="sub/")


def test_format(folder):
    """The format comes from the suite or else from the name; neither is an error."""
    path = folder / "notes.txt"
    assert format_of(path, DataSpec(source="x", format="csv")) == "csv"
    assert format_of(folder / "a.NDJSON", DataSpec(source="x")) == "jsonl"
    with pytest.raises(DataError, match=r"notes\.txt: The name does not tell the format"):
        format_of(path, DataSpec(source="x"))


def test_identity_of_files(folder):
    """Content and settings are in it, the folder is not, so a moved suite keeps its results."""
    spec = DataSpec(source="*.jsonl", limits={"train": 3})
    found = source_identity(spec, folder)
    digest = hashlib.sha256(b'{"name": "test.jsonl"}\n').hexdigest()
    assert found["files"]["train"]["test.jsonl"] == digest
    assert found["limits"] == {"train": 3}
    assert str(folder) not in json.dumps(found)
    moved = folder / "moved"
    moved.mkdir()
    for name in ("train.jsonl", "test.jsonl"):
        (moved / name).write_bytes((folder / name).read_bytes())
    assert source_identity(spec, moved) == found
    (moved / "train.jsonl").write_text("{}\n")
    assert source_identity(spec, moved) != found


def test_identity_of_hub_and_builtin(folder):
    """A Hub data set is known by id and revision, the built-in by Python's version."""
    hub = source_identity(DataSpec(source="a/b", revision="r", name="n"), folder)
    assert (hub["kind"], hub["id"], hub["revision"], hub["name"]) == ("hub", "a/b", "r", "n")
    builtin = source_identity(DataSpec(source="stdlib-docstrings"), folder)
    assert builtin["python"] == sys.version
    json.dumps([hub, builtin])


@pytest.mark.parametrize(
    "setting",
    [
        {"splits": {"train": 0.5, "report": 0.5}},
        {"split_map": {"train": "report"}},
        {"id_field": "id"},
        {"cluster": "exact"},
        {"required_fields": ("a",)},
        {"min_chars": 1},
        {"max_chars": 9},
    ],
)
def test_every_setting_is_part_of_the_identity(folder, setting):
    """A result is stale when a setting that chooses or divides rows has changed."""
    plain = source_identity(DataSpec(source="train.jsonl"), folder)
    assert source_identity(DataSpec(source="train.jsonl", **setting), folder) != plain


def test_identity_loads_no_heavy_library(folder):
    """Validation must be quick, so telling a source's identity imports none of these."""
    code = (
        "import sys; from pathlib import Path; from harness.data.sources import source_identity;"
        "from harness.suite.spec import DataSpec;"
        f"source_identity(DataSpec(source='train.jsonl'), Path({str(folder)!r}));"
        "print([m for m in ('torch', 'datasets', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
