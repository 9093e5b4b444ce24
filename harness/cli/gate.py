"""``harness gate`` and ``harness gate accept``: parse, call, print. No logic lives here."""

import getpass
import os
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from harness.cli.options import (
    DEFAULT_RUNS,
    AsJson,
    RunArgument,
    RunsDir,
    Smoke,
    real_run,
    refuse_beside_smoke,
    say,
    say_json,
    warn,
)
from harness.errors import HarnessError, QualityError

_DEFAULT = "check"  # what `harness gate RUN` means
_HELP = """Compare a run with the accepted baseline: is it worse than its margins allow?

\b
  harness gate RUN                       compare, as `harness gate check RUN`
  harness gate accept RUN --reason TEXT  make RUN the new baseline

RUN is a run folder, a suite's name (its latest run), or SUITE/RUN-ID. The baseline is two files,
baseline.json and baseline.npz, to be kept in version control. What is gated, and by which margins,
is the suite's gate section.

\b
Exit codes:
  0  pass: no gated score is worse than its margin allows (or all are identical)
  1  regression: something is shown to be worse than its margin allows
  2  the command or the suite is wrong
  3  inconclusive: too few examples to tell (0 with gate.on_inconclusive: warn)
  4  the baseline is missing, unreadable, or of other data, prompts, settings or rules
  5  the run lacks a gated result, or holds an invalid one, or cannot be read
"""


class _CheckByDefault(TyperGroup):
    """A group whose first argument may be a run instead of a command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command before arguments that name none."""
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


gate_app = typer.Typer(
    name="gate",
    cls=_CheckByDefault,
    help=_HELP,
    short_help="Compare a run with the accepted baseline; exit code 1 if it is worse.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Baseline = Annotated[
    Path, typer.Option("--baseline", metavar="FILE", help="The baseline; a .npz lies beside it.")
]
_BASELINE = Path("baseline.json")


@gate_app.command(_DEFAULT)
def check(
    run: RunArgument,
    baseline: _Baseline = _BASELINE,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for gate.json, .md, .junit.xml and .html; default: the run's own.",
        ),
    ] = None,
    smoke: Smoke = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = DEFAULT_RUNS,
) -> None:
    """Compare a run with the baseline; what `harness gate RUN` does.

    With --smoke RUN is a suite: its smoke test is run, accepted and compared with itself.
    """
    if smoke:
        with _failing_as_no_regression():
            changed = baseline if baseline != _BASELINE else None
            refuse_beside_smoke(baseline=changed, output=output)
            code = _smoke_gate(run, runs_dir, as_json=as_json)
        raise typer.Exit(code)
    with _failing_as_no_regression():
        from harness.gate.check import run_gate
        from harness.gate.outputs import gate_text, write_gate

        store, manifest = real_run(run, runs_dir)
        result = run_gate(store, manifest, baseline)
        folder = output or store.run_dir(manifest.suite, manifest.run_id)
        paths = write_gate(result, folder)  # before anything can end the process
        if as_json:
            say_json(result.model_dump_json(indent=1))
        else:
            say(gate_text(result))
            say(f"\nWritten: {', '.join(map(str, paths))}")
    raise typer.Exit(result.exit_code)


@gate_app.command()
def accept(
    run: RunArgument,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the baseline's history.")
    ],
    baseline: _Baseline = _BASELINE,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", help="Who; default: $GITHUB_ACTOR, or the login."),
    ] = None,
    runs_dir: RunsDir = DEFAULT_RUNS,
) -> None:
    """Make a run the baseline; the history keeps who, when, why, and what changed."""
    with _failing_as_no_regression():
        from harness.gate.accept import accept_baseline, broken_floors
        from harness.gate.baseline import sidecar_of

        store, manifest = real_run(run, runs_dir)
        accepted = accept_baseline(store, manifest, baseline, reason, by or _user())
    entry = accepted.history[-1]
    count = sum(len(subject.scores) for subject in accepted.subjects.values())
    which = ", ".join(
        name if name == subject.variant else f"{name} ({subject.variant})"
        for name, subject in accepted.subjects.items()
    )
    say(f"Accepted {accepted.run}: {count} scores of {which}, by {entry.who}: {entry.why}")
    for what, delta in entry.deltas.items():
        say(f"  {what}: {delta:+.4g}")
    if entry.note:
        warn(f"warning: {entry.note}")
    for line in broken_floors(accepted):
        warn(f"warning: {line}; the gate will fail every such run")
    say(f"Keep both in version control: {baseline} {sidecar_of(baseline)}")


def _smoke_gate(suite: str, runs_dir: Path, *, as_json: bool) -> int:
    """Whether what the suite gates is there: its smoke test passes as its own baseline."""
    from harness.cli.eval import smoke_run
    from harness.gate.accept import accept_baseline
    from harness.gate.check import run_gate
    from harness.gate.outputs import gate_text

    store, manifest = smoke_run(suite, runs_dir)
    with tempfile.TemporaryDirectory() as folder:
        baseline = Path(folder) / _BASELINE
        accept_baseline(store, manifest, baseline, "smoke test", "nobody")
        result = run_gate(store, manifest, baseline)
    if as_json:
        say_json(result.model_dump_json(indent=1))
    else:
        say(gate_text(result))
    return result.exit_code


@contextmanager
def _failing_as_no_regression() -> Iterator[None]:
    """Exit code 1 says that a model got worse, so whatever fails here ends with another one."""
    try:
        yield
    except HarnessError as error:
        if error.exit_code != 1:
            raise
        raise QualityError(error.problem, where=error.where, hint=error.hint) from error
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and _is_optional(error):
            raise  # a usage error, which the entry point words
        traceback.print_exc()
        raise typer.Exit(QualityError.exit_code) from error


def _is_optional(error: ModuleNotFoundError) -> bool:
    from harness.cli.doctor import OPTIONAL

    return (error.name or "").partition(".")[0] in OPTIONAL


def _user() -> str:
    actor = os.environ.get("GITHUB_ACTOR")
    if actor:
        return actor
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return "unknown"
