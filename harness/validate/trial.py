"""Has a training tried before anything is read or loaded for it, where its arguments ask for that.

Whether an optimizer's package, a tracker or DeepSpeed is there, and takes what it is given, only
they can tell. So a process of its own sets the training up on a tiny model. What it took is
remembered; what it refused is tried again, since a package may have been installed.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from harness.digests import short_digest
from harness.errors import DiskError, SuiteError
from harness.files import write_atomic
from harness.resources import cache_dir
from harness.suite.arguments import as_sft_takes_them
from harness.suite.fields import installation
from harness.suite.file import SuiteFile
from harness.suite.spec import TrainSpec

_TIMEOUT_S = 300
_NOTHING = (None, False, "none", "no")


def check_training(file: SuiteFile) -> None:
    """Refuse a training that TRL, PEFT or a library of theirs refuses.

    Raises:
        SuiteError: With their words.
    """
    train = file.suite.train
    if train is None or not _worth_it(train) or find_spec("trl") is None:
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


def _worth_it(train: TrainSpec) -> bool:
    """Whether an argument is more than an amount, which TRL takes as it is."""
    values = as_sft_takes_them(train.args).values()
    return not all(_is_amount(value) or value in _NOTHING for value in values)


def _is_amount(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= 0


def _tried(asked: dict[str, Any]) -> dict[str, Any] | None:
    """What a process of its own found; nothing where it did not get so far."""
    if sys.stderr.isatty():  # it takes seconds, and somebody waits
        sys.stderr.write("Trying train.args with TRL, once ...\n")
    try:
        # -P: the working directory may hold files named like the libraries
        done = subprocess.run(  # our own module, no shell
            [sys.executable, "-P", "-W", "ignore", "-m", "harness.train.trial"],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=True,
            timeout=_TIMEOUT_S,
        )
        refusal: dict[str, Any] | None = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None  # the training itself will tell
    return refusal
