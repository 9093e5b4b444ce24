"""Reads a suite file: YAML to ``Suite``, with every error named by file, line and dotted key."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from harness.errors import SuiteError, UsageError, shown
from harness.files import local_path
from harness.hints import did_you_mean
from harness.resources import resource_dir
from harness.suite.errors import SuiteErrors, explain, without
from harness.suite.places import Key, Places, dotted
from harness.suite.settings import apply_setting
from harness.suite.spec import Suite, suite_model
from harness.suite.yaml_text import compose, construct


@dataclass(frozen=True)
class SuiteFile:
    """A suite, where it was read from, and the folder its relative paths start at.

    ``limit`` is the command line's, which the tasks already hold; None without one.
    ``places`` is where its keys were set; None where it was read from no file.
    """

    suite: Suite
    path: Path
    base_dir: Path
    limit: int | None = None
    places: Places | None = field(default=None, repr=False, compare=False)

    def at(self, key: str) -> str:
        """Where a dotted key was set: its file and line, or ``--set``.

        Of a key that is nowhere (it is a default) the line is that of the nearest key above it.

        Args:
            key: Such as ``gate.metrics[0].floor``.
        """
        if self.places is None:
            return str(self.path)
        return self.places.of(self.places.key_named(key))


_LONGEST_NUMBER = 1024  # bits
_MOST_ABOVE = 4  # levels above a key that are given up for its sake


class SuiteFileErrors(SuiteErrors):
    """What is wrong with the content of a suite file.

    Args:
        errors: What is wrong, each with its place.
        rest: The suite without what is wrong, where that is one; its parts can be checked too.
    """

    def __init__(self, errors: Sequence[UsageError], rest: SuiteFile | None) -> None:
        super().__init__(errors)
        self.rest = rest


def builtin_suites() -> dict[str, Path]:
    """Suites that come with the package: name -> file, sorted by name; recipes come last."""
    folder = resource_dir("suites")
    files = [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("recipes/*.yaml"))]
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}


def find_suite(name: str) -> Path:
    """Path of a suite given as a file, or as the name of a built-in one.

    Raises:
        SuiteError: There is neither such a file nor such a built-in suite.
    """
    path = local_path(name, kind=SuiteError)
    if path.is_file():
        return path
    builtin = builtin_suites()
    # `suites/demo.yaml` works from any folder, not only from a checkout
    stem = path.stem if path.parent in (Path(), Path("suites")) else name
    if stem in builtin and path.suffix in ("", ".yaml"):
        return builtin[stem]
    here = [str(p) for folder in (Path(), Path("suites")) for p in folder.glob("*.yaml")]
    near = did_you_mean(name, [*here, *builtin])
    raise SuiteError(
        "There is no such suite file, and no built-in suite of that name.",
        where=name,
        hint=f"{near} Built in are: {', '.join(builtin)}.".lstrip(),
    )


def load_suite(name: str, overrides: Sequence[str] = (), limit: int | None = None) -> SuiteFile:
    """Read and validate a suite.

    Args:
        name: A path, or the name of a built-in suite.
        overrides: ``dotted.key=value`` settings applied over the file; values are YAML, and paths
            in them start from the current folder.
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
    content = construct(root, str(path))
    keys = tuple(apply_setting(content, override, path.parent) for override in overrides)
    if limit is not None:
        tasks = content.get("tasks")
        for task in tasks.values() if isinstance(tasks, dict) else ():
            if isinstance(task, dict):  # else the model says what is wrong
                task["limit"] = limit
    places = Places(path, root, content, keys)
    suite, errors = _validated(content, places)
    file = None if suite is None else SuiteFile(suite, path, path.resolve().parent, limit, places)
    if file is None or errors:
        raise SuiteFileErrors(errors, file)
    return file


def _validated(content: Any, places: Places) -> tuple[Suite | None, list[SuiteError]]:
    """The suite, and what is wrong; then the suite is without that, or None if nothing is left."""
    model = suite_model(content)
    try:
        suite = model.model_validate(content)
    except ValidationError as error:
        problems = error.errors()
    else:
        return suite, [
            SuiteError(f"{dotted(key)} {problem}", where=places.of(key))
            for key, problem in _unstorable(suite.model_dump())
        ]
    return _rest(content, problems), explain(problems, places)


def _rest(content: Any, problems: Sequence[Any]) -> Suite | None:
    """The parts of a suite that are right, so that they can be checked as well.

    Where what was wrong with a key is that something is missing from it, it goes as a whole.
    """
    model = suite_model(content, parts=True)
    for above in range(_MOST_ABOVE):
        content = without(problems, content, above)
        try:
            return model.model_validate(content)
        except ValidationError as error:
            problems = error.errors()
    return None


def _unstorable(value: Any, key: Key = ()) -> Iterator[tuple[Key, str]]:
    """Keys of what a record in JSON cannot hold, which a manifest is, and what must be there."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            if not isinstance(name, str):
                yield key, f"must have texts as its keys, found {shown(name)}."
            yield from _unstorable(name, (*key, str(name)))
            yield from _unstorable(part, (*key, str(name)))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _unstorable(part, (*key, index))
    elif isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        yield key, f"must be text, found half of a surrogate pair in {shown(value)}."
    elif isinstance(value, float) and not math.isfinite(value):
        yield key, f"must be a finite number, found {value}."
    elif isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
        yield key, f"must be a number of at most {_LONGEST_NUMBER} bits."
    elif not isinstance(value, str | int | float | None):
        yield key, f"must be a text or a number, found {shown(value)}; put it into quotes."


def _compose(text: str, path: Path) -> yaml.MappingNode:
    root = compose(text, str(path))
    if not isinstance(root, yaml.MappingNode):
        raise SuiteError("A suite is a mapping of keys to values.", where=f"{path}:1")
    for key, times, at in _duplicate_keys(root):
        raise SuiteError(f"The key {key!r} is given {times} times.", where=f"{path}:{at}")
    return root


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
