"""The harness inside a training: a callback that evaluates every checkpoint while it is made."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Trainer, TrainerCallback

from harness.engines.transformers import TransformersModel
from harness.errors import SuiteError
from harness.models.tokens import require_padding
from harness.run.quick import QuickTasks, open_tasks
from harness.suite.file import SuiteFile, load_suite

_FOLDER = "harness"  # in the trainer's output_dir


class HarnessCallback(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Evaluates each checkpoint by a suite's quick tasks, right after it was saved.

    The live model answers: no second base is loaded. Scores go to the trainer's own log and
    trackers as ``eval_<task>/<metric>``; texts and statistics lie in ``<output_dir>/harness/``.
    They are not put into a store: a model in training may compute otherwise (autocast, dtype of
    what is trained) than the same checkpoint once it is loaded, so ``harness eval`` makes its own.

    What the training computes stays the same: random states, modes and gradients are as before.

    Args:
        trainer: The trainer, whose log is written to.
        suite: Path or name of a suite, or one that was read. Its base, training and matrix are
            not used.
        tasks: Names of tasks to run; None: every generation and perplexity task that is scored on
            ``select``. Only examples of that split are read.
        limit: Most examples of each task.
        patience: Stop after so many evaluations since the checkpoint that would be chosen now;
            None never stops. A checkpoint must be better than an earlier one by a standard error of
            their paired difference to be chosen instead of it.
        keep_best: Whether that checkpoint survives ``save_total_limit``, and is what
            ``load_best_model_at_end`` loads, instead of the best by the trainer's metric.
        budget: Most time for evaluations, as a share of the time spent on training so far; one that
            would take more is skipped. The first is always made, since none knows what it takes.
            None: no limit.
        say: Takes lines for the terminal.

    Raises:
        UsageError: The suite is wrong, or has no such task.
    """

    def __init__(
        self,
        trainer: Any,
        suite: str | Path | SuiteFile,
        *,
        tasks: Sequence[str] | None = None,
        limit: int = 64,
        patience: int | None = None,
        keep_best: bool = True,
        budget: float | None = 0.05,
        say: Callable[[str], None] = print,
    ) -> None:
        _check(trainer, patience=patience, limit=limit, budget=budget)
        self.trainer = trainer
        self.patience, self.keep_best, self.budget, self.say = patience, keep_best, budget, say
        self.tokenizer = _tokenizer(trainer)
        self.seconds = self.last_seconds = 0.0
        self.skipped: list[int] = []  # steps whose checkpoints were not evaluated
        self.chosen: int | None = None  # step
        self._held = ExitStack()
        self._began = time.perf_counter()
        with _undisturbed():
            file = suite if isinstance(suite, SuiteFile) else load_suite(str(suite))
            self.tasks: QuickTasks = open_tasks(file, self.tokenizer, tasks, limit, self._held)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock, and take up what was evaluated before an interruption."""
        self._began = time.perf_counter()
        self.seconds, self.tasks.readings = 0.0, {}
        if self.keep_best and args.metric_for_best_model is not None:
            decides = "/".join(self.tasks.decides)
            self.say(
                f"harness: the best checkpoint is that by {decides}, not by "
                f"{args.metric_for_best_model}"
            )
            args.metric_for_best_model = None  # the trainer would keep another best beside ours
        if state.global_step:
            for step in _saved(args.output_dir):
                if step <= state.global_step:
                    self.tasks.remember(self._folder(args, step), step)
            self._decide(args, state)

    def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Evaluate the checkpoint, log its scores, and say what is best so far."""
        step = state.global_step
        if step in self.tasks.readings:
            return
        if self._is_too_dear():
            self.skipped.append(step)
            self.say(
                f"harness: checkpoint-{step} is not evaluated: that would take more than "
                f"{self.budget:.1%} of the training's time ({len(self.skipped)} skipped so far)"
            )
            return
        started = time.perf_counter()
        with _undisturbed(model):
            live = TransformersModel(model, self.tokenizer, str(model.device))
            values = self.tasks.evaluate(live, self._folder(args, step), step)
            # the plain log: those of trainers add means of their own to it, and begin them anew
            Trainer.log(self.trainer, {f"eval_{name}": value for name, value in values.items()})
        self.last_seconds = time.perf_counter() - started
        self.seconds += self.last_seconds
        told = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        self.say(f"harness: checkpoint-{step}: {told} ({self.last_seconds:.1f} s)")
        self._decide(args, state)
        later = sum(1 for other in self.tasks.readings if other > (self.chosen or 0))
        if self.patience is not None and self.chosen is not None and later >= self.patience:
            control.should_training_stop = True
            self.say(
                f"harness: stopped early at step {step}: none of {later} evaluations since "
                f"checkpoint-{self.chosen} was better by a standard error of {self._metric}"
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say which checkpoint is best, and what it took to know."""
        if self.chosen is not None:
            self.say(f"harness: checkpoint-{self.chosen} is chosen by {self._metric}")
        skipped = f", {len(self.skipped)} checkpoints were not evaluated" if self.skipped else ""
        self.say(
            f"harness: evaluations took {self.seconds:.1f} s{skipped}; "
            f"their texts and scores are in {Path(args.output_dir) / _FOLDER}"
        )

    @property
    def _metric(self) -> str:
        return "/".join(self.tasks.decides)

    def _folder(self, args: Any, step: int) -> Path:
        return Path(args.output_dir) / _FOLDER / f"checkpoint-{step}"

    def _is_too_dear(self) -> bool:
        if self.budget is None or not self.last_seconds:
            return False
        training = time.perf_counter() - self._began - self.seconds
        return self.seconds + self.last_seconds > self.budget * training

    def _decide(self, args: Any, state: Any) -> None:
        """Choose among the checkpoints that are there, and have the trainer keep the choice."""
        self.chosen, _ = self.tasks.choose(_saved(args.output_dir))
        if self.keep_best and self.chosen is not None:
            state.best_global_step = self.chosen
            state.best_model_checkpoint = str(Path(args.output_dir) / f"checkpoint-{self.chosen}")


def _check(trainer: Any, *, patience: int | None, limit: int, budget: float | None) -> None:
    if trainer.args.world_size > 1:
        raise SuiteError(
            f"It evaluates in one process, found {trainer.args.world_size}.",
            where="HarnessCallback",
            hint="Evaluate the checkpoints after the training: harness eval.",
        )
    if str(trainer.args.save_strategy).endswith(("best", "BEST")):
        raise SuiteError(
            "It evaluates what is saved, and save_strategy is best.",
            where="HarnessCallback",
            hint="Set save_strategy: steps, and save_total_limit: 1 to keep the best only.",
        )
    amounts = {"patience": patience, "limit": limit, "budget": budget}
    for name, value in amounts.items():
        if value is not None and value <= 0:
            raise SuiteError(f"{name} is {value}, needed more than 0.", where="HarnessCallback")


def _tokenizer(trainer: Any) -> Any:
    """The trainer's tokenizer, as a copy that has a token to pad with."""
    given = trainer.processing_class
    tokenizer = copy.deepcopy(getattr(given, "tokenizer", given))
    if tokenizer is None:
        raise SuiteError(
            "The trainer has no tokenizer.",
            where="HarnessCallback",
            hint="Make the trainer with processing_class=tokenizer.",
        )
    require_padding(tokenizer, where="HarnessCallback")
    return tokenizer


def _saved(output_dir: str) -> list[int]:
    """Steps of the checkpoints that are there."""
    names = (folder.name.rpartition("-")[2] for folder in Path(output_dir).glob("checkpoint-*"))
    return sorted(int(name) for name in names if name.isdigit())


@contextmanager
def _undisturbed(model: Any = None) -> Iterator[None]:
    """Leave random states, the modes of all modules and gradients as they were."""
    devices = range(torch.cuda.device_count())
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  # the trainer's own
    modules = [] if model is None else list(model.modules())
    modes = [module.training for module in modules]
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            if model is not None:
                model.eval()
            yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        if model is not None and devices:
            torch.cuda.empty_cache()
