"""Whether the splits that a suite reads get any rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from harness.data.splits import DEFAULT_SHARES
from harness.errors import SuiteError
from harness.schema import TRAIN, Split
from harness.suite.file import SuiteFile
from harness.suite.spec import DataSpec, Suite


def split_checks(file: SuiteFile) -> Iterator[Callable[[], None]]:
    """Checks that refuse splits to which the data gives nothing; each raises a SuiteError."""
    for key, owner, split in dict.fromkeys(_read(file.suite)):
        try:
            data = file.suite.task_data(owner)[0]
        except TypeError:  # something is wrong with the data or the prompt, which is told
            continue
        if split not in _filled(data):
            yield partial(_refuse, file, key, owner, split, data)


def _read(suite: Suite) -> Iterator[tuple[str, str, str]]:
    """Keys that need rows, each with whose data it is, and the split."""
    for train in suite.trainings.values():
        yield "train", TRAIN, "train"
        for key, asked in (
            (
                "train.early_stopping",
                train.early_stopping is not None and train.early_stopping.task is None,
            ),
            ("train.args.load_best_model_at_end", train.args.get("load_best_model_at_end")),
        ):
            if asked:
                yield key, TRAIN, "eval"
    for name, task in suite.tasks.items():
        if not task.brings_data:
            yield from ((f"tasks.{name}.splits", name, split) for split in task.scored_splits)


def _filled(data: DataSpec) -> set[Split]:
    """The splits that may get rows, as far as the suite tells."""
    filled: set[Split] = set()
    shares = data.splits or DEFAULT_SHARES
    for target in data.mapped_splits.values():
        targets = [target] if isinstance(target, str) else target
        kept = [t for t in targets if len(targets) == 1 or not data.splits or data.splits.get(t)]
        filled.update(kept)
    if not data.mapped_splits:
        filled = {split for split, share in shares.items() if share > 0}
    if data.folds:
        filled |= {"report"}  # the fold that is held out
    return {split for split in filled if data.limits.get(split) != 0}


def _refuse(file: SuiteFile, key: str, owner: str, split: str, data: DataSpec) -> None:
    own = getattr(file.suite.tasks.get(owner), "data", None)
    place = "data" if own is None else f"tasks.{owner}.data"
    there = ", ".join(s for s in DEFAULT_SHARES if s in _filled(data)) or "nothing"
    raise SuiteError(
        f"{key} needs rows in the {split} split, but {place} fills only: {there}.",
        where=file.at(key),
        hint=f"Give {split} a share in {place}.splits, map a split of the source to it, or leave "
        "it out.",
    )
