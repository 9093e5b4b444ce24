"""Killing the process at any point and running again gives the results of an undisturbed run."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.store.runs import Store
from tests.e2e.conftest import Finished, harness


def fingerprints(store: Store) -> dict[str, str]:
    """Digest of every finished thing that must be bit-equal: adapters, predictions, scores."""
    root = store.root / ".store"
    found: dict[str, str] = {}
    for pattern in (
        "training/*/checkpoint-*/adapter_model.safetensors",
        "predictions/*/predictions.jsonl",
        "predictions/*/samples.jsonl",
        "scores/*/scores.jsonl",
        "merged/*/model.safetensors",
    ):
        for path in root.glob(pattern):
            if path.relative_to(root).parts[1].startswith("."):
                continue  # unfinished: pathlib's * matches hidden folders, too
            found[str(path.relative_to(root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in root.glob("scores/*/stats.npz"):
        with np.load(path) as archive:  # the zip around the arrays holds a time
            content = b"".join(archive[name].tobytes() for name in sorted(archive.files))
        found[str(path.relative_to(root))] = hashlib.sha256(content).hexdigest()
    return found


def kill_when(condition: Callable[[], bool], args: list[str], cwd: Path) -> bool:
    """Start the command, kill -9 it as soon as the condition holds; False if it ended before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *args],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if condition():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.01)
    process.kill()
    process.wait()
    return False


def exists(runs: Path, pattern: str) -> Callable[[], bool]:
    return lambda: next(runs.glob(pattern), None) is not None


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_bit_equal(finished: Finished, tmp_path: Path) -> None:
    """Killed in training, between checkpoints, while generating, merging: nothing is lost.

    Each kill comes at another point; every finished result must survive unchanged, and the end
    must equal the undisturbed run, timings excepted.
    """
    runs = tmp_path / "runs"
    command = ["eval", str(finished.suite), "--runs-dir", str(runs)]
    points = [
        ".store/examples/*/identity.json",
        ".store/training/.*.work/checkpoint-2",  # the checkpoint may be half-written
        ".store/training/.*.work/checkpoint-4/complete.json",
        ".store/predictions/*/identity.json",
        ".store/scores/*/identity.json",
        ".store/merged/.*",
    ]
    kept: dict[str, str] = {}
    for point in points:
        killed = kill_when(exists(runs, point), command, tmp_path)
        now = fingerprints(Store(runs))
        assert {path: now.get(path) for path in kept} == kept, f"changed after kill at {point}"
        kept = now
        assert killed, f"the run ended before {point}"
    last = harness("eval", str(finished.suite), cwd=tmp_path, runs=runs)
    assert last.code == 0, last.err
    ours, theirs = fingerprints(Store(runs)), fingerprints(finished.store)
    assert sum(path.startswith("scores/") for path in ours) == 2 * 15  # scores and statistics
    assert ours == {path: theirs.get(path) for path in ours}


@pytest.mark.slow
def test_a_resumed_training_says_so(finished: Finished, tmp_path: Path) -> None:
    """The training record names the steps from which it went on."""
    runs = tmp_path / "runs"
    command = ["train", str(finished.suite), "--runs-dir", str(runs)]
    point = ".store/training/.*.work/checkpoint-2/complete.json"
    assert kill_when(exists(runs, point), command, tmp_path)
    done = harness("train", str(finished.suite), cwd=tmp_path, runs=runs)
    assert done.code == 0, done.err
    assert "resuming from step" in done.err
    record = json.loads(next(runs.glob(".store/training/*/training.json")).read_text("utf-8"))
    assert record["resumed_from"] in ([2], [4], [6])
    assert [entry["step"] for entry in record["log"] if entry["loss"] is not None] == list(
        range(1, 7)
    )
