"""What a gate decided as Markdown: for a job's summary, and shorter for a pull request."""

import re
from collections.abc import Iterable, Sequence

from harness.gate.words import (
    LEGEND,
    MARKS,
    check_words,
    difference_title,
    meaning,
    origin,
    shortened,
    suite_of,
    tally,
    was_tested,
    worst_first,
)
from harness.printable import visible
from harness.render.markdown import plain
from harness.render.numbers import count
from harness.schema import GateCheck, GateResult

SUMMARY_BYTES = 1_048_576  # what GitHub takes as the summary of a step
# its limit for a comment is as many characters, so bytes are on the safe side
COMMENT_BYTES = 65_536
_HEADLINE_CHARS = 1_000
_NAME_CHARS = 80
_HEADER = ("verdict", "check", "n", "baseline", "this run", "gain", "margin", "MDE", "note")


def render_gate_summary(result: GateResult) -> str:
    """The whole result for a job's summary, of at most 1 MiB in UTF-8."""
    return _document(result, SUMMARY_BYTES, [])


def render_gate_comment(result: GateResult) -> str:
    """A pull request comment of at most 65,536 bytes; its first line is hidden and names it."""
    return _document(result, COMMENT_BYTES, [marker(result)])


def marker(result: GateResult) -> str:
    """The hidden line by which a workflow finds its own comment, to update it."""
    suite = re.sub(r"[^A-Za-z0-9._]+", "-", suite_of(result))[:_NAME_CHARS]
    return f"<!-- harness-gate:{suite} -->"


def inert(text: str, limit: int = 300) -> str:
    """Text of unknown origin on one line of Markdown that formats, links and notifies nothing.

    A backslash keeps ``@name``, ``#1`` and ``https://`` from being markup, but GitHub looks for
    them again in the rendered text; an empty comment inside keeps them apart there.
    """
    shown = plain(shortened(text, limit)).replace("\\@", "@<!-- -->").replace("\\#", "#<!-- -->")
    return re.sub(r"(?i):(?=//)|www(?=\.)", r"\g<0><!-- -->", shown)


def _document(result: GateResult, limit: int, head: Sequence[str]) -> str:
    """Everything that must be there, then as many checks as fit; what was cut is named."""
    parts = [*head, *_opening(result)]
    share = limit // 8
    parts += _section("Problems", result.problems, share)
    parts += _section(difference_title(result), result.differences, share)
    parts += _hint(result)
    after = [
        *_section("Also changed since the baseline", result.changes, share),
        *([f"<sub>{meaning(result)} {LEGEND}</sub>"] if was_tested(result) else []),
    ]
    room = limit - _size([*parts, *after])
    return "\n\n".join([*parts, *_checks(worst_first(result.checks), room), *after]) + "\n"


def _opening(result: GateResult) -> list[str]:
    mark = MARKS[result.verdict]
    lines = [
        f"## {mark} Gate of {inert(suite_of(result), _NAME_CHARS)}: {result.verdict}",
        f"**{inert(result.headline, _HEADLINE_CHARS)}**",
    ]
    sides = f"Run {inert(result.run)} against {inert(origin(result))}."
    if result.checks:
        sides += f" {count(len(result.checks), 'check')}: {tally(result.checks)}."
    return [*lines, sides]


def _hint(result: GateResult) -> list[str]:
    """What to do, and the command as a block of code, never cut, to be copied."""
    parts = [inert(result.advice)] if result.advice else []
    if result.hint:
        text = visible(" ".join(result.hint.split()))
        longest = max((len(run) for run in re.findall("`+", text)), default=0)
        fence = "`" * max(3, longest + 1)  # what stands inside cannot end the block
        parts.append(f"{fence}sh\n{text}\n{fence}")
    return parts


def _section(title: str, lines: Sequence[str], room: int) -> list[str]:
    """A list of at most ``room`` bytes; how many lines did not fit is its last line."""
    if not lines:
        return []
    room -= 100  # for the last line
    kept = _fitting([f"- {inert(line)}" for line in lines], room)
    if len(kept) < len(lines):
        left = count(len(lines) - len(kept), "line")
        kept.append(f"- \u2026 and {left} more, left out here for length; gate.json has all")
    return [f"**{title}**", "\n".join(kept)]


def _checks(checks: Sequence[GateCheck], room: int) -> list[str]:
    """The table, worst first, cut at its end; a line names what was left out."""
    if not checks:
        return []
    head = [_line(_HEADER), _line(["---"] * len(_HEADER))]
    rows = [_row(check) for check in checks]
    kept = _fitting(rows, room - _size(head))
    if len(kept) == len(rows):
        return ["\n".join([*head, *kept])]
    kept = _fitting(rows, room - _size(head) - 300)  # for the line that names them
    left = checks[len(kept) :]
    return [
        "\n".join([*head, *kept]),
        f"Left out here for length: {count(len(left), 'check')} ({tally(left)}); "
        "gate.json and gate.html have all.",
    ]


def _row(check: GateCheck) -> str:
    words = check_words(check)
    where = f"{words.subject}, {words.where}" if words.where else words.subject
    loud = check.verdict in ("regression", "missing", "invalid", "inconclusive")
    verdict = f"{words.mark} {words.verdict}"
    return _line(
        [
            f"**{verdict}**" if loud and check.decides else verdict,
            f"{inert(words.what, _NAME_CHARS)}<br><sub>{inert(where, _NAME_CHARS)}</sub>",
            words.n,
            inert(words.baseline),
            inert(words.value),
            inert(words.change),
            inert(words.margin),
            inert(words.mde),
            inert(words.note),
        ]
    )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _fitting(lines: Sequence[str], room: int) -> list[str]:
    """The first lines that take at most ``room`` bytes."""
    kept: list[str] = []
    for line in lines:
        room -= len(line.encode()) + 1
        if room < 0:
            break
        kept.append(line)
    return kept


def _size(parts: Sequence[str]) -> int:
    """Bytes of parts with blank lines between them, and some to spare."""
    return sum(len(part.encode()) + 2 for part in parts)
