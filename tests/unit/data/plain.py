"""The plain way to clusters: sets of shingles, and every pair of them compared."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from harness.data.clusters import normalise, words_of


def shingles(text: str) -> frozenset[str]:
    """Runs of three words; a shorter text is one."""
    words = words_of(text)
    if len(words) <= 3:
        return frozenset([" ".join(words) or normalise(text)])
    return frozenset(" ".join(words[i : i + 3]) for i in range(len(words) - 2))


def components(texts: Sequence[str]) -> list[int]:
    """A number for each text, one for all of a component of texts that are alike by 0.8."""
    distinct = list(dict.fromkeys(map(normalise, texts)))
    sets = [shingles(text) for text in distinct]
    texts_with = Counter(shingle for of_text in sets for shingle in of_text)
    if len(sets) >= 20:
        shared = {shingle for shingle, n in texts_with.items() if n >= 0.95 * len(sets)}
        sets = [of_text - shared for of_text in sets]
    component = list(range(len(sets)))
    for i, j in itertools.combinations(range(len(sets)), 2):
        both = sets[i] | sets[j]
        if not both or len(sets[i] & sets[j]) / len(both) >= 0.8:
            old, new = component[j], component[i]
            component = [new if c == old else c for c in component]
    number = dict(zip(distinct, component, strict=True))
    return [number[normalise(text)] for text in texts]
