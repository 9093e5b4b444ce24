"""Runs one measurement in a fresh process and brings back its figures or its reason to fail.

The worker starts from a new interpreter, so that one variant's allocator and caches never colour
another's; when it crashes, is killed or stops answering, that is the result of this measurement
and not the end of the run. Torch-free.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.errors import HarnessError
from harness.measure.job import MeasureJob
from harness.schema import Measurement
from harness.store import locks

_MEASUREMENTS = TypeAdapter(list[Measurement])
_STDERR_LINES = 5
_COMMAND = (sys.executable, "-P", "-m", "harness.measure.worker")
_SILENCE_S = 3600.0  # between two steps; loading a large model from a slow disk is one
_FOLDER = "harness-measure-"
_HELD = ".lock"  # locked while its process lives
_YOUNG_S = 60  # a folder may not be locked yet


def measure(
    job: MeasureJob, *, progress: Callable[[str], None] = lambda _: None
) -> list[Measurement]:
    """Measure memory and speed of one variant in a process of its own.

    Args:
        job: What to measure.
        progress: Called with one line of text at each step, in the calling thread.

    Returns:
        The figures of the process as a whole, then those of each point of the grid.

    Raises:
        HarnessError: The worker reported an error, crashed or was killed. It is never left
            behind, not even when this process is killed (on Linux).
    """
    _remove_leftovers(Path(tempfile.gettempdir()))
    with (
        tempfile.TemporaryDirectory(prefix=_FOLDER, ignore_cleanup_errors=True) as folder,
        locks.holding(Path(folder, _HELD), exclusive=False),
    ):
        files = Path(folder)
        torch = sys.modules.get("torch")  # where it is not loaded, the worker takes its default
        request = {
            "job": job.model_dump(mode="json"),
            "parent": os.getpid(),
            "threads": None if torch is None else int(torch.get_num_threads()),
            "result": str(files / "result.json"),
        }
        (files / "job.json").write_text(json.dumps(request), "utf-8")
        return _outcome(job, _run(job, files, progress), files)


def _run(job: MeasureJob, files: Path, progress: Callable[[str], None]) -> int:
    """Start the worker and wait for it; its exit code."""
    with (
        (files / "stderr").open("wb") as stderr,
        # -P: the working directory may hold files named like the libraries
        subprocess.Popen(  # noqa: S603  # our own module, no shell
            [*_COMMAND, str(files / "job.json")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        try:
            for line in _lines(process):
                progress(line.rstrip("\n"))
            return process.wait(_SILENCE_S)
        except (Empty, subprocess.TimeoutExpired):
            raise HarnessError(
                f"The measuring process did not answer for {_SILENCE_S:,.0f} s and was given up."
                f"{_last_words(files / 'stderr')}",
                where=_name(job),
                hint="Try smaller batch sizes or prompts.",
            ) from None
        finally:
            process.kill()  # does nothing once it has ended


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """What a process prints, line by line.

    Raises:
        Empty: It prints nothing for too long.
    """
    lines: Queue[str | None] = Queue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put(None)

    Thread(target=read, daemon=True).start()
    while (line := lines.get(timeout=_SILENCE_S)) is not None:
        yield line


def _remove_leftovers(parent: Path) -> None:
    """Remove folders of measurements whose process was killed before it could."""
    for folder in parent.glob(f"{_FOLDER}*"):
        with suppress(OSError):
            young = time.time() - folder.stat().st_mtime < _YOUNG_S
            if not young and not locks.is_held(folder / _HELD):
                shutil.rmtree(folder)


def _outcome(job: MeasureJob, returncode: int, files: Path) -> list[Measurement]:
    """Read the worker's result, or say why there is none."""
    if returncode < 0:
        names = {number.value: number.name for number in signal.Signals}
        raise HarnessError(
            f"The measuring process was killed by signal {-returncode} "
            f"({names.get(-returncode, 'unknown')}).{_last_words(files / 'stderr')}",
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


def _last_words(stderr: Path) -> str:
    lines = [line for line in stderr.read_text("utf-8", "replace").splitlines() if line.strip()]
    return f" Its last words: {' | '.join(lines[-_STDERR_LINES:])}" if lines else ""
