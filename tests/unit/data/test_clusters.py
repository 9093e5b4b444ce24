"""Clusters of near-identical texts."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.clusters import exact_clusters, near_clusters, normalise, shingles

WORDS = [f"w{i}" for i in range(500)]


def sentence(rng, n):
    return " ".join(rng.choices(WORDS, k=n))


def brute_force(texts):
    """Connected components by the true Jaccard similarity of every pair of texts."""
    sets = [shingles(normalise(text)) for text in texts]
    component = list(range(len(texts)))
    for i, j in itertools.combinations(range(len(texts)), 2):
        if len(sets[i] & sets[j]) / len(sets[i] | sets[j]) >= 0.8:
            old, new = component[j], component[i]
            component = [new if c == old else c for c in component]
    return component


def partition(labels):
    groups = {}
    for i, label in enumerate(labels):
        groups.setdefault(label, []).append(i)
    return sorted(groups.values())


def test_shingles():
    """Three consecutive words; a short text is one shingle; Chinese counts by character."""
    assert shingles("a b c d") == {"a b c", "b c d"}
    assert shingles("a b") == {"a b"}
    assert shingles("!?") == {"!?"}
    assert shingles("机器学习") == {"机 器 学", "器 学 习"}


def test_normalise():
    """Case, whitespace and full-width letters make no other text; punctuation and words do."""
    assert normalise(" The\n ＣＡＴ  sat") == "the cat sat"
    a, b, c = exact_clusters(["The cat.", "the  CAT.", "the cat"])
    assert a == b != c


@pytest.mark.parametrize("seed", range(4))
def test_near_clusters_equal_brute_force(seed):
    """MinHash only finds candidates: the clusters are those of comparing every pair."""
    rng = random.Random(seed)
    texts = []
    for _ in range(30):
        words = sentence(rng, rng.randint(20, 60)).split()
        for _ in range(rng.randint(1, 5)):
            texts.append(" ".join(words))
            words = list(words)
            for _ in range(rng.randint(0, 2)):
                words[rng.randrange(len(words))] = rng.choice(WORDS)
    assert partition(near_clusters(texts)) == partition(brute_force(texts))


def test_threshold():
    """The similarity at which texts share a cluster is 0.8, by hand."""
    words = [f"x{i}" for i in range(38)]  # 36 shingles
    one = " ".join(words)
    # dropping the last k words leaves 36 - k of 36 shingles
    assert len(set(near_clusters([one, " ".join(words[:-7])]))) == 1  # 29/36 = 0.806
    assert len(set(near_clusters([one, " ".join(words[:-8])]))) == 2  # 28/36 = 0.778


def test_templated_questions_stay_apart():
    """Questions that share their form and differ in what they ask about are different inputs."""
    questions = [
        f"What are the genetic changes related to {name} ?"
        for name in ("Aicardi syndrome", "Huntington disease", "Wilson disease")
    ]
    assert len(set(near_clusters(questions))) == 3


@given(
    st.lists(st.sampled_from(["a b c d e", "A  b c d e", "f g", "f g h i j k l", ""])), st.randoms()
)
def test_order_does_not_matter(texts, rng):
    """Shuffled rows have the cluster ids they had."""
    found = dict(zip(texts, near_clusters(texts), strict=True))
    shuffled = list(texts)
    rng.shuffle(shuffled)
    assert near_clusters(shuffled) == [found[text] for text in shuffled]


def test_a_chain_is_one_cluster():
    """Clusters are connected components: the ends of a chain may be unlike each other."""
    words = [f"x{i}" for i in range(60)]
    chain = [" ".join(words[i : i + 40]) for i in range(0, 20, 3)]
    assert len(set(near_clusters(chain))) == 1
    assert len(set(near_clusters([chain[0], chain[-1]]))) == 2


def test_nothing_to_cluster():
    """No texts and one text are no special case."""
    assert near_clusters([]) == []
    assert near_clusters(["a"]) == exact_clusters(["a"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["different", "templated", "alike"])
def test_ten_thousand_rows(kind):
    """Ten thousand rows are clustered whatever their likeness, also the worst: all candidates."""
    rng = random.Random(0)
    head = sentence(rng, 100)
    if kind == "different":
        texts = [sentence(rng, 150) for _ in range(10_000)]
    elif kind == "templated":
        texts = [f"what is related to {sentence(rng, 3)} {i} ?" for i in range(10_000)]
    else:
        texts = [f"{head} x{i}" for i in range(10_000)]
    assert len(set(near_clusters(texts))) == (1 if kind == "alike" else 10_000)
