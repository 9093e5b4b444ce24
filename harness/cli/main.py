"""The command line: its verbs, each in a file of its own, and how errors end."""

import sys
import traceback
import warnings
from typing import Annotated, NoReturn, TextIO

import typer

from harness import __version__
from harness.cli import doctor, eval, release, report, runs, suites
from harness.cli.gate import gate_app
from harness.cli.options import say, warn
from harness.cli.sheet import sheet_app
from harness.errors import HarnessError, MissingExtraError, PluginWarning, StoreWarning

app = typer.Typer(
    name="harness",
    help="Evaluate QLoRA fine-tuning: which checkpoint to ship, how sure, and at what cost.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would double the time of --help
    context_settings={"help_option_names": ["-h", "--help"]},
)

_INTERRUPTED = 130  # exit code after Ctrl-C
_BUG = 70  # EX_SOFTWARE of sysexits.h
_python_warning = warnings.showwarning

for _verb in (
    eval.eval_,
    eval.train,
    report.report,
    release.select,
    release.card,
    suites.suites,
    suites.init,
    suites.validate,
    runs.runs,
    runs.verify,
    runs.prune,
    doctor.doctor,
    suites.schema,
):
    app.command(_verb.__name__.rstrip("_"))(_verb)
app.add_typer(gate_app)
app.add_typer(sheet_app, name="sheet")


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        say(f"qlora-harness {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point: a message instead of a traceback for what a user can mend."""
    warnings.showwarning = _show_warning
    try:
        app(standalone_mode=True)
    except HarnessError as error:
        say(f"error: {error}", err=True, fg="red")
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        missing = _missing_extra(error)
        if missing is None:
            _exit_with_bug()
        say(f"error: {missing}", err=True, fg="red")
        sys.exit(missing.exit_code)
    except Exception:  # what a user can mend was caught above
        _exit_with_bug()
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # typer has turned the KeyboardInterrupt into this
            say("interrupted; run the same command again to resume", err=True)
        raise


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Warnings of packages and of the store are for the user; others are shown as ever."""
    if issubclass(category, PluginWarning | StoreWarning):
        warn(f"warning: {message}")
    else:
        _python_warning(message, category, filename, lineno, file, line)


def _exit_with_bug() -> NoReturn:
    """The traceback, for a report of it; 1 is kept for what the documentation says."""
    say(traceback.format_exc().rstrip(), err=True)
    say(
        "This is a bug of qlora-harness, and nothing that you did. Please report it with the lines "
        "above; what was finished is kept.",
        err=True,
        fg="red",
    )
    sys.exit(_BUG)


def _missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """The error that names the extra to install, if a package of one is what is missing."""
    package = (error.name or "").partition(".")[0]
    extra = doctor.OPTIONAL.get(package)
    return MissingExtraError(package, extra[0]) if extra else None
