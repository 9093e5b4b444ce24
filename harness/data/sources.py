"""Finds what a suite's data names: a built-in, local files, or a data set on the Hub.

Nothing here reads rows or imports ``datasets``, so ``harness validate`` may call it freely.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.bounds import time_limit
from harness.data import docstrings
from harness.digests import file_digest
from harness.errors import DataError, UsageError, told_as
from harness.files import local_path
from harness.hints import choices, near_names
from harness.resources import resource_dir
from harness.suite.spec import DataSpec

Format = Literal["jsonl", "json", "csv", "parquet"]
BUILTINS = (docstrings.NAME,)
SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "csv",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
# Changes whenever equal rows would give other examples than before.
EXAMPLES_VERSION = 1
DEFAULT_SPLIT = "train"  # what files without splits of their own count as, as in `datasets`

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True, slots=True)
class DataSource:
    """A data source that was found (or, for the Hub, named).

    Attributes:
        kind: How it is read.
        name: The built-in's name, the Hub id, or the path as the suite gives it.
        files: For files: the source's own split -> paths, sorted.
    """

    kind: Literal["builtin", "files", "hub"]
    name: str
    files: dict[str, tuple[Path, ...]] = field(default_factory=dict)


def resolve(spec: DataSpec, base_dir: Path) -> DataSource:
    """Find a data source.

    Relative paths are looked for beside the suite file, then among the shipped suites.

    Args:
        spec: The suite's data.
        base_dir: Folder of the suite file.

    Raises:
        DataError: There is no such file, folder or built-in.
    """
    if spec.files:
        files = {split: _paths(path, base_dir) for split, path in spec.files.items()}
        name = ", ".join(f"{split}={path}" for split, path in spec.files.items())
        return DataSource("files", name, files)
    name = str(spec.source)
    if name in BUILTINS and spec.format in ("auto", "builtin"):
        return DataSource("builtin", name)
    if spec.format == "builtin":
        raise DataError(
            f"There is no built-in data source {name!r}.",
            where="data.source",
            hint=choices(name, BUILTINS),
        )
    if spec.format == "hub" or (spec.format == "auto" and _is_hub_id(name, base_dir)):
        return DataSource("hub", name)
    return DataSource("files", name, {DEFAULT_SPLIT: _paths(name, base_dir)})


def source_identity(spec: DataSpec, base_dir: Path) -> dict[str, Any]:
    """Everything that determines which rows become which examples, without reading rows.

    Args:
        spec: The suite's data.
        base_dir: Folder of the suite file.

    Returns:
        A JSON value: sha256 per file, Hub id and revision, or Python's version for the built-in,
        and the settings that choose, divide and limit rows. Folders' names are not in it, so a
        suite that was moved with its data keeps its results.

    Raises:
        DataError: As `resolve`.
    """
    source = resolve(spec, base_dir)
    identity: dict[str, Any] = {"kind": source.kind, "examples_version": EXAMPLES_VERSION}
    if source.kind == "files":
        identity["files"] = {split: _digests(paths) for split, paths in source.files.items()}
        identity["format"] = spec.format
    elif source.kind == "hub":
        identity |= {"id": source.name, "name": spec.name, "revision": spec.revision}
    else:
        identity |= {"id": source.name, "builder": docstrings.VERSION, "python": sys.version}
    where_from = {"source", "files", "format", "name", "revision"}
    settings = spec.model_dump(mode="json", exclude=where_from, exclude_defaults=True)
    return identity | settings


def format_of(path: Path, spec: DataSpec) -> Format:
    """The format of a file: what the suite says, else what its name says.

    Raises:
        DataError: Neither tells.
    """
    if spec.format in ("jsonl", "json", "csv", "parquet"):
        return spec.format
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(
            f"The name does not tell the format; known endings are {', '.join(SUFFIXES)}.",
            where=str(path),
            hint="Say data.format: jsonl, json, csv or parquet.",
        )
    return SUFFIXES[path.suffix.lower()]


def _is_hub_id(name: str, base_dir: Path) -> bool:
    """Whether a name reads like ``owner/data-set``, and not like a path into a folder here."""
    if not _HUB_ID.fullmatch(name) or Path(name).suffix.lower() in SUFFIXES:
        return False
    return not any((root / name).parent.is_dir() for root in _roots(base_dir))


def _roots(base_dir: Path) -> list[Path]:
    roots = [base_dir.absolute()]
    with contextlib.suppress(UsageError):  # without shipped suites the suite's own folder remains
        roots.append(resource_dir("suites"))
    return roots


def _paths(pattern: str, base_dir: Path) -> tuple[Path, ...]:
    """Files a path or glob names, sorted; from the first root that has any."""
    expanded = local_path(pattern, kind=DataError)
    for root in _roots(base_dir):
        path = root / expanded
        if path.is_file():
            return (path,)
        if path.is_dir():
            raise DataError(
                "This is a folder, and a file or glob is needed.",
                where=str(path),
                hint=f"Name the files in it, for example {pattern.rstrip('/')}/*.jsonl.",
            )
        with told_as(DataError, "This pattern cannot be searched", where=str(path)), time_limit():
            matches = [Path(name) for name in glob.iglob(str(path), recursive=True)]  # noqa: PTH207
        if files := tuple(sorted(match for match in matches if match.is_file())):
            return files
    missing = base_dir.absolute() / expanded
    builtin = " or ".join(near_names(pattern, BUILTINS))
    raise DataError(
        "No file matches this pattern." if glob.has_magic(pattern) else "There is no such file.",
        where=str(missing),
        hint=f"Did you mean the built-in {builtin}?" if builtin else _near_files(missing),
    )


def _near_files(path: Path) -> str:
    """Names like the missing one, in the nearest folder that exists."""
    folder, missing = path.parent, path.name
    while not folder.is_dir():
        folder, missing = folder.parent, folder.name
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if near := near_names(missing, names):
        return f"Did you mean {' or '.join(near)} in {folder}?"
    if data_files := [name for name in names if Path(name).suffix.lower() in SUFFIXES]:
        return f"{folder} has: {', '.join(data_files[:8])}."
    return f"{folder} has no data files. A data set on the Hub is named owner/name."


def _digests(paths: tuple[Path, ...]) -> dict[str, str]:
    """Sha256 by file name, relative to the folder the files have in common."""
    common = Path(os.path.commonpath([path.parent for path in paths]))
    return {path.relative_to(common).as_posix(): file_digest(path) for path in paths}
