"""Asks a module something in a process of its own, where loading it takes seconds, and torch."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

_TIMEOUT_S = 300


def answer_of(module: str, *args: str, about: str, asked: Any = None) -> Any:
    """What a module of ours answers when it is run.

    Args:
        module: Its name; the last line that it prints is the answer, as JSON.
        args: Its arguments.
        about: What is told to somebody who waits at a terminal.
        asked: What it reads from standard input, as JSON.

    Raises:
        subprocess.SubprocessError: It failed, or took longer than five minutes.
        OSError: It cannot be started.
        ValueError: It gave no answer.
    """
    if sys.stderr.isatty():
        sys.stderr.write(f"{about}, once ...\n")
    # -P: the working directory may hold files named like the libraries
    done = subprocess.run(  # noqa: S603  # our own module, no shell
        [sys.executable, "-P", "-W", "ignore", "-m", module, *args],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=_TIMEOUT_S,
    )
    return json.loads("".join(done.stdout.splitlines()[-1:]))
