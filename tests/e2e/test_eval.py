"""The main job on a tiny model, through the command line."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from harness.schema import Prediction, Score, TrainingRun
from harness.store.runs import Store
from tests.e2e.conftest import SUITE, Finished, harness, write_suite


def test_a_run_ends_with_verdict_and_report(finished: Finished) -> None:
    """The last lines say which checkpoint is best and where the report lies."""
    lines = finished.result.out.strip().splitlines()
    assert "checkpoint-" in lines[0]
    report = Path(lines[-1].removeprefix("Report: "))
    assert report.read_text("utf-8").startswith("<!doctype html>")


def test_the_whole_matrix_is_evaluated(finished: Finished) -> None:
    """Base, every checkpoint and one merged model, each on every task."""
    manifest = finished.manifest
    assert manifest.complete
    kinds = [variant.kind for variant in manifest.variants]
    assert kinds == ["base", "adapter", "adapter", "adapter", "merged"]
    assert {(c.variant, c.task) for c in manifest.cells} == {
        (variant.id, task) for variant in manifest.variants for task in SUITE["tasks"]
    }
    assert all(cell.status == "done" for cell in manifest.cells)


def test_training_lowers_the_held_out_loss(finished: Finished) -> None:
    """Every later checkpoint is better than the base on text it never saw."""
    losses = {
        cell.variant: score.value
        for cell in finished.manifest.cells
        if cell.task == "held_out" and cell.scores_key
        for score in finished.store.read_records("scores", cell.scores_key, "scores", Score)
        if (score.metric, score.split) == ("eval_loss", "report")
    }
    assert losses["checkpoint-6"] < losses["base@nf4"]  # type: ignore[operator]


def test_the_merged_model_opens_like_any_other(finished: Finished) -> None:
    """Transformers loads it, tokenizer included, without peft."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = next((finished.runs / ".store" / "merged").glob("*/config.json")).parent
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("Return the", return_tensors="pt").input_ids
    assert model(ids).logits.shape[:2] == ids.shape
    merged = next(v for v in finished.manifest.variants if v.kind == "merged")
    weights = (folder / "model.safetensors").read_bytes()
    assert merged.digests["merged/model.safetensors"] == hashlib.sha256(weights).hexdigest()
    assert merged.merged_into == "fp32"


def test_the_training_record_holds_what_was_trained(finished: Finished) -> None:
    """Loss, eval loss, learning rate, tokens and parameters are all kept."""
    key = finished.manifest.training_key
    assert key is not None
    run = finished.store.read_record("training", key, "training", TrainingRun)
    assert [c.step for c in run.checkpoints] == [2, 4, 6]
    steps = [entry for entry in run.log if entry.loss is not None]
    assert [entry.step for entry in steps] == [1, 2, 3, 4, 5, 6]
    assert all(entry.learning_rate is not None and entry.tokens for entry in steps)
    assert [e.step for e in run.log if e.eval_loss is not None] == [2, 4, 6]
    assert run.rows_used == 64
    assert 0 < run.trainable_parameters < run.total_parameters
    assert run.tokens_per_second
    assert run.peak_memory_bytes
    assert run.arguments["adapter_dtype"] == "float32"


def test_a_second_run_computes_nothing(finished: Finished) -> None:
    """The same command finds every result in the store."""
    results = finished.runs / ".store"
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*") if path.is_file()}
    again = harness("eval", str(finished.suite), cwd=finished.folder, runs=finished.runs)
    assert again.code == 0, again.err
    assert "Loading" not in again.err
    after = {path: path.stat().st_mtime_ns for path in results.rglob("*") if path.is_file()}
    assert after == before
    assert again.out == finished.result.out


def test_a_new_metric_regenerates_no_text(finished: Finished, tmp_path: Path) -> None:
    """Predictions are kept apart from scores."""
    runs = tmp_path / "runs"  # a copy: other tests read the finished run as the only one
    shutil.copytree(finished.runs, runs)
    store = Store(runs)
    predictions = set(store.keys("predictions"))
    metrics = "tasks.summaries.metrics=[rougeL, chrf, rouge1]"
    again = harness("eval", str(finished.suite), "--set", metrics, cwd=finished.folder, runs=runs)
    assert again.code == 0, again.err
    assert set(store.keys("predictions")) == predictions
    assert "Loading" not in again.err  # scoring texts takes no model
    found = {
        score.metric
        for cell in store.manifests()[0].cells
        if cell.task == "summaries" and cell.scores_key
        for score in store.read_records("scores", cell.scores_key, "scores", Score)
    }
    assert found == {"rougeL", "chrf", "rouge1"}


def test_training_again_forgets_no_result(finished: Finished) -> None:
    """The verb train leaves a finished run's cells in its manifest."""
    path = Path(finished.result.out.strip().splitlines()[-1].removeprefix("Report: ")).parent
    before = finished.store.read_manifest(path)
    again = harness("train", str(finished.suite), cwd=finished.folder, runs=finished.runs)
    assert again.code == 0, again.err
    assert [Path(line.split()[0]).name for line in again.out.splitlines()] == [
        "checkpoint-2",
        "checkpoint-4",
        "checkpoint-6",
    ]
    after = finished.store.read_manifest(path)
    assert {c.scores_key for c in after.cells} == {c.scores_key for c in before.cells}
    assert after.complete


def test_only_evaluates_what_it_names(finished: Finished, tmp_path: Path) -> None:
    """A cell of the base needs no training, and the run stays marked as partial."""
    runs = tmp_path / "runs"
    only = ("--only", "base@nf4/held_out")
    done = harness("eval", str(finished.suite), *only, cwd=tmp_path, runs=runs)
    assert done.code == 0, done.err
    assert "Training" not in done.err
    (manifest,) = Store(runs).manifests()
    assert [(c.variant, c.task) for c in manifest.cells] == [("base@nf4", "held_out")]
    assert not manifest.complete


def test_a_new_checkpoint_costs_only_its_own_cells(finished: Finished, tmp_path: Path) -> None:
    """Adapters trained elsewhere: adding one leaves the results of the others alone."""
    key = finished.manifest.training_key
    assert key is not None
    training = finished.store.path("training", key)
    for step in (2, 4):
        shutil.copytree(training / f"checkpoint-{step}", tmp_path / f"out/checkpoint-{step}")
    external = {k: v for k, v in SUITE.items() if k not in ("train", "data", "prompt", "select")}
    external["tasks"] = {"hellaswag": {**SUITE["tasks"]["hellaswag"], "limit": 2}}
    external["matrix"] = {"merged": "none"}
    suite = write_suite(tmp_path, external, checkpoints="out/checkpoint-2")
    runs = tmp_path / "runs"
    assert harness("eval", str(suite), cwd=tmp_path, runs=runs).code == 0
    write_suite(tmp_path, external, checkpoints="out/checkpoint-*")
    second = harness("eval", str(suite), cwd=tmp_path, runs=runs)
    assert second.code == 0, second.err
    begun = [line for line in second.err.splitlines() if line.startswith("[")]
    assert begun == ["[1/1] checkpoint-4/hellaswag"]


def test_only_computes_the_cells_asked_for(finished: Finished, tmp_path: Path) -> None:
    """--only takes variant/task with wildcards and leaves the rest for later."""
    done = harness(
        "eval", str(finished.suite), "--only", "base*/held_out", cwd=tmp_path, runs=tmp_path / "r"
    )
    assert done.code == 0, done.err
    assert [line for line in done.err.splitlines() if line.startswith("[")] == [
        "[1/1] base@nf4/held_out"
    ]


BROKEN_TASK = """\
task: broken
dataset_path: json
dataset_kwargs: {data_files: {validation: rows.jsonl}}
output_type: multiple_choice
validation_split: validation
doc_to_text: "{{ 1 // number }}"
doc_to_target: 0
doc_to_choice: ["a", "b"]
metric_list: [{metric: acc}]
"""


def test_a_failing_cell_is_shown_and_the_others_go_on(finished: Finished, tmp_path: Path) -> None:
    """An unexpected failure is that cell's result: exit code 1, the rest done, the report tells."""
    shutil.copytree(finished.runs, tmp_path / "runs")
    (tmp_path / "broken.yaml").write_text(BROKEN_TASK, "utf-8")
    (tmp_path / "rows.jsonl").write_text('{"number": 1}\n{"number": 0}\n', "utf-8")
    broken = {"type": "lm_eval", "task": "broken.yaml"}
    suite = write_suite(tmp_path, tasks={"broken": broken, **SUITE["tasks"]})
    done = harness("eval", str(suite), cwd=tmp_path, runs=tmp_path / "runs")
    assert done.code == 1
    assert "Traceback" not in done.err
    listed = json.loads(harness("runs", "--json", cwd=tmp_path, runs=tmp_path / "runs").out)[0]
    states = {(c["variant"], c["task"]): c["status"] for c in listed["cells"]}
    assert states["base@nf4", "broken"] == "failed"
    assert states["base@nf4", "held_out"] == "done"
    report = Path(done.out.strip().splitlines()[-1].removeprefix("Report: "))
    assert "ZeroDivisionError" in report.read_text("utf-8")


def test_predictions_are_kept_for_every_example(finished: Finished) -> None:
    """One prediction per example of the task's splits, with its tokens and its end."""
    cell = next(c for c in finished.manifest.cells if c.task == "summaries")
    assert cell.predictions_key is not None
    made = finished.store.read_records(
        "predictions", cell.predictions_key, "predictions", Prediction
    )
    assert len(made) == 8 + 12
    assert all(0 < p.new_tokens <= 8 for p in made)


@pytest.mark.parametrize("format_", ["html", "markdown", "json", "csv"])
def test_every_report_format_is_written(finished: Finished, tmp_path: Path, format_: str) -> None:
    """Harness report renders a run again, in each format."""
    done = harness(
        "report",
        "small",
        "--format",
        format_,
        "-o",
        str(tmp_path),
        cwd=tmp_path,
        runs=finished.runs,
    )
    assert done.code == 0, done.err
    written = done.out.split()  # csv writes the examples into a file of their own
    assert written
    assert all(Path(path).stat().st_size > 0 for path in written)
