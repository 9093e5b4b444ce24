"""The recorder's account of a training, apart from any trainer."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace

import pytest
import torch
from transformers.trainer_utils import IntervalStrategy

from harness.errors import HarnessError
from harness.train.recorder import Recorder, log_entries, peak_memory_bytes


def state(step: int = 2, **fields: object) -> SimpleNamespace:
    values = {"global_step": step, "max_steps": 4, "epoch": 0.5, "num_input_tokens_seen": 10 * step}
    return SimpleNamespace(**{**values, **fields})


def control(**flags: bool) -> SimpleNamespace:
    names = ("should_save", "should_log", "should_evaluate", "should_training_stop")
    return SimpleNamespace(**{**dict.fromkeys(names, False), **flags})


def recorder(**earlier: object) -> Recorder:
    return Recorder(lambda *_: None, "cpu", dict(earlier))


ARGS = SimpleNamespace(logging_strategy=IntervalStrategy.STEPS, output_dir="unused")


def test_the_log_leaves_out_the_closing_summary():
    """Training, evaluation, and the trainer's last line, which has no loss of a step."""
    history = [
        {"step": 1, "loss": 2.0, "learning_rate": 0.1, "num_input_tokens_seen": 30, "epoch": 0.5},
        {"step": 1, "eval_loss": 1.5, "eval_mean_token_accuracy": 0.25},
        {"step": 1, "train_runtime": 3.0, "train_loss": 2.0},
    ]
    train, held_out = log_entries(history, {1: 0.5})
    assert (train.loss, train.eval_loss, train.tokens, train.seconds) == (2.0, None, 30, 0.5)
    assert (held_out.loss, held_out.eval_loss, held_out.mean_token_accuracy) == (None, 1.5, 0.25)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_never_enters_the_log(value):
    """A gradient norm may overflow in fp16, where the scaler skips the step."""
    (entry,) = log_entries([{"step": 1, "loss": 1.0, "grad_norm": value}], {})
    assert entry.grad_norm is None
    assert entry.model_dump_json()


@pytest.mark.parametrize("name", ["loss", "eval_loss"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_ends_the_training(name, value):
    """At its step, with what to lower."""
    with pytest.raises(HarnessError, match=r"loss became .* at step 2.*learning_rate"):
        recorder().on_log(ARGS, state(), control(), logs={name: value})


def test_speed_counts_real_tokens_in_training_steps():
    """Those of before an interruption, too; without a step there is no speed."""
    assert recorder().tokens_per_second() is None
    assert recorder(step=2, tokens=50, step_seconds=2.0).tokens_per_second() == 25.0
    resumed = recorder(step=2, tokens=50, step_seconds=2.0)
    resumed.on_step_begin(ARGS, state(), control())
    resumed.on_step_end(ARGS, state(num_input_tokens_seen=80), control())
    assert resumed.tokens == 80
    assert resumed.step_seconds > 2.0


def test_a_save_or_an_evaluation_brings_a_log():
    """The loss since the last log would be lost to a resumed training."""
    for flag in ("should_save", "should_evaluate"):
        flags = control(**{flag: True})
        recorder().on_step_end(ARGS, state(), flags)
        assert flags.should_log
    silent = SimpleNamespace(logging_strategy=IntervalStrategy.NO)
    flags = control(should_save=True)
    recorder().on_step_end(silent, state(), flags)
    assert not flags.should_log


@pytest.mark.parametrize("last", [{"epoch": 1.0}, {"max_steps": 2}])
def test_a_save_at_the_end_of_an_epoch_waits_for_it(last):
    """What that end brings, such as an evaluation, is then in the checkpoint's state."""
    watch, flags = recorder(), control(should_save=True)
    watch.on_step_end(ARGS, state(**last), flags)
    assert not flags.should_save
    watch.on_epoch_end(ARGS, state(**last), flags)
    assert flags.should_save


def test_a_checkpoint_knows_how_far_training_was(tmp_path):
    """Its marker holds the files' sizes and digests, and whether there is anything left to do."""
    folder = tmp_path / "checkpoint-4"
    folder.mkdir()
    (folder / "weights").write_bytes(b"12345")
    args = SimpleNamespace(output_dir=str(tmp_path))
    recorder(step=2).on_save(args, state(4), control(), model=torch.nn.Linear(1, 1))
    marker = json.loads((folder / "complete.json").read_text())
    assert (marker["step"], marker["finished"], marker["resumed_from"]) == (4, True, [2])
    digest = hashlib.sha256(b"12345").hexdigest()
    assert marker["files"] == {"weights": {"size": 5, "sha256": digest}}


def test_peak_memory_on_a_cpu_is_that_of_the_process():
    """At least what Python and torch take, in bytes."""
    assert 50e6 < peak_memory_bytes("cpu") < 1e12
