"""What a training leaves beside its weights: how far it was, and how its loss fell. Torch-free.

``training_args.bin`` is a pickle, which can run code when it is opened, so it is never read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.digests import file_digest
from harness.files import json_or_nothing
from harness.schema import Proof

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
        losses = dict(self.logged("eval_loss")) if step is not None else {}
        loss = losses.get(step or 0)
        return loss if loss is not None and math.isfinite(loss) else None

    def logged(self, name: str) -> list[tuple[int, float]]:
        """Steps at which a quantity was logged, each with its value, NaN included."""
        log = self.values.get("log_history")
        lines = log if isinstance(log, list) else []
        entries = [line for line in lines if isinstance(line, dict) and name in line]
        pairs = ((_whole(entry.get("step")), entry[name]) for entry in entries)
        return [(s, float(v)) for s, v in pairs if s is not None and isinstance(v, int | float)]

    def proof(self) -> Proof:
        """How far the training was, and how its losses went; a loss that is no number is told."""
        step, steps, losses = self.step, _whole(self.values.get("max_steps")), self.logged("loss")
        here = f"at step {step:,}" if step is not None else "at a step that nothing tells"
        words = [f"Saved {here}{f' of {steps:,}' if steps else ''}, by {TRAINER_STATE}."]
        if len(losses) > 1:
            words.append(f"Training loss {losses[0][1]:.4g} at first, {losses[-1][1]:.4g} at last.")
        evaluated = [pair for pair in self.logged("eval_loss") if math.isfinite(pair[1])]
        if evaluated:
            lowest = min(evaluated, key=lambda pair: pair[1])
            own = self.eval_loss(step)
            words.append(f"Eval loss {own:.4g} here." if own is not None else "")
            words.append(f"The lowest of {len(evaluated)} was {lowest[1]:.4g} at step {lowest[0]}.")
        named = ("loss", "eval_loss", "grad_norm")
        broken = [(s, n) for n in named for s, v in self.logged(n) if not math.isfinite(v)]
        if broken:
            first = min(broken)
            words.append(f"From step {first[0]} on, {first[1]} was no finite number.")
        return Proof(
            probe="its trainer's state",
            outcome="fallback" if broken else "holds",
            words=" ".join(word for word in words if word),
            hint="What was trained after that step is not to be trusted." if broken else "",
        )


def trainer_state(folder: Path) -> TrainerState | None:
    """The state beside a folder's weights, or None where there is none that can be read."""
    values = json_or_nothing(folder / TRAINER_STATE)
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
