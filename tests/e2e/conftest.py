"""A finished run of a small suite, made once a session through the command line itself."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.schema import Manifest
from harness.store.runs import Store
from tests.e2e.forked import Forked

SUITE: dict[str, Any] = {
    "name": "small",
    "seed": 7,
    "base": {"model": "tiny:llama", "dtype": "fp32", "device": "cpu"},
    "data": {
        "source": "stdlib-docstrings",
        "splits": {"train": 0.6, "eval": 0.1, "select": 0.15, "report": 0.15},
        "limits": {"train": 64, "eval": 6, "select": 8, "report": 12},
        "max_chars": 300,
    },
    "prompt": {"prompt": "{{ body }}\n=>", "completion": " {{ summary }}"},
    "train": {
        "method": "qlora",
        "lora": {"r": 8, "lora_dropout": 0.1},  # so that resuming has random states to restore
        "args": {
            "max_steps": 6,
            "save_steps": 2,
            "per_device_train_batch_size": 4,
            "learning_rate": 5e-3,
        },
    },
    "tasks": {
        "summaries": {
            "type": "generation",
            "metrics": ["rougeL", "chrf"],
            "max_new_tokens": 8,
        },
        "held_out": {"type": "perplexity", "splits": ["eval", "select", "report"]},
        "hellaswag": {
            "type": "lm_eval",
            "task": "tasks/smoke_hellaswag.yaml",
            "limit": 6,
        },
    },
    "select": {"task": "held_out", "metric": "eval_loss"},
}


@dataclass(frozen=True)
class Result:
    """A finished command."""

    code: int
    out: str
    err: str


_LOADING = ("eval", "train", "validate")  # verbs that load the libraries


def harness(
    *args: str,
    cwd: Path,
    runs: Path | None = None,
    env: dict[str, str] | None = None,
    fresh: bool = False,
) -> Result:
    """Run the command line in a process of its own.

    Args:
        args: Its words.
        cwd: Where.
        runs: The folder of runs; the command's default where none is named.
        env: Variables of the environment, beside this process's.
        fresh: Whether it loads the libraries itself, as any command with ``env`` does.
    """
    words = [*args, *(["--runs-dir", str(runs)] if runs else [])]
    if args[0] in _LOADING and env is None and not fresh:
        return Result(*_forked().run(words, cwd))
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


@cache
def _forked() -> Forked:
    forked = Forked()
    atexit.register(forked.close)
    return forked


def write_suite(folder: Path, suite: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Write the small suite, with top-level changes, into a folder."""
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump({**(suite or SUITE), **changes}, sort_keys=False), "utf-8")
    return path


@dataclass(frozen=True)
class Finished:
    """A run that ended well."""

    folder: Path
    suite: Path
    runs: Path
    result: Result

    @property
    def store(self) -> Store:
        return Store(self.runs)

    @property
    def manifest(self) -> Manifest:
        return self.store.manifests()[0]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The small suite, trained, evaluated and reported."""
    folder = tmp_path_factory.mktemp("finished")
    suite = write_suite(folder)
    result = harness("eval", str(suite), cwd=folder, runs=folder / "runs", fresh=True)
    assert result.code == 0, result.err
    return Finished(folder, suite, folder / "runs", result)
