"""Text of unknown origin, made fit for a terminal and the log of a CI run.

Names of tasks, checkpoints and fields come from files of others, and so do parts of what models
write. Nothing of that may move a cursor, hide text, or speak to the service that keeps the log.
"""

import json
import re

_UNSEEN = re.compile(
    "([\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but tab and newline
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction
    "\u00ad\u180e\u200b\u2028\u2029\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb"  # unseen
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f])"  # lone surrogates, non-characters, tags
)
# Zero-width joiners (U+200C, U+200D) stay: Persian, Hindi and emoji are wrong without them.

# GitHub's and Azure's runners take a line that begins so for a command; the second also within one
_COMMAND = re.compile(r"^([^\S\n]*):(?=:)|##(?=\[|vso\[)", re.MULTILINE)


def split_unseen(text: str) -> list[str]:
    """Split a text at its unseen characters: plain text and escapes in turn, plain text first."""
    parts = _UNSEEN.split(text)
    parts[1::2] = map(_code, parts[1::2])
    return parts


def visible(text: str) -> str:
    r"""Replace characters that hide, reorder or control by their escape (U+202E by ``\u202e``)."""
    return text if text.isascii() and text.isprintable() else "".join(split_unseen(text))


def one_line(text: str) -> str:
    r"""The same with line breaks and tabs as escapes: for a name within a line."""
    return visible(text).replace("\n", "\\x0a").replace("\t", "\\x09")


def printable(text: str) -> str:
    r"""What a terminal or a CI log may be given of lines: visible, and no workflow commands.

    Line breaks and tabs stay. The first mark of what would be a command becomes its escape:
    ``::error::`` is shown as ``\x3a:error::``.
    """
    return _COMMAND.sub(_no_command, visible(text))


def printable_json(text: str) -> str:
    r"""The same of JSON, which stays JSON of the same value.

    Args:
        text: JSON; what would be changed stands in its strings, for nothing else may hold it.
    """
    text = _UNSEEN.sub(lambda match: json.dumps(match.group())[1:-1], text)
    return text.replace("##[", "##\\u005b").replace("##vso[", "##vso\\u005b")


def _code(character: str) -> str:
    point = ord(character)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _no_command(match: re.Match[str]) -> str:
    if match.group().startswith("##"):
        return "#\\x23"
    return f"{match[1]}\\x3a"
