"""What a training leaves beside its weights: how far it was, and how its loss fell. Torch-free.

``training_args.bin`` is a pickle, which can run code when it is opened, so it is never read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.digests import file_digest

ADAPTER_WEIGHTS = "adapter_model.safetensors"
TOKENIZER_PROBE = "what lies beside the adapter is what it is evaluated with"
TRAINER_STATE = "trainer_state.json"

# A number that a name gives as a step. Of an epoch, a rank or a version it is none.
_STEP = re.compile(r"(?<![a-z])(?:checkpoint|ckpt|step|iter|iteration|update)s?[-_=.]?(\d+)", re.I)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts numbers in names by their size, so that ``epoch_2`` comes before ``epoch_10``."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


@dataclass(frozen=True)
class TrainerState:
    """What transformers' Trainer writes down with each checkpoint, and at the end of a training.

    Attributes:
        folder: Where it lies.
        values: As it is stored.
    """

    folder: Path
    values: Mapping[str, Any]

    @property
    def global_step(self) -> int | None:
        """Steps that were trained when it was written."""
        return _whole(self.values.get("global_step"))

    @cached_property
    def step(self) -> int | None:
        """The step of the weights beside it; None where the files do not tell.

        At the end of a training with ``load_best_model_at_end`` they are those of the best
        checkpoint, and the state is that of the last step.
        """
        best = self.values.get("best_model_checkpoint")
        if not isinstance(best, str) or Path(best).name == self.folder.name:
            return self.global_step
        if step_in_name(self.folder.name) == self.global_step:
            return self.global_step  # saved on the way, when another was the best
        if step_in_name(Path(best).name) == self.global_step:
            return self.global_step
        return self._step_of_twin()

    def _step_of_twin(self) -> int | None:
        """The step of the checkpoint inside this folder that holds the same weights."""
        own = self.folder / ADAPTER_WEIGHTS
        twins = [own.parent / name / ADAPTER_WEIGHTS for name in self._inside() if own.is_file()]
        same = (t for t in twins if t.stat().st_size == own.stat().st_size)
        digest = file_digest(own) if twins else ""
        return next((step_in_name(t.parent.name) for t in same if file_digest(t) == digest), None)

    def _inside(self) -> list[str]:
        weights = self.folder.glob(f"*/{ADAPTER_WEIGHTS}")
        return sorted((file.parent.name for file in weights), key=natural_key)

    def eval_loss(self, step: int | None) -> float | None:
        """The loss on held-out rows that the trainer logged at a step."""
        log = self.values.get("log_history")
        for entry in log if isinstance(log, list) else []:
            if isinstance(entry, dict) and entry.get("step") == step and step is not None:
                loss = entry.get("eval_loss")
                if isinstance(loss, int | float) and loss == loss:  # noqa: PLR0124  # not NaN
                    return float(loss)
        return None


def trainer_state(folder: Path) -> TrainerState | None:
    """The state beside a folder's weights, or None where there is none that can be read."""
    try:
        values = json.loads((folder / TRAINER_STATE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return TrainerState(folder, values) if isinstance(values, dict) else None


def step_in_name(name: str) -> int | None:
    """The training step that a folder's name gives: the last number that it calls a step."""
    numbers = _STEP.findall(name)
    return int(numbers[-1]) if numbers else None


def step_of(folder: Path) -> int | None:
    """The step at which a folder's weights were saved; None where nothing tells it.

    The trainer's own state goes before the folder's name. The number of an epoch is not a step.
    """
    state = trainer_state(folder)
    if state is not None and state.global_step is not None:
        return state.step
    return step_in_name(folder.name)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
