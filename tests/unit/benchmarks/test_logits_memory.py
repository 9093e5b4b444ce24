"""The benchmarks' count of living bytes."""

from __future__ import annotations

import pytest

pytest.importorskip("lm_eval")

import torch

from tests.benchmarks.logits_memory import PeakOfWidth


def test_only_living_tensors_of_the_width_count() -> None:
    """Views share their storage, what was freed is gone, other widths and weights are left out."""
    head = torch.nn.Linear(3, 7, bias=False)  # its transposed weight is 7 wide
    with torch.inference_mode(), PeakOfWidth(7, head) as mode:
        first = head(torch.ones(5, 3))  # 5 x 7 x 4 bytes = 140
        assert mode.peak == 140
        _ = first[:2], torch.ones(100, 6)
        assert mode.peak == 140
        second = first.log_softmax(-1)
        assert mode.peak == 280
        del first, _
        third = second.exp()  # the first is gone by now
        assert mode.peak == 280
        del second, third
