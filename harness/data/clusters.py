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


def words_of(text: str) -> list[str]:
    """Words of a text but for case and punctuation, a CJK character being one each."""
    return _WORD.findall(normalise(text))


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
    roots = _roots([shingles(distinct[digest]) for digest in ids])
    cluster_of = {digest: ids[root] for digest, root in zip(ids, roots, strict=True)}
    return [cluster_of[digest] for digest in digests]


def _roots(sets: Sequence[frozenset[str]]) -> list[int]:
    """For each non-empty set, the smallest index in its component of similar sets."""
    import numpy as np  # with datasketch a third of a second, and reading a suite needs neither
    from datasketch import MinHash

    encoded = ([shingle.encode() for shingle in of_text] for of_text in sets)
    hashes = MinHash.generator(encoded, num_perm=BANDS * BAND_ROWS, seed=_MINHASH_SEED)
    signatures = np.array([minhash.hashvalues for minhash in hashes], dtype=np.uint64)
    numbers = {shingle: k for k, shingle in enumerate(sorted(frozenset().union(*sets)))}
    members = [np.array(sorted(numbers[s] for s in of_text)) for of_text in sets]
    sizes = np.array([len(of_text) for of_text in sets])
    marked = np.zeros(len(numbers), dtype=bool)  # shingles of the set being compared
    component = np.arange(len(sets))
    for i, buckets in enumerate(_buckets(signatures)):
        if not buckets:
            continue
        others = np.concatenate(buckets)
        others = np.unique(others[(others > i) & (component[others] != component[i])])
        agreement = (signatures[others] == signatures[i]).mean(axis=1)
        others = others[agreement >= _WORTH_VERIFYING]
        if not others.size:
            continue
        marked[members[i]] = True
        shared = marked[np.concatenate([members[j] for j in others])]
        marked[members[i]] = False
        starts = np.concatenate([[0], np.cumsum(sizes[others])[:-1]])
        common = np.add.reduceat(shared, starts, dtype=int)
        jaccard = common / (sizes[others] + sizes[i] - common)
        joined = np.append(component[others[jaccard >= JACCARD]], component[i])
        component[np.isin(component, joined)] = joined.min()
    return [int(root) for root in component]


def _buckets(signatures: NDArray[np.uint64]) -> list[list[NDArray[np.intp]]]:
    """For each set, the groups of two or more sets that agree with it in all of a band.

    Args:
        signatures: MinHash values of each set, shape (n, BANDS * BAND_ROWS).
    """
    import numpy as np

    groups: list[list[NDArray[np.intp]]] = [[] for _ in signatures]
    for band in range(BANDS):
        columns = signatures[:, band * BAND_ROWS : (band + 1) * BAND_ROWS]
        buckets: dict[bytes, list[int]] = {}
        for i, row in enumerate(np.ascontiguousarray(columns)):
            buckets.setdefault(row.tobytes(), []).append(i)
        for bucket in buckets.values():
            if len(bucket) > 1:
                members = np.array(bucket)
                for i in bucket:
                    groups[i].append(members)
    return groups
