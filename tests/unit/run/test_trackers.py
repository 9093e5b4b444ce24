"""Scores of a run in trackers: what each holds, and that nothing is written twice."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from harness.errors import UsageError
from harness.run.trackers import track
from harness.schema import CellResult, Score, Variant
from harness.store.runs import Store
from harness.suite.spec import ReportSpec
from harness.validate.parts import _check_tracker
from tests.unit.suites import suite_file

VALUES = {"base@nf4": (None, 0.25), "checkpoint-2": (2, 0.5), "checkpoint-4": (4, 0.75)}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def run(tmp_path: Path, said: list[str]) -> Any:
    """A run of which only what is shown to trackers is there."""
    store = Store(tmp_path / "runs")
    for name, (_, value) in VALUES.items():
        score = Score(task="qa", metric="f1", split="report", n=4, value=value)
        with store.writing("scores", name.replace("@", "-"), {"of": name}) as folder:
            store.write_records(folder, "scores", [score])
    reporter = SimpleNamespace(say=said.append, warn=said.append)
    suite = SimpleNamespace(report=ReportSpec(trackers=("tensorboard",)))
    return SimpleNamespace(store=store, file=SimpleNamespace(suite=suite), reporter=reporter)


@pytest.fixture
def manifest(run: Any) -> Any:
    run.store.run_dir("suite", "id").mkdir(parents=True)
    kinds = {name: "base" if step is None else "adapter" for name, (step, _) in VALUES.items()}
    variants = [
        Variant(id=name, kind=kinds[name], base_model="b", precision="nf4", step=step)  # type: ignore[arg-type]
        for name, (step, _) in VALUES.items()
    ]
    cells = [
        CellResult(variant=name, task="qa", kind="generation", status="done",
                   scores_key=name.replace("@", "-"))
        for name in VALUES
    ]  # fmt: skip
    return SimpleNamespace(variants=variants, cells=cells, suite="suite", run_id="id")


def scalars(logs: Path) -> list[tuple[int, float]]:
    events = EventAccumulator(str(logs)).Reload()
    return [(e.step, e.value) for e in events.Scalars("qa/f1/report")]


def test_tensorboard_reads_the_scores_by_step(run: Any, manifest: Any, said: list[str]) -> None:
    """By its own reader; the base stands at step 0, and a second eval adds nothing."""
    for _ in range(2):
        track(run, manifest)
    logs = run.store.run_dir("suite", "id") / "tensorboard"
    assert scalars(logs / "checkpoints") == [(2, 0.5), (4, 0.75)]
    assert scalars(logs / "base@nf4") == [(0, 0.25)]
    assert said == [f"Scores by step: tensorboard --logdir {logs}"] * 2


def test_mlflow_holds_the_scores_by_step(
    run: Any, manifest: Any, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setattr(run.file.suite, "report", ReportSpec(trackers=("mlflow",)))
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    track(run, manifest)
    assert said[-1].startswith("Scores by step: mlflow ui"), said
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("suite")
    runs = {r.info.run_name: r for r in client.search_runs([experiment.experiment_id])}
    history = client.get_metric_history(runs["id-checkpoints"].info.run_id, "qa/f1/report")
    assert [(m.step, m.value) for m in history] == [(2, 0.5), (4, 0.75)]


def test_wandb_keeps_the_scores_offline(
    run: Any, manifest: Any, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(run.file.suite, "report", ReportSpec(trackers=("wandb",)))
    track(run, manifest)
    assert said[-1].startswith("Scores by step: wandb sync "), said
    files = list(run.store.run_dir("suite", "id").rglob("*.wandb"))
    assert len(files) == 2
    assert any(b"qa/f1/report" in file.read_bytes() for file in files)


def test_trackio_holds_the_scores_by_step(
    run: Any, manifest: Any, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trackio = pytest.importorskip("trackio", reason="trackio is not installed")
    monkeypatch.setattr(run.file.suite, "report", ReportSpec(trackers=("trackio",)))
    track(run, manifest)
    assert said[-1] == "Scores by step: trackio show --project suite", said
    runs = {r.name: r for r in trackio.Api().runs("suite")}
    assert set(runs) == {"id-base@nf4", "id-checkpoints"}


def test_a_tracker_that_fails_is_a_warning(run: Any, manifest: Any, said: list[str]) -> None:
    """A file lies where its folder would be."""
    run.store.run_dir("suite", "id").joinpath("tensorboard").write_text("")
    track(run, manifest)
    assert said[0].startswith("tensorboard took no scores: ")


def test_a_tracker_that_is_not_installed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.validate.parts.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="wandb, which is not installed"):
        _check_tracker(suite_file(tmp_path), "report.trackers[0]", "wandb")
