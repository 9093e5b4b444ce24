"""Text of unknown origin made safe to read: cut, escaped, its unseen characters marked.

Escaping is jinja2's work (autoescape). This adds what escaping leaves: control characters,
terminal escapes, line and paragraph separators, and marks that change the reading direction or
show nothing at all.
"""

import re

from markupsafe import Markup, escape

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


def cut(text: str, limit: int) -> tuple[str, int]:
    """The first ``limit`` characters, and how many were left off."""
    return text[:limit], max(0, len(text) - limit)


def marked(text: str, limit: int) -> Markup:
    """HTML of a text: escaped, unseen characters marked, cut with a note of how much.

    Args:
        text: Anything, such as what a model wrote.
        limit: Most characters shown.
    """
    if not text:
        return Markup('<span class="note">(empty)</span>')
    shown, left = cut(text, limit)
    parts = [escaped(shown)]
    if not shown.strip():
        parts.append(Markup('<span class="note">(only white space)</span>'))
    if left:
        parts.append(Markup('<span class="note"> … {} more characters</span>').format(f"{left:,}"))
    return Markup("").join(parts)


def escaped(text: str) -> Markup:
    """HTML of a text: escaped, unseen characters marked."""
    return Markup("").join(
        Markup('<span class="unseen">{}</span>').format(part) if place % 2 else escape(part)
        for place, part in enumerate(split_unseen(text))
    )
