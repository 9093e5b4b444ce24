"""TRL's trainer around a model, whose refusals become errors of the suite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import torch
import transformers
from trl import SFTConfig, SFTTrainer

from harness.errors import SuiteError, in_a_line
from harness.models.policy import DevicePolicy
from harness.suite.adapter_options import options_of
from harness.suite.spec import TrainSpec
from harness.train import weights
from harness.train.adapter import peft_config
from harness.train.methods import MethodCallback, MethodTrainer, needs_more

Rows = Sequence[dict[str, list[int]]]


def make_trainer(
    model: Any,
    config: SFTConfig,
    tokenizer: Any,
    rows: tuple[Rows, Rows],
    spec: TrainSpec,
    policy: DevicePolicy,
    callbacks: Sequence[Any] = (),
) -> SFTTrainer:
    """Put a trainer around a model, with its optimizer.

    Args:
        model: The base.
        config: TRL's configuration.
        tokenizer: As ``load_tokenizer`` gives it.
        rows: Tokenized rows to train on, and to evaluate on.
        spec: What the suite says of the training.
        policy: Device and dtype.
        callbacks: To be called besides the trainer's own.

    Raises:
        SuiteError: TRL, PEFT or a library that they use refuses something.
    """
    train_rows, eval_rows = rows
    stopping = spec.early_stopping
    by_loss = stopping is not None and stopping.task is None
    early = (
        by_loss
        and stopping
        and [transformers.EarlyStoppingCallback(stopping.patience, stopping.threshold)]
    )
    adapter = None if spec.method == "full" else peft_config(spec, tokenizer.name_or_path)
    more = adapter is not None and needs_more(spec)
    early = [*(early or []), *([MethodCallback()] if more else [])]
    try:
        trainer = (MethodTrainer if more else SFTTrainer)(
            model=model,
            args=config,
            train_dataset=datasets.Dataset.from_list(list(train_rows)),
            eval_dataset=datasets.Dataset.from_list(list(eval_rows)) if eval_rows else None,
            processing_class=tokenizer,
            peft_config=adapter,
            callbacks=[*early, *callbacks],
        )
        weights.keep_full_precision(trainer.model, policy, spec)
        trainer.create_optimizer()  # now, so that what it refuses is told as the suite's error
    except (torch.OutOfMemoryError, OSError):  # a full disk has an error of its own
        raise
    except Exception as error:  # of any library that an argument brings in
        raise _refusal(error, spec) from error
    return trainer


def _refusal(error: Exception, spec: TrainSpec) -> SuiteError:
    """What a library said, with the place where that is mended."""
    problem = f"TRL or PEFT refuses it: {in_a_line(error)}"
    if "specify `target_modules`" not in problem:
        return SuiteError(problem, where="train")
    return SuiteError(
        f"PEFT names no layers for {spec.peft_type} on this architecture.",
        where=options_of(spec)[0],
        hint="Write target_modules there: names of layers, or all-linear.",
    )
