"""axe-core, the accessibility checker, in a real browser.

It is a JavaScript library from the npm registry and is not committed: ``npm install`` fetches it
once into a cache of this user, from whatever registry npm is configured for. $HARNESS_AXE may name
an ``axe.min.js`` that is there already.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import platformdirs
import pytest

VERSION = "4.14.1"
PACKAGE = f"axe-core@{VERSION}"
SEVERE = ("serious", "critical")


def axe_source() -> str:
    """The library's code; skips the test, with the reason, where it cannot be had."""
    given = os.environ.get("HARNESS_AXE")
    if given:
        return Path(given).read_text("utf-8")
    folder = platformdirs.user_cache_path("qlora-harness-tests") / f"axe-core-{VERSION}"
    program = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not program.exists():
        _install(folder)
    return program.read_text("utf-8")


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, so axe-core cannot be fetched ($HARNESS_AXE names it)")
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(
        [npm, "install", *options, "--prefix", str(folder), PACKAGE],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        pytest.skip(f"npm cannot fetch {PACKAGE}: {lines[0]}")


def violations(page: Any, source: str) -> list[str]:
    """What axe-core finds that is serious or critical, one line for each.

    Args:
        page: A page in a context that was opened with ``bypass_csp=True``: the policy of the page
            under test refuses any script but its own, the checker included.
        source: The library's code.
    """
    page.evaluate(source)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{item['id']} ({item['impact']}), {len(item['nodes'])} times, such as "
        f"{item['nodes'][0]['target']}: {item['nodes'][0]['failureSummary']}"
        for item in found["violations"]
        if item["impact"] in SEVERE
    ]
