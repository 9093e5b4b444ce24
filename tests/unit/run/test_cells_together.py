"""Variants of one base write their texts in common batches, and the results are each one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.console import Reporter
from harness.engines import generation
from harness.errors import DiskError, ModelError
from harness.models.adapters import AdapterSet
from harness.models.policy import DevicePolicy
from harness.run.pipeline import run_suite
from harness.run.state import Options
from harness.schema import Example, Manifest, Prediction
from harness.store.runs import Store
from harness.suite.spec import GenerationTask
from harness.tasks import generation as task_module
from harness.tasks.generation import together_pays
from tests.unit.suites import suite_file

TASKS = {
    "answers": {"type": "generation", "metrics": ["chrf"], "max_new_tokens": 6},
    "drawn": {"type": "generation", "metrics": ["chrf"], "max_new_tokens": 6, "do_sample": True},
}


@pytest.fixture
def run(tmp_path: Path, make_adapter: Callable[..., Path]) -> Callable[..., Manifest]:
    """Run base and two adapters on tiny:llama; results go to a folder of their own."""
    for step in (1, 2):
        make_adapter(tmp_path / f"out/checkpoint-{step}", seed=step)
    file = suite_file(
        tmp_path,
        base={"model": "tiny:llama", "dtype": "fp32", "device": "cpu"},
        tasks=TASKS,
        checkpoints="out/checkpoint-*",
        matrix={"base": ["fp32"], "adapters": "fp32", "merged": "none"},
    )

    def go(name: str, reporter: Reporter | None = None) -> Manifest:
        return run_suite(file, Store(tmp_path / name), Options(), reporter or Reporter(-1))

    return go


def texts(store: Store, manifest: Manifest) -> dict[tuple[str, str], list[Prediction]]:
    return {
        (cell.variant, cell.task): store.read_records(
            "predictions", cell.predictions_key, "predictions", Prediction
        )
        for cell in manifest.cells
        if cell.predictions_key
    }


def forbid(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(generation, name, lambda *_, **__: pytest.fail(f"{name} was called"))


def test_predictions_are_those_of_one_after_another(
    run: Callable[..., Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Greedy and sampled texts of all variants come from common batches, unchanged."""
    with monkeypatch.context() as patched:
        patched.setattr(task_module, "together_pays", lambda *_: False)
        forbid(patched, "generate_together")
        alone = texts(Store(tmp_path / "alone"), run("alone"))
    with monkeypatch.context() as patched:
        forbid(patched, "generate")
        together = texts(Store(tmp_path / "together"), run("together"))
    assert together == alone
    assert len(alone) == 6
    assert len({tuple(p.text for p in own) for own in alone.values()}) == 6


@pytest.mark.parametrize("error", [ModelError("no memory"), RuntimeError("a kernel broke")])
def test_what_fails_together_is_done_one_after_another(
    run: Callable[..., Manifest],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    """The reason is said, and no cell is lost."""

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(generation, "generate_together", fail)
    manifest = run("runs", Reporter())
    assert [cell.status for cell in manifest.cells] == ["done"] * 6
    said = capsys.readouterr().err
    assert "answers: variants are predicted one after another:" in said
    assert str(error) in said


def test_layers_that_cannot_be_mixed(
    run: Callable[..., Manifest],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The reason is said, and nothing is tried."""
    monkeypatch.setattr(AdapterSet, "why_not_mixed", lambda *_: "it uses DoRA")
    forbid(monkeypatch, "generate_together")
    manifest = run("runs", Reporter())
    assert all(cell.status == "done" for cell in manifest.cells)
    assert "one after another: it uses DoRA" in capsys.readouterr().err


def test_a_full_disk_ends_the_run(
    run: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after another there would be no more room."""

    def fail(*_: Any, **__: Any) -> None:
        raise DiskError("no room")

    monkeypatch.setattr(generation, "generate_together", fail)
    with pytest.raises(DiskError):
        run("runs")


def test_an_adapter_that_breaks_leaves_the_others_alone(
    run: Callable[..., Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cells fail with the reason; base and the other adapter still share their batches."""
    probe = AdapterSet.effect

    def broken(adapters: Any, name: str, *rest: Any, **options: Any) -> float:
        if name == "checkpoint-1":
            raise RuntimeError("NaN everywhere")
        return probe(adapters, name, *rest, **options)

    monkeypatch.setattr(AdapterSet, "effect", broken)
    forbid(monkeypatch, "generate")
    manifest = run("runs")
    status = {(cell.variant, cell.task): cell for cell in manifest.cells}
    for (variant, _), cell in status.items():
        assert cell.status == ("failed" if variant == "checkpoint-1" else "done")
    assert "NaN everywhere" in str(status["checkpoint-1", "drawn"].reason)


def test_what_was_predicted_before_an_interruption_is_kept(
    run: Callable[..., Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts are stored task by task, so that the next run begins with the task that was cut."""
    together, begun = generation.generate_together, []

    def interrupted(
        mixture: Any, tokenizer: Any, prompts: Any, decoding: Any, **options: Any
    ) -> Any:
        begun.append(decoding)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return together(mixture, tokenizer, prompts, decoding, **options)

    monkeypatch.setattr(generation, "generate_together", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("runs")
    run("runs")
    assert [decoding.do_sample for decoding in begun] == [False, True, True]


@pytest.mark.parametrize(
    ("mix", "device", "dtype", "examples", "pays"),
    [
        ("auto", "cpu", "fp32", 16, True),
        ("auto", "cpu", "fp32", 17, False),
        ("auto", "cpu", "bf16", 1, False),
        ("auto", "cuda:0", "fp32", 999, True),
        ("auto", "cuda:0", "bf16", 999, False),
        ("always", "cuda:0", "bf16", 999, True),
        ("never", "cpu", "fp32", 1, False),
    ],
)
def test_when_it_pays(mix: str, device: str, dtype: Any, examples: int, pays: bool) -> None:
    """In fp32; on a CPU only where a variant's own prompts leave a batch of 64 mostly empty."""
    task = GenerationTask.model_validate(
        {"type": "generation", "metrics": ["chrf"], "mix_adapters": mix}
    )
    one = Example(
        id="1", prompt="p", completion="c", references=("c",), cluster="1", split="report"
    )
    policy = DevicePolicy(device, "a device", dtype, False, ())
    assert together_pays(task, [one] * examples, policy) is pays
