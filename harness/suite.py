"""Reads a suite file: YAML to ``Suite``, with every error named by file, line and dotted key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from harness.errors import SuiteError
from harness.resources import resource_dir
from harness.rules import PATTERNS
from harness.spec import Suite

_HINTS = {
    "train.lora.r": "Typical values are 8 to 64.",
    "train.lora.lora_alpha": "Typical values are r to 2 r.",
    "train.lora.lora_dropout": "Typical values are 0 to 0.1.",
    "seed": "Any whole number from 0 on will do.",
}


_WORDING = {  # pydantic's phrases, made to follow a dotted key
    "Input should be ": "must be ",
    "Input should ": "must ",
    "String should match": "must match",
    "Tuple should have at least 1 item after validation, not 0": "needs at least one item",
    "Dictionary should have at least 1 item after validation, not 0": "needs at least one entry",
    "Input tag": "has a `type` that is not known:",
}


class _Loader(yaml.SafeLoader):
    """YAML with the numbers of YAML 1.2: PyYAML takes ``2e-4`` for a text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


@dataclass(frozen=True)
class SuiteFile:
    """A suite, where it was read from, and the folder its relative paths start at.

    ``limit`` is the command line's, which the tasks already hold; None without one.
    """

    suite: Suite
    path: Path
    base_dir: Path
    limit: int | None = None


def builtin_suites() -> dict[str, Path]:
    """Suites that come with the package: name -> file, sorted by name."""
    return {path.stem: path for path in sorted(resource_dir("suites").glob("*.yaml"))}


def find_suite(name: str) -> Path:
    """Path of a suite given as a file, or as the name of a built-in one.

    Raises:
        SuiteError: There is neither such a file nor such a built-in suite.
    """
    path = Path(name)
    if path.is_file():
        return path
    builtin = builtin_suites()
    # `suites/demo.yaml` works from any folder, not only from a checkout
    stem = path.stem if path.parent in (Path(), Path("suites")) else name
    if stem in builtin and path.suffix in ("", ".yaml"):
        return builtin[stem]
    here = [str(p) for folder in (Path(), Path("suites")) for p in folder.glob("*.yaml")]
    near = difflib.get_close_matches(name, [*here, *builtin], n=3)
    did_you_mean = f"Did you mean {' or '.join(near)}? " if near else ""
    raise SuiteError(
        "There is no such suite file, and no built-in suite of that name.",
        where=name,
        mend=f"{did_you_mean}Built in are: {', '.join(builtin)}.",
    )


def load_suite(name: str, overrides: Sequence[str] = (), limit: int | None = None) -> SuiteFile:
    """Read and validate a suite.

    Args:
        name: A path, or the name of a built-in suite.
        overrides: ``dotted.key=value`` settings applied over the file; values are YAML.
        limit: At most this many examples per task and split, over what the tasks say.

    Raises:
        SuiteError: With one line per error, each naming file, line and dotted key.
    """
    path = find_suite(name)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"Cannot read the suite: {error}.", where=str(path)) from error
    root = _compose(text, path)
    content = _construct(root, path)
    for override in overrides:
        _apply_override(content, override)
    if limit is not None:
        tasks = content.get("tasks")
        for task in tasks.values() if isinstance(tasks, dict) else ():
            if isinstance(task, dict):  # else the model says what is wrong
                task["limit"] = limit
    try:
        suite = Suite.model_validate(content)
    except ValidationError as error:
        lines = [_explain(problem, root, path) for problem in _telling(error.errors())]
        raise SuiteError("\n".join(lines)) from error
    return SuiteFile(suite, path, path.resolve().parent, limit)


def _compose(text: str, path: Path) -> yaml.MappingNode:
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise SuiteError(f"Not valid YAML: {problem}.", where=f"{path}{line}") from error
    if not isinstance(root, yaml.MappingNode):
        raise SuiteError("A suite is a mapping of keys to values.", where=f"{path}:1")
    for key, times, at in _duplicate_keys(root):
        raise SuiteError(f"The key {key!r} is given {times} times.", where=f"{path}:{at}")
    return root


def _construct(root: yaml.MappingNode, path: Path) -> dict[str, Any]:
    loader = _Loader("")
    try:
        content: dict[str, Any] = loader.construct_document(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise SuiteError(f"{getattr(error, 'problem', error)}.", where=where) from error
    finally:
        loader.dispose()
    return content


def _duplicate_keys(node: yaml.Node) -> Iterator[tuple[str, int, int]]:
    """Keys a mapping holds more than once (YAML would silently keep the last)."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value)  # a key may be a list, too
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > 1:
                yield name, seen[name], key.start_mark.line + 1
            yield from _duplicate_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _duplicate_keys(item)


def _apply_override(content: dict[str, Any], override: str) -> None:
    """Set ``a.b.c=value`` in nested mappings, creating those that are missing."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise SuiteError("--set needs the form dotted.key=value.", where=f"--set {override}")
    try:
        value = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader
    except yaml.YAMLError as error:
        raise SuiteError(f"The value is not valid YAML: {text!r}.", where=f"--set {key}") from error
    *parents, last = key.strip().split(".")
    place: Any = content
    for depth, part in enumerate(parents):
        step = place.setdefault(part, {}) if isinstance(place, dict) else _item(place, part)
        if not isinstance(step, dict | list):
            raise SuiteError(
                f"{'.'.join(parents[: depth + 1])} is not a mapping, found {step!r}.",
                where=f"--set {override}",
            )
        place = step
    if isinstance(place, list):
        if _item(place, last) is not None:
            place[int(last)] = value
    else:
        place[last] = value


def _item(place: list[Any], part: str) -> Any:
    if not part.isdigit() or int(part) >= len(place):
        raise SuiteError(f"A list of {len(place)} items has no item {part!r}.", where="--set")
    return place[int(part)]


def _telling(problems: Sequence[Any]) -> list[Any]:
    """Errors without those of the other branch of a union, such as "no number" for ``4 XB``."""
    patterned = {p["loc"][:-1] for p in problems if p["type"] == "string_pattern_mismatch"}
    return [p for p in problems if p["type"] != "float_parsing" or p["loc"][:-1] not in patterned]


def _explain(problem: Mapping[str, Any], root: yaml.Node, path: Path) -> str:
    """One error of pydantic's, as: file:line: key must ..., found ... hint."""
    keys, line = _locate(problem["loc"], root)
    dotted = _dotted(keys)
    where = f"{path}:{line}"
    if problem["type"] == "extra_forbidden":
        return f"{where}: {dotted} is not a key of a suite.{_near_key(keys)}"
    if problem["type"] == "missing":
        return f"{where}: {dotted} is needed, but is missing."
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "string_pattern_mismatch":
        pattern = problem["ctx"]["pattern"]
        message = f"must be {PATTERNS[pattern]}" if pattern in PATTERNS else message
    if problem["type"] == "value_error":
        return f"{where}: {f'{dotted}: ' if dotted else ''}{message}."
    for theirs, ours in _WORDING.items():
        message = message.replace(theirs, ours)
    found = "" if isinstance(problem["input"], dict) else f", found {problem['input']!r}"
    hint = _HINTS.get(dotted)
    return f"{where}: {dotted} {message}{found}.{f' {hint}' if hint else ''}"


def _dotted(keys: Sequence[str | int]) -> str:
    """Keys as a path: ``select.constraints[0].max``."""
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return path.removeprefix(".")


def _locate(loc: Sequence[str | int], root: yaml.Node) -> tuple[list[str | int], int]:
    """The keys of the file that an error concerns, and the line of the innermost one present.

    pydantic also puts union tags (the ``type`` of a task) into ``loc``; those are not keys.
    """
    line, keys = root.start_mark.line + 1, []
    node: yaml.Node | None = root
    known = all_keys(Suite)
    for index, part in enumerate(loc):
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if found is not None:
                line, node = found[0].start_mark.line + 1, found[1]
            elif part not in known or _is_tag(part, node):
                continue
            else:  # not in the file: it was set on the command line, or is missing
                node = None
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
        elif index and not isinstance(part, int) and (node is not None or part not in known):
            continue  # a branch of a union over scalars, e.g. `str` or `MetricSpec`
        keys.append(part)
    return keys, line


def _is_tag(part: str | int, node: yaml.MappingNode) -> bool:
    return any(k.value == "type" and v.value == str(part) for k, v in node.value)


def _near_key(keys: Sequence[str | int]) -> str:
    """A suggestion for a misspelt key, from all keys that exist anywhere in a suite."""
    near = difflib.get_close_matches(str(keys[-1]), sorted(all_keys(Suite)), n=1)
    return f" Did you mean {near[0]}?" if near else ""


def all_keys(model: type[BaseModel]) -> set[str]:
    """Names of all fields of a model and of the models inside it."""
    found: set[str] = set()
    pending, seen = [model], set()
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        for name, field in current.model_fields.items():
            found.add(name)
            pending.extend(_models_in(field.annotation))
    return found


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
