"""Writes what a gate decided: for a terminal, and as the files that CI systems read."""

from collections.abc import Sequence
from pathlib import Path

from harness.files import write_atomic
from harness.gate.html import render_gate_html
from harness.gate.junit import render_junit
from harness.gate.markdown import render_gate_comment, render_gate_summary
from harness.gate.words import (
    check_words,
    difference_title,
    meaning,
    origin,
    shortened,
    tally,
    was_tested,
    worst_first,
)
from harness.printable import visible
from harness.render.numbers import count
from harness.schema import GateCheck, GateResult

_ROWS = 40  # of the terminal's table; what does not pass is always shown
_CHANGES = 20  # that the terminal shows
_NAME_CHARS = 60
_QUIET = ("pass", "identical", "not_compared")


def write_gate(result: GateResult, folder: Path) -> list[Path]:
    """Write every output of a gate, replacing those of an earlier one.

    All are rendered before the first is written, and each replaces its predecessor at once.

    Args:
        result: What the gate decided.
        folder: Where ``gate.json`` (everything), ``gate.md`` (a job's summary, at most 1 MiB),
            ``gate-comment.md`` (a pull request comment, at most 65,536 bytes),
            ``gate.junit.xml`` and ``gate.html`` (one offline page) go.

    Returns:
        The files written.

    Raises:
        DiskError: There is no room, no permission, or no such place.
    """
    texts = {
        "gate.json": result.model_dump_json(indent=1) + "\n",
        "gate.md": render_gate_summary(result),
        "gate-comment.md": render_gate_comment(result),
        "gate.junit.xml": render_junit(result),
        "gate.html": render_gate_html(result),
    }
    for name, text in texts.items():
        write_atomic(folder / name, text, hint="Choose another folder with --output.")
    return [folder / name for name in texts]


def gate_text(result: GateResult) -> str:
    """What a terminal shows: the headline, the checks worst first, then what else matters."""
    ordered = worst_first(result.checks)
    checks = [check for check in ordered if check.decides or check.kind != "measurement"]
    listed = count(len(result.checks) - len(checks), "measurement")
    room = max(0, _ROWS - sum(check.verdict not in _QUIET for check in checks))
    shown: list[GateCheck] = []
    left: list[GateCheck] = []
    for check in checks:
        quiet = check.verdict in _QUIET
        (left if quiet and not room else shown).append(check)
        room -= quiet and room > 0
    blocks = [
        [shortened(result.headline, 1_000), shortened(_sides(result))],
        _table(shown),
        [f"and {count(len(left), 'check')} more ({tally(left)}), in gate.html"] if left else [],
        [f"{listed} without a say, in gate.html"] if len(checks) < len(result.checks) else [],
        _list("Problems", result.problems),
        _list(difference_title(result), result.differences),
        _hint(result),
        _list("Also changed since the baseline", result.changes, _CHANGES),
        [meaning(result)] if was_tested(result) else [],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _sides(result: GateResult) -> str:
    """What was compared with what; names the variants once, so that the table need not."""
    variants = {check.subject: check.variant for check in result.checks}
    named = [f"{name} is {v}" for name, v in variants.items() if v is not None and v != name]
    run = f"{result.run} ({', '.join(named)})" if named else result.run
    return f"{run} against {origin(result)}"


def _hint(result: GateResult) -> list[str]:
    """What to do, and the command on a line of its own, never cut, to be copied."""
    lines = [shortened(result.advice)] if result.advice else []
    return [*lines, f"  {visible(result.hint)}"] if result.hint else lines


def _list(title: str, lines: Sequence[str], most: int | None = None) -> list[str]:
    if not lines:
        return []
    left = len(lines) - len(lines[:most])
    more = [f"  and {count(left, 'line')} more, in gate.json"] if left else []
    return [f"{title}:", *(f"  {shortened(line)}" for line in lines[:most]), *more]


def _table(checks: Sequence[GateCheck]) -> list[str]:
    """Columns as wide as they need to be; notes stand on a line of their own."""
    if not checks:
        return []
    rows = [("", "check", "split", "n", "baseline", "this run", "gain", "margin", "MDE")]
    notes = [""]
    for check in checks:
        words = check_words(check)
        rows.append(
            (
                f"{words.mark} {words.verdict}",
                shortened(f"{check.subject} {words.what}", _NAME_CHARS),
                shortened(words.where, _NAME_CHARS),
                words.n,
                words.baseline,
                words.value,
                words.change,
                words.margin,
                words.mde,
            )
        )
        notes.append(shortened(words.note))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row, note in zip(rows, notes, strict=True):
        left = [text.ljust(width) for text, width in zip(row[:3], widths[:3], strict=True)]
        right = [text.rjust(width) for text, width in zip(row[3:], widths[3:], strict=True)]
        lines.append("  ".join([*left, *right]).rstrip())
        if note:
            lines.append(f"{'':{widths[0] + 2}}{note}")
    return lines
