"""Fine-tunes the base with TRL's SFTTrainer: QLoRA, LoRA or all weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from transformers import TrainerState
from trl import SFTConfig

from harness.errors import HarnessError, SuiteError
from harness.models.device import decide, environment
from harness.models.load import load_base
from harness.models.policy import DevicePolicy
from harness.models.tokens import context_tokens, load_tokenizer
from harness.models.vocabulary import pad_with_known, require_embeddings
from harness.schema import Example, Proof, TrainingRun
from harness.suite.adapter_options import options_of
from harness.suite.spec import BaseSpec, TrainSpec
from harness.train import weights
from harness.train.adapter import name_tokenizer, peft_config
from harness.train.checkpoints import checkpoint_records, last_complete_checkpoint, progress_of
from harness.train.config import sft_config, stop_reason
from harness.train.packing import keep_rows_apart
from harness.train.quiet import quiet_libraries
from harness.train.recorder import Recorder, TrainProgress, log_entries, reset_peak_memory
from harness.train.rows import (
    EncodedRows,
    Encoding,
    count_lost,
    encode_rows,
    sequence_lengths,
    sequence_statistics,
)
from harness.train.trainer import make_trainer


@dataclass(frozen=True)
class TrainingJob:
    """What to train, on what, and where to leave checkpoints.

    Attributes:
        work_dir: Folder for checkpoints; if it holds complete ones, training goes on from there.
        chat: Whether the prompts were rendered by the tokenizer's chat template.
        watch: Makes one more callback for the trainer that it is given.
    """

    base: BaseSpec
    base_dir: Path
    spec: TrainSpec
    seed: int
    chat: bool
    train_examples: Sequence[Example]
    eval_examples: Sequence[Example]
    work_dir: Path
    progress: TrainProgress
    say: Callable[[str], None]
    watch: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class _Prepared:
    """Everything in place to train: the trainer, its rows, and what is known before it starts."""

    trainer: Any
    recorder: Recorder
    rows: EncodedRows
    eval_rows: EncodedRows
    lengths: list[int]  # tokens per sequence as trained on: per row, or per packed sequence
    trainable: int
    total: int
    flops: float
    lost_tokens: int  # left out by TRL's packing
    proofs: tuple[Proof, ...]


def train(job: TrainingJob) -> TrainingRun:
    """Train, or go on with a training that was interrupted.

    Returns:
        The training's record; checkpoint paths are relative to ``job.work_dir``.

    Raises:
        SuiteError: An argument is refused by TRL or PEFT, or no row is left to train on.
        HarnessError: The loss or the weights are not finite, or no checkpoint was saved.
    """
    policy = decide(job.base)
    reset_peak_memory(policy.device)
    checkpoint = last_complete_checkpoint(job.work_dir, job.say)
    with quiet_libraries() as notes:
        ready = _prepare(job, policy, checkpoint)
        _announce(job, ready)
        if checkpoint and progress_of(checkpoint)["finished"]:
            state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        else:
            if checkpoint:
                job.say(f"  resuming from step {progress_of(checkpoint)['step']}")
            try:
                ready.trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            except ImportError as error:  # some optional libraries are looked for only now
                raise SuiteError(str(error), where="train.args") from error
            state = ready.trainer.state
    if ready.lost_tokens:
        notes.append(f"TRL's packing left out {ready.lost_tokens:,} tokens")
    if ready.rows.answers_truncated:
        notes.append(
            f"{ready.rows.answers_truncated:,} of {len(ready.rows.rows):,} answers are cut at "
            "max_length, so the model does not learn all of them"
        )
    for note in notes:
        job.say(f"  note: {note}")
    run = _record(job, policy, ready, state, tuple(notes))
    if not run.checkpoints:
        raise HarnessError(
            f"Training ended after {run.steps} steps without having saved a checkpoint.",
            where="train.args",
            hint="Set save_strategy: steps, and save_steps.",
        )
    return run


def _prepare(job: TrainingJob, policy: DevicePolicy, checkpoint: Path | None) -> _Prepared:
    spec = job.spec
    has_eval_rows = bool(job.eval_examples)
    config = sft_config(
        spec, seed=job.seed, work_dir=job.work_dir, policy=policy, has_eval_rows=has_eval_rows
    )
    # an evaluation before the first step belongs to the start, and is in the log already
    config.eval_on_start = config.eval_on_start and checkpoint is None
    if spec.method != "full":
        peft_config(spec)  # what it refuses is told before the base is loaded
    tokenizer = load_tokenizer(job.base, job.base_dir)
    model = load_base(
        job.base,
        weights.trained_precision(spec, policy),
        policy,
        base_dir=job.base_dir,
        purpose="train",
        quantization=spec.quantization,
    )
    how = _encoding(job, config, context_tokens(model, tokenizer))
    rows = _encode(job.train_examples, tokenizer, how, "training")
    held_out = _encode(job.eval_examples, tokenizer, how, "eval")
    pad_with_known(model, tokenizer)
    read = (row["input_ids"] for part in (rows, held_out) for row in part.rows)
    require_embeddings(model, tokenizer, read)
    recorder = Recorder(job.progress, policy.device, progress_of(checkpoint))
    both = rows.rows, held_out.rows
    trainer = make_trainer(model, config, tokenizer, both, spec, policy, [recorder])
    if job.watch is not None:  # before the recorder, which sees what others decided
        trainer.remove_callback(recorder)
        trainer.add_callback(job.watch(trainer))
        trainer.add_callback(recorder)
    name_tokenizer(trainer.model, job.base.model)
    trainer.remove_callback(transformers.PrinterCallback)  # ours reports instead
    packed = config.packing if config.eval_packing is None else config.eval_packing
    lost = _lost(rows, trainer.train_dataset, packed=config.packing)
    lost += _lost(held_out, trainer.eval_dataset or [], packed=packed)
    trainable, total = weights.count_parameters(trainer.model)
    if not trainable:
        raise SuiteError(
            "No parameter is trained.", where="train", hint=f"Check {options_of(spec)[0]}."
        )
    apart = keep_rows_apart(trainer, rows.rows)
    lengths = sequence_lengths(trainer.train_dataset)
    sequences = config.num_train_epochs * len(lengths)
    if config.max_steps > 0:
        per_step = config.per_device_train_batch_size * config.gradient_accumulation_steps
        sequences = config.max_steps * per_step
    flops = weights.estimated_flops(trainable, total, sum(lengths) / len(lengths) * sequences)
    proofs = () if apart is None else (apart,)
    return _Prepared(
        trainer, recorder, rows, held_out, lengths, trainable, total, flops, lost, proofs
    )


def _lost(encoded: EncodedRows, prepared: Any, *, packed: bool) -> int:
    """Tokens that TRL's packing left out; rows that it dropped are added to their account."""
    lost = count_lost(encoded, prepared, packed=packed) if encoded.rows else 0
    return lost if packed else 0


def _encoding(job: TrainingJob, config: SFTConfig, context: int | None) -> Encoding:
    """How to encode rows: cut at ``max_length``, never beyond the model's context.

    The packing strategies other than bfd split rows that are too long, so nothing is cut unless
    they are to be dropped.
    """
    limits = [limit for limit in (config.max_length, context) if limit is not None]
    if context is not None and config.max_length is not None and config.max_length > context:
        if "max_length" in job.spec.args:
            job.say(
                f"  the model's context holds {context} tokens of a row, so max_length is {context}"
            )
        config.max_length = context
    drops = job.spec.long_rows == "drop"
    splits = config.packing and config.packing_strategy != "bfd" and not drops
    return Encoding(
        chat=job.chat,
        completion_only_loss=job.spec.completion_only_loss,
        max_length=None if splits else min(limits, default=None),
        keep_end=config.truncation_mode == "keep_end",
        drop_long=drops,
    )


def _encode(examples: Sequence[Example], tokenizer: Any, how: Encoding, what: str) -> EncodedRows:
    encoded = encode_rows(examples, tokenizer, how)
    if not encoded.rows and (examples or what == "training"):
        reasons = "; ".join(f"{count} dropped: {why}" for why, count in encoded.dropped.items())
        raise SuiteError(
            f"No {what} row is left of {len(examples)}: {reasons or 'there were none'}.",
            where="train",
            hint="Raise train.args.max_length or shorten the prompt.",
        )
    return encoded


def _announce(job: TrainingJob, ready: _Prepared) -> None:
    tokens = sequence_statistics(ready.rows.lengths)
    dtypes = weights.trainable_dtypes(ready.trainer.model)
    job.say(
        f"  {ready.trainable:,} of {ready.total:,} parameters train "
        f"({ready.trainable / ready.total:.2%}), in {dtypes}; about {ready.flops:.2g} FLOPs"
    )
    job.say(f"  all weights take {ready.trainer.model.get_memory_footprint() / 1e9:.2f} GB")
    job.say(
        f"  {len(ready.rows.rows):,} rows of {tokens['min']:.0f} to {tokens['max']:.0f} tokens "
        f"(median {tokens['median']:.0f}){_losses(ready.rows)}"
    )
    if ready.trainer.args.packing:
        job.say(f"  packed into {len(ready.lengths):,} sequences")
    for proof in ready.proofs:
        job.say(f"  {proof.words}")
    if ready.eval_rows.rows:
        job.say(f"  {len(ready.eval_rows.rows):,} eval rows{_losses(ready.eval_rows)}")


def _losses(encoded: EncodedRows) -> str:
    dropped = "".join(f", {count} dropped: {why}" for why, count in encoded.dropped.items())
    return f", {encoded.truncated} truncated{dropped}"


def _record(
    job: TrainingJob,
    policy: DevicePolicy,
    ready: _Prepared,
    state: Any,
    notes: tuple[str, ...],
) -> TrainingRun:
    recorder, rows, held_out = ready.recorder, ready.rows, ready.eval_rows
    log = tuple(log_entries(state.log_history, recorder.times))
    return TrainingRun(
        method=job.spec.method,
        peft_type=None if job.spec.method == "full" else job.spec.peft_type,
        base_model=job.base.model,
        log=log,
        checkpoints=tuple(checkpoint_records(job.work_dir, log)),
        trainable_parameters=ready.trainable,
        total_parameters=ready.total,
        rows_used=len(rows.rows),
        rows_dropped=rows.dropped,
        rows_truncated=rows.truncated,
        answers_truncated=rows.answers_truncated,
        packed_sequences=len(ready.lengths) if ready.trainer.args.packing else None,
        eval_rows_used=len(held_out.rows),
        eval_rows_dropped=held_out.dropped,
        eval_rows_truncated=held_out.truncated,
        sequence_tokens=sequence_statistics(rows.lengths),
        estimated_flops=ready.flops,
        tokens_per_second=recorder.tokens_per_second(),
        peak_memory_bytes=recorder.peak_memory_bytes,
        seconds=recorder.seconds,
        steps=state.global_step,
        stopped_early=stop_reason(state, job.spec, ready.trainer.args.metric_for_best_model),
        resumed_from=tuple(recorder.resumed_from),
        arguments={"adapter_dtype": weights.trainable_dtypes(ready.trainer.model), **job.spec.args},
        notes=notes,
        proofs=ready.proofs,
        environment=environment(policy),
    )
