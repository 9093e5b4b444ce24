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

from tests.faults.disks import fail_disks
from tests.faults.files import damage_files
from tests.faults.kills import kill_runs
from tests.faults.power import cut_power
from tests.faults.table import Row, table, write_page
from tests.faults.world import World

GROUPS: dict[str, Callable[..., Iterator[Row | str]]] = {
    "files": damage_files,
    "kills": kill_runs,
    "power": cut_power,
    "disks": fail_disks,
}


def main() -> int:
    """Try the groups that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--quick", action="store_true", help="a part; the page is not written")
    args = parser.parse_args()
    if unknown := set(args.groups) - set(GROUPS):
        parser.error(f"unknown: {', '.join(unknown)}")
    misses = 0
    with tempfile.TemporaryDirectory(prefix="harness-faults-") as folder:
        os.environ |= {"HARNESS_CACHE": f"{folder}/cache", "HF_HOME": f"{folder}/huggingface"}
        world = World(Path(folder, "world"))
        for name in args.groups or GROUPS:
            misses += _try(name, world, quick=args.quick)
    return 1 if misses else 0


def _try(name: str, world: World, *, quick: bool) -> int:
    """Try a group, print its table and write it into the page; how much was missed."""
    found = list(GROUPS[name](world, quick=quick))
    rows = [row for row in found if isinstance(row, Row)]
    skipped = [why for why in found if isinstance(why, str)]
    lines = table(name, rows, skipped, " --quick" * quick)
    sys.stdout.write("\n".join([*lines, ""]) + "\n")
    misses = [f"missed: {row.what}: {miss}\n" for row in rows for miss in row.misses]
    sys.stderr.write("".join(misses))
    if not quick:
        write_page(name, lines)
    return len(misses)


if __name__ == "__main__":
    sys.exit(main())
