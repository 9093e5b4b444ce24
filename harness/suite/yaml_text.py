"""The door of YAML: a text becomes nodes and values, and whatever is wrong with it a message.

PyYAML raises errors of its own and, from constructors of dates, numbers and tags, any others; and
a few lines with aliases can stand for billions of values. Sizes are known before anything is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from harness.errors import SuiteError, in_a_line

_DEEPEST = 60  # levels of nesting
_MOST_CHARS = 4_000_000
_MOST_NODES = 200_000  # once aliases stand for what they name


class _Loader(yaml.SafeLoader):
    """YAML with the numbers of YAML 1.2 (PyYAML takes ``2e-4`` for a text), and a depth."""

    def fetch_flow_collection_start(self, token: Any) -> None:
        self._check_depth(self.flow_level)
        super().fetch_flow_collection_start(token)

    def add_indent(self, column: int) -> bool:
        self._check_depth(len(self.indents))
        added: bool = super().add_indent(column)
        return added

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node; what Python's own types say of it with its place."""
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:
            problem = (
                f"a value cannot be read: {in_a_line(error)}; put a text that looks like a date, "
                "a number or a tag into quotes"
            )
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from error

    def _check_depth(self, depth: int) -> None:
        if depth >= _DEEPEST:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=self.get_mark())


_TOO_DEEP = f"nested more than {_DEEPEST} levels deep"
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def compose(text: str, where: str) -> yaml.Node | None:
    """The nodes of a text, with their lines; None of an empty one.

    Args:
        text: The YAML.
        where: Its file.

    Raises:
        SuiteError: It is no YAML, too large, or holds itself.
    """
    with _told(where):
        if len(text) > _MOST_CHARS:
            raise SuiteError(f"More than {_MOST_CHARS:,} characters.", where=where)
        root: yaml.Node | None = yaml.compose(text, Loader=_Loader)
        if root is not None:
            _check_size(root)
        return root


def construct(root: yaml.Node | None, where: str) -> Any:
    """The value of nodes.

    Args:
        root: As `compose` gives them.
        where: Their file.

    Raises:
        SuiteError: A value is not what its tag, or its looks, say.
    """
    if root is None:
        return None
    loader = _Loader("")
    try:
        with _told(where):
            return loader.construct_document(root)
    finally:
        loader.dispose()


@contextmanager
def _told(where: str) -> Iterator[None]:
    try:
        yield
    except SuiteError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or in_a_line(error)
        raise SuiteError(f"Not valid YAML: {problem}.", where=f"{where}{line}") from error
    except RecursionError as error:
        raise SuiteError(f"Not valid YAML: {_TOO_DEEP}.", where=where) from error
    except Exception as error:  # such as a code point that there is none of
        raise SuiteError(f"Not valid YAML: {in_a_line(error)}.", where=where) from error


def _check_size(root: yaml.Node) -> None:
    """Refuse nodes that hold themselves, or stand for too many."""
    sizes: dict[int, int] = {}  # id of a node -> nodes that it stands for
    above: set[int] = set()
    stack: list[tuple[yaml.Node, bool]] = [(root, False)]
    while stack:
        node, is_done = stack.pop()
        children = _children(node)
        if is_done:
            above.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes[id(child)] for child in children)
            if sizes[id(node)] > _MOST_NODES:
                problem = f"it stands for more than {_MOST_NODES:,} values"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        elif id(node) not in sizes:
            above.add(id(node))
            stack.append((node, True))
            for child in children:
                if id(child) in above:
                    problem = "an alias stands inside what it names"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=child.start_mark)
                stack.append((child, False))


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
