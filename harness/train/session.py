"""One training in the store: resumed where it was cut off, finished in one step."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.progress import Reporter
from harness.schema import Example
from harness.store import Store, room_on_disk
from harness.suite import SuiteFile


def train_once(
    file: SuiteFile,
    store: Store,
    key: str,
    identity: dict[str, Any],
    examples: Sequence[Example],
    reporter: Reporter,
) -> None:
    """Train into the store under ``key``, going on with an interrupted training of that key.

    Checkpoints are written to a work folder whose name is fixed by the key, so that the next
    invocation finds them; when training ends it becomes the result in one rename.

    Raises:
        UsageError: Another process is training the same thing, or an argument is refused.
    """
    from harness.train.qlora import TrainingJob, drop_resume_state, train

    suite = file.suite
    if suite.train is None or suite.prompt is None:
        raise TypeError("the suite has no training")  # excluded by the plan
    work_dir = work_folder(store, key)
    with room_on_disk(work_dir), _locked(work_dir):
        reporter.say(f"Training {suite.base.model} ({suite.train.method})")
        with reporter.task("training") as advance:
            run = train(
                TrainingJob(
                    base=suite.base,
                    base_dir=file.base_dir,
                    spec=suite.train,
                    seed=suite.seed,
                    chat=suite.prompt.is_chat,
                    train_examples=[e for e in examples if e.split == "train"],
                    eval_examples=[e for e in examples if e.split == "eval"],
                    work_dir=work_dir,
                    progress=advance,
                    say=reporter.say,
                )
            )
        drop_resume_state(work_dir)
        store.write_record(work_dir, "training", run)
        store.finish("training", key, identity, work_dir)
    reporter.say(f"  {run.steps} steps in {run.seconds:.0f} s")


def work_folder(store: Store, key: str) -> Path:
    """Where an unfinished training keeps its checkpoints."""
    target = store.path("training", key)
    return target.parent / f".{key}.work"


@contextmanager
def _locked(work_dir: Path) -> Iterator[None]:
    """Keep a second process from training the same thing in the same folder."""
    work_dir.mkdir(parents=True, exist_ok=True)
    lock = work_dir.with_suffix(".lock")
    with lock.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                "Another process is running this training.",
                where=str(work_dir),
                mend="Wait for it, or stop it; then run again to resume.",
            ) from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
