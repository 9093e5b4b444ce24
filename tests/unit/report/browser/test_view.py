"""All examples: what is read of them, how they are packed, and what the page and the CSV hold."""

from __future__ import annotations

import base64
import csv
import gzip
import html
import io
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.checks.outputs import findings_of
from harness.metrics.registry import build_metric
from harness.report.browser.csv import render_examples_csv
from harness.report.browser.html import TOGGLES, browser_section
from harness.report.browser.packing import INDEX, ExampleBlocks, pack
from harness.report.browser.view import FINDINGS, MISSING, AllExamples, TaskOutputs
from harness.report.build import build_view
from harness.report.html import render_html
from harness.report.tables import render_json
from harness.report.write import write_report
from harness.schema import Example, Prediction
from tests.large_run import write_large_run

BLOCK = re.compile(
    r'<script type="application/octet-stream;base64" id="([a-z0-9-]+)">([A-Za-z0-9+/=]+)</script>'
)
HOSTILE = (
    "</script><script>alert(1)</script>",
    "\u202egnp.exe \x00 \x1b[31m \u2028 \ufeff",
    "=SUM(A1:A9)",
    "字" * 50,
    "",
    "and so on " * 9,
)


def unpack(text: str) -> bytes:
    return gzip.decompress(base64.b64decode(text, validate=True))


def read_index(packed: ExampleBlocks) -> tuple[dict[str, Any], bytes]:
    """The header, and the arrays behind it."""
    data = unpack(packed.blocks[0][1])
    (length,) = struct.unpack("<I", data[:4])
    return json.loads(data[4 : 4 + length]), data[4 + length + -length % 4 :]


def array(header: dict[str, Any], body: bytes, name: str, dtype: str, *shape: int) -> Any:
    start = header["arrays"][name]
    return np.frombuffer(body, dtype, int(np.prod(shape)), start).reshape(shape)


def texts_of(packed: ExampleBlocks, number: int = 0) -> dict[str, Any]:
    """Every packed entry of a task by example id."""
    index, body = read_index(packed)
    header = index["tasks"][number]
    chunk = array(header, body, "chunk", "<u2", len(header["ids"]))
    blocks = dict(packed.blocks)
    found = {}
    for which in sorted(set(chunk.tolist()) - {index["noChunk"]}):
        entries = json.loads(unpack(blocks[f"chunk-{which}"]))
        names = np.array(header["ids"])[chunk == which]
        found |= dict(zip(names.tolist(), entries, strict=True))
    return found


@pytest.fixture(scope="module")
def examples(sample: Any) -> AllExamples:
    return AllExamples(sample.store, sample.manifest)


@pytest.fixture
def hostile(make_run: Callable[..., Any]) -> Any:
    """A run whose variants write hostile texts, each another."""
    place = iter(range(10_000))
    run = make_run(n=24, text=lambda variant, reference: HOSTILE[next(place) % len(HOSTILE)])
    return AllExamples(run.store, run.build())


def test_every_text_comes_back(sample: Any, examples: AllExamples) -> None:
    """Prompts, references and outputs of all examples are in the page's blocks, unchanged."""
    packed = pack(examples)
    for number, task in enumerate(examples.tasks):
        found = texts_of(packed, number)
        key = sample.manifest.examples[task.task]
        known = sample.store.read_records("examples", key, "examples", Example)
        generated = {item.example_id for made in task.outputs for item in made if item}
        assert set(found) == generated == {e.id for e in known if e.id in generated}
        for example in known:
            if example.id not in found:
                continue
            prompt, references, outputs = found[example.id]
            assert (prompt, tuple(references)) == (example.prompt, example.references)
            assert len(outputs) == len(task.variants)
        cell = next(c for c in sample.manifest.cells if c.task == task.task)
        made = sample.store.read_records(
            "predictions", cell.predictions_key, "predictions", Prediction
        )
        place = task.variants.index(cell.variant)
        for item in made:
            assert found[item.example_id][2][place] == [
                *(item.text, item.finish_reason, item.new_tokens, item.prompt_tokens),
                item.truncated_prompt_tokens,
            ]


def test_values_are_those_of_the_single_example(examples: AllExamples) -> None:
    """A value equals the metric of that output alone, to the precision of float32."""
    index, body = read_index(pack(examples))
    for header, task in zip(index["tasks"], examples.tasks, strict=True):
        shape = (len(header["metrics"]), len(task.variants), len(task.examples))
        values = array(header, body, "values", "<f4", *shape)
        for name in {"rougeL", "exact_match", "f1"} & {m["name"] for m in header["metrics"]}:
            metric = build_metric(name)
            row = [m["name"] for m in header["metrics"]].index(name)
            for variant, made in enumerate(task.outputs):
                for place in (0, 7, len(made) - 1):
                    example, item = task.examples[place], made[place]
                    stats = np.array(metric.statistics(item.text, example.references))
                    expected = float(metric.aggregate(stats))
                    assert values[row, variant, place] == pytest.approx(expected, rel=1e-6)


def test_the_deciding_task_and_metric_come_first(examples: AllExamples) -> None:
    """The page begins with what decides, and with the choice against the baseline."""
    index, _ = read_index(pack(examples))
    first = index["tasks"][0]
    assert (first["task"], first["metrics"][0]["name"]) == ("summary", "rougeL")
    assert first["baseline"] == "base@nf4"
    assert first["candidate"].startswith("checkpoint")
    assert [task["task"] for task in index["tasks"]] == ["summary", "qa"]
    assert index["tasks"][0]["splits"] == ["select", "report"]
    assert index["tasks"][1]["splits"] == ["report"]


def test_flags_are_the_findings(hostile: AllExamples) -> None:
    """Each flag says what ``findings_of`` says of that output."""
    for task in hostile.tasks:
        for row, made in enumerate(task.outputs):
            for place, item in enumerate(made):
                assert item is not None
                found = findings_of(item, task.examples[place].prompt)
                held = {
                    name for bit, name in enumerate(FINDINGS) if task.flags[row, place] >> bit & 1
                }
                assert held == set(found)
    assert {toggle.bit for toggle in TOGGLES} == {0, *(1 << b for b in range(5)), MISSING}


def test_groups_tell_which_outputs_are_equal(hostile: AllExamples) -> None:
    """Two outputs are in one group exactly where they are the same text."""
    task = hostile.tasks[0]
    for place in range(len(task.examples)):
        texts = [made[place].text.strip() for made in task.outputs]  # type: ignore[union-attr]
        for first, text in enumerate(texts):
            same = [task.groups[first, place] == group for group in task.groups[:, place]]
            assert same == [text == other for other in texts]


def test_hostile_texts_survive_packing(hostile: AllExamples) -> None:
    """What a model wrote comes back as it was, and no block holds a character of markup."""
    packed = pack(hostile)
    for _, text in packed.blocks:
        assert re.fullmatch(r"[A-Za-z0-9+/=]+", text)
    written = {output[0] for entry in texts_of(packed).values() for output in entry[2]}
    assert written == set(HOSTILE)


def test_the_same_examples_give_the_same_bytes(sample: Any, examples: AllExamples) -> None:
    """Packing does not depend on the time, on the order of sets, or on the reading."""
    assert pack(AllExamples(sample.store, sample.manifest)).blocks == pack(examples).blocks


def test_a_failed_variant_is_missing_with_its_reason(make_run: Callable[..., Any]) -> None:
    """Its outputs are flagged as missing in every example, and the reason is in the index."""
    run = make_run(failed={("checkpoint-40", "summary"): "CUDA out of memory"})
    task = AllExamples(run.store, run.build(selection=None)).tasks[0]
    row = task.variants.index("checkpoint-40")
    assert set(task.flags[row].tolist()) == {MISSING}
    assert task.missing == {"checkpoint-40": "failed: CUDA out of memory"}
    assert np.isnan(task.metrics[0].values[row]).all()
    assert task.candidate == "merged-40"  # the last that wrote anything


def test_nothing_generated_gives_no_section(make_run: Callable[..., Any]) -> None:
    """Without generation tasks there is nothing to list, and no CSV of it."""
    spec = {
        "name": "small",
        "base": {"model": "tiny:llama"},
        "tasks": {"smoke_hellaswag": {"type": "lm_eval", "task": "smoke_hellaswag"}},
    }
    run = make_run(spec=spec, variants=("base@nf4",), training=False)
    found = AllExamples(run.store, run.build())
    assert found.tasks == ()
    assert browser_section(found) is None
    assert browser_section(None) is None


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> AllExamples:
    return AllExamples(*write_large_run(tmp_path_factory.mktemp("large"), 1_000, 3))


def test_all_fit_where_there_is_room(large: AllExamples) -> None:
    """Within the budget nothing is left out, and chunks hold neighbours."""
    packed = pack(large)
    assert packed.left_out == {}
    index, body = read_index(packed)
    chunk = array(index["tasks"][0], body, "chunk", "<u2", 1_000)
    assert (np.diff(chunk.astype(int)) >= 0).all()
    assert len(packed.blocks) == 1 + chunk.max() + 1


def test_middling_examples_are_left_out_first(large: AllExamples) -> None:
    """Of what is left out no difference is farther from the middle than of what is kept."""
    size = sum(len(text) for _, text in pack(large).blocks[1:])
    packed = pack(large, size // 2)
    assert sum(len(text) for _, text in packed.blocks[1:]) <= size // 2
    task = large.tasks[0]
    found = texts_of(packed)
    kept = np.array([example.id in found for example in task.examples])
    assert packed.left_out == {"summary": int((~kept).sum())}
    assert 300 < kept.sum() < 700
    distance = np.abs(task.deltas() - np.median(task.deltas()))
    assert distance[kept].min() >= distance[~kept].max()


def test_the_page_says_how_many(large: AllExamples, monkeypatch: pytest.MonkeyPatch) -> None:
    """Left-out texts are counted in words."""
    monkeypatch.setattr("harness.report.browser.packing.pack.__defaults__", (1_000,))
    section = browser_section(large)
    assert section is not None
    assert "The texts of 1,000 examples of 1,000 had no room" in section.left_out


def test_one_huge_text_does_not_keep_others_out(large: AllExamples) -> None:
    """A chunk that exceeds the budget alone is passed over, smaller ones are kept."""
    task = large.tasks[0]
    rng = np.random.default_rng(0)
    noise = base64.b64encode(rng.bytes(600_000)).decode()
    first = task.examples[0].model_copy(update={"prompt": noise})
    fields = {name: getattr(task, name) for name in TaskOutputs.__dataclass_fields__}
    changed = TaskOutputs(**fields | {"examples": (first, *task.examples[1:])})
    found = AllExamples.__new__(AllExamples)
    found.__dict__["tasks"] = (changed,)
    packed = pack(found, 700_000)
    assert packed.left_out["summary"] == 1


def test_the_page_holds_the_blocks_as_data(sample: Any, examples: AllExamples) -> None:
    """Blocks stand behind everything else, and a page without JavaScript says where to look."""
    page = render_html(sample.view, examples)
    blocks = BLOCK.findall(page)
    assert tuple(blocks) == pack(examples).blocks
    assert page.index(f'id="{INDEX}"') > page.index("</main>")
    assert "default-src 'none'" in html.unescape(page)
    assert "harness report sample/r-4f21c0 --format csv" in page
    assert page.count("<script>") == 1
    assert len(page) < 600_000


def test_other_forms_stay_small(sample: Any, examples: AllExamples) -> None:
    """JSON holds the picked examples only, and a page made without examples has no such section."""
    assert len(render_json(sample.view)) < 2_000_000
    assert 'id="browser"' not in render_html(sample.view)
    assert 'id="browser"' in render_html(sample.view, examples)


def test_csv_has_every_example(hostile: AllExamples) -> None:
    """One line per example with all outputs; a formula is quoted, an empty value is empty."""
    lines = list(csv.DictReader(io.StringIO(render_examples_csv(hostile), newline="")))
    assert len(lines) == sum(len(task.examples) for task in hostile.tasks)
    task = hostile.tasks[0]
    for line, example in zip(lines, task.examples, strict=False):
        assert (line["id"], line["prompt"]) == (example.id, example.prompt)
        assert json.loads(line["references"]) == list(example.references)
    written = {line["output checkpoint-40"] for line in lines}
    assert written <= {f"'{text}" if text.startswith("=") else text for text in HOSTILE}
    assert {line["exact_match base@nf4"] for line in lines if line["task"] == "summary"} == {""}
    values = [float(line["rougeL base@nf4"]) for line in lines if line["task"] == "summary"]
    expected = task.metrics[0].values[task.variants.index("base@nf4")]
    assert values == expected.tolist()


def test_writing_csv_writes_the_examples_too(
    sample: Any, examples: AllExamples, tmp_path: Path
) -> None:
    """``--format csv`` writes the table of scores and that of all examples."""
    paths = write_report(sample.view, tmp_path, "csv", examples)
    assert [path.name for path in paths] == ["report.csv", "examples.csv"]
    assert paths[1].read_text("utf-8") == render_examples_csv(examples)
    assert [path.name for path in write_report(sample.view, tmp_path, "csv")] == ["report.csv"]


def test_large_runs_are_complete_and_repeatable(tmp_path: Path) -> None:
    """The synthetic run has a report, hostile outputs, and the same bytes for the same seed."""
    first, manifest = write_large_run(tmp_path / "a", 120, 4)
    second, again = write_large_run(tmp_path / "b", 120, 4)
    assert manifest == again
    assert pack(AllExamples(first, manifest)).blocks == pack(AllExamples(second, again)).blocks
    view = build_view(first, manifest)
    assert view.primary == ("summary", "rougeL")
    assert view.verdict.outcome == "ship"
    task = AllExamples(first, manifest).tasks[0]
    assert task.variants == ("base@nf4", "base@fp32", "checkpoint-20", "merged-20")
    assert "<script>" in str(task.outputs[0][5])
