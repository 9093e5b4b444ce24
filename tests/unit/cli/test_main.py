"""The command line: verbs, messages and exit codes, without any model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from harness import __version__
from harness.cli import main as cli
from harness.errors import BaselineError, HarnessError, PluginWarning, StoreError, UsageError
from harness.schema import CellResult, Manifest, Variant
from harness.store.runs import Store
from harness.suite import arguments
from harness.suite.fields import Fields
from tests.unit.suites import suite_file

runner = CliRunner()


def verbs() -> list[str]:
    group = typer.main.get_command(cli.app)
    assert isinstance(group, typer.core.TyperGroup)
    return sorted(group.commands)


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_explains_itself(verb: str) -> None:
    """Its first line says what it does."""
    done = runner.invoke(cli.app, [verb, "--help"])
    assert done.exit_code == 0
    assert "Usage: " in done.output
    assert len(done.output.splitlines()) > 4


def test_the_version_is_the_package_s() -> None:
    """As pip shows it."""
    assert runner.invoke(cli.app, ["--version"]).output == f"qlora-harness {__version__}\n"


def test_help_loads_neither_torch_nor_pydantic() -> None:
    """Importing the command line is all that --help costs."""
    code = "import sys, harness.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "pydantic", "numpy", "yaml", "rich", "platformdirs"} & set(
        done.stdout.split()
    )


@pytest.mark.parametrize("args", [["evaluate"], ["eval"], ["eval", "tiny", "--limit", "0"]])
def test_a_wrong_command_ends_with_exit_code_2(args: list[str]) -> None:
    """As every configuration error does."""
    assert runner.invoke(cli.app, args).exit_code == 2


def test_what_is_left_out_is_a_line_without_a_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package's section that fails is the user's to know; where we noticed it is not."""
    others: list[Any] = []
    monkeypatch.setattr(cli, "_python_warning", lambda *args: others.append(args))
    cli._show_warning("entry point x: it fails.", PluginWarning, "walk.py", 68)
    assert capsys.readouterr().err == "warning: entry point x: it fails.\n"
    assert others == []
    cli._show_warning("something else", UserWarning, "other.py", 1)
    assert others == [("something else", UserWarning, "other.py", 1, None, None)]


def run_main(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int | str | None:
    """Exit code of the entry point where a verb ends with an error."""

    def verb() -> None:
        raise error

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(verb)
    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr(sys, "argv", ["harness"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (UsageError("needed x, found y.", where="f:1", hint="Write x."), 2, "error: f:1: needed"),
        (HarnessError("it broke."), 1, "error: it broke."),
        (ModuleNotFoundError("no peft", name="peft"), 2, "pip install 'qlora-harness[hf]'"),
        (KeyboardInterrupt(), 130, "run the same command again to resume"),
    ],
    ids=["usage", "failure", "missing extra", "interrupted"],
)
def test_an_error_ends_in_one_message_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    words: str,
) -> None:
    """2 for what a user can mend, 1 for what failed, 130 after Ctrl-C."""
    assert run_main(monkeypatch, error) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("no such", name="harness.nosuch"), IndexError("out of range")]
)
def test_what_nobody_foresaw_is_a_bug_and_shows_as_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    """With its traceback, and not with the exit code of a failed cell; only extras are named."""
    assert run_main(monkeypatch, error) == 70
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert str(error) in shown
    assert "This is a bug of qlora-harness" in shown


def test_half_of_a_surrogate_pair_is_a_mistake_of_the_user_s() -> None:
    """And no bug of ours, where a key is made of it."""
    done = runner.invoke(cli.app, ["validate", "tiny", "--set", 'description="\\ud800"'])
    assert isinstance(done.exception, UsageError)
    assert "description must be text" in str(done.exception)


def test_arguments_that_cannot_be_checked_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without TRL a suite is valid as far as it can be told."""
    monkeypatch.setattr(arguments, "installed_fields", lambda config: Fields(unknown="gone"))
    done = runner.invoke(cli.app, ["validate", "tiny", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["suite"] == "tiny"
    assert "warning: train.args could not be checked against trl.SFTConfig: gone" in done.stderr


def test_readers_print_valid_json(tmp_path: Path) -> None:
    """On a folder without any run, too."""
    path = str(suite_file(tmp_path).path)
    for args in (["suites"], ["runs"], ["prune"], ["validate", path]):
        options = [] if args == ["suites"] else ["--runs-dir", str(tmp_path / "runs")]
        done = runner.invoke(cli.app, [*args, *options, "--json"])
        assert done.exit_code == 0, done.output
        json.loads(done.output)


def test_runs_lists_what_it_cannot_read(tmp_path: Path) -> None:
    """A damaged manifest is named with its file; the other runs are still listed."""
    store = Store(tmp_path)
    for run_id in ("r1", "r2"):
        manifest = Manifest(
            run_id=run_id,
            suite="small",
            suite_digest="d",
            spec={},
            command="harness eval",
            created="2026",
            updated="2026",
            complete=True,
            variants=(),
            baseline="base",
            cells=(),
        )
        path = store.write_manifest(manifest)
    path.write_text("{")
    done = runner.invoke(cli.app, ["runs", "--runs-dir", str(tmp_path)])
    assert done.exit_code == 0
    assert "small/r1  2026" in done.stdout
    assert f"unreadable: {path}: This manifest was changed" in done.stderr
    done = runner.invoke(cli.app, ["runs", "--json", "--runs-dir", str(tmp_path)])
    assert [found["run_id"] for found in json.loads(done.stdout)] == ["r1"]


def test_runs_counts_what_was_planned(tmp_path: Path) -> None:
    """A run that was cut off shows what is left, and one that goes on says so.

    Older manifests hold no plan: there each variant so far has each task. Ratings are no cells of
    a plan.
    """
    store = Store(tmp_path)
    cells = [
        CellResult(variant="base", task="t", kind="generation", status="done"),
        CellResult(variant="base", task="u", kind="perplexity", status="failed", reason="no"),
        CellResult(variant="base", task="human", kind="human", status="done"),
    ]
    base = Variant(id="base", kind="base", base_model="m", precision="nf4")

    def listed(**changes: Any) -> str:
        fields: dict[str, Any] = {
            "run_id": "r1",
            "suite": "small",
            "suite_digest": "d",
            "spec": {"tasks": {"t": {}, "u": {}}, "measure": {}},
            "command": "harness eval",
            "created": "2026",
            "updated": "2026",
            "complete": False,
            "variants": (base,),
            "baseline": "base",
            "cells": cells,
        }
        store.write_manifest(Manifest(**fields | changes))
        return runner.invoke(cli.app, ["runs", "--runs-dir", str(tmp_path)]).stdout

    assert "  partial, 1 of 3 cells, 1 failed  harness eval" in listed()
    assert "  partial, 1 of 7 cells, 1 failed  " in listed(planned=7, ended=True)
    assert "  interrupted, 1 of 7 cells, 1 failed  " in listed(planned=7, ended=False)
    assert "  complete, 1 of 1 cells  " in listed(planned=1, complete=True, cells=cells[:1])
    with store.running("small", "r1"):
        assert "  running, 1 of 7 cells, 1 failed  " in listed(planned=7, ended=False)
        done = runner.invoke(cli.app, ["runs", "--json", "--runs-dir", str(tmp_path)])
    (found,) = json.loads(done.stdout)
    assert (found["state"], found["done"], found["planned"]) == ("running", 1, 7)
    assert "  interrupted, " in listed(planned=7, ended=False)


@pytest.mark.parametrize("args", [["check"], ["accept", "--reason", "why"]])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreError("cannot be read."), 5),
        (HarnessError("it broke."), 5),
        (UsageError("no such run."), 2),
        (BaselineError("of other data."), 4),
        (ZeroDivisionError("a bug"), 5),
        (ModuleNotFoundError("no such", name="harness.nosuch"), 5),
        (ModuleNotFoundError("no peft", name="peft"), 2),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_no_failure_of_a_gate_looks_like_a_regression(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: list[str],
    error: BaseException,
    code: int,
) -> None:
    """Exit code 1 is kept for models that got worse; a bug still shows its traceback."""

    def find(name: str, runs_dir: Path) -> None:
        raise error

    monkeypatch.setattr("harness.store.runs.find_run", find)
    monkeypatch.setattr(sys, "argv", ["harness", "gate", args[0], "small", *args[1:]])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == code
    shown = capsys.readouterr().err
    assert ("Traceback" in shown) == (str(error) in ("a bug", "no such"))


def test_train_without_a_train_section_is_refused(tmp_path: Path) -> None:
    """The message names the verb that fits."""
    done = runner.invoke(cli.app, ["train", str(suite_file(tmp_path).path)])
    assert isinstance(done.exception, UsageError)
    assert "harness eval" in str(done.exception)
