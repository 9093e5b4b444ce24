"""Sheets out and how far they have come, on a run of made-up outputs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.main import app
from harness.errors import DiskError, UsageError
from harness.ratings.collect import sheet_status
from harness.ratings.export import export_sheets
from harness.ratings.records import Rating, ReturnedFile
from harness.ratings.store import write_ratings
from harness.schema import HumanKeys, Manifest
from harness.store.runs import Store
from tests.unit.ratings.design.test_items import Run


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Store, Manifest]:
    """A run whose outputs can be rated."""
    run = Run(tmp_path / "runs")
    manifest = run.manifest()
    run.store.write_manifest(manifest)
    return run.store, manifest


def test_an_export_with_nothing_set_warns_of_nothing(
    finished: tuple[Store, Manifest], tmp_path: Path
) -> None:
    """No human section at all: the advice has no warning."""
    made = export_sheets(*finished, tmp_path / "out", ("csv",))
    assert made.advice
    assert not [line for line in made.advice if "Warning" in line]


def places(folder: Path) -> dict[str, Path]:
    """Where nothing can be written, each for another reason."""
    (folder / "file").write_text("x")
    (folder / "sheets" / "send").mkdir(parents=True)
    (folder / "sheets" / "keep").write_text("x")
    (folder / "taken" / "send" / "rater-2" / "rater-2.xlsx").mkdir(parents=True)
    return {
        "no such place": Path("/proc/x"),
        "a file": folder / "file",
        "below a file": folder / "file" / "below",
        "a file in the folder": folder / "sheets",
        "a folder for a file": folder / "taken",
        "too long": folder / ("x" * 300),
    }


@pytest.mark.parametrize(
    "which",
    [
        "no such place",
        "a file",
        "below a file",
        "a file in the folder",
        "a folder for a file",
        "too long",
    ],
)
def test_a_place_that_cannot_be_written_is_told(
    finished: tuple[Store, Manifest], tmp_path: Path, which: str
) -> None:
    """What was found, where, and how to mend it, with exit code 2; the run names no sheets."""
    place = places(tmp_path)[which]
    with pytest.raises(UsageError) as caught:
        export_sheets(*finished, place)
    assert caught.value.exit_code == 2
    assert str(place)[:100] in str(caught.value)  # what is very long is cut
    assert caught.value.hint == "Choose another folder with --output."
    store, manifest = finished
    assert store.latest(manifest).human is None


def test_a_read_only_folder_is_told(
    finished: tuple[Store, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's refusal to make a file, which root never gets, is a message too."""

    def refuse(*_: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(options["dir"]))

    monkeypatch.setattr("harness.files.tempfile.NamedTemporaryFile", refuse)
    with pytest.raises(DiskError, match="Permission denied"):
        export_sheets(*finished, tmp_path / "out")


def test_a_key_of_something_else_is_not_overwritten(
    finished: tuple[Store, Manifest], tmp_path: Path
) -> None:
    """A file called key.csv that is no text is somebody's, and no traceback."""
    (tmp_path / "out" / "keep").mkdir(parents=True)
    (tmp_path / "out" / "keep" / "key.csv").write_bytes(b"\xff\xfe\x00row")
    with pytest.raises(UsageError, match="cannot be read"):
        export_sheets(*finished, tmp_path / "out")


def test_the_command_line_says_it_without_a_traceback(
    finished: tuple[Store, Manifest], tmp_path: Path
) -> None:
    """``harness sheet export RUN -o /proc/x``."""
    args = ["sheet", "export", "small/run", "-o", "/proc/x", "--runs-dir", str(finished[0].root)]
    done = CliRunner().invoke(app, args)
    assert isinstance(done.exception, DiskError)  # which main() prints
    assert "/proc/x" in str(done.exception)


def test_a_file_that_came_twice_is_named_once(
    finished: tuple[Store, Manifest], tmp_path: Path
) -> None:
    """Two partial returns of one rater under one name are one name, and two returns."""
    store, manifest = finished
    made = export_sheets(store, manifest, tmp_path / "out", ("csv",))
    rows = [row for row in made.sheets.rows if row.rater == "rater-1" and row.kind == "scale"][:2]
    blobs = {hashlib.sha256(text).hexdigest(): text for text in (b"part", b"more")}
    files = [
        ReturnedFile(
            name="rater-1.xlsx",
            digest=digest,
            rater="rater-1",
            format="xlsx",
            rows=1,
            imported=f"2026-01-0{day}T00:00:00+00:00",
        )
        for day, digest in enumerate(blobs, 1)
    ]
    ratings = [
        Rating(
            token=row.token,
            rater=row.rater,
            kind=row.kind,
            purpose=row.purpose,
            item=row.item,
            variants=row.variants,
            position=row.position,
            scores={"fluency": 3},
            file=digest,
        )
        for row, digest in zip(rows, blobs, strict=True)
    ]
    key = write_ratings(store, made.sheets.key, ratings, files, blobs)
    keys = HumanKeys(sheets=made.sheets.key, ratings=key)
    manifest = manifest.model_copy(update={"human": keys})
    store.write_manifest(manifest)
    _, (first, *others) = sheet_status(store, manifest)
    assert (first.files, first.returns) == (("rater-1.xlsx",), 2)
    assert first.last == "2026-01-02T00:00:00+00:00"
    assert [state.returns for state in others] == [0, 0]
    args = ["sheet", "status", "small/run", "--runs-dir", str(store.root)]
    said = CliRunner().invoke(app, args).stdout
    assert said.count("rater-1.xlsx") == 1
    assert "rater-1.xlsx (2 returns, the last 2026-01-02T00:00:00+00:00)" in said
