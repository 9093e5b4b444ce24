"""A finished run of a tiny suite, and commands on copies of it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from harness.cli.main import main
from harness.schema import Manifest
from harness.store.runs import Store
from tests.e2e.conftest import SUITE as SMALL

_TASKS = SMALL["tasks"]
SUITE: dict[str, Any] = {
    **SMALL,
    "data": {**SMALL["data"], "limits": {"train": 16, "eval": 4, "select": 6, "report": 8}},
    "train": {
        "method": "lora",
        "lora": {"r": 4},
        "args": {"max_steps": 2, "save_steps": 1, "per_device_train_batch_size": 4},
    },
    "tasks": {
        "summaries": {**_TASKS["summaries"], "metrics": ["rougeL"], "max_new_tokens": 4},
        "held_out": _TASKS["held_out"],
    },
    "matrix": {"base": ["fp32"], "merged": "last"},
}
HANG_S = 300  # a command that takes longer hangs; the run takes a few seconds
_BUG = 70
# Files that hold times and speeds, what else was loaded when they were made, or digests of such.
_OF_THEIR_TIME = (
    "files.jsonl", "identity.json", "measurements.jsonl", "proofs.jsonl", "taken.json",
    "trainer_state.json", "training.json",
)  # fmt: skip
# Of the choice: what was measured, beside the scores; and what follows from it. A speed that other
# work makes too noisy is no axis.
_MEASURED = {"peak_rss_bytes", "decode_tokens_per_s", "axes", "efficient"}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    text: str
    seconds: float

    @property
    def is_traceback(self) -> bool:
        return self.code == _BUG or "Traceback" in self.text

    @property
    def is_hang(self) -> bool:
        return self.seconds > HANG_S


def command(*args: str) -> Ended:
    """Run the command line in this process, in which the libraries are loaded already."""
    out, before, started = io.StringIO(), sys.argv, time.monotonic()
    sys.argv, code = ["harness", *args], 0
    quiet = contextlib.redirect_stdout(out), contextlib.redirect_stderr(out)
    with quiet[0], quiet[1], warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            sys.argv = before
    return Ended(code, out.getvalue(), time.monotonic() - started)


class World:
    """The suite, its finished run, and what a plain re-run must lead to.

    Args:
        folder: Where to work.
        changes: To the suite.

    Attributes:
        runs: The finished run's store.
        seconds: That an undisturbed run takes.
        truth: What it leads to.
    """

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.suite = folder / "suite.yaml"
        self.suite.write_text(yaml.safe_dump(SUITE | changes, sort_keys=False), "utf-8")
        self.runs = folder / "runs"
        done = self.eval(self.runs)
        if done.code != 0:
            raise RuntimeError(done.text)
        self.seconds = done.seconds
        self.note_truth()

    def note_truth(self) -> None:
        """What the finished run's store holds now is what must come of every other."""
        self.truth = outcome(self.runs)

    def eval(self, runs: Path) -> Ended:
        """The plain command."""
        return command("eval", str(self.suite), "--runs-dir", str(runs), "-q")

    def start(self, runs: Path) -> int:
        """The same in a process of its own, the first of its group; its number.

        It is forked off, so that it begins with the run and not with loading libraries.
        """
        if child := os.fork():
            return child
        os.setsid()
        try:
            self.eval(runs)
        finally:
            os._exit(0)

    @contextlib.contextmanager
    def copy(self) -> Iterator[Path]:
        """A copy of the finished store."""
        copy = self.folder / "copy"
        shutil.copytree(self.runs, copy)
        try:
            yield copy
        finally:
            shutil.rmtree(copy)

    def unhealed(self, runs: Path) -> str:
        """What a store holds that an undisturbed run does not, to the bit; empty where nothing."""
        there = outcome(runs)
        names = sorted(self.truth.keys() | there.keys())
        differ = [name for name in names if self.truth.get(name) != there.get(name)]
        verified = command("verify", "--runs-dir", str(runs))
        return ", ".join([*differ, *([verified.text] if verified.code else [])])


def outcome(runs: Path) -> dict[str, Any]:
    """What must be equal: digests of files, of arrays, and what the manifest concludes.

    Times and speeds are left out, and the marks, which hold digests of them.
    """
    root = runs / ".store"
    equal: dict[str, Any] = {}
    for path in sorted(root.glob("*/[!.]*/**/*")):
        if path.is_file() and path.name not in _OF_THEIR_TIME:
            equal[str(path.relative_to(root))] = _digest(path)
    for manifest in Store(runs).manifests():
        equal[manifest.name] = _conclusion(manifest)
    return equal


def _digest(path: Path) -> str:
    if path.suffix == ".npz":  # the zip around the arrays holds a time
        with np.load(path) as archive:
            content = b"".join(archive[name].tobytes() for name in sorted(archive.files))
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _conclusion(manifest: Manifest) -> Any:
    value = manifest.model_dump(mode="json", include={"complete", "selection", "examples"})
    cells = [(c.variant, c.task, c.status, c.scores_key) for c in manifest.cells]
    digests = {variant.id: variant.digests for variant in manifest.variants}
    text = json.dumps([value, sorted(cells), digests])
    return json.loads(text, object_hook=lambda o: {k: o[k] for k in o if k not in _MEASURED})
