"""What is built once and kept in the cache: never seen before it is whole. Torch-free."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import ModelError
from harness.files import room_on_disk


def keep_built(folder: Path, build: Callable[[Path], Any]) -> Path:
    """A folder, made once and kept.

    Args:
        folder: Where it is to be.
        build: Writes what belongs into the folder that it is given.
    """
    if folder.is_dir():
        return folder
    with room_on_disk(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            build(partial)
            partial.chmod(0o755)
            with contextlib.suppress(OSError):  # another process may have finished it first
                partial.rename(folder)
            if not folder.is_dir():
                raise ModelError("The built model could not be put in place.", where=str(folder))
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder
