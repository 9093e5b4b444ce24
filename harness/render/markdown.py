"""Markdown of texts of unknown origin: nothing in them is markup."""

import re
from collections.abc import Iterable, Sequence

from harness.printable import visible

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$@!])")


def plain(text: str) -> str:
    """Text of unknown origin on one line of Markdown: nothing in it is markup."""
    return _SPECIAL.sub(r"\\\1", visible(" ".join(text.split())).replace("&", "&amp;"))


def code(text: str) -> str:
    """Text of unknown origin as a code span on one line, to be copied as it is."""
    line = visible(" ".join(text.split()))
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)  # CommonMark: no run inside may be as long as the fence
    return f"{fence} {line} {fence}" if longest else f"{fence}{line}{fence}"


def paragraphs(*parts: str) -> str:
    """Those that are not empty, with blank lines between them."""
    return "\n\n".join(part for part in parts if part)


def bullets(lines: Iterable[str]) -> str:
    """A list of texts of unknown origin."""
    return "\n".join(f"- {plain(line)}" for line in lines)


def quoted(lines: Iterable[str]) -> str:
    """Texts of unknown origin, set apart; each on its own line."""
    return "\n".join(f"> {plain(line)}  " for line in lines)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
