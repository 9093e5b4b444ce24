"""What was tried and what came of it, and the page that shows it."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.world import Ended

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


@dataclass
class Row:
    """One kind of fault.

    Attributes:
        what: The fault.
        tried: How often.
        detected: How often it was noticed; None where there is nothing to notice.
        healed: How often a plain re-run led to what an undisturbed run leads to.
        tracebacks: Commands that ended in one.
        hangs: Commands that took longer than any should.
        misses: What went wrong, in words.
    """

    what: str
    tried: int = 0
    detected: int | None = 0
    healed: int = 0
    tracebacks: int = 0
    hangs: int = 0
    misses: list[str] = field(default_factory=list)

    def saw(self, case: str, *commands: Ended, detected: bool | None, healed: bool) -> None:
        """Count one case."""
        self.tried += 1
        self.detected = None if detected is None else (self.detected or 0) + detected
        self.healed += healed
        self.tracebacks += any(end.is_traceback for end in commands)
        self.hangs += any(end.is_hang for end in commands)
        if detected is False or not healed or any(e.is_traceback or e.is_hang for e in commands):
            last = commands[-1].text.strip().splitlines()[-1:] if commands else []
            self.misses.append(f"{case}: {' '.join(last)}")

    @property
    def passed(self) -> bool:
        """Whether nothing was missed."""
        return not self.misses

    @property
    def cells(self) -> list[str]:
        """As a line of the table."""
        detected = "–" if self.detected is None else f"{self.detected:,}"
        numbers = (f"{n:,}" for n in (self.healed, self.tracebacks, self.hangs))
        return [self.what, f"{self.tried:,}", detected, *numbers]


def table(group: str, rows: Sequence[Row], skipped: Sequence[str], asked: str) -> list[str]:
    """A group's table in Markdown, and what was skipped and why."""
    head = ["fault", "tried", "detected", "healed", "tracebacks", "hangs"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"] if rows else []
    lines += [f"| {' | '.join(row.cells)} |" for row in rows]
    lines += ["", *(f"- not tried: {why}" for why in skipped)] if skipped else []
    when = time.strftime("%Y-%m-%d")
    python = platform.python_version()
    return [*lines, "", f"Python {python}; {when}; command: `nox -s faults -- {group}{asked}`."]


def write_page(group: str, lines: Sequence[str]) -> None:
    """Put a group's table into its place on the page."""
    text = PAGE.read_text("utf-8")
    begin, end = f"<!-- faults:{group} -->", f"<!-- /faults:{group} -->"
    if begin not in text:
        raise ValueError(f"{PAGE} has no place for {group!r}: {begin}")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    PAGE.write_text("\n".join([before + begin, *lines, end + after]), "utf-8")
