"""The model card of a finished run, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from huggingface_hub import ModelCard

from tests.e2e.conftest import Finished
from tests.e2e.test_readers import light


def test_the_card_is_written_without_torch_and_reads_back(
    finished: Finished, tmp_path: Path
) -> None:
    """Its results are the report's, of 100; local tasks are counted, not published."""
    args = ("card", "small", "-o", str(tmp_path / "out"))
    done = light(tmp_path, *args, runs=finished.runs)
    assert done.code == 0, done.err
    assert "left out of .eval_results" in done.out
    assert "TO FILL IN: license, language" in done.out
    loaded = ModelCard.load(tmp_path / "out" / "README.md")
    report = json.loads(light(tmp_path, "report", "small", "--json", runs=finished.runs).out)
    chosen = report["selection"]["chosen"]
    values = {
        (row["metric"], row["split"]): 100 * cell["figure"]["value"] / (row["scale"] or 100)
        for row in report["rows"]
        for cell in row["cells"]
        if cell["variant"] == chosen
    }
    for result in loaded.data.eval_results:
        split = "report" if result.dataset_split == "report" else "all"
        assert abs(result.metric_value - values[result.metric_type, split]) < 1e-4
    assert {r.metric_type for r in loaded.data.eval_results} >= {"rougeL", "chrf", "acc"}
    again = light(tmp_path, *args, "--json", runs=finished.runs)
    assert json.loads(again.out)["variant"] == chosen


def test_an_edited_card_is_kept(finished: Finished, tmp_path: Path) -> None:
    """Exit code 2, and the way out."""
    path = tmp_path / "out" / "README.md"
    path.parent.mkdir()
    path.write_text("# Mine\n", "utf-8")
    done = light(tmp_path, "card", "small", "-o", str(path.parent), runs=finished.runs)
    assert done.code == 2
    assert "--force" in done.err
    assert path.read_text("utf-8") == "# Mine\n"


def test_lm_eval_cells_record_where_their_data_come_from(finished: Finished) -> None:
    """Nothing here is on the Hub, and that is known rather than unknown."""
    keys = [c.predictions_key for c in finished.manifest.cells if c.kind == "lm_eval"]
    for key in keys:
        path = finished.store.path("predictions", str(key)) / "datasets.jsonl"
        assert path.read_text("utf-8") == ""


def test_a_shipped_checkpoint_has_the_same_results(finished: Finished, tmp_path: Path) -> None:
    """``select --copy-to`` writes the card with the same code; metadata stay valid YAML."""
    out = tmp_path / "adapter"
    done = light(tmp_path, "select", "small", "--copy-to", str(out), runs=finished.runs)
    assert done.code == 0, done.err
    shipped = ModelCard.load(out / "README.md")
    assert light(tmp_path, "card", "small", "-o", str(tmp_path / "c"), runs=finished.runs).code == 0
    alone = ModelCard.load(tmp_path / "c" / "README.md")
    assert shipped.data.eval_results == alone.data.eval_results
    block = (out / "README.md").read_text("utf-8").split("---\n")[1]
    assert yaml.safe_load(block)["library_name"] == "peft"
    assert "harness-selection.json" in shipped.text
