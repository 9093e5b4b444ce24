"""Fields of TRL's and PEFT's classes, read at run time and kept."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.resources import cache_dir
from harness.suite import fields
from harness.suite.fields import ConfigClass, Fields, installed_fields, read_fields


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    installed_fields.cache_clear()
    yield
    installed_fields.cache_clear()


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A process that has not imported the libraries, with a cache of its own."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    for package in ("trl", "peft"):
        monkeypatch.delitem(sys.modules, package, raising=False)
    return tmp_path


def test_the_fields_are_those_that_the_classes_take() -> None:
    """All that may be given, and nothing else."""
    from peft import LoraConfig
    from trl import SFTConfig

    for name, cls in (("trl:SFTConfig", SFTConfig), ("peft:LoraConfig", LoraConfig)):
        assert set(read_fields(name)) == {f.name for f in dataclasses.fields(cls) if f.init}
    kinds = read_fields("trl:SFTConfig")
    assert kinds["learning_rate"] == ("float",)
    assert kinds["max_length"] == ("int", "None")
    assert kinds["lr_scheduler_type"] == ()


def test_reading_the_fields_loads_no_torch_here() -> None:
    """Validate must answer in a second; only the first time takes longer."""
    code = (
        "import sys; from harness.suite.fields import installed_fields;"
        "read = installed_fields('trl:SFTConfig');"
        "sys.exit('torch' in sys.modules or 'trl' in sys.modules or not read.kinds)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert list((cache_dir() / "fields").glob("*.json"))


def test_what_was_read_is_kept_until_the_installation_changes(
    untouched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version, another place, or files that are newer: it is read again."""
    asked: list[str] = []

    def read(config: str) -> dict[str, tuple[str, ...]]:
        asked.append(config)
        return {"a": ("int", "None"), "b": ()}

    monkeypatch.setattr(fields, "_read_elsewhere", read)
    first = installed_fields("trl:SFTConfig")
    installed_fields.cache_clear()
    assert installed_fields("trl:SFTConfig") == first == Fields({"a": ("int", "None"), "b": ()})
    assert len(asked) == 1
    monkeypatch.setattr(fields, "version", lambda package: "99")
    installed_fields.cache_clear()
    assert installed_fields("trl:SFTConfig") == first
    assert len(asked) == 2


@pytest.mark.parametrize("content", ["", "{", "[1]", '"text"'])
def test_a_damaged_cache_is_read_over(
    untouched: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    """It costs time, never a result."""
    monkeypatch.setattr(fields, "_read_elsewhere", lambda config: {"a": ()})
    assert installed_fields("trl:SFTConfig").kinds == {"a": ()}
    (file,) = (untouched / "fields").iterdir()
    file.write_text(content, "utf-8")
    installed_fields.cache_clear()
    assert installed_fields("trl:SFTConfig").kinds == {"a": ()}
    assert json.loads(file.read_text("utf-8"))["kinds"] == {"a": []}


def test_a_cache_that_cannot_be_written_is_done_without(
    untouched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container whose home is read-only."""
    monkeypatch.setenv("HARNESS_CACHE", "/proc/nosuch")
    monkeypatch.setattr(fields, "_read_elsewhere", lambda config: {"a": ()})
    assert installed_fields("trl:SFTConfig").unknown is None


def test_a_library_that_is_not_installed_is_named(
    untouched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The readers' installation has neither."""
    monkeypatch.setattr(fields, "find_spec", lambda package: None)
    configs: tuple[ConfigClass, ...] = ("trl:SFTConfig", "peft:LoraConfig")
    for config in configs:
        package = config.partition(":")[0]
        assert installed_fields(config) == Fields(unknown=f"{package} is not installed")


def test_a_library_that_cannot_be_imported_is_told_with_its_error(
    untouched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken installations, moved classes: the last line of the error, and nothing is kept."""
    broken = untouched / "site"
    broken.mkdir()
    (broken / "trl.py").write_text("raise ImportError('half installed')\n", "utf-8")
    path = [str(broken), *(p for p in sys.path if p)]
    monkeypatch.setenv("PYTHONPATH", ":".join(path))
    read = installed_fields("trl:SFTConfig")
    assert read.unknown == "its fields cannot be read: ImportError: half installed"
    assert not (untouched / "fields").exists()


def test_a_class_that_is_no_more_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library is imported already, too."""
    monkeypatch.setitem(sys.modules, "trl", object())
    assert "cannot be read: " in str(installed_fields("trl:SFTConfig").unknown)
