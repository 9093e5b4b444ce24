"""Markdown of texts of unknown origin: nothing in them is markup."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.render.text import visible

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


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
