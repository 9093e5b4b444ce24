"""Groups near-identical inputs, so that none of a group is trained on while another is scored.

Method: Broder (1997), On the resemblance and containment of documents: the Jaccard similarity of
the sets of word shingles. It is exact, for every pair of texts that could be alike. What all texts
share (a system prompt, the words of a template) tells none from another and is left out. Clusters
are the connected components, so they do not depend on the order of the rows.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING

from harness.digests import text_digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.data.similar import Sets

SHINGLE_WORDS = 3
JACCARD = 0.8
# A shingle of so many of the texts is left out: one cluster of all of them could not be divided
# among splits. Of fewer texts than this, all may be copies of one.
SHARED, SHARED_TEXTS = 0.95, 20

# Chinese, Japanese and Korean are written without spaces: each character counts as a word.
_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+")


def normalise(text: str) -> str:
    """A text without what does not make it another text: case, whitespace, width of letters."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def words_of(text: str) -> list[str]:
    """Words of a text but for case and punctuation, a CJK character being one each."""
    return _WORD.findall(normalise(text))


def exact_clusters(texts: Sequence[str]) -> list[str]:
    """Cluster id of each text; texts equal after `normalise` share one."""
    return [text_digest(normalise(text))[:16] for text in texts]


def near_clusters(texts: Sequence[str]) -> list[str]:
    """Cluster id of each text; near-identical texts share one.

    Two texts are near-identical where the Jaccard similarity of their shingles is at least 0.8,
    those left out that 95 % of 20 or more texts share; a chain of such pairs is one cluster.

    Args:
        texts: One input text per row.

    Returns:
        One id per row, 16 hex digits, in the order of the rows: the smallest digest among the
        cluster's texts, so the id depends on the cluster's content alone.
    """
    digests = exact_clusters(texts)
    distinct = dict(zip(digests, texts, strict=True))
    ids = sorted(distinct)
    if len(ids) < 2:
        return digests
    from harness.data.similar import components  # with numpy, and reading a suite needs neither

    roots = components(_shingles([distinct[digest] for digest in ids]), JACCARD)
    cluster_of = {digest: ids[root] for digest, root in zip(ids, roots, strict=True)}
    return [cluster_of[digest] for digest in digests]


def _shingles(texts: Sequence[str]) -> Sets:
    """Shingles of each text, numbered, without those that nearly all texts share."""
    import numpy as np

    from harness.data.similar import Sets

    words, lengths = _numbered(texts)
    row = np.repeat(np.arange(len(texts)), lengths)
    last = len(words) - SHINGLE_WORDS + 1
    base = np.uint64(int(words.max()) + 1 | 1)
    keys = np.zeros(last, dtype=np.uint64)  # exact below two million words, and a hash above
    for place in range(SHINGLE_WORDS):
        keys *= base
        keys += words[place : place + last]
    whole = row[:last] == row[SHINGLE_WORDS - 1 :]
    keys, row = keys[whole], row[:last][whole]
    order = np.argsort(keys, kind="stable")  # so that equal shingles of a text are neighbours
    keys, row = keys[order], row[order]
    other = np.diff(keys, prepend=~keys[:1]) != 0
    distinct = other | (np.diff(row, prepend=-1) != 0)
    shingle, row = np.cumsum(other)[distinct] - 1, row[distinct]
    if len(texts) >= SHARED_TEXTS:
        telling = (np.bincount(shingle) < SHARED * len(texts))[shingle]
        shingle, row = shingle[telling], row[telling]
    return Sets.of_pairs(shingle, row, len(texts))


def _numbered(texts: Sequence[str]) -> tuple[NDArray[np.uint64], list[int]]:
    """Numbers of all words of all texts, shape (words,), and how many each text has.

    A text of fewer words than a shingle is filled up, so that it is one shingle.
    """
    import numpy as np

    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    words, lengths = array("Q"), []
    for text in texts:
        normal = normalise(text)
        of_text = _WORD.findall(normal) or [normal]
        of_text += [""] * (SHINGLE_WORDS - len(of_text))
        words.extend(map(numbers.__getitem__, of_text))
        lengths.append(len(of_text))
    return np.frombuffer(words, dtype=np.uint64), lengths
