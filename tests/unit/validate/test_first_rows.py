"""What the first rows of local files show is told by validate, all of it at once."""

import json
from pathlib import Path

import pytest

from harness.suite.errors import SuiteErrors
from harness.validate.suite import read_suite

SUITE = """
name: rows
base: {model: tiny:llama}
data: {source: rows.jsonl}
prompt: {prompt: "{{ q }}", completion: "{{ a }}"}
tasks:
  qa: {type: generation, metrics: [chrf, rougeL, f1]}
  held_out: {type: perplexity}
"""


def test_metrics_that_cannot_see_the_first_rows_are_named_with_their_lines(tmp_path: Path) -> None:
    """Without torch and without a tokenizer; a metric that sees them is not."""
    rows = [{"q": f"第{n}个问题", "a": "北京是中华人民共和国的首都。"} for n in range(9)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    path = tmp_path / "rows.yaml"
    path.write_text(SUITE, "utf-8")
    with pytest.raises(SuiteErrors) as refused:
        read_suite(str(path), rows=True)
    told = str(refused.value)
    assert "rows.yaml:7: ROUGE-L cannot see 9 of 9 references" in told
    assert "Use f1 with tokenizer: unicode or chrf." in told
    assert "chrF cannot" not in told
