"""Errors a user can act on: where it happened, what was needed, what was found, how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from harness.printable import one_line, visible

_MOST_PLACE, _MOST_HINT = 290, 700  # characters of a message's parts


class HarnessError(Exception):
    """A failure with a message meant for the user; the command line prints it without a traceback.

    Args:
        problem: What was needed and what was found, in one or two sentences.
        where: The place it concerns, such as ``suites/demo.yaml:14`` or a path.
        hint: What the user can do about it.

    Whatever a name or a library's message holds, the text can be printed, and is no longer than
    2,000 characters.
    """

    exit_code = 1
    most: ClassVar[int] = 1000  # characters of the problem

    def __init__(self, problem: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.problem = problem = shortened(visible(problem), self.most)
        self.where = where = where and shortened(one_line(where), _MOST_PLACE, end=True)
        self.hint = hint = hint and shortened(visible(hint), _MOST_HINT)
        text = f"{where}: {problem}" if where else problem
        super().__init__(f"{text} {hint}" if hint else text)


class UsageError(HarnessError):
    """The command, the suite or an input file is wrong; nothing was computed (exit code 2)."""

    exit_code = 2


class SuiteError(UsageError):
    """A suite file does not describe a valid suite."""


class DataError(UsageError):
    """A data source is missing, unreadable or does not hold what the suite needs."""


class OutOfReachError(DataError):
    """Data of the Hub that is neither here nor can be fetched now."""


class PromptError(UsageError):
    """A prompt template is invalid or names a field the rows do not have."""


class ModelError(UsageError):
    """A model, tokenizer or adapter is missing, unsafe, or does not fit the base."""


class NotFiniteError(ModelError):
    """A model gives logits that are NaN or infinite, so nothing it answers means anything."""


class AloneNotFiniteError(NotFiniteError):
    """It does so for a sequence by itself, so that no other way of computing can help."""


class UnknownTokenError(ModelError):
    """A text holds tokens that the model has no embedding for, so that no way can read it."""


class ApartError(ModelError):
    """An adapter cannot stand beside others over one base; it may, on a base of its own."""


class MetricError(UsageError):
    """A metric is unknown or was given options it does not take."""


class PairingError(UsageError):
    """Two variants were not scored on the same examples, so they cannot be compared."""


class BaselineError(HarnessError):
    """A gate's baseline is missing, unreadable, or not to be compared with this run."""

    exit_code = 4


class QualityError(HarnessError):
    """A run lacks results, or holds invalid ones, so nothing can be decided by it."""

    exit_code = 5


class MemoryShortError(HarnessError):
    """Memory does not suffice for a piece of work that cannot be divided; that work failed."""


class PluginError(UsageError):
    """What an entry point brings cannot be loaded, or does not do what its door asks for."""


class PluginWarning(UserWarning):
    """What an entry point brings is left out, and why; the rest goes on."""


class StoreWarning(UserWarning):
    """What is not as it should be in the store, and what was done about it; the command goes on."""


class StoreError(HarnessError):
    """A result folder is unreadable or cannot be written."""


class DiskError(UsageError):
    """Results cannot be written: no room, or no permission. What was finished is kept."""


class MissingExtraError(UsageError):
    """A verb needs an optional dependency that is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"This needs the package {package!r}, which is not installed.",
            hint=f"Install it with: pip install 'qlora-harness[{extra}]'",
        )


def shortened(text: str, most: int, *, end: bool = False) -> str:
    """The beginning (or end) of a text that is too long."""
    if len(text) <= most:
        return text
    return f"…{text[1 - most :]}" if end else f"{text[: most - 1]}…"


def shown(value: Any, most: int = 200) -> str:
    """A value as Python writes it, as far as it can be and fits."""
    try:
        return shortened(repr(value), most)
    except Exception:  # too deep, too long a number, or its own repr fails
        return f"a {type(value).__name__}"


@contextmanager
def told_as(
    kind: type[HarnessError], what: str, *, where: str | None = None, hint: str | None = None
) -> Iterator[None]:
    """The one place at a door where whatever a library raises becomes an error of ours.

    Args:
        kind: The error to raise.
        what: What could not be done; the library's words follow it.
        where: The place it concerns.
        hint: What the user can do.

    Raises:
        HarnessError: Of the kind; errors that are ours already pass as they are.
    """
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        words = in_a_line(error)
        if isinstance(error, RecursionError):
            words = "it is nested too deeply"
        raise kind(f"{what}: {words.rstrip('.')}.", where=where, hint=hint) from error


def in_a_line(error: BaseException, most: int = 400) -> str:
    """What a library raised, in one line.

    Args:
        error: What was raised.
        most: Characters to keep.
    """
    return " ".join(str(error).split())[:most] or type(error).__name__
