"""Copies a built-in suite as the start of a user's own."""

import re
from pathlib import Path

from harness.errors import UsageError
from harness.files import write_atomic
from harness.suite.file import builtin_suites, find_suite

_ELSEWHERE = "Choose another: --to"
_HEADER = "# yaml-language-server: $schema={schema}\n"


def copy_suite(name: str, to: Path | None = None) -> Path:
    """Write a built-in suite to a new file, with a schema line for editors beside it.

    Args:
        name: A built-in suite.
        to: File to write; default: the suite's own name, in this folder.

    Returns:
        The file written.

    Data files that the suite names stay where they are: paths of shipped files are found from
    anywhere. The schema is written beside the suite.

    Raises:
        UsageError: The target exists or cannot be written, or there is no such suite.
    """
    builtin = builtin_suites()
    path = builtin.get(name) or find_suite(name)  # which raises, with near names
    if path not in builtin.values():
        raise UsageError(
            "Only built-in suites are copied: paths inside others would lead nowhere.",
            where=name,
            hint=f"There are: {', '.join(builtin)}.",
        )
    to = to or Path(f"{path.stem}.yaml")
    if to.exists():
        raise UsageError("The file exists already.", where=str(to), hint="Choose another: --to")
    text = re.sub(r"^# yaml-language-server:.*\n", "", path.read_text("utf-8"))
    own = re.sub(r"^name: .*$", f"name: {_suite_name(to)}", text, count=1, flags=re.MULTILINE)
    schema = to.parent / "suite.schema.json"
    if not schema.exists():
        import json

        from harness.suite.spec import suite_schema

        text_of_schema = json.dumps(suite_schema(), indent=1, sort_keys=True) + "\n"
        write_atomic(schema, text_of_schema, hint=_ELSEWHERE)
    write_atomic(to, _HEADER.format(schema=schema.name) + own, hint=_ELSEWHERE)
    return to


def _suite_name(path: Path) -> str:
    """A suite name made of a file name: lower case, with dashes for what a name may not hold."""
    return re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("-._") or "suite"
