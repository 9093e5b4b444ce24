"""A suite that makes the mistakes of published tutorials: each is noticed, by name.

The mistakes are those of a book's chapter on fine-tuning and of issues of well-known tools: scores
against the base's own outputs, a test split that looks like the training split, 38 of 47 rows that
a length filter dropped, another template at evaluation, outputs that loop, an adapter that was not
applied, three examples.
"""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from harness.checks.base import findings_about
from harness.console import Reporter
from harness.plan.plan import EvalCell
from harness.run.examples import read_examples
from harness.run.overlaps import look_for_overlaps
from harness.run.state import Options, Run, start
from harness.run.written import look_at_outputs
from harness.schema import Finding, Prediction
from harness.store.runs import Store
from harness.validate.suite import read_suite
from tests.unit.checks.test_training_curve import told as told_of
from tests.unit.checks.test_training_curve import training
from tests.unit.suites import TRAIN, adapter, suite_file

LOOP = "But, it is not a good medicine for this. " * 5
SUITE: dict[str, Any] = {
    "train": TRAIN,
    "data": {"files": {"train": "train.jsonl", "report": "test.jsonl"}, "cluster": "exact"},
    "prompt": {
        "prompt": "### Instruct: {{ text }} ### Output:", "completion": " {{ label }} ### End",
    },
    "tasks": {
        "answers": {
            "type": "generation", "metrics": ["rougeL"], "splits": ["report"],
            "prompt": {"prompt": "Instruct: {{ text }} Output:", "completion": "{{ label }}",
                       "stop": ["#End"]},
        }
    },
}  # fmt: skip


def question(n: int) -> str:
    return " ".join(f"word{random.Random(17 * n + place).randrange(500)}" for place in range(20))


def answer(n: int) -> str:
    return f"rest and water are good for illness number {n}"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The suite with its examples read and its training known, and no model anywhere."""
    rows = [{"text": question(n), "label": answer(n)} for n in range(47)]
    test = [{"text": f"{question(n)} indeed", "label": answer(n)} for n in range(3)]
    suite_file(tmp_path)  # writes other files that it needs
    for name, content in {"train": rows, "test": test}.items():
        lines = "".join(json.dumps(row) + "\n" for row in content)
        (tmp_path / f"{name}.jsonl").write_text(lines, "utf-8")
    file = suite_file(tmp_path, **SUITE)
    run = start(file, Store(tmp_path / "runs"), Options(), Reporter(-1))
    run.findings += findings_about(file.suite)
    look_for_overlaps(run, read_examples(run))
    return run


def told(run: Run, check: str) -> str:
    found: list[Finding] = [finding for finding in run.findings if finding.check == check]
    return " ".join(finding.what for finding in found)


def test_the_test_split_looks_like_the_training_split(run: Run) -> None:
    """All of its rows are near copies, though none is equal."""
    assert "3 of 3 scored examples are training rows" in told(run, "training overlap")


def test_the_template_is_another_at_evaluation(run: Run) -> None:
    """Trained on “### Instruct”, asked with “Instruct”."""
    assert "answers asks with another prompt" in told(run, "prompt")


def test_rows_were_dropped_and_the_eval_loss_is_nothing() -> None:
    """A length filter leaves 9 of 47 rows, and the validation loss falls to 0.011."""
    curve = training([2 - n / 20 for n in range(20)], (1.0, 0.2, 0.011), rows_used=9,
                     rows_dropped={"too long": 38})  # fmt: skip
    texts = " ".join(told_of(curve))
    assert "38 of 47 training rows were left out" in texts
    assert "The eval loss falls to 0.011" in texts


def test_outputs_show_self_reference_loops_and_an_adapter_that_was_not_applied(
    tmp_path: Path,
) -> None:
    """References are the base's own words; one adapter repeats itself, one changes nothing."""
    for name in ("checkpoint-1", "checkpoint-2"):
        adapter(tmp_path / name, name.encode())
    suite = {**SUITE, "checkpoints": "checkpoint-*"}
    del suite["train"]
    (tmp_path / "test.jsonl").write_text(
        "".join(json.dumps({"text": question(n), "label": answer(n)}) + "\n" for n in range(3)),
        "utf-8",
    )
    (tmp_path / "train.jsonl").write_text(json.dumps({"text": "x", "label": "y"}) + "\n", "utf-8")
    file = suite_file(tmp_path, **suite)
    run = start(file, Store(tmp_path / "runs"), Options(), Reporter(-1))
    examples = read_examples(run)["answers"]
    cells = [cell for cell in run.plan.cells if isinstance(cell, EvalCell)]
    for cell in cells:
        texts = [LOOP if cell.variant == "checkpoint-1" else e.references[0] for e in examples]
        made = [
            Prediction(example_id=e.id, text=text, prompt_tokens=1, new_tokens=1,
                       finish_reason="eos")
            for e, text in zip(examples, texts, strict=True) if e.split == "report"
        ]  # fmt: skip
        with run.store.writing("predictions", cell.predictions.key, {}) as folder:
            run.store.write_records(folder, "predictions", made)
        run.results[(cell.variant, cell.task)] = cell.done()
    look_at_outputs(run)
    assert "base@nf4: 3 of 3 references of answers are word for word" in told(run, "self-reference")
    outputs = told(run, "outputs")
    assert "checkpoint-1: 3 of 3 outputs of answers: output repeats itself, 0 of 3" in outputs
    assert "checkpoint-2: all 3 outputs of answers are those of base@nf4" in outputs
    errors = [finding for finding in run.findings if finding.severity == "error"]
    assert [finding.check for finding in errors] == ["self-reference"]


@pytest.mark.slow
def test_a_suite_that_does_it_right_is_not_told_of(tmp_path: Path) -> None:
    """Splits by cluster, one prompt."""
    rows = [{"text": f"{n} is {n * 7}", "label": f"{n}"} for n in range(60)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    shares = {"train": 0.5, "eval": 0.1, "select": 0.2, "report": 0.2}
    file = suite_file(tmp_path, train=TRAIN, data={"source": "rows.jsonl", "splits": shares})
    (tmp_path / "rows.jsonl").write_text(lines, "utf-8")
    file = read_suite(str(file.path))
    run = start(file, Store(tmp_path / "runs"), Options(), Reporter(-1))
    look_for_overlaps(run, read_examples(run))
    assert [f.what for f in run.findings if f.check in ("training overlap", "prompt", "rows")] == []
