"""Files of strangers are read in a process of their own, with bounds on time and memory.

Libraries that read spreadsheets end their whole process on some damaged files, and small archives
can hold gigabytes. Here that ends a child: its file has a message, and the others are read.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO, Any, NoReturn, Self

from harness.bounds import address_space
from harness.errors import DataError, HarnessError, UsageError
from harness.ratings.returns.encodings import names_its_encoding
from harness.ratings.returns.formats import AGAIN
from harness.ratings.returns.returned import Returned, returned_of, returned_record
from harness.ratings.returns.returns import bytes_of, parse_return

_MOST_ANSWER = 64 * 2**20  # bytes: 30,000 rows with a page of comments each
_READY = b"ready\n"  # what the process says first
_COMMAND = (sys.executable, "-P", "-m", __name__)  # -P: files here may be named like libraries


@dataclass(frozen=True)
class Limits:
    """What the reading of one file may take."""

    memory: int = 512 * 2**20  # bytes beyond those of an idle reader
    seconds: int = 60  # of computing; twice as long where it only waits


class ReturnReader:
    """Reads returned files one after another; the process is started when it is needed.

    Args:
        words: Gives the words that tell the encoding of CSV, for :func:`encodings.decode`.
        limits: What one file may take.
        command: Starts the process, which answers as :func:`main` does.
    """

    def __init__(
        self,
        words: Callable[[], AbstractSet[str]] = frozenset,
        limits: Limits = Limits(),
        command: Sequence[str] = _COMMAND,
    ) -> None:
        self._words, self._limits, self._command = words, limits, command
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed at the end
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._stderr.close()

    def read(self, path: Path) -> Returned:
        """Read a file; see :func:`returns.read_return`.

        Raises:
            UsageError: It cannot be read, ended its reader, or took more than it may.
        """
        data = bytes_of(path)
        process = self._process or self._start()
        words = [] if names_its_encoding(data) else sorted(self._words())
        request = {
            "path": str(path),
            "size": len(data),
            "words": words,
            "memory": self._limits.memory,
            "seconds": self._limits.seconds,
        }
        answer = self._asked(process, json.dumps(request).encode() + b"\n" + data)
        if not answer.endswith(b"\n"):
            self._refuse(process, path, len(answer))
        said = json.loads(answer)
        if "returned" in said:
            return returned_of(said["returned"], path, data)
        if said.get("full"):
            self._end()
            raise _too_much(path, self._limits)
        raise UsageError(**said["error"])

    def _start(self) -> subprocess.Popen[bytes]:
        process = self._process = subprocess.Popen(  # noqa: S603  # our own module, no shell
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
        )
        if process.stdout is None or process.stdout.readline() != _READY:
            self._end(kill=True)
            raise HarnessError(f"The reader of returned files does not start. {self._last_words()}")
        return process

    def _last_words(self) -> str:
        self._stderr.seek(0)
        return " ".join(self._stderr.read()[-2000:].decode("utf-8", "replace").split())

    def _asked(self, process: subprocess.Popen[bytes], request: bytes) -> bytes:
        """A line; cut off where the process ended first, or said too much."""
        timer = Timer(2 * self._limits.seconds, process.kill)
        timer.start()
        try:
            process.stdin.write(request)  # type: ignore[union-attr]  # as in _end
            process.stdin.flush()  # type: ignore[union-attr]
            return process.stdout.readline(_MOST_ANSWER)  # type: ignore[union-attr]
        except BrokenPipeError:
            return b""
        finally:
            timer.cancel()

    def _refuse(self, process: subprocess.Popen[bytes], path: Path, said: int) -> NoReturn:
        """Say why there is no answer."""
        self._end(kill=said >= _MOST_ANSWER)
        code = process.returncode
        if said >= _MOST_ANSWER or "memory allocation" in self._last_words():
            raise _too_much(path, self._limits)
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            raise DataError(
                f"Reading this file was given up after {self._limits.seconds} s of computing.",
                where=str(path),
                hint=AGAIN,
            )
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise DataError(
            f"The file is damaged: the library that reads its kind ended on it ({how}).",
            where=str(path),
            hint=AGAIN,
        )

    def _end(self, *, kill: bool = False) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]  # both are pipes: see _start
        try:
            process.wait(timeout=2)  # it ends when there are no more requests
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _too_much(path: Path, limits: Limits) -> DataError:
    return DataError(
        f"Reading this file takes more than {limits.memory / 2**20:.0f} MiB of memory, which no "
        "sheet does.",
        where=str(path),
        hint="Delete what is not the sheet's, such as pictures and entries far from the table, and "
        "save the file; or export it as .csv.",
    )


def main() -> None:
    """Read the files that are asked for on standard input, and answer each with a line of JSON."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    answers.write(_READY)
    answers.flush()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["size"])
        _bound(request["memory"], request["seconds"])
        answers.write(json.dumps(_answer(request, data)).encode() + b"\n")
        answers.flush()


def _bound(memory: int, seconds: int) -> None:
    """Limit what this process may take from now on."""
    limits = {resource.RLIMIT_CPU: int(time.process_time()) + 1 + seconds}
    if (held := address_space()) is not None:
        limits[resource.RLIMIT_AS] = held + memory
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (most if hard < 0 else min(most, hard), hard))


def _answer(request: dict[str, Any], data: bytes) -> dict[str, Any]:
    try:
        returned = parse_return(data, Path(request["path"]), frozenset(request["words"]))
        return {"returned": returned_record(returned)}
    except UsageError as error:
        about = {"problem": error.problem, "where": error.where, "hint": error.hint}
        return {"error": about}
    except MemoryError:
        return {"full": True}


if __name__ == "__main__":
    main()
