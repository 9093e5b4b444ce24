"""The mark of a finished result: what it is, and what its folder held when it was finished.

``identity.json`` is written last, so a folder without it was cut off. It holds::

    kind, key    of the result
    identity     the readable form of the key
    files        name -> size in bytes, sha256, and rows where it is a .jsonl
    sha256       of all of the above

That of earlier versions is the identity alone, whose digest is the key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from harness.digests import content_digest, file_digest, seal_holds, sealed, short_digest
from harness.errors import UsageError

MARK = "identity.json"


class Content(BaseModel):
    """What a file held."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int  # bytes
    sha256: str
    rows: int | None = None  # of a .jsonl


_FILES = TypeAdapter(dict[str, Content])


class Damage(Exception):
    """Why a result is not whole, in words for the user."""


@dataclass(frozen=True)
class Mark:
    """The mark of one result.

    Attributes:
        kind: Of the result.
        key: Of the result.
        identity: The readable form of the key.
        files: What its files held; None where an earlier version wrote it.
    """

    kind: str
    key: str
    identity: Mapping[str, Any]
    files: Mapping[str, Content] | None = None

    @property
    def text(self) -> str:
        """The mark as it is written."""
        files = _FILES.dump_python(dict(self.files or {}), exclude_none=True)
        value = {"kind": self.kind, "key": self.key, "identity": self.identity, "files": files}
        return json.dumps(sealed(value), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def mark_of(kind: str, key: str, identity: Mapping[str, Any], folder: Path) -> Mark:
    """The mark of a folder as it is now."""
    files = {str(file.relative_to(folder)): _content(file) for file in _files_in(folder)}
    return Mark(kind, key, identity, files)


def read_mark(kind: str, key: str, folder: Path) -> Mark:
    """The mark of a result.

    Raises:
        Damage: It has none, or not one of its own.
    """
    if not folder.is_dir():
        raise Damage("there is no such folder")
    try:
        text = (folder / MARK).read_text("utf-8")
        value = json.loads(text)
    except FileNotFoundError:
        raise Damage(f"it has no {MARK}, which is written last") from None
    except (OSError, ValueError, RecursionError) as error:
        raise Damage(f"{MARK} cannot be read: {error}") from error
    if isinstance(value, dict) and short_digest(value) == key:
        return Mark(kind, key, value)
    try:
        if not seal_holds(value):
            raise Damage(f"{MARK} was changed")
        mark = Mark(
            value["kind"], value["key"], value["identity"], _FILES.validate_python(value["files"])
        )
        sealed_text = mark.text
    except (TypeError, KeyError, ValidationError) as error:
        raise Damage(f"{MARK} was changed") from error
    if text != sealed_text:
        raise Damage(f"{MARK} was changed")
    if (mark.kind, mark.key) != (kind, key):
        raise Damage(f"{MARK} is that of {mark.kind}/{mark.key}")
    return mark


def check_file(mark: Mark, folder: Path, name: str, *, anew: bool = False) -> None:
    """See that a file is what it was when the result was finished.

    Args:
        mark: The result's.
        folder: The result's.
        name: The file's, relative to the folder.
        anew: Whether to read it even where its digest is remembered.

    Raises:
        Damage: It is not, or it is missing.
    """
    if mark.files is None:
        return
    content, file = mark.files.get(name), folder / name
    if content is None:
        raise Damage(f"{name} is none of its files")
    try:
        if not file.is_file():
            raise Damage(f"{name} is {'no file' if file.exists() else 'missing'}")
        size = file.stat().st_size
        if size != content.size:
            raise Damage(f"{name} has {size:,} bytes, not {content.size:,}")
        digest = content_digest(file) if anew else file_digest(file)
    except (OSError, UsageError) as error:
        raise Damage(f"{name} cannot be read: {error}") from error
    if digest != content.sha256:
        raise Damage(f"{name} was changed")


def check_files(mark: Mark, folder: Path, *, anew: bool = False) -> None:
    """See that all files are what they were; sizes are looked at before anything is read.

    Raises:
        Damage: One is not.
    """
    for name, content in (mark.files or {}).items():
        file = folder / name
        if file.is_file() and file.stat().st_size != content.size:
            check_file(mark, folder, name)
    for name in mark.files or {}:
        check_file(mark, folder, name, anew=anew)


def _files_in(folder: Path) -> Iterator[Path]:
    return (p for p in sorted(folder.rglob("*")) if p.is_file() and p != folder / MARK)


def _content(file: Path) -> Content:
    rows = file.read_bytes().count(b"\n") if file.suffix == ".jsonl" else None
    return Content(size=file.stat().st_size, sha256=content_digest(file), rows=rows)
