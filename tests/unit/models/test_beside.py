"""What a trainer leaves beside the weights tells the step; what does not tell it is no guess."""

import json

import pytest

from harness.models.beside import natural_key, step_in_name, step_of, trainer_state


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint-200", 200),  # transformers
        ("iter-000400-ckpt", 400),  # LitGPT
        ("epoch=3-step=400", 400),  # Lightning
        ("global_step250", 250),  # DeepSpeed
        ("checkpoint-200-r16", 200),
        ("epoch_10", None),  # torchtune
        ("checkpoint-epoch-3", None),
        ("lora-r16", None),
        ("final", None),
    ],
)
def test_a_name_tells_a_step_only_where_it_says_so(name, step):
    """The number of an epoch, a rank or a version is not a training step."""
    assert step_in_name(name) == step


def test_numbers_in_names_are_sorted_as_numbers():
    """Also where the parts around them differ in kind."""
    names = ["epoch_10", "final", "epoch_2", "epoch_9b", "7", "epoch_9"]
    expected = ["7", "epoch_2", "epoch_9", "epoch_9b", "epoch_10", "final"]
    assert sorted(names, key=natural_key) == expected


def left(folder, state, weights=b"last"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(weights)
    (folder / "trainer_state.json").write_text(json.dumps(state), "utf-8")
    return folder


def test_the_trainers_state_goes_before_the_name(tmp_path):
    """A renamed folder keeps its step; one whose state cannot be read has that of its name."""
    assert step_of(left(tmp_path / "epoch_2", {"global_step": 120})) == 120
    folder = left(tmp_path / "checkpoint-40", {})
    assert step_of(folder) == 40
    (folder / "trainer_state.json").write_text("{", "utf-8")
    assert step_of(folder) == 40
    assert trainer_state(folder) is None


def test_an_end_that_may_hold_the_best_weights_is_told_by_its_twin(tmp_path):
    """With load_best_model_at_end the state is of the last step, and the weights may not be."""
    run = tmp_path / "run"
    state = {"global_step": 30, "best_model_checkpoint": "/elsewhere/run/checkpoint-20"}
    for step in (10, 20, 30):
        left(run / f"checkpoint-{step}", {**state, "global_step": step}, str(step).encode())
    assert [step_of(run / f"checkpoint-{step}") for step in (10, 20, 30)] == [10, 20, 30]
    assert step_of(left(run, state, b"20")) == 20
    assert step_of(left(run, state, b"30")) == 30
    assert step_of(left(run, state, b"other")) is None
    assert step_of(left(run, {**state, "best_model_checkpoint": None}, b"other")) == 30
    assert step_of(left(run, {**state, "best_model_checkpoint": "checkpoint-30"}, b"x")) == 30


def test_the_eval_loss_at_a_step_is_read_from_the_log(tmp_path):
    """Other lines of the log, and what is no number, are passed over."""
    log = [
        {"step": 20, "loss": 1.0},
        {"step": 20, "eval_loss": 0.9},
        {"step": 30, "eval_loss": None},
    ]
    state = trainer_state(left(tmp_path, {"global_step": 20, "log_history": log}))
    assert state is not None
    assert [state.eval_loss(step) for step in (20, 30, None)] == [0.9, None, None]


def test_the_trainers_losses_are_told(tmp_path):
    """How far it was, how the loss went, and where the lowest was: all as the trainer logged it."""
    log = [
        {"step": 1, "loss": 2.5, "grad_norm": 1.0},
        {"step": 10, "eval_loss": 1.1},
        {"step": 20, "loss": 0.5, "grad_norm": 1.0},
        {"step": 20, "eval_loss": 1.4},
    ]
    state = {"global_step": 20, "max_steps": 30, "log_history": log}
    proof = trainer_state(left(tmp_path / "checkpoint-20", state)).proof()
    assert proof.outcome == "holds"
    assert proof.words == (
        "Saved at step 20 of 30, by trainer_state.json. Training loss 2.5 at first, 0.5 at last. "
        "Eval loss 1.4 here. The lowest of 2 was 1.1 at step 10."
    )
    log += [{"step": 21, "loss": 0.0, "grad_norm": float("nan")}]  # as it is logged after a NaN
    proof = trainer_state(left(tmp_path / "checkpoint-21", {**state, "global_step": 21})).proof()
    assert proof.outcome == "fallback"
    assert "From step 21 on, grad_norm was no finite number" in proof.words
    for odd in ({}, {"log_history": 3}, {"log_history": [3, {"step": "x", "loss": []}]}):
        assert trainer_state(left(tmp_path / "odd", odd)).proof().outcome == "holds"
