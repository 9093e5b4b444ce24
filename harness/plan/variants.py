"""The columns of the model matrix: bases, checkpoints, and what is merged of them."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.bounds import time_limit
from harness.digests import short_digest
from harness.errors import SuiteError, told_as
from harness.files import local_path
from harness.models.beside import natural_key, step_in_name, trainer_state
from harness.models.foreign import as_peft
from harness.models.identity import check_adapter
from harness.schema import Checkpoint, TrainingRun, Variant
from harness.suite.arguments import as_sft_takes_them
from harness.suite.file import SuiteFile
from harness.suite.spec import Suite, TrainSpec

_HUB_ID = re.compile(r"[A-Za-z0-9][\w-]*/[\w.-]+")
_SAVE_STEPS = 500  # TRL's default
_MOST_EXPECTED = 10_000  # names of checkpoints to come that are still told one by one
UNKNOWN = "checkpoint-*"  # stands for checkpoints whose steps only training will tell


def trained_checkpoints(run: TrainingRun, folder: Path, training: str = "") -> list[Checkpoint]:
    """Checkpoints of a finished training, with absolute paths, and its name before theirs."""
    return [
        c.model_copy(update={"path": str(folder / c.path), "name": _of_training(training, c.name)})
        for c in run.checkpoints
    ]


def _of_training(training: str, name: str) -> str:
    return f"{training}-{name}" if training else name


def expected_checkpoints(train: TrainSpec, training: str = "") -> list[str]:
    """Names of the checkpoints a training will leave, as far as its arguments tell."""
    return [_of_training(training, name) for name in _expected(train)]


def _expected(train: TrainSpec) -> list[str]:
    args = as_sft_takes_them(train.args)
    steps, every = args.get("max_steps"), args.get("save_steps", _SAVE_STEPS)
    if not isinstance(steps, int) or not isinstance(every, int) or min(steps, every) <= 0:
        return [UNKNOWN]
    if train.keeps_best or args.get("save_strategy", "steps") != "steps":
        return [UNKNOWN]
    if steps // every > _MOST_EXPECTED:
        return [UNKNOWN]
    kept = args.get("save_total_limit")
    saved = sorted({*range(every, steps + 1, every), steps})
    saved = saved[-kept:] if isinstance(kept, int) and kept > 0 else saved
    return [f"checkpoint-{step}" for step in saved]


def external_checkpoints(file: SuiteFile) -> list[Checkpoint]:
    """Adapters trained elsewhere, in order of their steps; those of unknown step come last.

    Numbers in names count as numbers (``epoch_2`` before ``epoch_10``), but an order of names is
    no step: nothing may conclude from it which of two was trained for longer.

    Raises:
        SuiteError: A path or pattern matches no folder.
        ModelError: A folder holds no adapter, or one for another base.
    """
    patterns = file.suite.checkpoints or []
    paths: dict[Path, None] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        full = str(local_path(pattern, file.base_dir, SuiteError))
        with told_as(SuiteError, "checkpoints: the pattern cannot be searched"), time_limit():
            found = sorted(glob.glob(full))  # noqa: PTH207  # pathlib's takes no absolute pattern
        folders = [Path(os.path.normpath(name)) for name in found if Path(name).is_dir()]
        if not folders:
            raise SuiteError(
                f"checkpoints: {pattern!r} matches no folder.",
                where=file.at("checkpoints"),
                hint=_way_to(pattern, file.base_dir),
            )
        paths.update(dict.fromkeys(folders))
    own = [converted for path in _once(paths) for converted in as_peft(path)]
    infos = [check_adapter(path, file.suite.base) for path in own]
    infos.sort(key=lambda i: (i.step is None, i.step or 0, natural_key(str(i.path))))
    names = _unique_names([info.path for info in infos])
    return [
        Checkpoint(
            name=name,
            step=info.step,
            path=str(info.path),
            digest=info.digest,
            eval_loss=state.eval_loss(info.step) if (state := trainer_state(info.path)) else None,
        )
        for name, info in zip(names, infos, strict=True)
    ]


def _way_to(pattern: str, base_dir: Path) -> str:
    """What to do about a pattern that matches nothing; it may be meant for the Hub."""
    hint = f"Paths are relative to the suite's folder, {base_dir}."
    if _HUB_ID.fullmatch(pattern):
        fetch = f"hf download {pattern} --local-dir {pattern.partition('/')[2]}"
        hint += f" Adapters of the Hub are not fetched: {fetch}, and name that folder."
    return hint


def _once(paths: Iterable[Path]) -> list[Path]:
    """Without links to folders that are named themselves, such as ms-swift's last-checkpoint."""
    plain = {path.resolve() for path in paths if not path.is_symlink()}
    return [path for path in paths if not (path.is_symlink() and path.resolve() in plain)]


def _unique_names(paths: Sequence[Path]) -> list[str]:
    """Names of folders; of those that share a name, with the folders that tell them apart."""
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    common = os.path.commonpath([path.parent for path in paths])
    return [
        name if names.count(name) == 1 else path.relative_to(common).as_posix().replace("/", "-")
        for name, path in zip(names, paths, strict=True)
    ]


def make_variants(
    suite: Suite,
    base: Mapping[str, Any],
    trainings: Mapping[str, Sequence[Checkpoint]],
    merged: Sequence[str],
) -> Iterator[Variant]:
    """The columns of the matrix whose weights exist (or, for merged ones, can be made).

    Args:
        suite: The suite.
        base: Identity of its base.
        trainings: Of each training by its name the adapters, or for ``method: full`` the models;
            those trained elsewhere are of a training without a name.
        merged: Names of the checkpoints to merge.
    """
    base_digest = {"base": short_digest(dict(base))}
    common = {"base_model": suite.base.model, "base_revision": suite.base.revision}
    for precision in dict.fromkeys(suite.matrix.base):
        yield Variant(
            id=f"base@{precision}",
            kind="base",
            precision=precision,
            digests=base_digest,
            **common,
        )
    checkpoints = [(name, own) for name, checkpoints in trainings.items() for own in checkpoints]
    for training, checkpoint in checkpoints:
        yield Variant(
            id=checkpoint.name,
            kind="full" if is_full(suite, training) else "adapter",
            training=training,
            precision=suite.precision_of(training),
            adapter=checkpoint.path,
            step=checkpoint.step,
            digests={**base_digest, "adapter": checkpoint.digest},
            **common,
        )
    steps = [checkpoint.step for _, checkpoint in checkpoints]
    for training, checkpoint in checkpoints:
        if checkpoint.name in merged:
            alone = checkpoint.step is not None and steps.count(checkpoint.step) == 1
            by_step = alone and not training
            yield Variant(
                id=f"merged-{checkpoint.step if by_step else checkpoint.name}",
                kind="merged",
                training=training,
                precision=suite.matrix.merged_precision,
                adapter=checkpoint.path,
                step=checkpoint.step,
                digests={**base_digest, "adapter": checkpoint.digest},
                **common,
            )


def is_full(suite: Suite, training: str) -> bool:
    """Whether a training's checkpoints are whole models, so that there is no adapter to merge."""
    return training in suite.trainings and suite.trainings[training].method == "full"


def may_merge(suite: Suite, variant: Variant) -> bool:
    """Whether a variant is an adapter that PEFT adds to the base's weights."""
    spec = suite.trainings.get(variant.training)
    return variant.kind == "adapter" and (spec is None or spec.why_not_merged is None)


def names_to_merge(suite: Suite, adapters: Sequence[Variant], best: str | None) -> list[str]:
    """Which checkpoints ``matrix.merged`` asks to merge; ``best`` is the one chosen on select.

    Args:
        suite: The suite.
        adapters: Those that can be merged.
        best: The choice, which may be none of them.
    """
    wanted = suite.matrix.merged
    names = [adapter.id for adapter in adapters]
    if isinstance(wanted, list):
        return [adapter.id for adapter in adapters if adapter.step in wanted]
    if wanted == "best":
        return [best] if best in names else []
    return {"all": names, "last": names[-1:], "none": []}[wanted]


def waiting_to_merge(suite: Suite, *, may_train: bool) -> list[tuple[str, str]]:
    """Ids of the merged variants that are still undecided, each with what it waits for."""
    wanted = suite.matrix.merged
    if wanted == "none" or not may_train:
        return []
    if isinstance(wanted, list):
        return [(f"merged-{step}", "for training") for step in wanted]
    what = "for the choice on select" if wanted == "best" else "for training"
    return [(f"merged-{wanted}", what)]


def check_merged_steps(file: SuiteFile, checkpoints: Sequence[Checkpoint | str]) -> None:
    """Refuse steps in ``matrix.merged`` at which there is, or will be, no checkpoint.

    Args:
        file: The suite.
        checkpoints: Those that there are, or the names of those to come.

    Raises:
        SuiteError: Names the step and the checkpoints.
    """
    wanted = file.suite.matrix.merged
    names = [c if isinstance(c, str) else c.name for c in checkpoints]
    if not isinstance(wanted, list) or UNKNOWN in names:
        return
    steps = [step_in_name(c) if isinstance(c, str) else c.step for c in checkpoints]
    for step in wanted:
        if step not in steps:
            raise SuiteError(
                f"matrix.merged names step {step}, but the checkpoints are: "
                f"{', '.join(names) or 'none'}.",
                where=file.at("matrix.merged"),
                hint="Name steps at which there is one, or write best, last, all or none.",
            )


def default_baseline(suite: Suite) -> str:
    """The base at the adapters' precision where it is evaluated, else the first base."""
    if suite.matrix.adapters in suite.matrix.base or not suite.matrix.base:
        return f"base@{suite.matrix.adapters}"
    return f"base@{suite.matrix.base[0]}"
