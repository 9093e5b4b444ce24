"""The workflow of the CI guide: its commands are real, its permissions as described."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from harness.gate.markdown import marker
from harness.suite.file import load_suite
from harness.suite.rules import GateSpec
from tests.e2e.test_readme import COMMANDS, blocks
from tests.unit.gate.gate_records import mixed

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "docs" / "guides"
WORKFLOW = yaml.safe_load((GUIDES / "github-actions.yml").read_text("utf-8"))
JOB: dict[str, Any] = WORKFLOW["jobs"]["gate"]
STEPS: dict[str, dict[str, Any]] = {
    step.get("name", step.get("uses")): step for step in JOB["steps"]
}


def gitlab() -> list[str]:
    """Lines of the GitLab job's script."""
    for block in blocks(GUIDES / "ci.md", "yaml"):
        found = yaml.safe_load(block)
        if "script" in found.get("gate", {}):
            return list(found["gate"]["script"])
    raise LookupError


def commands() -> list[list[str]]:
    """Every `harness` command of both recipes, and of the script that gates this project."""
    scripts = [step["run"] for step in JOB["steps"] if "run" in step]
    scripts += [*gitlab(), (ROOT / ".ci" / "selfgate").read_text("utf-8")]
    lines = "\n".join(scripts).replace("\\\n", " ").splitlines()
    found = [re.search(r"(?:^|expect \S+ )\s*(harness [a-z].*)", line) for line in lines]
    return [shlex.split(match[1])[1:] for match in found if match]


def test_the_recipes_train_then_gate() -> None:
    """In this order; guards the tests below, which must find something to check."""
    verbs = [words[0] for words in commands()]
    assert verbs == ["eval", "gate", "gate", "eval", "gate", "eval", "gate", "gate"]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_of_a_recipe_parses(words: list[str]) -> None:
    """Verb, arguments and options are those of the command line; nothing is run."""
    words = [word for word in words if word != "$@"]
    group = COMMANDS
    context = group.make_context("harness", words)
    while isinstance(group, typer.core.TyperGroup):
        rest = [*context._protected_args, *context.args]
        name, command, rest = group.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, rest, parent=context)
        group = command


def test_what_the_recipes_name_exists() -> None:
    """The suite, its name, and its gate."""
    suite = load_suite(str(ROOT / "suites" / "tiny.yaml")).suite
    assert suite.name == "tiny"
    assert suite.gate.metrics
    assert ["eval", "suites/tiny.yaml"] in commands()
    assert ["gate", "tiny", "--baseline", "baseline.json"] in commands()


def test_the_gate_of_the_guide_is_valid() -> None:
    """It can be copied into a suite as it stands."""
    (text,) = blocks(GUIDES / "gate.md", "yaml")
    assert GateSpec.model_validate(yaml.safe_load(text)["gate"]).metrics[1].floor == 60


def test_the_job_may_do_what_it_needs_and_no_more() -> None:
    """Read the code, write the comment; training code finds no credentials."""
    assert WORKFLOW["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert STEPS["actions/checkout@v5"]["with"]["persist-credentials"] is False
    assert JOB["timeout-minutes"] <= 15
    with_token = [name for name, step in STEPS.items() if "GH_TOKEN" in step.get("env", {})]
    assert with_token == ["Comment on the pull request"]


def test_results_are_shown_whatever_the_gate_says() -> None:
    """A red gate must not hide its own explanation."""
    for name in ("Job summary", "actions/upload-artifact@v6", "Comment on the pull request"):
        assert "always()" in STEPS[name]["if"]
    assert "!cancelled()" in STEPS["Gate"]["if"]


def test_nothing_of_a_pull_request_is_pasted_into_a_script() -> None:
    """Expressions stand in env and if only, where their text cannot become a command."""
    for name, step in STEPS.items():
        assert "${{" not in step.get("run", ""), name


@pytest.mark.parametrize("existing", ["", "4711"])
def test_the_comment_is_made_once_and_then_updated(existing: str, tmp_path: Path) -> None:
    """The script runs with a stand-in for gh, which records how it is called."""
    folder = tmp_path / "runs" / "tiny" / "r-1"
    folder.mkdir(parents=True)
    (folder / "gate-comment.md").write_text(f"{marker(mixed())}\n\ntext\n", "utf-8")
    (tmp_path / "gh").write_text(
        '#!/bin/sh\nprintf "%s\\n" "$*" >> calls\n'
        f'case "$*" in *paginate*) printf "%s" "{existing}";; esac\n',
        "utf-8",
    )
    (tmp_path / "gh").chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "REPO": "me/mine", "PR": "12", "GH_TOKEN": "none"}
    script = STEPS["Comment on the pull request"]["run"]
    subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=tmp_path, env=env, check=True)
    look_up, write = (tmp_path / "calls").read_text("utf-8").splitlines()
    assert 'startswith("<!-- harness-gate:tiny -->")' in look_up
    if existing:
        assert write.startswith(
            "api --method PATCH repos/me/mine/issues/comments/4711 -F body=@runs"
        )
    else:
        assert write == "pr comment 12 --repo me/mine --body-file runs/tiny/r-1/gate-comment.md"


def test_without_outputs_there_is_no_comment(tmp_path: Path) -> None:
    """Where training failed before the gate, the step passes quietly."""
    script = STEPS["Comment on the pull request"]["run"]
    env = {"PATH": "/usr/bin:/bin"}
    subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=env, check=True)
