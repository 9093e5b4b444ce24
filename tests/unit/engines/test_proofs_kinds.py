"""Texts and losses of every kind of adapter are the uncached loop's, by whatever way."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("lm_eval")

from harness.errors import ModelError
from harness.models.adapters import AdapterSet
from harness.models.tokens import encode_pair
from tests.unit.engines.test_proofs import COMPLETION, PROMPTS, door, losses, uncached, write
from tests.unit.models.test_peft_kinds import KINDS, NEED_MORE, OF_OTHERS, base, saved

pytestmark = pytest.mark.slow

LOOK_AHEAD = {"LILY"}  # PEFT weighs its experts by all tokens of a batch, later ones included


def plain_losses(model: Any, tokenizer: Any) -> list[float]:
    """By logits alone: PEFT adds terms of its own to the loss of some kinds."""
    sums = []
    for prompt in PROMPTS:
        first, then = encode_pair(tokenizer, prompt, COMPLETION, chat=False)
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([first + then]), use_cache=False).logits[0]
        own = logits[-len(then) - 1 : -1].log_softmax(dim=-1)
        sums.append(-float(own[range(len(then)), then].sum()))
    return sums


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - OF_OTHERS - NEED_MORE.keys()))
def test_it_answers_as_its_forward_pass(
    kind: str, tiny_dir: Path, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    """Those that put tokens in front need a slower way, and get it; what no cache can do fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapters = AdapterSet(base(tiny_dir))
        adapters.add("a", saved(kind, tiny_dir, tmp_path / "a", seed=5), alone=True)
        with adapters.active("a") as model:
            ours = door(model, tiny_tokenizer)
            if kind in LOOK_AHEAD:
                with pytest.raises(ModelError, match="No way of answering"):
                    write(ours)
                return
            assert write(ours) == uncached(model, tiny_tokenizer)
            assert losses(ours) == pytest.approx(plain_losses(model, tiny_tokenizer), rel=1e-4)
