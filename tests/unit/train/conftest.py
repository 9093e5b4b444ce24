"""A small training in this process: its examples, and a runner with defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.schema import Example, Split, TrainingRun
from harness.suite.spec import BaseSpec, TrainSpec
from harness.train.qlora import TrainingJob, train


def make_examples(n: int, split: Split = "train") -> list[Example]:
    """Examples of about 20 tokens of tiny:llama."""
    return [
        Example(
            id=f"{split}-{i}",
            prompt=f"def f{i}(x): value {i * 7}\n=>",
            completion=f" result {i % 5} of the {i}",
            references=("x",),
            cluster=str(i),
            split=split,
        )
        for i in range(n)
    ]


@dataclass
class Training:
    """One training in a folder of its own; calling it trains, or goes on.

    Attributes:
        stop_at: (step, words): an error is raised once this step logs a note with these words,
            as a kill would end the process there.
        said: What was announced.
    """

    folder: Path
    args: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    model: str = "tiny:llama"
    dtype: str = "fp32"
    rows: int = 12
    eval_rows: int = 4
    stop_at: tuple[int, str] | None = None
    said: list[str] = field(default_factory=list)

    def __call__(self) -> TrainingRun:
        self.folder.mkdir(parents=True, exist_ok=True)
        return train(self.job())

    def job(self) -> TrainingJob:
        args = {"max_steps": 4, "save_steps": 2, "per_device_train_batch_size": 2, **self.args}
        lora = {"r": 4, "lora_dropout": 0.1}
        return TrainingJob(
            base=BaseSpec(model=self.model, dtype=self.dtype, device="cpu"),  # type: ignore[arg-type]
            base_dir=Path(),
            spec=TrainSpec(**{"lora": lora, **self.spec, "args": args}),
            seed=1,
            chat=False,
            train_examples=make_examples(self.rows),
            eval_examples=make_examples(self.eval_rows, "eval"),
            work_dir=self.folder,
            progress=self._progress,
            say=self.said.append,
        )

    def _progress(self, step: int, steps: int, note: str) -> None:
        if self.stop_at is not None and step == self.stop_at[0] and self.stop_at[1] in note:
            raise KeyboardInterrupt


@pytest.fixture
def training(tmp_path: Path, tiny_dir: Path) -> Callable[..., Training]:
    """Make a training: ``training(args={...}, spec={...})``; ``name`` is its folder's."""

    def make(name: str = "work", **options: Any) -> Training:
        return Training(tmp_path / name, **options)

    return make
