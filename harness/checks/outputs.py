"""What can be seen of an output without judging it: loops, copies, cuts.

Each finding has an exact definition on words (runs of characters without white space), so it says
the same of every variant. None of them proves that an output is bad.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.schema import Prediction

TRUNCATED = "prompt was truncated"
CUT = "output was stopped by max_new_tokens"
EMPTY = "output is empty"
LOOP = "output repeats itself"
SAME = "output equals the baseline's"
COPY = "output copies the prompt"

DEFINITIONS: dict[str, str] = {
    TRUNCATED: "tokens were cut from the prompt",
    CUT: "the output reached max_new_tokens before it ended",
    EMPTY: "nothing but white space",
    LOOP: "two to forty words stand there three times in direct succession, or one word five times",
    SAME: "the same text, white space at its ends aside",
    COPY: "at least half of its words stand in runs of five or more words of the prompt",
}

_LONGEST_PHRASE = 40
_TIMES, _TIMES_ALONE = 3, 5
_COPIED_RUN = 5
COPIED_SHARE = 0.5


def findings_of(
    prediction: Prediction, prompt: str | None = None, baseline: Prediction | None = None
) -> tuple[str, ...]:
    """Findings of one output, in the order of ``DEFINITIONS``.

    Args:
        prediction: What was written.
        prompt: What it was written for; None: copies are not looked for.
        baseline: The baseline's output for the same example, likewise.
    """
    words = prediction.text.split()
    held = {
        TRUNCATED: prediction.truncated_prompt_tokens > 0,
        CUT: prediction.finish_reason == "length",
        EMPTY: not words,
        LOOP: repeats_itself(words),
        SAME: baseline is not None and prediction.text.strip() == baseline.text.strip(),
        COPY: prompt is not None and copied_share(words, prompt.split()) >= COPIED_SHARE,
    }
    return tuple(name for name, found in held.items() if found)


def repeats_itself(words: Sequence[str]) -> bool:
    """Whether a phrase stands three times in direct succession (a single word: five times).

    Phrases have at most forty words. With period p, a run of L positions that equal the word p
    places on is a phrase of p words standing there (L + p) / p times.

    >>> repeats_itself("it is so it is so it is so".split())
    True
    >>> repeats_itself("a very very very good one".split())
    False
    """
    for period in range(1, min(_LONGEST_PHRASE, len(words) // _TIMES) + 1):
        needed = (_TIMES if period > 1 else _TIMES_ALONE) * period - period
        # a run that long holds a position from every ``needed`` ones, so only those are tried
        for place in range(needed - 1, len(words) - period, needed):
            if words[place] == words[place + period] and (
                _run_through(words, place, period) >= needed
            ):
                return True
    return False


def _run_through(words: Sequence[str], place: int, period: int) -> int:
    """Length of the run through a place of words that equal the one a period later."""
    first = last = place
    while first >= 0 and words[first] == words[first + period]:
        first -= 1
    while last + period < len(words) and words[last] == words[last + period]:
        last += 1
    return max(0, last - first - 1)


def copied_share(words: Sequence[str], source: Sequence[str]) -> float:
    """Share of words that stand in runs of five or more words of the source, in [0, 1].

    >>> copied_share("a b c d e and more of it now".split(), "so a b c d e f".split())
    0.5
    """
    return share_of(words, phrases_of(source))


def phrases_of(source: Sequence[str]) -> frozenset[tuple[str, ...]]:
    """All runs of five words of a text, to look for in several outputs."""
    return frozenset(_runs(source))


def share_of(words: Sequence[str], phrases: frozenset[tuple[str, ...]]) -> float:
    """Share of words that stand in one of the phrases, in [0, 1]; see :func:`copied_share`."""
    if phrases.isdisjoint(_runs(words)):  # as most outputs do; the rest is slower
        return 0.0
    covered = [False] * len(words)
    for start, run in enumerate(_runs(words)):
        if run in phrases:
            covered[start : start + _COPIED_RUN] = [True] * _COPIED_RUN
    return sum(covered) / len(words) if words else 0.0


def _runs(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(_COPIED_RUN)), strict=False)
