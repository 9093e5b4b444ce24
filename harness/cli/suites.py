"""``harness suites``, ``init``, ``schema`` and ``validate``: parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import options
from harness.cli.options import say


def suites(as_json: options.AsJson = False) -> None:
    """List the built-in suites."""
    from harness.suite.file import builtin_suites, load_suite

    there = {name: load_suite(str(path)).suite for name, path in builtin_suites().items()}
    if as_json:
        options.print_json(
            [{"name": name, "description": s.description} for name, s in there.items()]
        )
        return
    options.print_table(
        ("suite", "description"), [(name, s.description) for name, s in there.items()]
    )


def init(
    name: Annotated[str, typer.Argument(help="Built-in suite to start from.")] = "tiny",
    to: Annotated[
        Path | None, typer.Option("--to", help="File to write; default: NAME.yaml.")
    ] = None,
) -> None:
    """Copy a built-in suite as a start of your own."""
    from harness.suite.init import copy_suite

    say(str(copy_suite(name, to)))


def validate(
    suite: options.SuiteArgument,
    overrides: options.SetOption = None,
    limit: options.LimitOption = None,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Check a suite; show its matrix, its cells, what is done and why something is stale."""
    from harness.plan.explain import check_tasks, describe_plan, plan_as_json
    from harness.validate.members import member_files

    file, store = (
        options.loaded_suite(suite, overrides, limit, rows=True),
        options.store_in(runs_dir),
    )
    check_tasks(file)
    members = member_files(file)
    if as_json and members:
        plans = {label: plan_as_json(own, store) for label, own in members.items()}
        options.print_json({"suite": file.suite.name, "path": str(file.path), "members": plans})
    elif as_json:
        options.print_json(plan_as_json(file, store))
    elif members:
        say(f"{file.path}: valid, {len(members)} trainings, each a run of its own")
        for label, own in members.items():
            say(f"\n{label}\n{describe_plan(own, store)}")
    else:
        say(describe_plan(file, store))


def schema() -> None:
    """Print the JSON Schema of a suite (editors complete from it)."""
    from harness.suite.spec import suite_schema

    options.print_json(suite_schema())
