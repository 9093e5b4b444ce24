"""One training in the store: resumed where it was cut off, finished in one step."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from harness.console import Reporter
from harness.errors import UsageError
from harness.files import room_on_disk, write_atomic
from harness.schema import TRAIN, Example, TrainingRun
from harness.store import locks
from harness.store.runs import Store
from harness.suite.file import SuiteFile
from harness.suite.spec import MeasureSpec, TrainSpec
from harness.train.checkpoints import drop_resume_state, work_folder

_TENSORBOARD = "runs"  # where transformers puts its logs, in the folder of checkpoints
_DISK_FULL = ("No space left on device", "inline_container")  # the latter is torch.save's writer


def train_once(
    file: SuiteFile,
    spec: TrainSpec,
    store: Store,
    key: str,
    identity: dict[str, Any],
    examples: Sequence[Example],
    reporter: Reporter,
    watch: Callable[[Any], Any] | None = None,
) -> None:
    """Train into the store under ``key``, going on with an interrupted training of that key.

    Checkpoints are written to a work folder whose name is fixed by the key, so that the next
    invocation finds them; when training ends it becomes the result in one rename.

    Raises:
        UsageError: Another process is training the same thing, or an argument is refused.
    """
    work_dir = work_folder(store, key)
    with room_on_disk(work_dir), _full_disk_as_os_error(work_dir), _locked(work_dir):
        if store.has("training", key):  # another process finished it since this one planned
            return
        work_dir.mkdir(exist_ok=True)
        record = work_dir / "training.json"
        if not record.is_file():  # else only the last steps below are missing
            from harness.train import qlora  # loads torch

            suite = file.suite
            reporter.say(f"Training {suite.base.model} ({spec.words})")
            with reporter.task("training") as advance:
                run = qlora.train(
                    qlora.TrainingJob(
                        base=suite.base,
                        base_dir=file.base_dir,
                        spec=spec,
                        seed=suite.seed if spec.seed is None else spec.seed,
                        chat=suite.task_data(TRAIN)[1].is_chat,
                        train_examples=[e for e in examples if e.split == "train"],
                        eval_examples=[e for e in examples if e.split == "eval"],
                        work_dir=work_dir,
                        progress=advance,
                        say=reporter.say,
                        watch=watch,
                    )
                )
            write_atomic(record, run.model_dump_json(indent=1) + "\n")
            reporter.say(f"  {effort(run, suite.measure)}")
            if run.stopped_early:
                reporter.say(f"  stopped early: {run.stopped_early}")
        drop_resume_state(work_dir)
        store.finish("training", key, identity, work_dir)
        logs = store.path("training", key) / _TENSORBOARD
        if logs.is_dir():
            reporter.say(f"  for its curves: tensorboard --logdir {shlex.quote(str(logs))}")


def effort(run: TrainingRun, measure: MeasureSpec | None) -> str:
    """What a training took: time, memory, and money where the suite has the machine's price."""
    words = f"{run.steps} steps in {run.seconds:.0f} s"
    if run.peak_memory_bytes:
        words += f", at most {run.peak_memory_bytes / 1e9:.2f} GB of memory"
    if measure is not None and measure.price_per_hour is not None:
        price = run.seconds / 3600 * measure.price_per_hour
        words += f", {price:.2g} {measure.currency} at {measure.price_per_hour:g} an hour"
    return words


@contextmanager
def _full_disk_as_os_error(work_dir: Path) -> Iterator[None]:
    """Safetensors, tokenizers and torch each have an error of their own for a full disk."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) or not any(sign in str(error) for sign in _DISK_FULL):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(work_dir)) from error


@contextmanager
def _locked(work_dir: Path) -> Iterator[None]:
    """Keep a second process from training the same thing in the same folder."""
    work_dir.parent.mkdir(parents=True, exist_ok=True)
    lock = work_dir.with_suffix(".lock")
    with _open_lock(lock, work_dir):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _open_lock(lock: Path, work_dir: Path) -> TextIO:
    """The lock file, locked; a file its last holder has just removed is not taken for it."""
    while True:
        stream = lock.open("w")
        try:
            locks.lock(stream, exclusive=True)
            if os.path.samestat(os.fstat(stream.fileno()), lock.stat()):
                return stream
        except FileNotFoundError:
            pass
        except BlockingIOError as error:
            stream.close()
            raise UsageError(
                "Another process is running this training.",
                where=str(work_dir),
                hint="Wait for it, or stop it; then run again to resume.",
            ) from error
        stream.close()
