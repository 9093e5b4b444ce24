"""Runs one measurement in a fresh process and brings back its figures or its reason to fail.

The worker starts from a new interpreter, so that one variant's allocator and caches never colour
another's; when it crashes, is killed or takes too long, that is the result of this measurement
and not the end of the run. Torch-free.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.errors import HarnessError
from harness.measure.job import MeasureJob
from harness.schema import Measurement

_MEASUREMENTS = TypeAdapter(list[Measurement])
_STDERR_LINES = 5


class _TimedOutError(Exception):
    """The worker did not finish in time."""


def measure(
    job: MeasureJob,
    *,
    timeout_s: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Measurement]:
    """Measure memory and speed of one variant in a process of its own.

    Args:
        job: What to measure.
        timeout_s: Seconds after which the worker is killed; None waits for ever.
        progress: Called with one line of text at each step, in the calling thread.

    Returns:
        The figures of the process as a whole, then those of each point of the grid.

    Raises:
        HarnessError: The worker reported an error, crashed, was killed, or ran out of time. The
            worker is never left behind, not even when this process is killed (on Linux).
    """
    with tempfile.TemporaryDirectory(prefix="harness-measure-") as folder:
        files = Path(folder)
        request = {
            "job": job.model_dump(mode="json"),
            "parent": os.getpid(),
            "threads": _threads(),
            "result": str(files / "result.json"),
        }
        (files / "job.json").write_text(json.dumps(request), "utf-8")
        with (files / "stderr").open("wb") as stderr:
            # -P: the working directory may hold files named like the libraries
            process = subprocess.Popen(  # noqa: S603  # our own module, no shell
                [sys.executable, "-P", "-m", "harness.measure.worker", str(files / "job.json")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                bufsize=0,
            )
        try:
            _follow(process, timeout_s, progress or (lambda line: None))
        except _TimedOutError:
            raise HarnessError(
                f"The measurement was stopped after {timeout_s:g} s without finishing.",
                where=_name(job),
                hint="Measure fewer or smaller sizes, or allow more time.",
            ) from None
        finally:
            process.kill()  # does nothing once it has ended
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        return _outcome(job, process.returncode, files)


def _threads() -> int | None:
    """Threads of this process' torch, if it is loaded; else the worker takes torch's default."""
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


def _follow(
    process: subprocess.Popen[bytes], timeout_s: float | None, progress: Callable[[str], None]
) -> None:
    """Pass on the worker's lines until it ends."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    stream = process.stdout
    if stream is None:
        return
    partial = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if (left is not None and left <= 0) or not selector.select(left):
                raise _TimedOutError
            chunk = os.read(stream.fileno(), 65536)
            if not chunk:
                break
            *lines, partial = (partial + chunk).split(b"\n")
            for line in lines:
                progress(line.decode("utf-8", "replace"))
    try:
        process.wait(None if deadline is None else max(deadline - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        raise _TimedOutError from None


def _outcome(job: MeasureJob, returncode: int, files: Path) -> list[Measurement]:
    """Read the worker's result, or say why there is none."""
    if returncode < 0:
        raise HarnessError(
            f"The measuring process was killed by signal {-returncode} "
            f"({_signal_name(-returncode)}).{_last_words(files / 'stderr')}",
            where=_name(job),
            hint="Signal 9 usually means that memory ran out: try smaller batch sizes or prompts."
            if returncode == -signal.SIGKILL
            else None,
        )
    try:
        result: dict[str, Any] = json.loads((files / "result.json").read_text("utf-8"))
        if "error" in result:
            raise HarnessError(**result["error"])
        return _MEASUREMENTS.validate_python(result["measurements"])
    except (OSError, ValueError, KeyError, ValidationError):
        raise HarnessError(
            f"The measuring process ended with exit code {returncode} and no result."
            f"{_last_words(files / 'stderr')}",
            where=_name(job),
        ) from None


def _name(job: MeasureJob) -> str:
    model = job.merged_dir or job.base.model
    with_adapter = f" with {job.adapter}" if job.adapter else ""
    return f"measuring {model} at {job.precision}{with_adapter}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _last_words(stderr: Path) -> str:
    lines = [line for line in stderr.read_text("utf-8", "replace").splitlines() if line.strip()]
    return f" Its last words: {' | '.join(lines[-_STDERR_LINES:])}" if lines else ""
