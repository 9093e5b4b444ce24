"""Clusters of near-identical texts."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data import similar
from harness.data.clusters import exact_clusters, near_clusters, normalise
from tests.growth import growth
from tests.unit.data.plain import components

WORDS = [f"w{i}" for i in range(500)]


def sentence(rng, n):
    return " ".join(rng.choices(WORDS, k=n))


def partition(labels):
    groups = {}
    for i, label in enumerate(labels):
        groups.setdefault(label, []).append(i)
    return sorted(groups.values())


def test_what_a_word_is():
    """Chinese counts by character, a short text as a whole; signs alone are a text, too."""
    one = "机器学习的一个例子是猫的图片分类任务"
    assert len(set(near_clusters([one, one + "呢"]))) == 1
    assert len(set(near_clusters(["a b", "a, b!", "a b c", "!?", "!"]))) == 4


def test_normalise():
    """Case, whitespace and full-width letters make no other text; punctuation and words do."""
    assert normalise(" The\n ＣＡＴ  sat") == "the cat sat"
    a, b, c = exact_clusters(["The cat.", "the  CAT.", "the cat"])
    assert a == b != c


def families(rng, sizes, head=lambda: ""):
    """Texts of which some are others with up to two words changed."""
    texts = []
    for _ in range(30):
        words = sentence(rng, rng.choice(sizes)).split()
        for _ in range(rng.randint(1, 5)):
            texts.append(f"{head()} {' '.join(words)}".strip())
            words = list(words)
            for _ in range(rng.randint(0, 2)):
                words[rng.randrange(len(words))] = rng.choice(WORDS)
    rng.shuffle(texts)
    return texts


@pytest.mark.parametrize("frequent", [2, 8, similar.FREQUENT])
@pytest.mark.parametrize("shared", ["nothing", "by all", "by nearly all", "by half", "by thirds"])
@pytest.mark.parametrize("sizes", [range(20, 60), range(1, 12)], ids=["long", "short"])
def test_near_clusters_are_those_of_every_pair(monkeypatch, sizes, shared, frequent):
    """Whatever part of a text is a template's, and whichever words count as frequent."""
    monkeypatch.setattr(similar, "FREQUENT", frequent)
    rng = random.Random(f"{sizes}{shared}")
    heads = [sentence(rng, n) for n in (40, 30, 50)]
    head = {
        "nothing": lambda: "",
        "by all": lambda: heads[0],
        "by nearly all": lambda: heads[0] if rng.random() < 0.97 else "",
        "by half": lambda: rng.choice(heads[:2]),
        "by thirds": lambda: rng.choice(heads),
    }[shared]
    texts = families(rng, sizes, head)
    assert partition(near_clusters(texts)) == partition(components(texts))


@pytest.mark.parametrize("frequent", [1, 3, similar.FREQUENT])
def test_a_group_of_one_template_is_compared_by_its_smallest(monkeypatch, frequent):
    """Endings of every length after templates that are close to each other, at every ratio."""
    monkeypatch.setattr(similar, "FREQUENT", frequent)
    for seed in range(10):
        rng = random.Random(seed)
        head = sentence(rng, 40).split()
        heads = [" ".join(head[: len(head) - rng.randint(0, 8)]) for _ in range(4)]
        ends = [sentence(rng, rng.randint(0, 14)) for _ in range(50)]
        texts = [f"{rng.choice(heads)} {end}" for end in ends] + families(rng, range(5, 9))
        assert partition(near_clusters(texts)) == partition(components(texts))


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


def test_what_all_rows_share_tells_none_from_another():
    """Different questions under one long system prompt are different; copies of one are not."""
    rng = random.Random(0)
    system = sentence(rng, 100)
    questions = [f"{system}\n{sentence(rng, 6)} {i}" for i in range(200)]
    copy = questions[7].replace(questions[7][-8:], questions[7][-8:] + " !")
    assert len(set(near_clusters([*questions, copy]))) == 200
    assert len(set(near_clusters([*questions, system, f"{system}."]))) == 201


def test_few_texts_may_all_be_copies_of_one():
    """So nothing is left out of fewer than 20."""
    words = sentence(random.Random(0), 100)
    assert len(set(near_clusters([f"{words} {i}" for i in range(19)]))) == 1
    assert len(set(near_clusters([f"{words} {i}" for i in range(20)]))) == 20


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


@pytest.mark.parametrize("kind", ["different", "templated", "one head", "two heads"])
def test_work_grows_with_the_rows(kind):
    """Whatever they have in common: for each row far less than the number of rows."""
    rng = random.Random(0)
    heads = [sentence(rng, 100), sentence(rng, 100)]
    text = {
        "different": lambda i: sentence(rng, 50),
        "templated": lambda i: f"what is related to {sentence(rng, 3)} {i} ?",
        "one head": lambda i: f"{heads[0]} x{i}",
        "two heads": lambda i: f"{heads[i % 2]} {sentence(rng, 18)}",  # alike by 0.72
    }[kind]

    def work(rows):
        texts = [text(i) for i in range(rows)]
        assert len(set(near_clusters(texts))) == rows
        return lambda: near_clusters(texts)

    assert growth(work, 1_500, 6_000) < 2  # pairs would be at 4
