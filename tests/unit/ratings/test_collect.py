"""What comes of returned files when one of them cannot be read."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import pytest

from harness.ratings import collect
from harness.ratings.collect import import_returns
from harness.ratings.export import KEEP, SEND, export_sheets
from harness.ratings.returns.sandbox import Limits, ReturnReader
from harness.schema import Manifest
from harness.store.runs import Store
from tests.unit.ratings.design.test_items import Run


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Store, Manifest, Path]:
    """A run, and the folder of its sheets."""
    run = Run(tmp_path / "runs")
    run.store.write_manifest(run.manifest())
    made = export_sheets(run.store, run.manifest(), tmp_path / "out", ("csv",))
    (manifest,) = run.store.manifests()
    return run.store, manifest, made.folder


def filled(folder: Path, rater: str) -> Path:
    """A rater's preferences, all of them ties, in the line that the instructions show."""
    (path,) = folder.glob(f"{SEND}/{rater}/{rater}-preferences.csv")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "preference": "tie: neither is better"} for row in rows)
    return path


def test_a_file_that_is_too_much_stops_no_other(
    exported: tuple[Store, Manifest, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a mistake with a line; what the others say is taken where the caller asks for it."""
    store, manifest, folder = exported
    good, large = filled(folder, "rater-1"), tmp_path / "large.csv"
    large.write_text("row,fluency\nbcdfghjk," + "x" * 2**23, "utf-8")
    small = partial(ReturnReader, limits=Limits(memory=2**24))
    monkeypatch.setattr(collect, "ReturnReader", small)
    refused = import_returns(store, manifest, [large, good]).checked
    (problem,) = refused.problems
    assert problem.startswith(f"{large}: Reading this file takes more than 16 MiB")
    assert not refused.ratings
    taken = import_returns(store, manifest, [large, good], skip_invalid=True).checked
    assert taken.problems == refused.problems
    assert {rating.preferred for rating in taken.ratings} == {"tie"}


def test_only_its_owner_reads_the_key(exported: tuple[Store, Manifest, Path]) -> None:
    """Who can read it is not blind; sheets may be read by whoever sends them."""
    _, _, folder = exported
    assert (folder / KEEP / "key.csv").stat().st_mode & 0o777 == 0o600
    assert (folder / KEEP / "advice.md").stat().st_mode & 0o777 == 0o644
