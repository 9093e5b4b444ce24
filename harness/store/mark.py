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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from harness.digests import content_digest, file_digest, seal_holds, sealed, short_digest
from harness.errors import UsageError

MARK = "identity.json"


class Content(BaseModel):
    """What a file held."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int  # bytes
    sha256: str | None = None  # None where only the size was written down
    rows: int | None = None  # of a .jsonl


CONTENTS = TypeAdapter(dict[str, Content])
"""What files held, by their names."""


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
        files = CONTENTS.dump_python(dict(self.files or {}), exclude_none=True)
        value = {"kind": self.kind, "key": self.key, "identity": self.identity, "files": files}
        return json.dumps(sealed(value), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def mark_of(kind: str, key: str, identity: Mapping[str, Any], folder: Path) -> Mark:
    """The mark of a folder as it is now."""
    return Mark(kind, key, identity, contents(folder))


def contents(folder: Path, leave_out: str = MARK) -> dict[str, Content]:
    """What every file in a folder holds, by its name relative to that; but for the mark."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = {str(file.relative_to(folder)): file for file in files}
    return {name: _content(file) for name, file in names.items() if name != leave_out}


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
            value["kind"], value["key"], value["identity"], CONTENTS.validate_python(value["files"])
        )
        sealed_text = mark.text
    except (TypeError, KeyError, ValidationError) as error:
        raise Damage(f"{MARK} was changed") from error
    if text != sealed_text:
        raise Damage(f"{MARK} was changed")
    if (mark.kind, mark.key) != (kind, key):
        raise Damage(f"{MARK} is that of {mark.kind}/{mark.key}")
    return mark


def check_file(mark: Mark, folder: Path, name: str) -> None:
    """See that a file is what it was when the result was finished.

    Raises:
        Damage: It is not, it is missing, or it is none of the result's.
    """
    if mark.files is None:
        return
    if name not in mark.files:
        raise Damage(f"{name} is none of its files")
    check_contents({name: mark.files[name]}, folder)


def check_contents(files: Mapping[str, Content], folder: Path, *, anew: bool = False) -> None:
    """See that files are what they were; all sizes are looked at before anything is read.

    Args:
        files: What they held, by name relative to the folder.
        folder: Where they lie.
        anew: Whether to read them even where their digests are remembered.

    Raises:
        Damage: One is not, or it is missing.
    """
    for name, content in files.items():
        file = folder / name
        try:
            status = file.stat()
        except OSError as error:
            raise Damage(f"{name} is missing: {error.strerror}") from error
        if not S_ISREG(status.st_mode):
            raise Damage(f"{name} is no file")
        if status.st_size != content.size:
            raise Damage(f"{name} has {status.st_size:,} bytes, not {content.size:,}")
    for name, content in files.items():
        if content.sha256 is None:
            continue
        try:
            digest = (content_digest if anew else file_digest)(folder / name)
        except (OSError, UsageError) as error:
            raise Damage(f"{name} cannot be read: {error}") from error
        if digest != content.sha256:
            raise Damage(f"{name} was changed")


def _content(file: Path) -> Content:
    rows = file.read_bytes().count(b"\n") if file.suffix == ".jsonl" else None
    return Content(size=file.stat().st_size, sha256=content_digest(file), rows=rows)
