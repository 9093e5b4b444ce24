"""Watches a training: times, tokens and memory, complete checkpoints, losses that diverge."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_utils import IntervalStrategy

from harness.errors import HarnessError
from harness.models.resident import peak_rss_bytes, reset_peak_rss
from harness.schema import LogEntry
from harness.train.checkpoints import COMPLETE, mark_complete
from harness.train.weights import all_finite

TrainProgress = Callable[[int, int, str], None]  # step, steps in all, a note
_LOGGED = ("epoch", "loss", "eval_loss", "learning_rate", "grad_norm")
_DIVERGED = "Lower train.args.learning_rate, add warmup_steps, or set base.dtype: fp32."


class Recorder(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Keeps times, memory and progress, across interruptions, and marks complete checkpoints.

    It comes after all other callbacks, so that it sees what they decided.

    Args:
        progress: Called with (step, steps in all, note) at each log.
        device: Where the training runs, such as ``cpu`` or ``cuda:0``.
        earlier: What the checkpoint gone on from had written down; empty at a new start.
    """

    def __init__(self, progress: TrainProgress, device: str, earlier: dict[str, Any]) -> None:
        self.progress = progress
        self.device = device
        self.earlier_seconds: float = earlier.get("seconds", 0.0)
        self.step_seconds: float = earlier.get("step_seconds", 0.0)
        self.tokens: int = earlier.get("tokens", 0)
        self.peak_memory_bytes: int = earlier.get("peak_memory_bytes", 0)
        self.resumed_from: list[int] = [*earlier.get("resumed_from", [])]
        self.resumed_from += [earlier["step"]] if "step" in earlier else []
        self.times: dict[int, float] = {int(k): v for k, v in earlier.get("times", {}).items()}
        self._save_at_epoch_end = False
        self._began = self._step_began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Wall time of the training so far, all its parts together."""
        return self.earlier_seconds + time.perf_counter() - self._began

    def tokens_per_second(self) -> float | None:
        """Real tokens per second of training steps, evaluation and saving left out."""
        return self.tokens / self.step_seconds if self.tokens and self.step_seconds else None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note when the step began."""
        self._step_began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Count the step's time and tokens, and see to what a save needs."""
        self.step_seconds += time.perf_counter() - self._step_began
        self.tokens = int(state.num_input_tokens_seen)
        self.peak_memory_bytes = max(self.peak_memory_bytes, peak_memory_bytes(self.device))
        epoch_ends = state.global_step >= state.max_steps or float(state.epoch).is_integer()
        if control.should_save and epoch_ends:
            # What the end of the epoch brings (an evaluation, a log) belongs before the save: a
            # training resumed from a checkpoint does not go through that end again.
            control.should_save = False
            self._save_at_epoch_end = True
        self._log_before_saving(args, control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save what waited for the end of the epoch."""
        control.should_save = control.should_save or self._save_at_epoch_end
        self._log_before_saving(args, control)

    def _log_before_saving(self, args: Any, control: Any) -> None:
        """A loss is the mean since the last log, which a resumed training does not remember."""
        if args.logging_strategy != IntervalStrategy.NO:
            control.should_log |= control.should_save or control.should_evaluate

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Early stopping leaves its last weights too, wherever the next save would have been."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if control.should_training_stop and not (folder / COMPLETE).is_file():
            control.should_save = True

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Show progress, and end a training that diverged."""
        logs = logs or {}
        for name in ("loss", "eval_loss"):
            if name in logs and not math.isfinite(logs[name]):
                raise HarnessError(
                    f"The {'training' if name == 'loss' else 'eval'} loss became "
                    f"{float(logs[name])} at step {state.global_step}.",
                    hint=_DIVERGED,
                )
        if "loss" in logs or "eval_loss" in logs:
            self.times.setdefault(state.global_step, round(self.seconds, 3))
        parts = [f"loss {logs['loss']:.3f}"] if "loss" in logs else []
        parts += [f"eval loss {logs['eval_loss']:.3f}"] if "eval_loss" in logs else []
        speed = self.tokens_per_second()
        parts += [f"{speed:.0f} tok/s"] if speed else []
        self.progress(state.global_step, state.max_steps, ", ".join(parts))

    def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Mark the checkpoint as complete."""
        if not all_finite(model):
            raise HarnessError(
                f"The trained weights became NaN or infinite at step {state.global_step}.",
                hint=_DIVERGED,
            )
        self._save_at_epoch_end = False
        finished = control.should_training_stop or state.global_step >= state.max_steps
        kept = ("seconds", "step_seconds", "tokens", "peak_memory_bytes", "resumed_from", "times")
        mark_complete(
            Path(args.output_dir) / f"checkpoint-{state.global_step}",
            {"step": state.global_step, "finished": finished}
            | {name: getattr(self, name) for name in kept},
        )


def peak_memory_bytes(device: str) -> int:
    """Peak memory so far: allocated on the GPU, or resident in this process on CPU."""
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    return peak_rss_bytes()


def reset_peak_memory(device: str) -> None:
    """Begin a new peak, so that one training is not charged with what another took before it."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    reset_peak_rss()


def log_entries(history: Sequence[dict[str, Any]], times: dict[int, float]) -> Iterator[LogEntry]:
    """The trainer's log as records; its closing summary has neither loss nor eval loss."""
    for entry in history:
        if "loss" not in entry and "eval_loss" not in entry:
            continue
        tokens = _finite(entry.get("num_input_tokens_seen"))
        accuracy = "eval_mean_token_accuracy" if "eval_loss" in entry else "mean_token_accuracy"
        yield LogEntry(
            step=entry["step"],
            **{name: _finite(entry.get(name)) for name in _LOGGED},
            mean_token_accuracy=_finite(entry.get(accuracy)),
            tokens=None if tokens is None else int(tokens),
            seconds=times.get(entry["step"]),
        )


def _finite(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
