"""The built-in ``stdlib-docstrings``: real pairs of a docstring's body and its one-line summary.

PEP 257 asks for a summary line, a blank line, then a more elaborate description. Python's own
standard library follows it often enough to give well over a thousand pairs of text and one-line
summary that were written by people, are on every machine, and need no download.

Known gaps: what is found depends on the Python version and on what a distribution leaves out
(tkinter, for one); the digest in the data report tells two machines apart.
"""

from __future__ import annotations

import ast
import functools
import re
import sysconfig
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from harness.data.rows import DataRow, SourceRows
from harness.errors import DataError

NAME = "stdlib-docstrings"
FIELDS = ("body", "summary", "name", "kind", "module")
VERSION = 1  # changes whenever the same library would give other pairs

SUMMARY_CHARS = (15, 120)
BODY_CHARS = (80, 1200)

# Tests, generated and bundled code, other people's packages, and what later versions removed.
_SKIPPED_FOLDERS = frozenset({
    "__pycache__", "_bundled", "dist-packages", "distutils", "idlelib", "lib-dynload", "lib2to3",
    "pydoc_data", "site-packages", "test", "tests",
})  # fmt: skip
_DOCTEST = re.compile(r"^\s*>>> ", re.MULTILINE)
_WORD_GAP = re.compile(r"\W+")

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def read_docstrings() -> SourceRows:
    """Collect the pairs of the running Python's standard library, in the order of their names.

    Rows have the fields ``body``, ``summary``, ``name`` (qualified), ``kind`` (``module``,
    ``class``, ``function`` or ``method``) and ``module``.

    Raises:
        DataError: This Python has its standard library in no folder (a zip archive).
    """
    rows, dropped, unread = _collect(Path(sysconfig.get_path("stdlib")))
    notes = [f"{unread} files of the standard library could not be parsed."] if unread else []
    return SourceRows(list(rows), dropped=Counter(dropped), notes=notes)


def split_docstring(docstring: str) -> tuple[str, str] | str:
    """Divide a cleaned docstring into summary and body, or say why it gives no pair.

    Args:
        docstring: As `ast.get_docstring` returns it.

    Returns:
        ``(summary, body)``, or the reason for which it is left out.
    """
    summary, _, body = docstring.strip().partition("\n\n")
    body = body.strip()
    reason = None
    if not body:
        reason = "docstring without a body"
    elif "\n" in summary:
        reason = "summary longer than one line"
    elif not summary[0].isupper() or summary[-1] not in ".!?" or len(summary.split()) < 3:
        reason = "summary not a sentence"
    elif not SUMMARY_CHARS[0] <= len(summary) <= SUMMARY_CHARS[1]:
        reason = "summary too short or too long"
    elif len(body) < BODY_CHARS[0]:
        reason = "body too short"
    elif len(body) > BODY_CHARS[1]:
        reason = "body too long"
    elif len(_DOCTEST.split(body, maxsplit=1)[0].strip()) < BODY_CHARS[0] // 2:
        reason = "body is mostly a doctest"
    elif _words(summary) in _words(body):
        reason = "summary repeated in the body"
    return reason or (summary, body)


@functools.cache
def _collect(root: Path) -> tuple[tuple[DataRow, ...], dict[str, int], int]:
    if not root.is_dir():
        raise DataError(
            f"{NAME} reads the source files of Python's standard library, and there are none.",
            where=str(root),
            hint="Use a Python whose standard library is a folder of .py files.",
        )
    rows: list[DataRow] = []
    dropped: Counter[str] = Counter()
    unread = 0
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if any(part in _SKIPPED_FOLDERS or part.startswith("config-") for part in parts[:-1]):
            continue
        try:
            with tokenize.open(path) as stream, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # old escapes in other people's source
                tree = ast.parse(stream.read())
        except (OSError, SyntaxError, ValueError):  # not valid for this Python
            unread += 1
            continue
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        for name, kind, docstring in _docstrings(tree, module):
            pair = split_docstring(docstring)
            if isinstance(pair, str):
                dropped[pair] += 1
                continue
            values = (*pair[::-1], name, kind, module)
            rows.append(DataRow(dict(zip(FIELDS, values, strict=True)), "train", name))
    rows.sort(key=lambda row: (row.where, row.fields["body"]))
    return tuple(rows), dict(dropped), unread


def _docstrings(tree: ast.Module, module: str) -> Iterator[tuple[str, str, str]]:
    """Qualified name, kind and cleaned docstring of everything documented in a module."""
    pending: list[tuple[ast.AST, str, str]] = [(tree, module, "module")]
    while pending:
        node, name, kind = pending.pop()
        if isinstance(node, Definition | ast.Module) and (docstring := ast.get_docstring(node)):
            yield name, kind, docstring
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, Definition):
                if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
                    pending.append((child, name, kind))  # an if or try around definitions
                continue
            function = "method" if kind == "class" else "function"
            child_kind = "class" if isinstance(child, ast.ClassDef) else function
            pending.append((child, f"{name}.{child.name}", child_kind))


def _words(text: str) -> str:
    """A text's words alone, so that containment is not hidden by punctuation or line breaks."""
    return f" {_WORD_GAP.sub(' ', text.casefold()).strip()} "
