"""A store that an earlier version wrote is opened, and nothing of it is computed again.

``golden/store_0_1.tar.xz`` was written by version 0.1.0 before its files moved into rooms (commit
0821bd6): ``harness eval earlier.yaml --runs-dir store`` and ``harness gate accept earlier
--baseline b.json``, with the report left out. Keys hold versions of libraries, so those of that
day stand in for today's.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from harness.console import Reporter
from harness.doors import TASK_TYPES
from harness.gate.check import run_gate
from harness.models import hardware
from harness.report.build import build_view
from harness.run.pipeline import run_suite
from harness.run.state import Options
from harness.schema import Manifest
from harness.store.results import KINDS
from harness.store.runs import Store
from harness.store.verify import verify
from harness.validate.suite import CheckedSuite, read_suite

ARCHIVE = Path(__file__).parents[2] / "golden" / "store_0_1.tar.xz"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The earlier version's folder, with the libraries and the Python that it ran with."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    (manifest,) = Store(tmp_path / "store").manifests()
    assert manifest.environment is not None
    recorded = {**manifest.environment.versions, "python": manifest.environment.python}

    def versions(packages: Iterable[str]) -> dict[str, str]:
        return {name: recorded[name] for name in packages}

    for module in ("plan.keys", "models.identity", "engines.transformers", "tasks.generation"):
        monkeypatch.setattr(f"harness.{module}.installed_versions", versions)
    monkeypatch.setattr("harness.models.identity.python_version", lambda: recorded["python"])
    monkeypatch.setattr(hardware, "installed_versions", versions)
    # its procedure was raised since, so that nothing is read that probes would have refused
    monkeypatch.setattr("harness.engines.transformers._PROCEDURE", 2)
    return tmp_path


def kept(store: Store) -> set[tuple[str, str]]:
    """All results but overlaps, which that version did not look for."""
    return {(kind, key) for kind in KINDS if kind != "overlaps" for key in store.keys(kind)}


def rerun(folder: Path) -> tuple[CheckedSuite, Store, Manifest]:
    file, store = read_suite(str(folder / "earlier.yaml")), Store(folder / "store")
    return file, store, run_suite(file, store, Options(), Reporter(-1))


def test_nothing_is_computed_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key of every kind of result is what it was; so is the run's own id."""
    for name in TASK_TYPES.built_in:
        task_type = TASK_TYPES.get(name)
        monkeypatch.setattr(task_type, "open", lambda *_: pytest.fail("a task was opened"))
    store = Store(folder / "store")
    (before,) = store.manifests()
    results = kept(store)
    assert {kind for kind, _ in results} == {"training", "examples", "predictions", "scores"}
    _, store, after = rerun(folder)
    assert kept(store) == results
    assert after.run_id == before.run_id
    assert after.complete
    assert [cell.scores_key for cell in after.cells] == [cell.scores_key for cell in before.cells]
    assert not any(cell.computed for cell in after.cells)
    assert after.selection == before.selection
    states = {seen.what: seen.state for seen in verify(store, after)}
    assert set(states.values()) == {"whole"}  # it got digests


def test_its_report_and_its_gate_read_it(folder: Path) -> None:
    """Its findings too."""
    _, store, manifest = rerun(folder)
    view = build_view(store, manifest)
    assert "checkpoint-1 scores exactly as base@nf4 does" in view.verdict.headline
    old: list[dict[str, Any]] = json.loads(
        (folder / "store/earlier" / manifest.run_id / "gate.json").read_text("utf-8")
    )["checks"]
    result = run_gate(store, manifest, folder / "b.json")
    assert result.verdict == "pass"
    assert [check.verdict for check in result.checks] == [check["verdict"] for check in old]
    assert [finding.what for finding in manifest.findings]
