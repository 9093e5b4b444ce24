"""A training that is cut off and run again ends as if nothing had happened."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from harness.schema import TrainingRun
from harness.train.checkpoints import COMPLETE, interrupted_at, last_complete_checkpoint

EPOCHS = {"max_steps": -1, "num_train_epochs": 2}  # of 6 steps each
# what is trained, and the log line at which it is cut off
CASES = {
    "adapter": ({}, {}, (3, "loss")),
    "all weights": ({}, {"method": "full"}, (3, "loss")),
    "mixed precision": ({}, {}, (3, "loss")),
    "losses averaged over steps": ({"logging_steps": 3, "max_steps": 6}, {}, (3, "loss")),
    "accumulated gradients": ({"gradient_accumulation_steps": 2}, {}, (3, "loss")),
    "8-bit optimizer": ({"optim": "adamw_8bit"}, {}, (3, "loss")),
    "rows by length": ({"train_sampling_strategy": "group_by_length"}, {}, (3, "loss")),
    "packed rows": ({"packing": True, "max_length": 64, "max_steps": 5}, {}, (3, "loss")),
    "a second epoch": (EPOCHS | {"save_steps": 4}, {}, (9, "loss")),
    "saved by epoch": (EPOCHS | {"save_strategy": "epoch"}, {}, (9, "loss")),
    "evaluated by epoch": (EPOCHS | {"save_steps": 3, "eval_strategy": "epoch"}, {}, (7, "loss")),
    "in the epoch's evaluation": (
        EPOCHS | {"save_steps": 3, "eval_strategy": "epoch"},
        {},
        (6, "eval loss"),
    ),
    "evaluated at the start": ({"eval_on_start": True}, {}, (3, "loss")),
    "the best saved": ({"save_strategy": "best", "save_steps": 2}, {}, (3, "loss")),
    "few checkpoints kept": ({"save_total_limit": 1, "max_steps": 6}, {}, (5, "loss")),
    "scheduler": ({"lr_scheduler_type": "cosine", "warmup_steps": 2}, {}, (3, "loss")),
    "ranks that are allocated": (
        {"max_steps": 8, "gradient_accumulation_steps": 2},
        {"peft_type": "ADALORA", "peft": {"init_r": 6, "target_r": 2, "tfinal": 2}},
        (5, "loss"),
    ),
    "ranks that were allocated": (
        {"max_steps": 8},
        {"peft_type": "ADALORA", "peft": {"init_r": 6, "target_r": 2, "tfinal": 3}},
        (7, "loss"),
    ),
    "an encoder of virtual tokens": (
        {},
        {"peft_type": "P_TUNING", "peft": {"num_virtual_tokens": 4, "encoder_dropout": 0.1}},
        (3, "loss"),
    ),
    "an encoder of a prefix": (
        {},
        {
            "peft_type": "PREFIX_TUNING",
            "peft": {
                "num_virtual_tokens": 4,
                "prefix_projection": True,
                "encoder_hidden_size": 32,
            },
        },
        (3, "loss"),
    ),
    "layers beside layers": ({}, {"peft_type": "VERA", "peft": {"r": 16}}, (3, "loss")),
    "stopped early": (
        {"learning_rate": 0.0, "max_steps": 12},
        {"early_stopping": {"patience": 2}},
        (5, "loss"),
    ),
}


def facts(run: TrainingRun) -> dict[str, object]:
    """All of a record but times, memory, and the fact that it was resumed."""
    fields = run.model_dump(
        exclude={"seconds", "tokens_per_second", "peak_memory_bytes", "resumed_from", "log"}
    )
    log = [entry.model_dump(exclude={"seconds"}) for entry in run.log]
    return {**fields, "log": log}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{file.parent.name}/{name}": tensor
        for file in folder.glob("checkpoint-*/*.safetensors")
        for name, tensor in load_file(file).items()
    }


def assert_equal(resumed: Path, whole: Path) -> None:
    """The same checkpoints with the same weights, bit for bit."""
    ours, theirs = weights(resumed), weights(whole)
    assert ours.keys() == theirs.keys()
    assert ours
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


EVERYDAY = ("adapter", "all weights", "in the epoch's evaluation", "ranks that are allocated")


@pytest.mark.parametrize(
    "case", [c if c in EVERYDAY else pytest.param(c, marks=pytest.mark.slow) for c in CASES]
)
def test_a_resumed_training_equals_an_uninterrupted_one(training, case):
    """Weights, losses, learning rates and tokens are bit for bit the same, with dropout."""
    args, spec, cut = CASES[case]
    options = {"args": args, "spec": spec, "dtype": "bf16" if case.startswith("mixed") else "fp32"}
    whole, broken = training("whole", **options), training("broken", **options)
    expected = whole()
    broken.stop_at = cut
    with pytest.raises(KeyboardInterrupt):
        broken()
    checkpoint = last_complete_checkpoint(broken.folder)
    assert checkpoint is not None
    broken.stop_at = None
    run = broken()
    assert [f"checkpoint-{step}" for step in run.resumed_from] == [checkpoint.name]
    assert facts(run) == facts(expected)
    assert_equal(broken.folder, whole.folder)


def test_a_training_can_be_cut_off_more_than_once(training):
    """Every step it went on from is named, and the times of all parts add up."""
    args = {"save_steps": 1}
    whole, broken = training("whole", args=args), training("broken", args=args)
    expected = whole()
    for cut in (2, 4):
        broken.stop_at = (cut, "loss")
        with pytest.raises(KeyboardInterrupt):
            broken()
    broken.stop_at = None
    run = broken()
    assert run.resumed_from == (1, 3)
    assert facts(run) == facts(expected)
    seconds = [entry.seconds for entry in run.log]
    assert seconds == sorted(seconds)
    assert run.tokens_per_second
    assert run.tokens_per_second > 0


@pytest.mark.parametrize(
    ("args", "spec", "last"),
    [
        ({}, {}, 4),
        ({"learning_rate": 0.0, "max_steps": 12}, {"early_stopping": {"patience": 2}}, 6),
    ],
)
def test_a_training_cut_off_after_its_last_step_takes_no_further_one(training, args, spec, last):
    """With its last checkpoint complete, only the record is missing."""
    whole = training("whole", args=args, spec=spec)
    expected = whole()
    assert expected.steps == last
    again = whole()
    assert again.resumed_from == (last,)
    assert facts(again) == facts(expected)
    assert again.tokens_per_second == expected.tokens_per_second
    assert sorted(p.name for p in whole.folder.glob("checkpoint-*"))[-1] == f"checkpoint-{last}"


def test_a_checkpoint_that_was_cut_off_is_discarded(training):
    """Without its marker, or with a file missing or short, it is removed, not used."""
    whole, broken = training("whole", args={"save_steps": 1}), training("broken")
    broken.args = whole.args
    whole()
    broken()
    (broken.folder / "checkpoint-4" / COMPLETE).unlink()
    (broken.folder / "checkpoint-3" / "optimizer.pt").unlink()
    weights_file = broken.folder / "checkpoint-2" / "adapter_model.safetensors"
    weights_file.write_bytes(weights_file.read_bytes()[:-1])
    assert interrupted_at(broken.folder) == (1, 4)
    said: list[str] = []
    found = last_complete_checkpoint(broken.folder, said.append)
    assert found is not None
    assert found.name == "checkpoint-1"
    assert said == [
        f"  checkpoint-{step} is not whole, as after a power cut; it is discarded"
        for step in (2, 3, 4)
    ]
    assert [p.name for p in broken.folder.glob("checkpoint-*")] == ["checkpoint-1"]
    assert broken().resumed_from == (1,)
    assert_equal(broken.folder, whole.folder)


def test_without_checkpoints_there_is_nothing_to_resume(tmp_path):
    """A work folder that holds none starts from the beginning."""
    assert last_complete_checkpoint(tmp_path) is None
    (tmp_path / "checkpoint-3").mkdir()
    assert interrupted_at(tmp_path) == (0, None)
    assert interrupted_at(tmp_path / "checkpoint-4") is None
    assert last_complete_checkpoint(tmp_path) is None
    assert not list(tmp_path.iterdir())
    shutil.rmtree(tmp_path)
