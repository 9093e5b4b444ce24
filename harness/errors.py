"""Errors a user can act on: where it happened, what was needed, what was found, how to mend it."""

from harness.printable import one_line


class HarnessError(Exception):
    """A failure with a message meant for the user; the command line prints it without a traceback.

    Args:
        problem: What was needed and what was found, in one or two sentences.
        where: The place it concerns, such as ``suites/demo.yaml:14`` or a path.
        hint: What the user can do about it.
    """

    exit_code = 1

    def __init__(self, problem: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.problem = problem
        self.where = where
        self.hint = hint
        text = f"{one_line(where)}: {problem}" if where else problem
        super().__init__(f"{text} {hint}" if hint else text)


class UsageError(HarnessError):
    """The command, the suite or an input file is wrong; nothing was computed (exit code 2)."""

    exit_code = 2


class SuiteError(UsageError):
    """A suite file does not describe a valid suite."""


class DataError(UsageError):
    """A data source is missing, unreadable or does not hold what the suite needs."""


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


def in_a_line(error: BaseException, most: int = 400) -> str:
    """What a library raised, in one line.

    Args:
        error: What was raised.
        most: Characters to keep.
    """
    return " ".join(str(error).split())[:most] or type(error).__name__
