"""The probe: tried once per base, and it notices masks, positions and heads that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.engines import probe, tree_forward
from harness.engines.probe import choose_engine
from harness.engines.tree_forward import TreeScorer
from harness.models.adapters import AdapterSet


def test_a_base_and_a_kind_of_adapter_are_tried_once(
    tiny_model: Any,
    make_adapter: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Adapters that differ in weights only get one engine, and none waits for a probe again."""
    tried = []
    problem = probe._problem
    monkeypatch.setattr(probe, "_problem", lambda *args: tried.append(args[1]) or problem(*args))
    assert choose_engine(tiny_model, "auto").engine == "tree"
    adapters = AdapterSet(tiny_model)
    for seed, name in enumerate(("a", "b")):
        adapters.add(name, make_adapter(tmp_path / name, seed=seed))
    for name in ("a", "b", None):
        with adapters.active(name) as model:
            assert choose_engine(model, "auto").engine == "tree"
    assert tried == ["tree", "tree"]
    assert choose_engine(tiny_model, "prefix").engine == "prefix"
    assert tried == ["tree", "tree", "prefix"]


def test_a_mask_that_leaks_is_noticed(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Branches that see each other change scores, so the tree is not used."""

    def leaking(self: TreeScorer, rows: Any, width: int, stem: int) -> torch.Tensor:
        mask = torch.full((width, width), torch.finfo(torch.float32).min).triu(1)
        return torch.nn.functional.pad(mask, (stem, 0)).expand(len(rows), 1, -1, -1)

    monkeypatch.setattr(TreeScorer, "_tree_masks", leaking)
    choice = choose_engine(tiny_model, "auto")
    assert choice.engine == "prefix"
    assert "tree cannot be used: scores of a small tree differ by" in choice.why


def test_positions_by_place_are_noticed(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token's position is its depth, not its place in the row."""
    monkeypatch.setattr(tree_forward, "forward_arguments", lambda _: frozenset())
    assert choose_engine(tiny_model, "tree").engine == "stock"


def test_a_head_that_cannot_be_restricted_is_noticed(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrong rows of logits must never be read as the right ones."""
    elsewhere = torch.nn.Linear(1, 1)
    monkeypatch.setattr(type(tiny_model), "get_output_embeddings", lambda _self: elsewhere)
    choice = choose_engine(tiny_model, "auto")
    assert choice.engine == "stock"
    assert "its output layer cannot be restricted" in choice.why


@pytest.mark.parametrize("kind", ["longrope", "dynamic"])
def test_positions_that_depend_on_the_pass_are_left_to_lm_eval(tiny_model: Any, kind: str) -> None:
    """Such a model reads a prefix differently when more follows it in the same pass."""
    tiny_model.config.rope_parameters = {"rope_type": kind, "rope_theta": 1e4}
    choice = choose_engine(tiny_model, "auto")
    assert choice.engine == "stock"
    assert "depend on the length of a pass" in choice.why


def test_stock_is_taken_as_it_is(tiny_model: Any) -> None:
    """Who asks for lm-eval's own code gets it without a probe."""
    assert choose_engine(tiny_model, "stock").why == "the suite asks for it"
