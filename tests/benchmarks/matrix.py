"""Row: a matrix of six variants in one command, against six runs of lm-eval's command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.errors import HarnessError
from harness.store.runs import Store
from tests.benchmarks.models import NAME, model_folder, write_adapters, write_merged
from tests.benchmarks.realdata import SUBJECTS, write_tasks
from tests.benchmarks.results import Goal, Result, Settings
from tests.benchmarks.timing import say, shown_seconds

ADAPTERS = 4
BATCH = 16
TASKS = {"hellaswag": "bench_hellaswag", "mmlu": f"bench_mmlu_{SUBJECTS[0]}"}
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
TOLERANCE = 1e-3
NOTE = (
    "Matrix: whole processes, once each, from their start: loading of libraries and models is "
    "included, of ours the merging of the last adapter and the report, too; making the adapters, "
    "and for lm-eval the merged model, is not."
)

Documents = dict[tuple[str, str, int], Mapping[str, Any]]  # variant, task, document -> its answers


def six_variants(settings: Settings) -> Result:
    """Base, four adapters and one merged; HellaSwag 0-shot and a subject of MMLU 5-shot."""
    folder, limit = settings.folder, 2 if settings.quick else 50
    count = 1 if settings.quick else ADAPTERS
    files = write_tasks(folder / "tasks")
    adapters = write_adapters(folder / "adapters", count)
    merged = write_merged(adapters[-1], folder / "merged-model")
    ours, seconds = _harness(folder, files, limit, settings.device)
    say(f"  harness eval: {seconds:.1f} s")
    expected: Documents = {}
    walls: dict[str, float] = {}
    variants = {"base@fp32": "", **{path.name: f",peft={path}" for path in adapters}}
    for variant, peft in variants.items():
        arguments = f"pretrained={model_folder()}{peft},dtype=float32"
        walls[variant] = _lm_eval(folder, variant, arguments, limit, settings.device, expected)
    last = f"merged-{count}"
    arguments = f"pretrained={merged},dtype=float32"
    walls[last] = _lm_eval(folder, last, arguments, limit, settings.device, expected)
    differing, largest = _compare(ours, expected)
    reference = sum(walls.values())
    goal = Goal(
        f"base + {count} adapters + merged against {len(walls)} lm-eval runs",
        4.0,
        reference / seconds,
        ours=shown_seconds(seconds),
        reference=shown_seconds(reference),
        outputs=f"max \\|Δ\\| {largest:.0e}; {differing} of {len(expected)} documents differ",
        agree=largest <= TOLERANCE and not differing,
    )
    note = f"{NOTE} {limit} documents of HellaSwag 0-shot and of MMLU {SUBJECTS[0]} 5-shot."
    return Result.of_goals([goal], [note], {"ours_s": seconds, "reference_s": walls})


def _harness(
    folder: Path, files: Mapping[str, Path], limit: int, device: str
) -> tuple[Documents, float]:
    """Answers of ``harness eval`` on a generated suite, and its wall seconds."""
    suite = {
        "name": "bench-matrix",
        "base": {"model": NAME, "dtype": "fp32", "device": device},
        "checkpoints": str(folder / "adapters" / "checkpoint-*"),
        "matrix": {
            "base": ["fp32"],
            "adapters": "fp32",
            "merged": "last",
            "merged_precision": "fp32",
        },
        "tasks": {
            task_id: {
                "type": "lm_eval",
                "task": str(files[name]),
                "limit": limit,
                "batch_size": BATCH,
            }
            for task_id, name in TASKS.items()
        },
    }
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False), "utf-8")
    runs = folder / "runs"
    seconds = _timed(
        [sys.executable, "-m", "harness", "eval", str(path), "--runs-dir", str(runs)], folder
    )
    store = Store(runs)
    (manifest,) = store.manifests()
    found: Documents = {}
    for cell in manifest.cells:
        if cell.predictions_key is None:
            raise HarnessError(f"{cell.variant} has no answers to {cell.task}: {cell.reason}")
        folder = store.path("predictions", cell.predictions_key)
        lines = (folder / "samples.jsonl").read_text("utf-8")
        for sample in map(json.loads, lines.splitlines()):
            key = (cell.variant, TASKS[cell.task], sample["doc_id"])
            found[key] = {"likelihoods": sample["loglikelihoods"], **sample["metrics"]}
    return found, seconds


def _lm_eval(
    folder: Path, variant: str, arguments: str, limit: int, device: str, found: Documents
) -> float:
    """Add the answers of one variant by lm-eval's command line; return its wall seconds."""
    out = folder / "lm-eval" / variant
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf"]
    command += ["--model_args", arguments, "--tasks", ",".join(TASKS.values())]
    command += ["--include_path", str(folder / "tasks"), "--limit", str(limit)]
    command += ["--batch_size", str(BATCH), "--device", device, "--log_samples"]
    seconds = _timed([*command, "--output_path", str(out)], folder)
    for name in TASKS.values():
        (file,) = out.rglob(f"samples_{name}_*.jsonl")
        for sample in map(json.loads, file.read_text("utf-8").splitlines()):
            likelihoods = [float(answer[0]) for answer in sample["filtered_resps"]]
            found[variant, name, sample["doc_id"]] = {"likelihoods": likelihoods, **sample}
    say(f"  lm-eval on {variant}: {seconds:.1f} s")
    return seconds


def _timed(command: Sequence[str], folder: Path) -> float:
    """Wall seconds of a command that must end well; its output goes to a file."""
    log = folder / "log.txt"
    started = time.perf_counter()
    with log.open("w") as stream:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **OFFLINE},
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
        )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        tail = "\n".join(log.read_text("utf-8").splitlines()[-15:])
        raise HarnessError(f"`{' '.join(command)}` failed:\n{tail}")
    return seconds


def _compare(ours: Documents, expected: Documents) -> tuple[int, float]:
    """Documents whose acc or acc_norm differ, and the largest difference of a log-likelihood."""
    if ours.keys() != expected.keys():
        raise HarnessError(f"Other documents were scored: {len(ours)} and {len(expected)}.")
    differing, largest = 0, 0.0
    for key, theirs in expected.items():
        mine = ours[key]
        differing += any(mine[m] != theirs[m] for m in ("acc", "acc_norm") if m in theirs)
        pairs = zip(mine["likelihoods"], theirs["likelihoods"], strict=True)
        largest = max(largest, *(abs(a - b) for a, b in pairs))
    return differing, largest
