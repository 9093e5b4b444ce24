"""Which words of an output stand in its reference, in the same order."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from markupsafe import Markup

from harness.render.text import cut, escaped, marked

SHOWN_CHARS = 1_200
_REST_CHARS = 20_000  # of what is folded away
_WORD = re.compile(r"\w+")

EXTRA = "extra"  # in the output, not in the reference
MISSING = "missing"  # in the reference, in neither output
LOST = "lost"  # in the reference and the baseline's output, not in the candidate's
WON = "won"  # in the reference and the candidate's output, not in the baseline's


@dataclass(frozen=True)
class MarkedTexts:
    """HTML of references and two outputs, each with its words marked."""

    references: tuple[Markup, ...]
    baseline: Markup
    candidate: Markup


def compare_words(references: Sequence[str], baseline: str, candidate: str) -> MarkedTexts:
    """Mark the words that outputs have beside the reference, and those they lack.

    Words are compared without case and punctuation, as the longest blocks they have in common in
    the same order (difflib). Of several references an output is marked against the one with which
    it has most words in common. Only the first 1,200 characters of a text are looked at; the rest
    is folded away.
    """
    targets = [_words(text) for text in references]
    outputs = (_words(baseline), _words(candidate))
    shared = [[_shared(target, words) for words in outputs] for target in targets]
    marked_references = []
    for text, target, (before, after) in zip(references, targets, shared, strict=True):
        marks = {
            place: LOST if place in before[0] else MISSING
            for place in range(len(target))
            if place not in after[0]
        }
        marks |= dict.fromkeys(sorted(after[0] - before[0]), WON)
        marked_references.append(_folded(text, marks))
    sides = []
    for side, (text, words) in enumerate(zip((baseline, candidate), outputs, strict=True)):
        best = max((of_target[side][1] for of_target in shared), key=len, default=None)
        extra = [] if best is None else [i for i in range(len(words)) if i not in best]
        sides.append(_folded(text, dict.fromkeys(extra, EXTRA)))
    return MarkedTexts(tuple(marked_references), *sides)


def _words(text: str) -> list[str]:
    return [word[0].casefold() for word in _WORD.finditer(cut(text, SHOWN_CHARS)[0])]


def _shared(first: Sequence[str], second: Sequence[str]) -> tuple[set[int], set[int]]:
    """Places of the words that both have in the same order, in the first and in the second."""
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    return (
        {place for block in blocks for place in range(block.a, block.a + block.size)},
        {place for block in blocks for place in range(block.b, block.b + block.size)},
    )


def _folded(text: str, marks: Mapping[int, str]) -> Markup:
    """A text with its words marked by class; what is too long is folded away, with its length."""
    shown, left = cut(text, SHOWN_CHARS)
    if not shown.strip():
        return marked(text, SHOWN_CHARS)
    parts: list[Markup] = []
    end = 0
    for place, word in enumerate(_WORD.finditer(shown)):
        if place in marks:
            parts.append(escaped(shown[end : word.start()]))
            pattern = Markup('<mark class="{}">{}</mark>')
            parts.append(pattern.format(marks[place], escaped(word[0])))
            end = word.end()
    parts.append(escaped(shown[end:]))
    if left:
        rest = marked(text[SHOWN_CHARS:], _REST_CHARS)
        fold = Markup("<details><summary>… {} more characters</summary>{}</details>")
        parts.append(fold.format(f"{left:,}", rest))
    return Markup("").join(parts)
