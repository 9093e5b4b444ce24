"""Settings of the command line (``--set dotted.key=value``) over what a suite file says."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import Any

from harness.errors import SuiteError, shown
from harness.suite.places import Key, dotted
from harness.suite.yaml_text import compose, construct

_DEEPEST_KEY = 40  # parts of a dotted key
_LONGEST_INDEX = 9  # digits
_PATHS = re.compile(  # keys whose values may be paths
    r"base\.(model|tokenizer)|checkpoints(\[\d+\])?"
    r"|(tasks\.[^.]+\.)?data\.(source|files\..+)|tasks\.[^.]+\.task"
)


def apply_setting(content: dict[str, Any], override: str, folder: Path) -> Key:
    """Set ``a.b.c=value`` in nested mappings, creating those that are missing; returns its key.

    Args:
        content: What the suite file says; it is changed.
        override: The setting; its value is YAML.
        folder: Of the suite file, from which paths in the content start.

    Raises:
        SuiteError: It is no such setting, or has no place in the content.
    """
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise SuiteError("--set needs the form dotted.key=value.", where=f"--set {override}")
    value = _value_of(key, text)
    *parents, last = key.strip().split(".")
    if len(parents) > _DEEPEST_KEY:
        raise SuiteError(f"A key has at most {_DEEPEST_KEY} parts.", where=f"--set {key}")
    place: Any = content
    where: list[str | int] = []
    for depth, part in enumerate(parents):
        step = place.setdefault(part, {}) if isinstance(place, dict) else _item(place, part)
        if not isinstance(step, dict | list):
            raise SuiteError(
                f"{'.'.join(parents[: depth + 1])} is not a mapping, found {shown(step)}.",
                where=f"--set {override}",
            )
        where.append(int(part) if isinstance(place, list) else part)
        place = step
    if isinstance(place, list):
        _item(place, last)
    end = int(last) if isinstance(place, list) else last
    place[end] = _as_in_file((*where, end), value, folder)
    return (*where, end)


def _value_of(key: str, text: str) -> Any:
    try:
        return construct(compose(text, f"--set {key}"), f"--set {key}")
    except SuiteError as error:
        problem = f"The value is not valid YAML: {shown(text)}."
        hint = " ".join(part for part in (error.problem, error.hint) if part)
        raise SuiteError(problem, where=f"--set {key}", hint=hint) from error


def _item(place: list[Any], part: str) -> Any:
    is_index = part.isascii() and part.isdecimal() and len(part) < _LONGEST_INDEX
    if not is_index or int(part) >= len(place):
        raise SuiteError(f"A list of {len(place)} items has no item {shown(part)}.", where="--set")
    return place[int(part)]


def _as_in_file(key: Key, value: Any, folder: Path) -> Any:
    """A value whose paths start from the suite's folder, and not from the current one."""
    if isinstance(value, dict):
        return {name: _as_in_file((*key, str(name)), part, folder) for name, part in value.items()}
    if isinstance(value, list):
        return [_as_in_file((*key, place), part, folder) for place, part in enumerate(value)]
    if isinstance(value, str) and _PATHS.fullmatch(dotted(key)) and _is_here(value):
        return Path(os.path.relpath(value, folder.resolve())).as_posix()
    return value


def _is_here(text: str) -> bool:
    """Whether a text that may be a path, a Hub id or a built-in's name is a path from here."""
    if Path(text).is_absolute() or text.startswith("~"):
        return False
    try:
        return text.startswith(("./", "../")) or next(glob.iglob(text), None) is not None  # noqa: PTH207
    except (OSError, ValueError):  # no path at all; who reads it tells so
        return False
