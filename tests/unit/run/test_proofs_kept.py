"""What was measured of a variant's answers is kept with them, and told wherever they are scored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.console import Reporter
from harness.engines.transformers import TransformersEngine
from harness.run.pipeline import run_suite
from harness.run.state import Options
from harness.schema import Manifest, Proof
from harness.store.runs import Store
from tests.unit.suites import suite_file

PROBE = "decoding is the forward pass"


@pytest.fixture
def run(tmp_path: Path, make_adapter: Callable[..., Path]) -> Callable[..., Manifest]:
    """Run base and an adapter that waits for tokens on tiny:llama, scored by some metrics."""
    make_adapter(tmp_path / "out/checkpoint-1", alora_invocation_tokens=[7, 8])
    make_adapter(tmp_path / "out/checkpoint-2")

    def go(*metrics: str, **options: Any) -> Manifest:
        file = suite_file(
            tmp_path,
            base={"model": "tiny:llama", "dtype": "fp32", "device": "cpu"},
            tasks={
                "texts": {"type": "generation", "metrics": list(metrics), "max_new_tokens": 6}
                | options
            },
            checkpoints="out/checkpoint-*",
            matrix={"base": ["fp32"], "adapters": "fp32", "merged": "none"},
        )
        return run_suite(file, Store(tmp_path / "runs"), Options(), Reporter(-1))

    return go


def outcomes(folder: Path, manifest: Manifest) -> dict[str, str]:
    store = Store(folder / "runs")
    return {
        cell.variant: proof.outcome
        for cell in manifest.cells
        for proof in store.read_records("scores", cell.scores_key, "proofs", Proof)
        if proof.probe == PROBE
    }


EXPECTED = {"base@fp32": "holds", "checkpoint-1": "fallback", "checkpoint-2": "holds"}


def test_proofs_stay_with_the_texts(
    run: Callable[..., Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A metric that is added later tells of the fallback, too, though no model is loaded."""
    first = run("chrf")
    assert outcomes(tmp_path, first) == EXPECTED
    [warning] = [finding for finding in first.findings if finding.check == PROBE]
    assert warning.severity == "warning"
    assert "checkpoint-1" in warning.what
    monkeypatch.setattr(TransformersEngine, "load", lambda *_: pytest.fail("it loads a model"))
    again = run("chrf", "exact_match")
    assert outcomes(tmp_path, again) == EXPECTED


def test_variants_that_answered_together_have_theirs(
    run: Callable[..., Manifest], tmp_path: Path
) -> None:
    """Where one of them cannot be mixed, none is."""
    assert outcomes(tmp_path, run("chrf", mix_adapters="always")) == EXPECTED
