"""Text of unknown origin made safe to read: cut, escaped, its unseen characters marked.

Escaping is jinja2's work (autoescape). This adds what escaping leaves: control characters,
terminal escapes, line and paragraph separators, and marks that change the reading direction or
show nothing at all.
"""

from markupsafe import Markup, escape

from harness.printable import split_unseen


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
