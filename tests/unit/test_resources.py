"""Shipped files and the cache are found from anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.resources import cache_dir, resource_dir


@pytest.mark.parametrize(("name", "file"), [("suites", "demo.yaml"), ("reports", "templates")])
def test_shipped_folders_are_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str
) -> None:
    """They lie in the package, or beside it in a checkout."""
    monkeypatch.chdir(tmp_path)
    assert (resource_dir(name) / file).exists()


def test_a_missing_folder_means_a_broken_installation() -> None:
    """The message says how to mend it."""
    with pytest.raises(UsageError, match="Reinstall"):
        resource_dir("no-such-folder")


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """By $HARNESS_CACHE; else it is the user's cache folder for this program."""
    monkeypatch.setenv("HARNESS_CACHE", "/somewhere")
    assert cache_dir() == Path("/somewhere")
    monkeypatch.delenv("HARNESS_CACHE")
    assert cache_dir().name == "qlora-harness"
