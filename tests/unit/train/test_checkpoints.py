"""What is on the disk when a checkpoint is marked complete."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.train.checkpoints import COMPLETE, mark_complete


def test_what_lies_beside_it_is_synced_before_the_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model card: a training that goes on from its last checkpoint does not write it again."""
    checkpoint = tmp_path / "checkpoint-2"
    checkpoint.mkdir()
    weights, card = checkpoint / "adapter_model.safetensors", tmp_path / "README.md"
    for file in (weights, card):
        file.write_text("x")
    synced: list[tuple[int, bool]] = []

    def sync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, (checkpoint / COMPLETE).exists()))

    monkeypatch.setattr(os, "fsync", sync)
    mark_complete(checkpoint, {"step": 2})
    assert {(file.stat().st_ino, False) for file in (weights, card)} <= set(synced)
