"""Runs one measurement in a fresh process and brings back its figures or its reason to fail.

The worker starts from a new interpreter, so that one variant's allocator and caches never colour
another's; when it crashes or is killed, that is the result of this measurement
and not the end of the run. Torch-free.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.errors import HarnessError
from harness.measure.job import MeasureJob
from harness.schema import Measurement

_MEASUREMENTS = TypeAdapter(list[Measurement])
_STDERR_LINES = 5


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
    with tempfile.TemporaryDirectory(prefix="harness-measure-") as folder:
        files = Path(folder)
        torch = sys.modules.get("torch")  # where it is not loaded, the worker takes its default
        request = {
            "job": job.model_dump(mode="json"),
            "parent": os.getpid(),
            "threads": None if torch is None else int(torch.get_num_threads()),
            "result": str(files / "result.json"),
        }
        (files / "job.json").write_text(json.dumps(request), "utf-8")
        with (
            (files / "stderr").open("wb") as stderr,
            # -P: the working directory may hold files named like the libraries
            subprocess.Popen(  # noqa: S603  # our own module, no shell
                [sys.executable, "-P", "-m", "harness.measure.worker", str(files / "job.json")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                encoding="utf-8",
                errors="replace",
            ) as process,
        ):
            try:
                for line in process.stdout or ():
                    progress(line.rstrip("\n"))
                process.wait()
            finally:
                process.kill()  # does nothing once it has ended
        return _outcome(job, process.returncode, files)


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
