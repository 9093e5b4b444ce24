"""Commands in processes of their own, without the seconds that loading the libraries takes.

``python -m tests.e2e.forked`` loads them once and forks off a process for each command that comes
in on its input; :class:`Forked` is the other side. A command that is to load what it needs itself,
or has an environment of its own, is for a fresh process.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LIBRARIES = (
    "torch", "transformers.models.auto", "transformers.trainer", "peft", "trl.trainer.sft_trainer",
    "bitsandbytes", "datasets", "lm_eval.tasks",
)  # fmt: skip
TIMEOUT_S = 600


class Forked:
    """Starts commands; one at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.forked"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, args: Sequence[str], cwd: Path) -> tuple[int, str, str]:
        """Run ``harness`` with arguments: exit code, output, errors.

        Raises:
            TimeoutError: It did not end.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            request = {"args": list(args), "cwd": str(cwd), "out": folder}
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            code = json.loads(self._process.stdout.readline())
            if code is None:
                raise TimeoutError(f"harness {' '.join(args)}: over {TIMEOUT_S} s")
            texts = [Path(folder, name).read_text("utf-8") for name in ("out", "err")]
        return code, texts[0], texts[1]

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def _main() -> None:
    for library in LIBRARIES:
        importlib.import_module(library)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
            return
        sys.stdout.write(json.dumps(_exit_code(child)) + "\n")
        sys.stdout.flush()


def _exit_code(child: int) -> int | None:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, 9)
    os.waitpid(child, 0)
    return None


def _become(request: dict[str, Any]) -> None:
    """Be the process of a command, from here to its end."""
    os.setsid()
    os.chdir(request["cwd"])
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(Path(request["out"], name), os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  # the process's own
    sys.path[0] = request["cwd"]
    sys.argv = ["harness", *request["args"]]
    runpy.run_module("harness", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
