"""Training rows among scored examples: found at three levels, held against a plain search."""

import random
from itertools import chain, pairwise

import pytest

from harness.data.clusters import words_of
from harness.data.overlap import overlaps
from harness.schema import Example, Split
from tests.unit.data.plain import shingles

WORDS = [f"word{i}" for i in range(400)]
TEMPLATE = "Please summarise the text that follows in one short line of your own words today.\n\n"


def example(name: str, body: str, answer: str = "", split: Split = "train") -> Example:
    return Example(
        id=name, prompt=f"{TEMPLATE}{body}\n=>", completion=answer, references=(), cluster=name,
        split=split,
    )  # fmt: skip


def body(rng: random.Random, n: int = 60) -> str:
    return " ".join(rng.choices(WORDS, k=n))


@pytest.fixture(scope="module")
def trained() -> list[Example]:
    rng = random.Random(0)
    return [example(f"t{i}", body(rng), body(rng, 8)) for i in range(60)]


def text_of(row: Example) -> list[str]:
    return words_of(row.prompt.removeprefix(TEMPLATE))[:-1] or []


def found(trained: list[Example], *bodies: str, answer: str = "") -> list[tuple[str, str, str]]:
    scored = [example(f"s{i}", text, answer, "report") for i, text in enumerate(bodies)]
    return [(o.example_id, o.level, o.train_id) for o in overlaps(trained, scored)]


def test_equal_inputs_are_found_whatever_their_case_and_punctuation(trained: list[Example]) -> None:
    """Also where the answers differ."""
    words = words_of(trained[7].prompt.removeprefix(TEMPLATE))
    assert found(trained, ", ".join(words).upper(), answer="other") == [("s0", "exact", "t7")]


def test_near_copies_are_found(trained: list[Example]) -> None:
    """With a few words changed, each within eight of the next, so that no long run is left."""
    words = words_of(trained[3].prompt.removeprefix(TEMPLATE))
    words[10] = "changed"
    assert found(trained, " ".join(words)) == [("s0", "near", "t3")]


def test_thirteen_words_in_a_row_are_found_with_what_they_are(trained: list[Example]) -> None:
    """In an example that has little else in common with the row; twelve are not enough."""
    rng, words = random.Random(5), words_of(trained[11].prompt.removeprefix(TEMPLATE))
    run = " ".join(words[20:33])
    scored = example("s", f"{body(rng, 30)} {run} {body(rng, 30)}", split="report")
    (overlap,) = overlaps(trained, [scored])
    assert (overlap.level, overlap.train_id, overlap.span) == ("contained", "t11", run)
    assert 0 < overlap.share < 0.2
    assert found(trained, f"{body(rng, 30)} {' '.join(words[20:32])} {body(rng, 30)}") == []


def test_runs_of_eight_words_from_many_rows_are_found(trained: list[Example]) -> None:
    """An example that is put together of runs of twelve words of other rows."""
    parts = [words_of(row.prompt.removeprefix(TEMPLATE))[10:22] for row in trained[20:26]]
    rng = random.Random(1)
    assert found(trained, " ".join(chain.from_iterable(parts))) == []  # 5 of 12 runs of a part
    rows = [example(f"r{i}", f"{' '.join(a[4:] + b[:8])} {body(rng)}") for i, (a, b) in
            enumerate(pairwise(parts))]  # fmt: skip
    ((_, level, _),) = found([*trained, *rows], " ".join(chain.from_iterable(parts)))
    assert level == "contained"


def test_answers_count_too(trained: list[Example]) -> None:
    """A reference that stands in a training row is leaked, whatever the question."""
    rng = random.Random(6)
    run = " ".join(words_of(trained[2].prompt)[20:40])
    assert found(trained, body(rng), answer=run) == [("s0", "contained", "t2")]


def test_the_template_is_no_overlap(trained: list[Example]) -> None:
    """Its fourteen words stand in every row."""
    rng = random.Random(9)
    assert found(trained, *(body(rng) for _ in range(40))) == []
    assert found(trained[:4], body(rng)) == []


def test_short_inputs_overlap_only_where_they_are_equal(trained: list[Example]) -> None:
    """Runs and shingles of a few words say nothing."""
    rows = [example("a", "yes"), example("b", "what is it"), *trained]
    assert found(rows, "Yes!", "what is that") == [("s0", "exact", "a")]


def test_nothing_to_compare_is_no_overlap(trained: list[Example]) -> None:
    """On either side."""
    assert overlaps([], trained) == overlaps(trained, []) == []
    assert overlaps([example("a", "")], [example("s", "", split="report")])[0].level == "exact"


def test_examples_without_words_are_no_trouble(trained: list[Example]) -> None:
    """Alone, first and last; two of them are equal inputs."""
    bare = [
        Example(id=f"b{i}", prompt=text, completion="", references=(), cluster="b", split="report")
        for i, text in enumerate(["", "...", "one two"])
    ]
    assert overlaps(trained, bare) == overlaps(bare[2:], bare[:2]) == []
    assert overlaps(trained, [bare[0], example("s", body(random.Random(8))), bare[1]]) == []
    assert [item.level for item in overlaps(bare[:1], bare)] == ["exact", "exact"]


def test_near_copies_are_those_of_a_plain_search() -> None:
    """Every pair by its own sets of shingles, as clusters of near-identical rows are verified."""
    rng = random.Random(3)

    def plain(name: str, words: list[str], split: Split) -> Example:
        return Example(id=name, prompt=" ".join(words), completion="", references=(), cluster=name,
                       split=split)  # fmt: skip

    rows = [plain(f"t{i}", rng.sample(WORDS, 40), "train") for i in range(30)]
    scored = []
    for i in range(60):
        words = rng.choice(rows).prompt.split()
        for _ in range(rng.randrange(6)):
            words[rng.randrange(40)] = "new"
        scored.append(plain(f"s{i}", words, "report"))
    sets = {row.id: shingles(row.prompt) for row in [*rows, *scored]}
    expected = set()
    for item in scored:
        best = max(len(sets[item.id] & sets[r.id]) / len(sets[item.id] | sets[r.id]) for r in rows)
        if 0.8 <= best < 1:
            expected.add(item.id)
    near = {o.example_id for o in overlaps(rows, scored) if o.level == "near"}
    assert near == expected
    assert 5 < len(expected) < 55
