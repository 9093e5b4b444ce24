from __future__ import annotations

import pytest
import torch
from transformers import LlamaForCausalLM

from harness.measure import grid as grid_module
from harness.measure.grid import Point, Subject, grid_points, measure_point
from harness.measure.machine import Snapshot
from harness.measure.speed import Timing
from harness.metrics.quantities import MEASURED
from harness.schema import Measurement
from harness.suite.spec import MeasureSpec

CPU = torch.device("cpu")


def by_name(found: list[Measurement]) -> dict[str, Measurement]:
    return {measurement.name: measurement for measurement in found}


def test_grid_points() -> None:
    """Every combination of sizes is a point."""
    spec = MeasureSpec(prompt_tokens=(8, 16), new_tokens=(2, 4), batch_sizes=(1, 3))
    points = grid_points(spec)
    assert len(points) == len(set(points)) == 8
    assert points[0] == Point(prompt_tokens=8, new_tokens=2, batch_size=1)


def test_figures_follow_their_definitions(
    tiny_model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hand calculation: 3 x 10 prompt tokens in 0.5 s; 3 x 2 further tokens in 0.25 + 0.5 s."""
    timing = Timing(
        prefill_s=0.5, ttft_s=0.75, gaps_s=(0.25, 0.5), e2e_s=1.5, kv_cache_bytes=256 * 3 * 12
    )
    monkeypatch.setattr(grid_module, "timed_generation", lambda *args, **kwargs: timing)
    found = by_name(
        measure_point(Subject(tiny_model, CPU, 0), Point(10, 3, 3), warmup=1, repeats=2)
    )
    values = {name: measurement.values for name, measurement in found.items()}
    assert values["prefill_tokens_per_s"] == (60.0, 60.0)
    assert values["ttft_s"] == (0.75, 0.75)
    assert values["decode_tokens_per_s"] == (8.0, 8.0)
    assert values["itl_s"] == (0.25, 0.5, 0.25, 0.5)
    assert values["tpot_s"] == (0.375, 0.375)
    assert values["e2e_s"] == (1.5, 1.5)
    assert values["kv_cache_bytes_per_token"] == (256.0,)


def test_every_repeat_is_recorded_and_warmup_is_not(tiny_model: LlamaForCausalLM) -> None:
    """Five repeats give five values of each time, and each quantity has a definition."""
    calls = 0

    def counted(*_: object) -> None:
        nonlocal calls
        calls += 1

    hook = tiny_model.register_forward_pre_hook(counted)
    found = by_name(measure_point(Subject(tiny_model, CPU, 0), Point(6, 4, 2), warmup=2, repeats=5))
    hook.remove()
    assert calls == (2 + 5) * 4
    for name in ("prefill_tokens_per_s", "ttft_s", "decode_tokens_per_s", "tpot_s", "e2e_s"):
        assert len(found[name].values) == 5
    assert len(found["itl_s"].values) == 5 * 3
    assert set(found) <= set(MEASURED)
    assert not {"peak_allocated_bytes", "peak_reserved_bytes"} & set(found)
    shapes = {(m.prompt_tokens, m.new_tokens, m.batch_size, m.warmup) for m in found.values()}
    assert shapes == {(6, 4, 2, 2)}


def test_one_new_token_has_no_decode_figures(tiny_model: LlamaForCausalLM) -> None:
    """Where nothing is decoded after the first token, the figures are missing with a reason."""
    found = by_name(measure_point(Subject(tiny_model, CPU, 0), Point(6, 1, 1), warmup=1, repeats=2))
    assert found["decode_tokens_per_s"].values == ()
    assert found["decode_tokens_per_s"].reason == "One new token has no token after it."
    assert len(found["ttft_s"].values) == 2


def test_point_longer_than_the_context(tiny_model: LlamaForCausalLM) -> None:
    """Sizes beyond the model's context give a reason in place of figures."""
    found = measure_point(Subject(tiny_model, CPU, 0), Point(60, 5, 1), warmup=1, repeats=2)
    assert {m.values for m in found} == {()}
    assert {m.reason for m in found} == {"65 tokens do not fit the model's context of 64."}
    assert len(measure_point(Subject(tiny_model, CPU, 0), Point(59, 5, 1), warmup=1, repeats=2)) > 1


def test_point_out_of_memory(tiny_model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """A point that does not fit the memory gives a reason; other failures are not hidden."""

    def too_large(*_: object, **__: object) -> Timing:
        # the CPU allocator's own error, without the hours of touching pages
        torch.empty(2**60, dtype=torch.uint8)
        raise AssertionError("the machine has an exbibyte of memory")

    monkeypatch.setattr(grid_module, "timed_generation", too_large)
    found = measure_point(Subject(tiny_model, CPU, 0), Point(6, 2, 1), warmup=1, repeats=2)
    assert all(m.reason and m.reason.startswith("Out of memory: ") for m in found)

    def broken(*_: object, **__: object) -> Timing:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(grid_module, "timed_generation", broken)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        measure_point(Subject(tiny_model, CPU, 0), Point(6, 2, 1), warmup=1, repeats=2)


def test_busy_machine_marks_the_figures(
    tiny_model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another process was busy in the measured region, every figure says so."""
    states = iter([Snapshot(0.0, 0.1, {7: ("cc1", 1.0)}), Snapshot(10.0, 0.9, {7: ("cc1", 9.0)})])
    monkeypatch.setattr(grid_module, "snapshot", lambda: next(states))
    found = measure_point(Subject(tiny_model, CPU, 0), Point(6, 2, 1), warmup=1, repeats=2)
    assert all("cc1 (pid 7) used 0.8 cores" in m.note for m in found)
