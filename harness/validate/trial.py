"""Has a training tried before anything is read or loaded for it, where its arguments ask for that.

Whether an optimizer's package, a tracker or DeepSpeed is there, and takes what it is given, only
they can tell. So a process of its own sets the training up on a tiny model. What it took is
remembered; what it refused is tried again, since a package may have been installed.
"""

from __future__ import annotations

import math
import subprocess
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from harness.digests import short_digest
from harness.errors import DiskError, SuiteError
from harness.files import write_atomic
from harness.resources import cache_dir
from harness.suite.arguments import argument_problems, as_sft_takes_them
from harness.suite.elsewhere import answer_of
from harness.suite.fields import installation
from harness.suite.file import SuiteFile
from harness.suite.spec import LoraSpec, TrainSpec

_NOTHING = (None, False, "none", "no")


def check_training(file: SuiteFile) -> None:
    """Refuse a training that TRL, PEFT or a library of theirs refuses.

    Arguments that are refused without asking them are left out of what is tried.

    Raises:
        SuiteError: With their words.
    """
    if find_spec("trl") is not None:
        for train in file.suite.trainings.values():
            _check(file, _less_what_is_wrong(train))


def _check(file: SuiteFile, train: TrainSpec) -> None:
    if not _worth_it(train):
        return
    asked = {
        "base": file.suite.base.model_dump(mode="json"),
        "train": train.model_dump(mode="json"),
    }
    taken = cache_dir() / "trials" / short_digest({**asked, "installation": installation()})
    if taken.is_file():
        return
    refusal = _tried(asked)
    if refusal is None:
        with suppress(DiskError, OSError):  # an unusable cache costs time, never a result
            write_atomic(taken, "")
        return
    where = str(refusal["where"] or "train")
    raise SuiteError(f"{where}: {refusal['problem']}", where=file.at(where), hint=refusal["hint"])


def _less_what_is_wrong(train: TrainSpec) -> TrainSpec:
    wrong = {key for key, _ in argument_problems(train)}
    args = {name: value for name, value in train.args.items() if f"train.args.{name}" not in wrong}
    others = [key for key in wrong if not key.startswith("train.args.")]
    plain = {"lora": LoraSpec(), "peft": {}, "peft_type": "LORA"} if others else {}
    return train.model_copy(update={"args": args, **plain})


def _worth_it(train: TrainSpec) -> bool:
    """Whether there is more than amounts, which TRL takes as they are."""
    if train.peft:
        return True
    values = as_sft_takes_them(train.args).values()
    return not all(_is_amount(value) or value in _NOTHING for value in values)


def _is_amount(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < math.inf  # whole numbers may be too large for a float


def _tried(asked: dict[str, Any]) -> dict[str, Any] | None:
    """What a process of its own found; nothing where it did not get so far."""
    about = "Trying train.args with TRL"
    try:
        refusal: dict[str, Any] | None = answer_of("harness.train.trial", about=about, asked=asked)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None  # the training itself will tell
    return refusal
