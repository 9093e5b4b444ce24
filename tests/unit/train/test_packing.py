"""Rows that share a sequence: tried on several kinds of models, and padded where they leak."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from harness.errors import SuiteError
from harness.train import qlora
from harness.train.packing import PaddedPacks, keep_rows_apart
from harness.train.packing import keep_rows_apart as real

ROWS = [
    {"input_ids": list(range(3, 16)), "labels": [-100] * 4 + list(range(7, 16))},
    {"input_ids": list(range(40, 49)), "labels": list(range(40, 49))},
]
SMALL = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {**SMALL, "intermediate_size": 64, "num_key_value_heads": 2},
    "gpt2": {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4},
    "gpt_neox": {**SMALL, "intermediate_size": 64},
    "gptj": {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4},
    "opt": {**SMALL, "ffn_dim": 64, "word_embed_proj_dim": 32},
    "bloom": {"vocab_size": 64, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    "falcon": SMALL,
    "mamba": {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
    "lfm2": {**SMALL, "block_ff_dim": 64, "num_key_value_heads": 2, "full_attn_idxs": [1]},
}


def small(architecture: str, attention: str) -> Any:
    config = AutoConfig.for_model(architecture, **CONFIGS[architecture])
    for name in ("initializer_range", "init_std"):
        setattr(config, name, 0.2)
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention)


def stand_in(model: Any, **changes: Any) -> Any:
    """What the probe asks of TRL's trainer, without the seconds that one takes to make."""
    accelerator = SimpleNamespace(autocast=torch.no_grad, mixed_precision="no")
    collator = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    args = SimpleNamespace(
        include_num_input_tokens_seen="all", eval_packing=None, packing_strategy="bfd"
    )
    parts = {"padding_free": True, "data_collator": collator, "args": args}
    return SimpleNamespace(model=model, accelerator=accelerator, **(parts | changes))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox"])
def test_models_that_heed_positions_keep_packs(architecture, attention):
    """Nothing is changed where two packed rows are read as each alone."""
    trainer = stand_in(small(architecture, attention))
    packed = trainer.data_collator
    proof = keep_rows_apart(trainer, ROWS)
    assert proof.outcome == "holds"
    assert proof.difference < 1e-4 < proof.limit
    assert trainer.data_collator is packed
    assert trainer.model.training


def test_attention_without_a_mask_of_its_own_keeps_packs():
    """GPT-J knows eager attention only, which is no reason by itself."""
    assert keep_rows_apart(stand_in(small("gptj", "eager")), ROWS).outcome == "holds"


@pytest.mark.filterwarnings("ignore")  # of slow kernels
@pytest.mark.parametrize(
    ("architecture", "attention", "why"),
    [
        ("opt", "sdpa", "OPTForCausalLM with sdpa attention lets rows"),
        ("opt", "eager", "OPTForCausalLM with eager attention lets rows"),
        ("bloom", "eager", "see each other"),
        ("falcon", "sdpa", "see each other"),
        ("mamba", "eager", "see each other"),
        ("lfm2", "sdpa", "refuses packed rows"),
    ],
)
def test_models_that_do_not_get_padded_rows(architecture, attention, why):
    """Attention by positions or ALiBi of their own, recurrent states, kernels that are missing."""
    trainer = stand_in(small(architecture, attention))
    proof = keep_rows_apart(trainer, ROWS)
    assert proof.outcome == "fallback"
    assert why in proof.words
    assert proof.difference is None or proof.difference > 0.1
    assert isinstance(trainer.data_collator, PaddedPacks)
    assert trainer.args.include_num_input_tokens_seen == "non_padding"


def test_a_model_that_reads_padded_rows_otherwise_is_refused():
    """Rows can then only be trained on one by one."""
    model = small("opt", "sdpa")
    forward = model.forward

    def crosses_rows(**inputs: Any) -> Any:
        out = forward(**inputs)
        out.logits = out.logits + len(inputs["input_ids"])
        return out

    model.forward = crosses_rows
    with pytest.raises(SuiteError, match=r"neither packed nor padded.*per_device_train_batch_size"):
        keep_rows_apart(stand_in(model), ROWS)


def test_rows_that_share_no_sequence_are_not_tried():
    """Padded batches, and `wrapped`, which lets rows see each other."""
    assert keep_rows_apart(stand_in(None, padding_free=False), ROWS) is None


def test_a_pack_is_unpacked_row_by_row():
    """Rows of several sequences come in order; a first token is never learnt, as when packed."""
    of_rows = DataCollatorForLanguageModeling(pad_token_id=9, padding_free=True)
    batch = PaddedPacks.of(of_rows)(
        [
            {"input_ids": [1, 2, 3, 4, 5], "labels": [1, 2, 3, 4, 5], "seq_lengths": [2, 3]},
            {"input_ids": [6], "labels": [6]},
        ]
    )
    assert batch["input_ids"].tolist() == [[1, 2, 9], [3, 4, 5], [6, 9, 9]]
    assert batch["labels"].tolist() == [[-100, 2, -100], [-100, 4, 5], [-100, -100, -100]]
    assert batch["attention_mask"].sum().item() == 6


def test_padded_packs_train_as_padded_rows_do(training):
    """With OPT, whose packed rows would leak: TRL's own losses of the same rows, padded."""
    common = {"max_steps": 1, "save_steps": 1, "learning_rate": 0.0}
    spec = {"method": "lora", "lora": {"r": 4, "lora_dropout": 0.0}}
    options = {"spec": spec, "rows": 6, "eval_rows": 3, "model": "tiny:opt"}
    padded = training("padded", args={**common, "per_device_train_batch_size": 6}, **options)()
    pack = {"packing": True, "max_length": 512, "per_device_train_batch_size": 1}
    whole = training("packed", args={**common, **pack}, **options)
    packed = whole()
    (proof,) = packed.proofs
    assert (proof.outcome, packed.packed_sequences) == ("fallback", 1)
    assert f"  {proof.words}" in whole.said
    assert padded.proofs == ()
    for ours, theirs in zip(packed.log, padded.log, strict=True):
        assert ours.tokens == theirs.tokens
        if theirs.eval_loss is not None:  # training has dropout
            assert math.isclose(ours.eval_loss, theirs.eval_loss, abs_tol=1e-4)


def test_eval_rows_that_alone_are_packed_are_kept_apart(training):
    """TRL packs them, and has a collator for training rows, which are not packed."""
    args = {"max_steps": 1, "save_steps": 1, "learning_rate": 0.0, "eval_packing": True}
    apart = training("packed", args=args, rows=4)()
    padded = training("padded", args={**args, "eval_packing": False}, rows=4)()
    assert [proof.outcome for proof in apart.proofs] == ["fallback"]
    losses = [[e.eval_loss for e in run.log if e.eval_loss is not None] for run in (apart, padded)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_the_stand_in_has_what_a_trainer_has(training, monkeypatch):
    """The attributes that the probe reads are TRL's own; a pack that holds is told, too."""
    seen = []
    monkeypatch.setattr(
        qlora, "keep_rows_apart", lambda trainer, rows: seen.append(trainer) or real(trainer, rows)
    )
    run = training(args={"packing": True, "max_steps": 1, "save_steps": 1}, eval_rows=0)()
    assert [proof.outcome for proof in run.proofs] == ["holds"]
    assert all(hasattr(seen[0], name) for name in vars(stand_in(None)))
    assert all(hasattr(seen[0].args, name) for name in vars(stand_in(None).args))
