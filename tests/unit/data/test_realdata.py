"""Real data sets, counted independently."""

import json

import pytest

from harness.data.examples import load_examples
from harness.errors import DataError
from harness.suite.spec import DataSpec, PromptSpec

pytestmark = pytest.mark.realdata

MEDQUAD = PromptSpec(
    text="### Instruct\n{{ question }}\n\n### Output\n{{ answer }}\n\n### End\n",
    response_marker="### Output\n",
    stop=("### End",),
)


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_scitldr(realdata):
    """Sentences are joined, all references kept, and the source's own splits stay."""
    spec = DataSpec(
        files={name: f"scitldr/{name}.jsonl" for name in ("train", "dev", "test")},
        split_map={"train": "train", "dev": ["eval", "select"], "test": "report"},
    )
    prompt = PromptSpec(
        prompt='{{ source | join(" ") }}\nTLDR:', completion=" {{ target[0] }}", references="target"
    )
    examples, report = load_examples(spec, prompt, seed=42, base_dir=realdata)
    assert report.rows_read == 1992 + 619 + 618
    assert report.rows_read == report.rows_kept + sum(report.dropped.values())
    assert report.split_sizes["report"] == 618
    assert report.split_sizes["eval"] + report.split_sizes["select"] == 618  # 1 is a copy
    test = {row["paper_id"]: row for row in rows_of(realdata / "scitldr" / "test.jsonl")}
    for example in examples:
        if example.split == "report":
            row = test[example.metadata["paper_id"]]
            assert example.prompt == " ".join(row["source"]) + "\nTLDR:"
            assert example.references == tuple(t.strip() for t in row["target"] if t.strip())
    # four abstracts are in two of the three files, by comparing every pair of rows
    assert any(note.startswith("Leakage: 4 clusters") for note in report.notes)


def test_medquad(realdata):
    """The combined form, near-identical questions on one side, and ids that are not unique."""
    spec = DataSpec(source="medquad/*.jsonl")
    examples, report = load_examples(spec, MEDQUAD, seed=42, base_dir=realdata)
    rows = rows_of(realdata / "medquad" / "medquad_short_2000.jsonl")
    distinct = {(row["question"], row["answer"]) for row in rows}
    assert report.rows_read == 2000
    assert report.rows_kept == len(distinct) == 1999
    assert report.dropped == {"duplicate": 1}
    assert report.clusters <= len({row["question"] for row in rows})
    by_question = {}
    for example in examples:
        assert by_question.setdefault(example.prompt, example.split) == example.split
    with pytest.raises(DataError, match="The id '0000013_2-1' is also that of"):
        load_examples(
            spec.model_copy(update={"id_field": "id"}), MEDQUAD, seed=42, base_dir=realdata
        )


def test_squad(realdata):
    """Evaluation without completions, with every reference answer, clustered by article."""
    spec = DataSpec(
        source="squad/squad_v1.1_dev_1000.jsonl",
        id_field="id",
        cluster="field:title",
        splits={"select": 0.4, "report": 0.6},
    )
    prompt = PromptSpec(prompt="{{ context }}\n{{ question }}\n", references="answers")
    examples, report = load_examples(spec, prompt, seed=42, base_dir=realdata)
    rows = {row["id"]: row for row in rows_of(realdata / "squad" / "squad_v1.1_dev_1000.jsonl")}
    assert report.rows_kept == len(rows) == 1000
    assert report.clusters == len({row["title"] for row in rows.values()})
    assert all(len(e.references) == len(rows[e.id]["answers"]) for e in examples)
    sides = [{e.metadata["title"] for e in examples if e.split == s} for s in ("select", "report")]
    assert not sides[0] & sides[1]
