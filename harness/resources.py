"""Finds the files that come with the package: built-in suites and report templates."""

import os
from pathlib import Path

import platformdirs

from harness.errors import UsageError

_PACKAGE = Path(__file__).resolve().parent


def resource_dir(name: str) -> Path:
    """Locate a folder of shipped files.

    Args:
        name: ``"suites"`` or ``"reports"``.

    Returns:
        The installed copy (``harness/_<name>``) if there is one, else the checkout's own folder.

    Raises:
        UsageError: Neither exists, which means a broken installation.
    """
    for candidate in (_PACKAGE / f"_{name}", _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise UsageError(
        f"The shipped folder {name!r} is missing from the installation at {_PACKAGE}.",
        hint="Reinstall with: pip install --force-reinstall qlora-harness",
    )


def cache_dir() -> Path:
    """Folder for models the harness builds itself; ``$HARNESS_CACHE`` overrides the default."""
    override = os.environ.get("HARNESS_CACHE")
    return Path(override) if override else Path(platformdirs.user_cache_dir("qlora-harness"))
