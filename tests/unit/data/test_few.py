"""A few rows in place of a source, or made ones where it is out of reach."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.data import few
from harness.data.examples import load_examples
from harness.errors import OutOfReachError
from harness.suite.spec import DataSpec, PromptSpec, TurnsSpec

PROMPT = PromptSpec(prompt="{{ question | upper }}\n", completion="{{ row['the answer'] }}")


def test_rows_are_from_all_over_the_source(tmp_path: Path) -> None:
    """Sorted rows: the last part is there as the first is; small shares still get examples."""
    rows = [{"question": f"q{i}", "the answer": "a"} for i in range(1_000)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = DataSpec(source="rows.jsonl", splits={"train": 0.97, "eval": 0.0, "report": 0.03})
    small, told = few.few_rows(spec, [PROMPT], tmp_path, tmp_path / "made")
    assert told == "data: 160 of 1,000 rows of rows.jsonl"
    kept = [json.loads(line) for line in Path(str(small.source)).read_text().splitlines()]
    assert kept[0]["question"] == "q0"
    assert int(kept[-1]["question"][1:]) > 980
    examples, report = load_examples(small, PROMPT, seed=0, base_dir=tmp_path)
    assert report.split_sizes == {"train": 24, "report": 6}
    assert examples[0].prompt.startswith("Q")


@pytest.mark.parametrize(
    ("prompt", "split_map"),
    [
        (PROMPT, {}),
        (PROMPT, {"train": "train", "test": ["select", "report"]}),
        (PromptSpec(messages_field="messages"), {}),
        (PromptSpec(turns=TurnsSpec(field="text")), {}),
    ],
)
def test_rows_are_made_from_the_columns_that_prompts_name(
    prompt: PromptSpec,
    split_map: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the Hub is out of reach; splits are those that the suite maps."""

    def away(*_: object) -> None:
        raise OutOfReachError("The Hub data set cannot be reached.")

    monkeypatch.setattr(few, "read_source", away)
    content = {"source": "owner/name", "required_fields": ["source"], "split_map": split_map}
    if not split_map:
        content["splits"] = {"train": 0.5, "report": 0.5}
    small, told = few.few_rows(DataSpec.model_validate(content), [prompt], tmp_path, tmp_path)
    assert told.endswith("made rows, for owner/name is out of reach")
    chat = {"render_chat": few.plain_chat} if prompt.is_chat else {}
    examples, _ = load_examples(small, prompt, seed=0, base_dir=tmp_path, **chat)
    assert {example.split for example in examples} >= {"train", "report"}
    assert len({len(example.prompt) for example in examples}) > 5
