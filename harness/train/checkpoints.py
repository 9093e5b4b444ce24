"""Checkpoints of a training: which are complete, where to go on, and what is kept of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.digests import seal_holds, sealed
from harness.files import json_or_nothing, sync, sync_tree, write_atomic
from harness.models.identity import checkpoint_digest
from harness.schema import Checkpoint, LogEntry
from harness.store.mark import CONTENTS, Damage, check_contents, contents
from harness.store.runs import Store

COMPLETE = "complete.json"  # written last into a checkpoint; one without it was cut off
LEARNER = "learner.safetensors"  # weights that an adapter is made of, where it is not they
_RESUME_ONLY = (  # needed to go on training, not to use the adapter
    "optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "training_args.bin", COMPLETE,
    LEARNER,
)  # fmt: skip


def step_of(folder: Path) -> int:
    """The step in a checkpoint's name."""
    return int(folder.name.rpartition("-")[2])


def mark_complete(folder: Path, progress: dict[str, Any]) -> None:
    """Mark a checkpoint as written to its end, with what a resumed training must know."""
    for beside in filter(Path.is_file, folder.parent.iterdir()):
        sync(beside)  # the model card: after the last checkpoint nothing writes it again
    sync_tree(folder)
    files = {
        name: content.model_dump(exclude_none=True)
        for name, content in contents(folder, leave_out=COMPLETE).items()
    }
    write_atomic(folder / COMPLETE, json.dumps(sealed({**progress, "files": files})))


def last_complete_checkpoint(
    work_dir: Path, say: Callable[[str], None] = lambda _: None
) -> Path | None:
    """The furthest checkpoint that is whole; those cut off while written or removed are deleted.

    Args:
        work_dir: The folder of a training.
        say: Is told of each checkpoint that is deleted.
    """
    for folder in sorted(work_dir.glob("checkpoint-*"), key=step_of):
        if not _is_whole(folder):
            say(f"  {folder.name} is not whole, as after a power cut; it is discarded")
            shutil.rmtree(folder)
    return max(work_dir.glob("checkpoint-*"), key=step_of, default=None)


def interrupted_at(work_dir: Path) -> tuple[int, int | None] | None:
    """How far an unfinished training came, without changing anything.

    Returns:
        The step from which it would go on (0 where no checkpoint is whole) and the steps in all,
        where that is known; None where there is no such training.
    """
    if not work_dir.is_dir():
        return None
    last = max(filter(_is_whole, work_dir.glob("checkpoint-*")), key=step_of, default=None)
    if last is None:
        return 0, None
    state = json_or_nothing(last / "trainer_state.json")
    steps = state.get("max_steps") if isinstance(state, dict) else None
    return step_of(last), steps if isinstance(steps, int) else None


def work_folder(store: Store, key: str) -> Path:
    """Where an unfinished training keeps its checkpoints."""
    return store.path("training", key).with_name(f".{key}.work")


def _is_whole(folder: Path) -> bool:
    """Whether a checkpoint is as it was written; earlier versions wrote down sizes only."""
    files = progress_of(folder).get("files", {COMPLETE: -1})
    try:
        written = {n: {"size": f} if isinstance(f, int) else f for n, f in files.items()}
        check_contents(CONTENTS.validate_python(written), folder)
    except (Damage, ValidationError, AttributeError):
        return False
    return True


def progress_of(checkpoint: Path | None) -> dict[str, Any]:
    """What was written down when the checkpoint was complete; empty where it is not."""
    if checkpoint is None or not (checkpoint / COMPLETE).is_file():
        return {}
    progress = json_or_nothing(checkpoint / COMPLETE)
    return progress if isinstance(progress, dict) and seal_holds(progress) else {}


def checkpoint_records(work_dir: Path, log: Sequence[LogEntry]) -> Iterator[Checkpoint]:
    """Records of the checkpoints in order of steps, with paths relative to the work folder."""
    eval_losses = {entry.step: entry.eval_loss for entry in log if entry.eval_loss is not None}
    for folder in sorted(work_dir.glob("checkpoint-*"), key=step_of):
        step = step_of(folder)
        yield Checkpoint(
            name=folder.name,
            step=step,
            path=folder.name,
            digest=checkpoint_digest(folder),
            eval_loss=eval_losses.get(step),
        )


def drop_resume_state(work_dir: Path) -> None:
    """Remove what only an unfinished training needs: optimizer, scheduler and random states."""
    for folder in work_dir.glob("checkpoint-*"):
        for name in (*_RESUME_ONLY, *(p.name for p in folder.glob("rng_state*.pth"))):
            (folder / name).unlink(missing_ok=True)
