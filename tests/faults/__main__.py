"""Try what power, disks and files can do, print the table, and write docs/reliability.md.

``python -m tests.faults`` tries everything, ``python -m tests.faults --quick`` a part in a few
minutes; groups may be named. Exit code 1 where something was missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.files import damage_files
from tests.faults.table import Row, table, write_page
from tests.faults.world import World

GROUPS: dict[str, Callable[..., Iterator[Row | str]]] = {"files": damage_files}


def main() -> int:
    """Try the groups that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--quick", action="store_true", help="a part; the page is not written")
    args = parser.parse_args()
    if unknown := set(args.groups) - set(GROUPS):
        parser.error(f"unknown: {', '.join(unknown)}")
    rows, skipped = _try(args.groups or list(GROUPS), quick=args.quick)
    lines = table(rows, skipped)
    sys.stdout.write("\n".join(lines) + "\n")
    misses = [f"{row.what}: {miss}" for row in rows for miss in row.misses]
    sys.stderr.write("".join(f"missed: {miss}\n" for miss in misses))
    if not (args.quick or args.groups):
        write_page(lines)
    return 1 if misses else 0


def _try(groups: list[str], *, quick: bool) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    skipped: list[str] = []
    with tempfile.TemporaryDirectory(prefix="harness-faults-") as folder:
        os.environ |= {"HARNESS_CACHE": f"{folder}/cache", "HF_HOME": f"{folder}/huggingface"}
        world = World(Path(folder, "world"))
        for name in groups:
            for row in GROUPS[name](world, quick=quick):
                if isinstance(row, str):
                    skipped.append(row)
                else:
                    rows.append(row)
                    sys.stderr.write(f"  {' | '.join(row.cells)}\n")
    return rows, skipped


if __name__ == "__main__":
    sys.exit(main())
