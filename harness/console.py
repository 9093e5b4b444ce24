"""Progress of long work on stderr: bars on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from harness.printable import printable

Advance = Callable[..., None]  # advance(done, total=None, note="")
_PLAIN_EVERY_S = 15.0  # between two plain lines of one task
_MINUTE = 60


def in_words(seconds: float) -> str:
    """A time as one would say it: ``45 s``, ``12 min``, ``1 h 11 min``."""
    if round(seconds) < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    minutes = round(seconds / _MINUTE)
    hours, rest = divmod(minutes, _MINUTE)
    return f"{hours} h {rest} min" if hours else f"{minutes} min"


class Reporter:
    """Says what is going on.

    Args:
        verbosity: -1 only errors, 0 steps and progress, 1 details as well.
    """

    def __init__(self, verbosity: int = 0) -> None:
        self.verbosity = verbosity
        self.console = Console(stderr=True, highlight=False)
        self._progress: Progress | None = None

    def say(self, text: str) -> None:
        """One line about a step."""
        if self.verbosity >= 0:
            self.console.print(printable(text), markup=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        """One line for those who asked for more."""
        if self.verbosity >= 1:
            self.console.print(printable(text), markup=False, soft_wrap=True, style="dim")

    def warn(self, text: str) -> None:
        """One line that should not be missed, shown also when quiet."""
        self.console.print(
            f"warning: {printable(text)}", markup=False, soft_wrap=True, style="yellow"
        )

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[Advance]:
        """Show the progress of one piece of work; yields ``advance(done, total, note)``."""
        if self.verbosity < 0:
            yield lambda *_args, **_kwargs: None
            return
        description = printable(description)
        if self.console.is_terminal:
            yield from self._bar(description, total)
        else:
            yield from self._lines(description, total)

    def _bar(self, description: str, total: int | None) -> Iterator[Advance]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
        )
        with Progress(*columns, console=self.console, transient=True) as bar:
            task: TaskID = bar.add_task(description, total=total, note="")

            def advance(done: int, total: int | None = None, note: str = "") -> None:
                bar.update(task, completed=done, total=total, note=printable(note))

            yield advance

    def _lines(self, description: str, total: int | None) -> Iterator[Advance]:
        started = last = time.monotonic()

        def advance(done: int, total: int | None = total, note: str = "") -> None:
            nonlocal last
            now = time.monotonic()
            if now - last < _PLAIN_EVERY_S:
                return
            last = now
            elapsed = now - started
            to_come = elapsed / done * (total - done) if total and done else None
            left = "" if to_come is None else f", about {in_words(to_come)} left"
            of_total = f" of {total}" if total else ""
            extra = f", {printable(note)}" if note else ""
            self.console.print(
                f"  {description}: {done}{of_total} after {in_words(elapsed)}{left}{extra}",
                markup=False,
                soft_wrap=True,
            )
            sys.stderr.flush()

        yield advance
