"""A built-in suite becomes the start of a user's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import DiskError, SuiteError, UsageError
from harness.suite.file import builtin_suites, load_suite
from harness.suite.init import copy_suite
from harness.suite.spec import suite_schema


@pytest.mark.parametrize("name", sorted(builtin_suites()))
def test_a_copy_is_a_valid_suite_of_its_own_name(tmp_path: Path, name: str) -> None:
    """All else is as in the original."""
    copied = load_suite(str(copy_suite(name, tmp_path / "My Suite.yaml"))).suite
    assert copied.name == "my-suite"
    assert copied.model_copy(update={"name": Path(name).name}) == load_suite(name).suite


def test_the_schema_lies_beside_the_copy(tmp_path: Path) -> None:
    """The first line tells editors where."""
    copy = copy_suite("tiny", tmp_path / "new" / "mine.yaml")
    first = copy.read_text("utf-8").splitlines()[0]
    schema = copy.parent / first.removeprefix("# yaml-language-server: $schema=")
    assert json.loads(schema.read_text("utf-8")) == suite_schema()


@pytest.mark.parametrize("name", ["tiny", "suites/tiny.yaml", "tiny.yaml"])
def test_without_a_target_the_copy_is_called_as_the_original(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Built-in suites may be named as files, as everywhere."""
    monkeypatch.chdir(tmp_path)
    assert copy_suite(name) == Path("tiny.yaml")
    assert (tmp_path / "tiny.yaml").is_file()


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    """Nothing is overwritten."""
    target = tmp_path / "mine.yaml"
    target.write_text("mine", "utf-8")
    with pytest.raises(UsageError, match="--to"):
        copy_suite("tiny", target)
    assert target.read_text("utf-8") == "mine"


def test_an_unknown_name_gets_near_ones(tmp_path: Path) -> None:
    """As for every suite's name."""
    with pytest.raises(SuiteError, match="tiny"):
        copy_suite("tyni", tmp_path / "mine.yaml")


def test_a_suite_of_the_users_own_is_not_copied(tmp_path: Path) -> None:
    """Its relative paths would lead nowhere from another folder."""
    own = copy_suite("tiny", tmp_path / "mine.yaml")
    with pytest.raises(UsageError, match="built-in"):
        copy_suite(str(own), tmp_path / "second.yaml")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """No such place, and a file where a folder is needed; the hint is the option."""
    (tmp_path / "file").write_text("x")
    for place in (Path("/proc/x/own.yaml"), tmp_path / "file" / "own.yaml"):
        with pytest.raises(DiskError, match="cannot be written") as caught:
            copy_suite("tiny", place)
        assert caught.value.hint == "Choose another: --to"
