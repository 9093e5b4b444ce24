"""Where the keys of a suite were set: lines of its file, and ``--set`` of the command line."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Key = tuple[str | int, ...]
"""Where something stands in a suite: ``("tasks", "answers", "metrics", 0)``."""


def dotted(key: Sequence[str | int]) -> str:
    """A key as a path: ``select.constraints[0].max``."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return path.removeprefix(".")


@dataclass(frozen=True)
class Places:
    """Where the keys of a suite were set: lines of its file, and ``--set`` of the command line."""

    path: Path  # the suite file
    root: yaml.Node  # its YAML
    content: Any  # what it says, with the command line's settings
    overrides: tuple[Key, ...] = ()  # keys set on the command line

    def of(self, key: Key) -> str:
        """``file:line`` or ``--set key``.

        Of a key that is nowhere (it is missing, or a default) the line is that of the nearest key
        above it.
        """
        line, is_there = self._line(key)
        by_set = [o for o in self.overrides if key[: len(o)] == o]
        if not is_there:  # such as `tsks`, set as `tsks.summaries.limit`
            by_set += [o for o in self.overrides if key and o[: len(key)] == key]
        return f"--set {dotted(by_set[-1])}" if by_set else f"{self.path}:{line}"

    def key_named(self, name: str) -> Key:
        """The key that a dotted name stands for; a task's own name may hold dots."""
        key: list[str | int] = []
        rest, place = name, self.content
        while rest:
            part = _first_part(rest, place)
            key.append(int(part) if isinstance(place, list) and part.isdigit() else part)
            place, rest = inside(place, key[-1]), rest[len(part) :].lstrip(".[]")
        return tuple(key)

    def _line(self, key: Key) -> tuple[int, bool]:
        """The line of the innermost part of a key that the file has, and whether it has all."""
        node, line = self.root, self.root.start_mark.line + 1
        for part in key:
            if isinstance(node, yaml.MappingNode):
                pair = next(((k, v) for k, v in node.value if k.value == str(part)), None)
                if pair is None:
                    return line, False
                line, node = pair[0].start_mark.line + 1, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                if part >= len(node.value):
                    return line, False
                node = node.value[part]
                line = node.start_mark.line + 1
            else:
                return line, False
        return line, True


def _first_part(name: str, place: Any) -> str:
    """The longest beginning of a dotted name that is a key at its place, else up to a dot."""
    known = [str(key) for key in place] if isinstance(place, Mapping) else []
    fitting = [key for key in known if name == key or name.startswith((f"{key}.", f"{key}["))]
    return max(fitting, key=len, default=re.split(r"[.\[\]]", name, maxsplit=1)[0])


def inside(place: Any, part: str | int) -> Any:
    """A part of a mapping or list; None where there is none."""
    try:
        return place[part]
    except (KeyError, IndexError, TypeError):
        return None
