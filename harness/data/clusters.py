"""Groups near-identical inputs, so that none of a group is trained on while another is scored.

Method: Broder (1997), On the resemblance and containment of documents: the Jaccard similarity of
the sets of word shingles, with MinHash and bands (Leskovec, Rajaraman, Ullman, Mining of Massive
Datasets, section 3.4) only to find candidate pairs; each is then verified by its true similarity.
Clusters are the connected components, so they do not depend on the order of the rows.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.digests import text_digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHINGLE_WORDS = 3
JACCARD = 0.8
# 25 bands of 5 find a pair of similarity 0.8 with probability 1 - (1 - 0.8^5)^25 = 0.99995. (The
# parameters that datasketch would choose for 0.8 miss more than half of such pairs.)
BANDS, BAND_ROWS = 25, 5
# The share of equal MinHash values estimates the similarity with a standard deviation of at most
# sqrt(0.8 * 0.2 / 125) = 0.036 at 0.8: below this a pair is four of them away.
_WORTH_VERIFYING = 0.65
_MINHASH_SEED = 1  # a constant: equal rows form equal clusters under every seed of a suite

# Chinese, Japanese and Korean are written without spaces: each character counts as a word.
_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+")


def normalise(text: str) -> str:
    """A text without what does not make it another text: case, whitespace, width of letters."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def shingles(text: str) -> frozenset[str]:
    """Sets of three consecutive words of a normalised text; shorter texts are one shingle."""
    words = _WORD.findall(text)
    if len(words) <= SHINGLE_WORDS:
        return frozenset([" ".join(words) or text])
    return frozenset(
        " ".join(words[i : i + SHINGLE_WORDS]) for i in range(len(words) - SHINGLE_WORDS + 1)
    )


def exact_clusters(texts: Sequence[str]) -> list[str]:
    """Cluster id of each text; texts equal after `normalise` share one."""
    return [text_digest(normalise(text))[:16] for text in texts]


def near_clusters(texts: Sequence[str]) -> list[str]:
    """Cluster id of each text; near-identical texts share one.

    Two texts are near-identical where the Jaccard similarity of their shingles is at least 0.8; a
    chain of such pairs is one cluster.

    Args:
        texts: One input text per row.

    Returns:
        One id per row, 16 hex digits, in the order of the rows: the smallest digest among the
        cluster's texts, so the id depends on the cluster's content alone.
    """
    digests = exact_clusters(texts)
    distinct = {digest: normalise(text) for digest, text in zip(digests, texts, strict=True)}
    ids = sorted(distinct)
    if len(ids) < 2:
        return digests
    roots = _Components([shingles(distinct[digest]) for digest in ids]).roots()
    cluster_of = {digest: ids[root] for digest, root in zip(ids, roots, strict=True)}
    return [cluster_of[digest] for digest in digests]


class _Components:
    """Connected components of similar shingle sets.

    Args:
        sets: One non-empty set per text, of n texts in all.
    """

    def __init__(self, sets: Sequence[frozenset[str]]) -> None:
        import numpy as np  # with datasketch a third of a second, and reading a suite needs neither

        numbers = {shingle: k for k, shingle in enumerate(sorted(frozenset().union(*sets)))}
        self._members = [np.array(sorted(numbers[s] for s in members)) for members in sets]
        self._sizes = np.array([len(members) for members in sets])
        self._marked = np.zeros(len(numbers), dtype=bool)  # shingles of the set being compared
        self._signatures = _signatures(sets)  # shape (n, BANDS * BAND_ROWS)
        self._component = np.arange(len(sets))

    def roots(self) -> list[int]:
        """For each set, the smallest index in its component."""
        import numpy as np

        for i, buckets in enumerate(self._buckets()):
            if buckets:
                others = np.concatenate(buckets)
                others = others[(others > i) & (self._component[others] != self._component[i])]
                self._join(i, np.unique(others))
        return [int(root) for root in self._component]

    def _buckets(self) -> list[list[NDArray[np.intp]]]:
        """For each set, the groups of two or more sets that agree with it in all of a band."""
        import numpy as np

        groups: list[list[NDArray[np.intp]]] = [[] for _ in self._members]
        for band in range(BANDS):
            columns = self._signatures[:, band * BAND_ROWS : (band + 1) * BAND_ROWS]
            buckets: dict[bytes, list[int]] = {}
            for i, row in enumerate(np.ascontiguousarray(columns)):
                buckets.setdefault(row.tobytes(), []).append(i)
            for bucket in buckets.values():
                if len(bucket) > 1:
                    members = np.array(bucket)
                    for i in bucket:
                        groups[i].append(members)
        return groups

    def _join(self, i: int, others: NDArray[np.intp]) -> None:
        """Join the component of set i with those of the others that are similar to it."""
        import numpy as np

        if not others.size:
            return
        agreement = (self._signatures[others] == self._signatures[i]).mean(axis=1)
        others = others[agreement >= _WORTH_VERIFYING]
        if not others.size:
            return
        self._marked[self._members[i]] = True
        shared = self._marked[np.concatenate([self._members[j] for j in others])]
        self._marked[self._members[i]] = False
        starts = np.concatenate([[0], np.cumsum(self._sizes[others])[:-1]])
        common = np.add.reduceat(shared, starts, dtype=int)
        jaccard = common / (self._sizes[others] + self._sizes[i] - common)
        joined = np.append(self._component[others[jaccard >= JACCARD]], self._component[i])
        self._component[np.isin(self._component, joined)] = joined.min()


def _signatures(sets: Sequence[frozenset[str]]) -> NDArray[np.uint64]:
    """MinHash values of each set, shape (n, BANDS * BAND_ROWS)."""
    import numpy as np
    from datasketch import MinHash

    encoded = ([shingle.encode() for shingle in members] for members in sets)
    hashes = MinHash.generator(encoded, num_perm=BANDS * BAND_ROWS, seed=_MINHASH_SEED)
    return np.array([minhash.hashvalues for minhash in hashes], dtype=np.uint64)
