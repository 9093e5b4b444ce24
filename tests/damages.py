"""Ways in which a disk, a copy or a person damages a stored file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

Damage = Callable[[Path, Path], object]
"""Damages the first file; the second is one of the same name in another result."""


def _flip(at: Callable[[int], int]) -> Damage:
    def flip(file: Path, _: Path) -> None:
        content = bytearray(file.read_bytes())
        content[at(len(content))] ^= 1
        file.write_bytes(content)

    return flip


def _folder_in_place(file: Path, _: Path) -> None:
    file.unlink()
    file.mkdir()


def _link_to_nothing(file: Path, _: Path) -> None:
    file.unlink()
    file.symlink_to("nothing")


def _empty_folder(file: Path, _: Path) -> None:
    shutil.rmtree(file.parent)
    file.parent.mkdir()


DAMAGES: Mapping[str, Damage] = MappingProxyType(
    {
        "cut to nothing": lambda file, _: file.write_bytes(b""),
        "cut in half": lambda file, _: file.write_bytes(
            file.read_bytes()[: file.stat().st_size // 2]
        ),
        "first byte's bit": _flip(lambda _: 0),
        "middle byte's bit": _flip(lambda size: size // 2),
        "last byte's bit": _flip(lambda size: size - 1),
        "more at its end": lambda file, _: file.write_bytes(file.read_bytes() + b"{}\n"),
        "zeros in its place": lambda file, _: file.write_bytes(bytes(file.stat().st_size)),
        "another's file": lambda file, other: file.write_bytes(other.read_bytes()),
        "gone": lambda file, _: file.unlink(),
        "a folder in its place": _folder_in_place,
        "a link to nothing": _link_to_nothing,
        "an empty folder around it": _empty_folder,
    }
)
WHERE_EMPTY = frozenset(
    {"more at its end", "gone", *(n for n in DAMAGES if n.startswith(("a ", "an ")))}
)
"""Those that change a file that holds nothing."""
