"""Trainings of a few steps on a tiny model: what they leave, count, decide and refuse."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from transformers.integrations import integration_utils

from harness.errors import HarnessError, SuiteError
from harness.models.identity import checkpoint_digest
from harness.train import qlora
from harness.train.qlora import train
from harness.train.rows import Encoding, encode_rows
from tests.unit.train.conftest import make_examples

IDS = torch.arange(3, 35).reshape(2, 16)


# -- methods --------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # PEFT reads it
@pytest.mark.parametrize("method", ["qlora", "lora"])
def test_an_adapter_training_leaves_adapters(training, tiny_dir, method):
    """PEFT opens every checkpoint over the plain base, and each changes the logits further."""
    whole = training(spec={"method": method}, args={"learning_rate": 1e-2})
    run = whole()
    assert [c.name for c in run.checkpoints] == ["checkpoint-2", "checkpoint-4"]
    base = AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32)
    logits = [base(IDS).logits]
    for checkpoint in run.checkpoints:
        folder = whole.folder / checkpoint.path
        assert checkpoint.digest == checkpoint_digest(folder)
        fresh = AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32)
        logits.append(PeftModel.from_pretrained(fresh, folder).eval()(IDS).logits)
    assert all(not torch.equal(a, b) for a, b in pairwise(logits))
    assert len({c.digest for c in run.checkpoints}) == 2
    assert run.trainable_parameters < run.total_parameters


def test_a_full_training_leaves_whole_models(training, tiny_dir):
    """Transformers opens every checkpoint with its tokenizer, without PEFT."""
    whole = training(spec={"method": "full"}, dtype="bf16")
    run = whole()
    assert run.trainable_parameters == run.total_parameters
    assert run.arguments["adapter_dtype"] == "float32"
    base = AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32)
    for checkpoint in run.checkpoints:
        folder = whole.folder / checkpoint.path
        model = AutoModelForCausalLM.from_pretrained(folder)
        assert model.dtype == torch.float32
        assert not torch.equal(model(IDS).logits, base(IDS).logits)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        theirs = AutoTokenizer.from_pretrained(tiny_dir)
        assert tokenizer("Return it").input_ids == theirs("Return it").input_ids
        assert checkpoint.digest == checkpoint_digest(folder)
    assert len({c.digest for c in run.checkpoints}) == 2


def test_training_lowers_the_loss(training):
    """Thirty steps at a high rate learn rows that are nearly alike."""
    run = training(args={"max_steps": 30, "save_steps": 30, "learning_rate": 1e-2})()
    losses = [entry.loss for entry in run.log if entry.loss is not None]
    assert losses[-1] < 0.7 * losses[0]
    evals = [entry.eval_loss for entry in run.log if entry.eval_loss is not None]
    assert evals[-1] < losses[0]


def test_the_same_seed_gives_the_same_weights(training):
    """Rows, order, dropout and initial adapter all come from the suite's seed."""
    first, second = training("first"), training("second")
    assert first().checkpoints == second().checkpoints


# -- rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("completion_only", [True, False])
def test_trl_trains_on_our_rows_and_labels(training, tiny_tokenizer, monkeypatch, completion_only):
    """After SFTTrainer's preparation no row is missing, and no label differs."""
    seen = []
    monkeypatch.setattr(
        qlora, "count_lost", lambda encoded, prepared, packed: seen.append(prepared) or 0
    )
    run = training(spec={"completion_only_loss": completion_only})()
    how = Encoding(chat=False, completion_only_loss=completion_only, max_length=None)
    for prepared, examples in zip(seen, [make_examples(12), make_examples(4, "eval")], strict=True):
        ours = encode_rows(examples, tiny_tokenizer, how).rows
        assert [{k: row[k] for k in ("input_ids", "labels")} for row in prepared] == ours
    assert (run.rows_used, run.rows_dropped, run.rows_truncated) == (12, {}, 0)
    assert (run.eval_rows_used, run.eval_rows_dropped, run.eval_rows_truncated) == (4, {}, 0)


def test_truncated_and_dropped_rows_are_in_the_record(training, tiny_tokenizer):
    """Of training and of eval rows, with the reason of those that were left out."""
    whole = training()
    job = whole.job()
    too_long = job.train_examples[0].model_copy(update={"prompt": "word " * 60})
    cut = job.train_examples[1].model_copy(update={"completion": "word " * 60})
    whole.folder.mkdir()
    run = train(
        dataclasses.replace(
            job,
            spec=job.spec.model_copy(update={"args": {**job.spec.args, "max_length": 40}}),
            train_examples=[too_long, cut, *job.train_examples[2:]],
            eval_examples=[too_long, too_long, cut, *job.eval_examples[3:]],
        )
    )
    reason = "prompt alone reaches max_length (40 tokens)"
    assert (run.rows_used, run.rows_dropped, run.rows_truncated) == (11, {reason: 1}, 1)
    assert run.eval_rows_dropped == {reason: 2}
    assert (run.eval_rows_used, run.eval_rows_truncated) == (2, 1)
    assert run.sequence_tokens["max"] == 40
    assert any(f"1 truncated, 1 dropped: {reason}" in line for line in whole.said)
    assert run.answers_truncated == 1
    assert any("1 of 11 answers are cut at max_length" in note for note in run.notes)


@pytest.mark.parametrize("packing", [{}, {"packing": True, "packing_strategy": "bfd_split"}])
def test_long_rows_are_left_out_where_the_suite_says_so(training, packing):
    """A packing that would divide them gets none, either."""
    whole = training(args={"max_length": 40, **packing}, spec={"long_rows": "drop"})
    job = whole.job()
    cut = job.train_examples[1].model_copy(update={"completion": "word " * 60})
    whole.folder.mkdir()
    run = train(dataclasses.replace(job, train_examples=[cut, *job.train_examples[1:]]))
    assert run.rows_dropped == {"longer than max_length (40 tokens)": 1}
    assert (run.rows_used, run.rows_truncated, run.answers_truncated) == (11, 0, 0)


def test_rows_are_never_longer_than_the_model_reads(training):
    """max_length beyond the context is the context, and this is said."""
    whole = training(args={"max_length": 4096})
    job = whole.job()
    too_long = job.train_examples[0].model_copy(update={"prompt": "word " * 3000})
    whole.folder.mkdir()
    run = train(dataclasses.replace(job, train_examples=[too_long, *job.train_examples]))
    assert run.rows_dropped == {"prompt alone reaches max_length (2048 tokens)": 1}
    assert any("context holds 2048 tokens" in line for line in whole.said)


@pytest.mark.parametrize("which", ["train_examples", "eval_examples"])
def test_without_a_row_left_training_is_refused(training, which):
    """The reason of each drop is told."""
    whole = training(args={"max_length": 40})
    whole.folder.mkdir()
    job = whole.job()
    too_long = job.train_examples[0].model_copy(update={"prompt": "word " * 60})
    with pytest.raises(SuiteError, match=r"No \w+ row is left of 1: 1 dropped: prompt alone"):
        train(dataclasses.replace(job, **{which: [too_long]}))


def test_packed_rows_are_counted_and_kept_apart(training):
    """Rows in one packed sequence do not see each other: the loss is that of padded rows."""
    common = {"max_steps": 1, "save_steps": 1, "learning_rate": 0.0}
    spec = {"lora": {"r": 4, "lora_dropout": 0.0}}
    options = {"spec": spec, "rows": 6, "eval_rows": 3}
    padded = training("padded", args={**common, "per_device_train_batch_size": 6}, **options)()
    pack = {"packing": True, "max_length": 512, "per_device_train_batch_size": 1}
    packed = training("packed", args={**common, **pack}, **options)()
    assert (packed.rows_used, packed.packed_sequences, packed.rows_dropped) == (6, 1, {})
    assert padded.packed_sequences is None
    for ours, theirs in zip(packed.log, padded.log, strict=True):
        assert ours.tokens == theirs.tokens
        for name in ("loss", "eval_loss"):
            if getattr(theirs, name) is not None:
                assert math.isclose(getattr(ours, name), getattr(theirs, name), abs_tol=1e-4)
    # the same tokens pass through, so the same work is estimated
    assert math.isclose(packed.estimated_flops, padded.estimated_flops, rel_tol=1e-6)


def test_splitting_packers_get_whole_rows(training):
    """bfd_split divides rows over max_length itself; nothing is cut before."""
    args = {"packing": True, "packing_strategy": "bfd_split", "max_length": 8}
    run = training(args=args)()
    assert run.rows_truncated == 0
    assert run.sequence_tokens["max"] > 8
    assert run.packed_sequences > run.rows_used
    assert not run.notes


# -- counts ---------------------------------------------------------------------------------------


def test_tokens_and_flops_by_hand(training, tiny_tokenizer):
    """Real tokens of the rows seen, without padding; the estimate takes their mean."""
    run = training(args={"max_steps": -1, "num_train_epochs": 2, "save_steps": 6})()
    how = Encoding(chat=False, completion_only_loss=True, max_length=None)
    tokens = 2 * sum(encode_rows(make_examples(12), tiny_tokenizer, how).lengths)
    assert run.steps == 12
    assert run.log[-1].tokens == tokens
    parameters = 4 * run.total_parameters + 2 * run.trainable_parameters
    assert math.isclose(run.estimated_flops, tokens * parameters, rel_tol=1e-9)
    assert run.tokens_per_second > 0
    assert run.peak_memory_bytes > 50e6


def test_the_learning_rate_schedule_is_in_the_log(training):
    """Linear: up over two warm-up steps, then down to zero after the fourth."""
    run = training(args={"learning_rate": 0.5e-3, "warmup_steps": 2})()
    rates = [entry.learning_rate for entry in run.log if entry.loss is not None]
    assert rates == pytest.approx([0.0, 0.25e-3, 0.5e-3, 0.25e-3])


def test_a_loss_is_logged_with_every_save_and_evaluation(training):
    """logging_steps alone would leave the last steps out of the log."""
    run = training(args={"logging_steps": 3, "max_steps": 5})()
    assert [entry.step for entry in run.log if entry.loss is not None] == [2, 3, 4, 5]


# -- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "evaluated", "saved"),
    [
        ({}, [2, 4], [2, 4]),
        ({"eval_strategy": "no"}, [], [2, 4]),
        ({"eval_strategy": False}, [], [2, 4]),
        ({"eval_steps": 1}, [1, 2, 3, 4], [2, 4]),
        ({"save_steps": 3}, [3, 4], [3, 4]),
        ({"save_steps": 0.25}, [1, 2, 3, 4], [1, 2, 3, 4]),
        ({"max_steps": 7, "save_strategy": "epoch"}, [6, 7], [6, 7]),
        ({"max_steps": 7, "save_steps": 7, "eval_strategy": "epoch"}, [6, 7], [7]),
        ({"save_total_limit": 1}, [2, 4], [4]),
        ({"save_strategy": "best", "learning_rate": 0.0}, [2, 4], [2]),
        (
            {"load_best_model_at_end": True, "save_total_limit": 1, "learning_rate": 0.0},
            [2, 4],
            [2],
        ),
    ],
)
def test_when_it_evaluates_and_saves(training, args, evaluated, saved):
    """At every save where nothing else is said; the last step is always saved."""
    run = training(args=args)()
    assert [entry.step for entry in run.log if entry.eval_loss is not None] == evaluated
    assert [checkpoint.step for checkpoint in run.checkpoints] == saved


def test_without_eval_rows_it_does_not_evaluate(training):
    """An eval split is optional."""
    run = training(eval_rows=0)()
    assert all(entry.eval_loss is None for entry in run.log)
    assert run.eval_rows_used == 0


@pytest.mark.parametrize(
    "args",
    [
        {"optim": "paged_adamw_8bit"},
        {"gradient_checkpointing": True},
        {"activation_checkpointing": True},
        {"optim": "sgd"},
    ],
)
def test_arguments_pass_through_to_trl(training, args):
    """Optimizers and gradient checkpointing are TRL's; the loss starts the same with each."""
    run = training(args=args)()
    plain = training("plain")()
    assert run.steps == 4
    assert run.log[0].loss == plain.log[0].loss
    assert all(run.arguments[name] == value for name, value in args.items())


def test_a_paged_optimizer_without_a_gpu_is_told(training):
    """Bitsandbytes pages nothing on a CPU; its warning is kept in the record and shown."""
    whole = training(args={"optim": "paged_adamw_8bit"})
    run = whole()
    (note,) = run.notes
    assert "Falling back to non-paged optimizer" in note
    assert f"  note: {note}" in whole.said


def test_report_to_passes_through(training, monkeypatch):
    """Trackers that transformers knows see the training."""
    seen = []

    class Tracker(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            seen.append(dict(logs))

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "tracker", Tracker)
    training(args={"report_to": "tracker"})()
    assert any("loss" in logs for logs in seen)
    assert any("eval_loss" in logs for logs in seen)


# -- early stopping -------------------------------------------------------------------------------


def test_early_stopping_stops_and_says_why(training):
    """Two evaluations after the first without improvement end it; its last weights are kept."""
    args = {"learning_rate": 0.0, "max_steps": 20, "save_steps": 5, "eval_steps": 2}
    run = training(args=args, spec={"early_stopping": {"patience": 2}})()
    assert run.steps == 6
    assert [entry.step for entry in run.log if entry.eval_loss is not None] == [2, 4, 6]
    assert [checkpoint.step for checkpoint in run.checkpoints] == [5, 6]
    assert run.stopped_early == (
        "eval loss had not improved by more than 0 for 2 evaluations at step 6"
    )


def test_a_loss_that_falls_is_not_stopped(training):
    """Improvement beyond the threshold resets the patience."""
    run = training(
        args={"learning_rate": 1e-2, "max_steps": 6},
        spec={"early_stopping": {"patience": 1, "threshold": 0.0}},
    )()
    assert (run.steps, run.stopped_early) == (6, None)


# -- what ends in one message ---------------------------------------------------------------------


@pytest.mark.parametrize("method", ["qlora", "full"])
def test_a_learning_rate_that_explodes_ends_in_one_message(training, method):
    """The loss is not logged as 0, and the message says what to lower."""
    whole = training(spec={"method": method}, args={"learning_rate": 1e6})
    with pytest.raises(HarnessError, match=r"loss became (nan|inf) at step \d.*learning_rate"):
        whole()


def test_weights_that_explode_at_the_last_step_are_not_saved(training, monkeypatch):
    """No loss would show it any more: the weights themselves are looked at."""
    monkeypatch.setattr("harness.train.recorder.all_finite", lambda model: False)
    whole = training(eval_rows=0)
    with pytest.raises(HarnessError, match="trained weights became NaN or infinite at step 2"):
        whole()
    monkeypatch.undo()
    assert whole().resumed_from == ()


REFUSED = {
    "no eval rows to stop by": (
        {"spec": {"early_stopping": {}}, "eval_rows": 0},
        r"train\.early_stopping: It needs rows in the eval split",
    ),
    "no eval rows to evaluate": (
        {"args": {"eval_strategy": "steps"}, "eval_rows": 0},
        r"train\.args\.eval_strategy: steps: It needs rows in the eval split",
    ),
    "no eval rows to find the best": (
        {"args": {"save_strategy": "best"}, "eval_rows": 0},
        r"save_strategy: best: It needs rows in the eval split",
    ),
    "early stopping without evaluations": (
        {"args": {"eval_strategy": "no"}, "spec": {"early_stopping": {}}},
        r"train\.early_stopping: It goes by evaluations",
    ),
    "fp16 on a CPU": ({"dtype": "fp16"}, r"base\.dtype: Training in fp16 needs a GPU"),
    "offloading on a CPU": ({"args": {"activation_offloading": True}}, "activation_offloading"),
    "unknown optimizer": ({"args": {"optim": "adamm"}}, r"train\.args: adamm is not a valid"),
    "missing optimizer library": ({"args": {"optim": "lomo"}}, r"train: TRL or PEFT.*lomo"),
    "missing tracker": ({"args": {"report_to": "wandb"}}, r"requires wandb"),
    "missing kernels": ({"args": {"use_liger_kernel": True}}, r"liger.kernel"),
    "missing deepspeed": (
        {"args": {"deepspeed": {"train_batch_size": 2}}},
        "deepspeed",
    ),
    "packing without a length": ({"args": {"packing": True, "max_length": None}}, "max_length"),
    "unknown LoRA option": ({"spec": {"lora": {"rank": 4}}}, r"train\.lora: PEFT.*rank"),
    "no such module": ({"spec": {"lora": {"target_modules": ["nope"]}}}, "nope"),
    "the LM head": ({"spec": {"lora": {"target_modules": ["lm_head"]}}}, "lm_head"),
    "an init that moves the base": (
        {"spec": {"lora": {"init_lora_weights": "pissa"}}},
        r"train\.lora\.init_lora_weights: 'pissa' changes the base",
    ),
    "biases of the base": ({"spec": {"lora": {"bias": "all"}}}, r"train\.lora\.bias: 'all'"),
    "nothing to train": (
        {"spec": {"lora": {"inference_mode": True}}},
        "No parameter is trained",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_trl_or_peft_refuses_is_the_suites_error(training, case):
    """One message with its place, no traceback, before any step."""
    options, message = REFUSED[case]
    whole = training(**options)
    with pytest.raises(SuiteError, match=message):
        whole()
    assert not list(whole.folder.glob("checkpoint-*"))


def test_a_training_that_never_saved_is_an_error(training):
    """save_strategy best saves at evaluations, which may all be put off."""
    args = {"save_strategy": "best", "eval_delay": 100}
    with pytest.raises(HarnessError, match="without having saved a checkpoint"):
        training(args=args)()


def test_saved_weights_are_all_finite_and_complete(training):
    """Each checkpoint holds what PEFT and a resumed training need."""
    whole = training()
    whole()
    for folder in whole.folder.glob("checkpoint-*"):
        tensors = load_file(folder / "adapter_model.safetensors")
        assert all(tensor.isfinite().all() for tensor in tensors.values())
        assert (folder / "complete.json").is_file()
        assert (folder / "trainer_state.json").is_file()
