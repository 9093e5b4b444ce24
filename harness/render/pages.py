"""What every page shares: what it may load, and what of its texts is made visible.

Escaping is jinja2's work (autoescape). This adds what escaping leaves: control characters,
terminal escapes, line and paragraph separators, and marks that change the reading direction or
show nothing at all.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import jinja2
from markupsafe import Markup

_UNSEEN = re.compile(
    "([\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but tab and newline
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction
    "\u00ad\u180e\u200b\u2028\u2029\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb"  # unseen
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f])"  # lone surrogates, non-characters, tags
)
# Zero-width joiners (U+200C, U+200D) stay: Persian, Hindi and emoji are wrong without them.


def _code(character: str) -> str:
    point = ord(character)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def split_unseen(text: str) -> list[str]:
    """Split a text at its unseen characters: plain text and escapes in turn, plain text first."""
    parts = _UNSEEN.split(text)
    parts[1::2] = map(_code, parts[1::2])
    return parts


def visible(text: str) -> str:
    r"""Replace characters that hide, reorder or control by their escape (U+202E by ``\u202e``)."""
    return "".join(split_unseen(text))


def asset(path: Any) -> str:
    """A file that is embedded in a page."""
    return str(path.read_text("utf-8")).strip()


def page_policy(style: str, script: str) -> str:
    """A content security policy that allows this style and this script and nothing else."""

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        f"default-src 'none'; style-src 'sha256-{digest(style)}'; "
        f"script-src 'sha256-{digest(script)}'; base-uri 'none'; form-action 'none'"
    )


def environment(folder: str, *, none: str = "") -> jinja2.Environment:
    """Templates that escape everything; names that do not exist are errors.

    Args:
        folder: Where the templates are.
        none: Stands for None, which must not print as a word.
    """

    def neutral(value: Any) -> Any:
        if value is None:
            return none
        if isinstance(value, str) and not isinstance(value, Markup):
            return visible(value)
        return value

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=neutral,
    )
