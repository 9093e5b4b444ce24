"""Benchmarks: the goals against lm-eval and transformers, the main jobs, and hot pure Python.

``nox -s bench`` runs every row and writes docs/performance.md; ``nox -s bench -- mmlu-5-shot
goals`` only some rows or groups. Results are kept in runs/benchmarks, and a table of the page is
written as soon as all its rows are there. Each row runs in a process of its own. Rows of real data
need $HARNESS_REALDATA. Machines are shared and noisy, so these are figures to read, not tests.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from harness.errors import HarnessError
from tests.benchmarks.realdata import realdata
from tests.benchmarks.results import (
    ROOT,
    Record,
    Result,
    Settings,
    kept,
    machine,
    table,
    write_group,
)
from tests.benchmarks.rows import GROUPS, ROWS
from tests.benchmarks.timing import say


def main() -> None:
    """Run what is asked for, print it, and write the page."""
    parser = _parser()
    args = parser.parse_args()
    if args.list:
        width = max(map(len, ROWS))
        lines = [f"{name:{width}}  {row.group}: {row.title}" for name, row in ROWS.items()]
        sys.stdout.write("\n".join(lines) + "\n")
        return
    unknown = [name for name in args.rows if name not in (*ROWS, *GROUPS)]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; see --list")
    device = args.device or _device()
    try:
        if args.worker:
            _work(args, device)
            return
        names = [n for n, row in ROWS.items() if not args.rows or {n, row.group} & {*args.rows}]
        if any(ROWS[name].needs_realdata for name in names):
            realdata()
    except HarnessError as error:
        sys.exit(f"{error} {_others(args)}".strip())
    sys.exit(_run(names, args, device))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", help="rows or groups; default: all")
    parser.add_argument("--list", action="store_true", help="name the rows and stop")
    parser.add_argument("--repeats", type=int, default=3, help="of each way (default: 3)")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    # to try that a row works: tiny sizes, one repeat, and nothing is kept or written
    parser.add_argument("--quick", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--worker", help=argparse.SUPPRESS)  # where a row's process writes
    return parser


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _others(args: argparse.Namespace) -> str:
    """How to run the rows that need no data."""
    if args.worker:
        return ""
    free = [name for name, row in ROWS.items() if not row.needs_realdata]
    return f"Without it: nox -s bench -- {' '.join(free)}"


def _run(names: list[str], args: argparse.Namespace, device: str) -> int:
    """Run rows, print and keep what they find; 1 if a row could not be run."""
    posargs = shlex.join(argument for argument in sys.argv[1:])
    command = f"nox -s bench -- {posargs}".removesuffix(" -- ")
    failed = []
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        for name in names:
            say(f"{name}: {ROWS[name].title}")
            started = time.perf_counter()
            result = _in_process(name, args, device, Path(folder))
            if result is None:
                failed.append(name)
                continue
            for text in (*result.lines, *result.notes):
                sys.stdout.write(text + "\n")
            sys.stdout.flush()
            seconds = time.perf_counter() - started
            date = time.strftime("%Y-%m-%d")
            record = Record(name, result, device, machine(device), date, command, seconds)
            if not args.quick:
                record.keep()
                write_page(ROWS[name].group)
    if failed:
        say(f"Could not be run: {', '.join(failed)}")
    return 1 if failed else 0


def _in_process(name: str, args: argparse.Namespace, device: str, folder: Path) -> Result | None:
    """The result of a row, measured in a fresh process; None if that failed."""
    out = folder / f"{name}.json"
    repeats = 1 if args.quick else args.repeats
    command = [sys.executable, "-m", "tests.benchmarks", name, "--worker", str(out)]
    command += ["--repeats", str(repeats), "--device", device, *(["--quick"] * args.quick)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    environment |= ROWS[name].environment
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if done.returncode != 0 or not out.is_file():
        return None
    return Result(**json.loads(out.read_text("utf-8")))


def _work(args: argparse.Namespace, device: str) -> None:
    """Measure one row in this process and write what it finds."""
    (name,) = args.rows
    out = Path(args.worker)
    folder = out.with_suffix("")
    folder.mkdir()
    settings = Settings(args.repeats, device, args.quick, folder)
    result = ROWS[name].run(settings)
    out.write_text(json.dumps(asdict(result)), "utf-8")


def write_page(group: str) -> None:
    """Put a group's kept results into the page once all its rows are there, CPU first."""
    records, rows = kept(), [name for name, row in ROWS.items() if row.group == group]
    lines: list[str] = []
    for device in sorted({device for _, device in records}):
        missing = [name for name in rows if (name, device) not in records]
        if missing:
            say(f"  kept; the page's table {group} ({device}) waits for: {', '.join(missing)}")
            continue
        lines += [""] * bool(lines)
        lines += table(GROUPS[group], [records[name, device] for name in rows])
    if lines:
        write_group(group, lines)


if __name__ == "__main__":
    main()
