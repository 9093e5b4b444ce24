"""What a benchmark row gives, kept as JSON, and the page that is made of it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.files import write_atomic

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
KEPT = ROOT / "runs" / "benchmarks"
GOALS_HEADER = (
    "| goal | target | measured | | ours | reference | outputs |",
    "|---|---|---|---|---|---|---|",
)

PROBES_HEADER = (
    "| goal | target | measured | | the run | by probe |",
    "|---|---|---|---|---|---|",
)


@dataclass(frozen=True)
class Settings:
    """How a row is measured.

    Attributes:
        repeats: How often each way is timed.
        device: ``cpu`` or ``cuda``.
        quick: Whether sizes are cut down to try that everything works; the figures mean nothing.
        folder: A temporary folder for files.
    """

    repeats: int
    device: str
    quick: bool
    folder: Path


@dataclass(frozen=True)
class Goal:
    """One line of the table of goals.

    Attributes:
        name: What is compared.
        target: What the measured figure must reach; None for one that is only shown.
        measured: The figure.
        at_most: Whether it must stay below the target instead.
        fraction: Whether to show it as one over something.
        unit: Put behind figures.
        ours: What the harness took.
        reference: What the reference took.
        outputs: How far the outputs agree.
        agree: Whether they agree as they must.
    """

    name: str
    target: float | None
    measured: float
    at_most: bool = False
    fraction: bool = False
    unit: str = "×"
    ours: str = ""
    reference: str = ""
    outputs: str = ""
    agree: bool = True

    @property
    def reached(self) -> bool:
        """Whether the target is reached with outputs that agree."""
        if self.target is None:
            return self.agree
        good = self.measured <= self.target if self.at_most else self.measured >= self.target
        return good and self.agree

    @property
    def verdict(self) -> str:
        """PASS, or by how much the target is missed."""
        if not self.agree:
            return "**outputs differ**"
        if self.target is None:
            return ""
        if self.reached:
            return "PASS"
        share = self.measured / self.target
        return f"short by {abs(1 - share):.0%}"

    def line(self, columns: int = 7) -> str:
        """The first cells of its line in the table: name, target, figure, verdict, ours, ..."""
        sign = "≤" if self.at_most else "≥"
        cells = (
            self.name,
            "" if self.target is None else f"{sign} {self._shown(self.target)}",
            f"**{self._shown(self.measured)}**",
            self.verdict,
            self.ours,
            self.reference,
            self.outputs,
        )
        return f"| {' | '.join(cells[:columns])} |"

    def _shown(self, value: float) -> str:
        return f"1/{1 / value:.0f}" if self.fraction else f"{value:.2f}{self.unit}"


@dataclass(frozen=True)
class Result:
    """What a row found.

    Attributes:
        lines: Lines of the group's table, in Markdown.
        notes: Sentences to stand below the table.
        figures: Everything measured, as JSON values.
        passed: Whether all its targets are reached.
    """

    lines: Sequence[str]
    notes: Sequence[str] = ()
    figures: dict[str, Any] = field(default_factory=dict)
    passed: bool = True

    @classmethod
    def of_goals(
        cls,
        goals: Sequence[Goal],
        notes: Sequence[str] = (),
        figures: dict[str, Any] | None = None,
        *,
        columns: int = 7,
    ) -> Result:
        """The result of a row that measures goals, with so many columns of their lines."""
        numbers = {"goals": [asdict(goal) for goal in goals], **(figures or {})}
        lines = [goal.line(columns) for goal in goals]
        return cls(lines, notes, numbers, all(goal.reached for goal in goals))


@dataclass(frozen=True)
class Record:
    """A kept result: what was found, and where, when and by which command.

    Attributes:
        seconds: What the row took as a whole.
    """

    row: str
    result: Result
    device: str
    machine: str
    date: str
    command: str
    seconds: float

    def keep(self) -> None:
        """Write it, in the place of an earlier one of the same row and device."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        KEPT.mkdir(parents=True, exist_ok=True)
        write_atomic(KEPT / f"{self.row}@{self.device}.json", text + "\n")


def kept() -> dict[tuple[str, str], Record]:
    """All kept records by row and device."""
    found = {}
    for file in sorted(KEPT.glob("*@*.json")):
        values = json.loads(file.read_text("utf-8"))
        record = Record(**{**values, "result": Result(**values["result"])})
        found[record.row, record.device] = record
    return found


def table(header: Sequence[str], records: Sequence[Record]) -> list[str]:
    """Lines of a group's table, its notes, and how it was made."""
    lines = [*header, *(line for record in records for line in record.result.lines)]
    notes = list(dict.fromkeys(note for record in records for note in record.result.notes))
    lines += ["", *(f"- {note}" for note in notes)] if notes else []
    made: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        made.setdefault((record.machine, record.date, record.command), []).append(record)
    for (machine, date, command), part in made.items():
        rows = "" if len(made) == 1 else f"{', '.join(record.row for record in part)}: "
        minutes = sum(record.seconds for record in part) / 60
        lines += ["", f"{rows}{machine}; {date}; command: `{command}`, {minutes:.0f} min."]
    return lines


def write_group(name: str, lines: Iterable[str]) -> None:
    """Put lines between a group's marks in the page."""
    start, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    text = PAGE.read_text("utf-8")
    before, found, rest = text.partition(start)
    if not found:
        raise HarnessError(f"The page has no mark {start}.", where=str(PAGE))
    after = rest.partition(end)[2]
    write_atomic(PAGE, before + start + "\n" + "\n".join(lines) + "\n" + end + after)


def machine(device: str) -> str:
    """The machine and what computes on it, in one line."""
    import torch

    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    where = f"{cpu}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    if device == "cuda":
        where = f"{torch.cuda.get_device_name(0)}, {where}"
    return f"{where}, Python {platform.python_version()}, torch {torch.__version__}"
