"""The command line: verbs, messages and exit codes, without any model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from harness import __version__, cli
from harness.errors import HarnessError, UsageError
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
    code = "import sys, harness.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "pydantic", "numpy", "yaml"} & set(done.stdout.split())


@pytest.mark.parametrize("args", [["evaluate"], ["eval"], ["eval", "tiny", "--limit", "0"]])
def test_a_wrong_command_ends_with_exit_code_2(args: list[str]) -> None:
    """As every configuration error does."""
    assert runner.invoke(cli.app, args).exit_code == 2


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
        (UsageError("needed x, found y.", where="f:1", mend="Write x."), 2, "error: f:1: needed"),
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


def test_a_missing_module_of_ours_is_a_bug_and_shows_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only packages of extras are told with their extra."""
    monkeypatch.setattr(cli, "app", lambda **_: __import__("harness.no_such_module"))
    with pytest.raises(ModuleNotFoundError):
        cli.main()


def test_readers_print_valid_json(tmp_path: Path) -> None:
    """On a folder without any run, too."""
    path = str(suite_file(tmp_path).path)
    for args in (["suites"], ["runs"], ["prune"], ["validate", path]):
        options = [] if args == ["suites"] else ["--runs-dir", str(tmp_path / "runs")]
        done = runner.invoke(cli.app, [*args, *options, "--json"])
        assert done.exit_code == 0, done.output
        json.loads(done.output)


def test_train_without_a_train_section_is_refused(tmp_path: Path) -> None:
    """The message names the verb that fits."""
    done = runner.invoke(cli.app, ["train", str(suite_file(tmp_path).path)])
    assert isinstance(done.exception, UsageError)
    assert "harness eval" in str(done.exception)
