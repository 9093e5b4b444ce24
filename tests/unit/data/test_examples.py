"""From rows to examples: nothing is lost in silence, straddles, or depends on the order."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.data.examples import load_examples
from harness.errors import DataError, PromptError
from harness.schema import SPLITS
from harness.suite.spec import DataSpec, PromptSpec

PROMPT = PromptSpec(prompt="Q: {{ q }}\nA:", completion=" {{ a }}")
ALL_REPORT = {"splits": {"report": 1.0}}


@pytest.fixture
def load(tmp_path):
    def load(rows, prompt=PROMPT, seed=1, render_chat=None, **spec):
        if "files" not in spec:
            spec["source"] = "rows.jsonl"
            write(tmp_path / "rows.jsonl", rows)
        return load_examples(
            DataSpec(**spec), prompt, seed=seed, base_dir=tmp_path, render_chat=render_chat
        )

    return load


def write(path: Path, rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def questions(n, start=0):
    """Rows with unlike inputs."""
    rng = random.Random(start)
    return [
        {"q": f"{i} " + " ".join(f"w{rng.randrange(900)}" for _ in range(12)), "a": f"answer {i}"}
        for i in range(start, start + n)
    ]


def by_split(examples):
    return {split: [e.id for e in examples if e.split == split] for split in SPLITS}


def test_rows_become_examples(load):
    """Prompt, completion, references and metadata are where they belong."""
    rows = [{"q": "Why?", "a": "So.", "kind": "x", "level": 2, "text": "t" * 201, "l": [1]}]
    (example,), report = load(rows, **ALL_REPORT)
    assert example.prompt == "Q: Why?\nA:"
    assert example.completion == " So."
    assert example.references == ("So.",)
    assert example.metadata == {"kind": "x", "level": 2}
    assert (report.rows_read, report.rows_kept, report.clusters) == (1, 1, 1)
    assert report.split_sizes == {"report": 1}
    assert report.source == "rows.jsonl"


def test_every_row_is_accounted_for(load):
    """What is read is kept or dropped for one of the stated reasons."""
    rows = [
        *questions(200),
        {"q": "twice as nice, said the parrot", "a": "x"},
        {"q": "twice as nice, said the parrot", "a": "x", "other": 1},
        {"q": "no answer", "a": " \n"},
        {"q": None, "a": "x"},
        {"q": "no tag here", "a": "x", "tag": ""},
        {"q": "s", "a": "x"},
        {"q": "l" * 300, "a": "x"},
        {"q": "a NUL \0 and \ud800 inside", "a": "x", "tag": "t"},
    ]
    for row in rows:
        row.setdefault("tag", "t")
    examples, report = load(
        rows, min_chars=8, max_chars=200, required_fields=("tag",), limits={"train": 20}
    )
    limited = report.dropped.pop("beyond the limit of 20 for train")
    assert report.dropped == {
        "duplicate": 1,
        "empty field 'tag'": 1,
        "empty reference": 1,
        "field 'q' is null": 1,
        "prompt longer than 200 characters": 1,
        "prompt shorter than 8 characters": 1,
    }
    assert report.rows_read == len(rows) == report.rows_kept + limited + 6
    assert report.rows_kept == len(examples) == sum(report.split_sizes.values())
    assert report.split_sizes["train"] == 20
    assert report.notes == ("1 rows had lone surrogates or NUL characters, replaced by U+FFFD.",)


SMALL = st.lists(
    st.fixed_dictionaries(
        {
            "q": st.sampled_from([f"{w} one two three four five {w}" for w in "abcdefgh"])
            | st.sampled_from([f"{w} " * n for w in ("x", "y") for n in (3, 9, 10)]),
            "a": st.sampled_from(["yes", "no", ""]),
        }
    ),
    min_size=1,
    max_size=30,
)
FIXTURE_IS_REUSED = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)


def try_load(load, rows, **spec):
    """Load into shares of which any may come out empty."""
    try:
        return load(rows, **spec)
    except DataError as error:
        if "is empty" not in str(error):
            raise
        return None


@FIXTURE_IS_REUSED
@given(rows=SMALL, seed=st.integers(0, 99), shuffle=st.randoms())
def test_splits_and_clusters(load, rows, seed, shuffle):
    """Clusters never straddle; same seed, same examples; the order of rows changes nothing."""
    spec = {"splits": {"train": 0.5, "report": 0.5}}
    found = try_load(load, rows, seed=seed, **spec)
    shuffled = list(rows)
    shuffle.shuffle(shuffled)
    again = try_load(load, shuffled, seed=seed, **spec)
    assert again == found
    if found is None:
        return
    examples, report = found
    split_of = {}
    for example in examples:
        assert split_of.setdefault(example.cluster, example.split) == example.split
    assert len({example.id for example in examples}) == len(examples)
    assert report.rows_read == len(rows) == report.rows_kept + sum(report.dropped.values())
    assert report.near_duplicates == len(examples) - report.clusters


@FIXTURE_IS_REUSED
@given(rows=SMALL, low=st.integers(0, 10), more=st.integers(0, 10))
def test_raising_a_limit_only_adds(load, rows, low, more):
    """The examples of a low limit are the first of those of a higher one."""
    small = try_load(load, rows, limits={"report": low}, **ALL_REPORT)
    large = try_load(load, rows, limits={"report": low + more}, **ALL_REPORT)
    if small is None or large is None:
        return
    assert large[0][: len(small[0])] == small[0]
    assert len(small[0]) <= low


def test_added_rows_move_no_other(load):
    """Rows added elsewhere in the source leave each row's split where it was."""
    before, _ = load(questions(100))
    after, _ = load(questions(50, start=100) + questions(100))
    old = {example.id: example.split for example in before}
    assert {e.id: e.split for e in after if e.id in old} == old


def test_the_seed_changes_the_splits(load):
    """Another seed divides and orders otherwise, with the same ids."""
    one, _ = load(questions(100), seed=1)
    two, _ = load(questions(100), seed=2)
    assert {e.id for e in one} == {e.id for e in two}
    assert by_split(one) != by_split(two)


def test_examples_are_not_in_the_sources_order(load):
    """The first N of a split are not those that come first in a sorted source."""
    examples, _ = load(questions(50), **ALL_REPORT)
    numbers = [int(e.references[0].split()[1]) for e in examples]
    assert sorted(numbers) == list(range(50))
    assert numbers != sorted(numbers)


def test_near_duplicates_stay_together_and_are_counted(load):
    """Rows whose inputs are alike but for a word share a cluster; other answers do not matter."""
    base = " ".join(f"w{i}" for i in range(40))
    rows = [{"q": f"{base} {i}", "a": f"a{i}"} for i in range(5)] + questions(5)
    examples, report = load(rows, **ALL_REPORT)
    assert report.near_duplicates == 4
    assert report.clusters == 6
    assert len({e.cluster for e in examples if base in e.prompt}) == 1


def test_cluster_exact_and_field(load):
    """Equal inputs alone are joined, or equal values of a field; a missing value joins none."""
    rows = [
        {"q": "one two three four", "a": "x", "doc": "d1"},
        {"q": "One two  three four", "a": "y", "doc": "d2"},
        {"q": "five six", "a": "x", "doc": "d1"},
        {"q": "seven", "a": "x", "doc": None},
        {"q": "eight", "a": "x"},
    ]
    _, exact = load(rows, cluster="exact", **ALL_REPORT)
    assert exact.clusters == 4
    examples, field = load(rows, cluster="field:doc", **ALL_REPORT)
    assert field.clusters == 4
    cluster = {e.prompt: e.cluster for e in examples}
    assert cluster["Q: one two three four\nA:"] == cluster["Q: five six\nA:"]


def test_id_field(load):
    """Ids come from the field; a repeated or missing one is refused with its place."""
    rows = [{"id": i, "q": f"q{i}", "a": "x"} for i in range(3)]
    examples, _ = load(rows, id_field="id", **ALL_REPORT)
    assert {e.id for e in examples} == {"0", "1", "2"}
    with pytest.raises(DataError, match=r"rows\.jsonl:4: The id '1' is also that of .*jsonl:2"):
        load([*rows, {"id": "1", "q": "z", "a": "x"}], id_field="id", **ALL_REPORT)
    with pytest.raises(DataError, match=r"rows\.jsonl:4: The id field 'id' is missing"):
        load([*rows, {"q": "z", "a": "x"}], id_field="id", **ALL_REPORT)


def test_of_duplicates_the_smallest_id_stays(load):
    """Which copy is kept does not depend on the order of the rows."""
    rows = [{"id": i, "q": "same", "a": "x"} for i in ("b", "a", "c")]
    (example,), report = load(rows, id_field="id", **ALL_REPORT)
    assert example.id == "a"
    assert report.dropped == {"duplicate": 2}


def test_own_splits_and_leakage(load, tmp_path):
    """Own splits stay as they are; a cluster in two of them is kept, counted and told."""
    shared = questions(1)
    write(tmp_path / "a.jsonl", [*questions(5, 10), *shared])
    write(tmp_path / "b.jsonl", [*questions(5, 20), *shared])
    files = {"train": "a.jsonl", "test": "b.jsonl"}
    split_map = {"train": "train", "test": "report"}
    examples, report = load([], files=files, split_map=split_map)
    assert report.split_sizes == {"train": 6, "report": 6}
    assert report.dropped == {}
    assert len({e.id for e in examples}) == 12
    assert {(e.split, e.metadata["source_split"]) for e in examples} == {
        ("train", "train"),
        ("report", "test"),
    }
    (note,) = report.notes
    assert note.startswith("Leakage: 1 clusters of near-identical inputs (2 rows)")
    pooled, report = load([], files=files, splits={"train": 0.5, "report": 0.5})
    assert report.dropped == {"duplicate": 1}
    assert "were pooled" in report.notes[0]
    assert "source_split" not in pooled[0].metadata


def test_unmapped_own_splits_are_not_read(load, tmp_path):
    """A file of a split that the map leaves out may even be broken."""
    write(tmp_path / "a.jsonl", questions(3))
    (tmp_path / "b.jsonl").write_text("broken")
    files = {"train": "a.jsonl", "test": "b.jsonl"}
    _, report = load([], files=files, split_map={"train": "report"})
    assert report.rows_read == 3
    assert report.notes == ("Splits of the source that were not read: test.",)


def test_several_formats_in_one_source(load, tmp_path):
    """Each file is read by its own format."""
    write(tmp_path / "a.jsonl", questions(2))
    (tmp_path / "b.csv").write_text("q,a\nWhy?,So.\n")
    (tmp_path / "c.json").write_text('[{"q": "How?", "a": "Thus."}]')
    files = {"train": "a.jsonl", "select": "b.csv", "report": "c.json"}
    _, report = load([], files=files)
    assert report.split_sizes == {"train": 2, "select": 1, "report": 1}


def test_empty_split_is_refused(load):
    """A split that was asked for and got nothing is named, with what was dropped."""
    rows = [{"q": "x", "a": "y"}, {"q": "x", "a": "y"}]
    with pytest.raises(DataError, match=r"The split '\w+' is empty: .*Dropped: duplicate: 1"):
        load(rows)
    with pytest.raises(DataError, match="holds no rows"):
        load([])
    with pytest.raises(DataError, match="0 examples were kept"):
        load([{"q": "x", "a": ""}], **ALL_REPORT)


def test_a_split_that_a_cluster_leaves_empty_says_so(load):
    """Two long system prompts make two clusters of many different questions."""
    heads = [" ".join(f"{letter}{i}" for i in range(90)) for letter in "ab"]
    rows = [{"q": f"{heads[i % 3 == 0]} what is {i} ?", "a": "y"} for i in range(60)]
    with pytest.raises(DataError, match=r"inputs of 40 are near-identical .* set data\.cluster"):
        load(rows)


def test_missing_field_names_the_row(load):
    """A template that names a missing field says in which row, and which fields there are."""
    with pytest.raises(PromptError) as caught:
        load([{"q": "x", "a": "y"}, {"q": "x", "b": "y"}], **ALL_REPORT)
    assert caught.value.where == "prompt.completion"
    assert str(caught.value).startswith("prompt.completion: Field 'a'")
    assert "rows.jsonl:2." in str(caught.value)
    assert "The row's fields are: b, q." in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        ({"required_fields": ("c",)}, "data.required_fields: No row has the field 'c'"),
        ({"id_field": "c"}, "data.id_field: No row has the field 'c'"),
        ({"cluster": "field:c"}, "data.cluster: No row has the field 'c'"),
        ({"cluster": "fuzzy"}, "data.cluster: cluster must be near, exact or field:<name>"),
    ],
)
def test_settings_that_name_no_field(load, spec, where):
    """A misspelt field in a setting is refused with the fields there are."""
    with pytest.raises(DataError) as caught:
        load([{"q": "x", "a": "y"}], **spec, **ALL_REPORT)
    assert str(caught.value).startswith(where)


def test_blank_references_are_left_out(load):
    """One good reference keeps the row; the blank ones beside it are counted."""
    prompt = PromptSpec(prompt="{{ q }}", completion="{{ a[0] }}", references="a")
    rows = [{"q": "x", "a": ["one", " ", "two"]}, {"q": "y", "a": ["", " "]}]
    (example,), report = load(rows, prompt, **ALL_REPORT)
    assert example.references == ("one", "two")
    assert report.dropped == {"empty reference": 1}
    assert report.notes == ("1 rows had blank references, which were left out.",)


def test_nothing_to_train_on_is_dropped(load):
    """A row with references but an empty completion would train on nothing."""
    prompt = PromptSpec(prompt="{{ q }}", completion="{{ a }}", references="r")
    rows = [{"q": "x", "a": "", "r": "ref"}, {"q": "y", "a": "b", "r": "ref"}]
    examples, report = load(rows, prompt, **ALL_REPORT)
    assert len(examples) == 1
    assert report.dropped == {"empty completion": 1}


def test_references_that_no_output_can_reach_are_told(load):
    """A stop string inside the reference ends every output before it."""
    prompt = PromptSpec(prompt="{{ q }}", completion="{{ a }}\n\n", stop=("\n\n",))
    rows = [{"q": "x", "a": "one\n\ntwo"}, {"q": "y", "a": "one"}]
    _, report = load(rows, prompt, **ALL_REPORT)
    assert report.notes == ("1 rows have a stop string inside every reference; output ends there.",)


def test_chat_rows(load):
    """Conversations are rendered by the chat template, clustered by what was said in them."""

    def render(messages, add_generation_prompt):
        text = "".join(f"[{m['role']}]{m['content']}\n" for m in messages)
        return text + ("[assistant]" if add_generation_prompt else "")

    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    prompt = PromptSpec(messages_field="chat")
    rows = [{"chat": chat}, {"chat": chat[:1]}]
    (example,), report = load(rows, prompt, render_chat=render, **ALL_REPORT)
    assert (example.prompt, example.completion) == ("[user]Hi\n[assistant]", "Hello\n")
    assert report.dropped == {"the last message is not the assistant's": 1}


def test_the_digest_is_that_of_the_rows(load):
    """Order does not change the digest of the data, a changed row does."""
    rows = questions(5)
    _, one = load(rows, **ALL_REPORT)
    _, two = load(rows[::-1], **ALL_REPORT)
    _, three = load([*rows[:4], {**rows[4], "a": "other"}], **ALL_REPORT)
    assert one.digest == two.digest != three.digest


def test_records_can_be_written(load):
    """Examples of the oddest rows survive being written and read again."""
    rows = [{"q": "x\ud800\0\u2028", "a": "y\udfff", "m": "\ud800", "f": float("inf")}]
    (example,), _ = load(rows, **ALL_REPORT)
    assert type(example).model_validate_json(example.model_dump_json()) == example


def test_stdlib_docstrings():
    """The built-in fills all four splits; near-identical docstrings share one."""
    prompt = PromptSpec(prompt="{{ body }}\nSummary:", completion=" {{ summary }}")
    examples, report = load_examples(
        DataSpec(source="stdlib-docstrings"), prompt, seed=42, base_dir=Path()
    )
    assert 1_000 < report.rows_kept == len(examples)
    assert min(report.split_sizes.values()) > 30
    assert report.rows_read == report.rows_kept + sum(report.dropped.values())
    assert report.near_duplicates > 0
    assert {"name", "kind", "module"} <= set(examples[0].metadata)
