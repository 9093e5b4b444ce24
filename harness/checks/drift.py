"""Outputs that left the task: another language, another length, or training text by heart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

STRANGE = "few of its words stand in any reference of the task"
LENGTH = "output is over three times as long as its reference, or under a third"
BY_HEART = "output is training text, word for word"

_WORD = re.compile(r"[^\W\d_]+")
_TRIED = 300  # references; with more, words that languages share are known, too
_FEWEST = 8  # words of an output, of which a share can be told
_KNOWN = 0.3  # share; of 95 % of English texts more than half was known, of other languages a fifth
_SELF = 0.45  # share of a usual reference that others know; without spaces between words it is 0
_TIMES = 3
_SHORT = 40  # letters, below which a longer answer may well be right
_RUN = 8  # words in succession
_MOST_ROWS = 10_000  # training rows

Runs = frozenset[int]
"""Hashes of runs of words, which take a tenth of the words' room."""


class Vocabulary:
    """The words of a task's references, by which an output in another language is noticed.

    No list of languages is needed: texts of one language share its small words.

    Args:
        references: One of each example.
    """

    def __init__(self, references: Sequence[str]) -> None:
        step = max(1, len(references) // _TRIED)
        texts = [_words(text) for text in references[::step][:_TRIED]]
        self._texts = Counter(word for words in texts for word in set(words))
        long = [words for words in texts if len(words) >= _FEWEST]
        shares = [sum(self._texts[word] > 1 for word in words) / len(words) for words in long]
        self._tells = bool(shares) and median(shares) >= _SELF

    def is_strange(self, text: str) -> bool:
        """Whether fewer than three in ten words of a text stand in the references."""
        words = _words(text)
        if not self._tells or len(words) < _FEWEST:
            return False
        return sum(word in self._texts for word in words) < _KNOWN * len(words)


def is_off_length(text: str, references: Sequence[str]) -> bool:
    """Whether a text is three times as long as its longest reference, or a third of the shortest.

    References of fewer than forty letters count as forty where a text is longer, and nothing is
    said of what is shorter than they are.
    """
    own, lengths = _letters(text), sorted(map(_letters, references))
    if not own or not lengths:
        return False
    too_short = lengths[0] >= _SHORT and _TIMES * own < lengths[0]
    return too_short or own > _TIMES * max(lengths[-1], _SHORT)


def taught_runs(completions: Sequence[str]) -> Runs:
    """Runs of eight words in the completions of training rows; of 10,000, spread over all."""
    step = max(1, -(-len(completions) // _MOST_ROWS))
    return frozenset(run for text in completions[::step] for run in _runs(text))


def is_by_heart(text: str, taught: Runs, others: Iterable[str]) -> bool:
    """Whether half of a text's words stand in taught runs that its prompt and references lack."""
    runs = list(_runs(text)) if taught else []
    if taught.isdisjoint(runs):
        return False
    allowed = {run for other in others for run in _runs(other)}
    covered = {
        place + offset
        for place, run in enumerate(runs)
        if run in taught and run not in allowed
        for offset in range(_RUN)
    }
    return 2 * len(covered) >= len(text.split())


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _letters(text: str) -> int:
    return len("".join(text.split()))


def _runs(text: str) -> Iterator[int]:
    words = text.split()
    return map(hash, zip(*(words[start:] for start in range(_RUN)), strict=False))
