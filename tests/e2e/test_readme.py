"""What README, guides and CONTRIBUTING say to type: it exists, parses, and where cheap, runs."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from harness.cli.main import app
from harness.suite.file import load_suite
from tests.e2e.conftest import harness

ROOT = Path(__file__).parents[2]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CHEAP = {"init", "validate", "suites", "runs", "doctor", "schema", "prune", "verify"}
COMMANDS = typer.main.get_command(app)


def blocks(document: Path, language: str) -> list[str]:
    """Fenced blocks of a language."""
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return fence.findall(document.read_text("utf-8"))


def shell_commands(document: Path, program: str) -> list[list[str]]:
    """Every command of a program in the document's sh blocks, split into words."""
    found = []
    for block in blocks(document, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"\s(?:&&|\|\||;|\|)\s", line):
                words = shlex.split(part, comments=True)
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words.pop(0)
                if words and Path(words[0]).name == program:
                    found.append(words[1:])
    return found


def cases(program: str) -> list[object]:
    return [
        pytest.param(words, id=f"{document.name}: {' '.join(words)}")
        for document in DOCS
        for words in shell_commands(document, program)
    ]


def nox_sessions() -> set[str]:
    tree = ast.parse((ROOT / "noxfile.py").read_text("utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if "nox.session" in ast.unparse(decorator)
    }


def test_the_readme_is_read_right() -> None:
    """Guards the tests below: they must find something to check."""
    assert ["init", "tiny", "--to", "mine.yaml"] in shell_commands(ROOT / "README.md", "harness")
    assert ["-s", "eval"] in shell_commands(ROOT / "README.md", "nox")
    assert "eval" in nox_sessions()


@pytest.mark.parametrize("words", cases("harness"))
def test_a_documented_command_parses(words: list[str]) -> None:
    """Verb, arguments and options are those of the command line; nothing is run."""
    group = COMMANDS.make_context("harness", list(words))
    assert isinstance(COMMANDS, typer.core.TyperGroup)
    name, command, rest = COMMANDS.resolve_command(group, [*group._protected_args, *group.args])
    assert command is not None
    command.make_context(name, rest, parent=group)


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_an_inline_verb_exists(document: Path) -> None:
    """Also `harness verb` in running text and tables."""
    verbs = re.findall(r"`harness ([a-z][a-z-]*)", document.read_text("utf-8"))
    assert isinstance(COMMANDS, typer.core.TyperGroup)
    assert set(verbs) <= set(COMMANDS.commands)


def test_the_cheap_commands_of_the_readme_run_as_written(tmp_path: Path) -> None:
    """In the order of the page, in an empty folder."""
    ran = []
    for words in shell_commands(ROOT / "README.md", "harness"):
        if words[0] in CHEAP:
            done = harness(*words, cwd=tmp_path, env={"HARNESS_RUNS": str(tmp_path / "runs")})
            assert done.code == 0, (words, done.err)
            ran.append(words[0])
    assert {"init", "validate"} <= set(ran)


def test_the_readers_of_the_verb_table_run(tmp_path: Path) -> None:
    """Those that need neither a suite nor a run, in an empty folder."""
    for verb in ("suites", "init", "runs", "prune", "schema"):
        done = harness(verb, cwd=tmp_path, env={"HARNESS_RUNS": str(tmp_path / "runs")})
        assert done.code == 0, (verb, done.err)
        assert done.out


def test_the_suite_of_the_readme_is_valid(tmp_path: Path) -> None:
    """It can be copied as it stands."""
    (text,) = blocks(ROOT / "README.md", "yaml")
    path = tmp_path / "mine.yaml"
    path.write_text(text, "utf-8")
    suite = load_suite(str(path)).suite
    assert suite.train is not None
    assert suite.train.args["learning_rate"] == pytest.approx(2e-4)


@pytest.mark.parametrize("words", cases("nox"))
def test_a_documented_nox_session_exists(words: list[str]) -> None:
    """What stands after -s is a function of noxfile.py."""
    assert words[words.index("-s") + 1] in nox_sessions()


def test_documented_extras_exist() -> None:
    """`pip install 'qlora-harness[extra]'` would only warn of an unknown one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for document in DOCS:
        for names in re.findall(r"(?:qlora-harness|\.)\[([a-z,-]+)\]", document.read_text("utf-8")):
            assert set(names.split(",")) <= set(project["optional-dependencies"]), document


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Relative links name files of the repository."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text("utf-8")):
        assert (document.parent / target).exists(), target
