"""Fine-tunes the base with TRL's SFTTrainer: QLoRA, LoRA or all weights.

Rows are tokenized here, by the same functions that evaluation uses, so that what is trained is
what is measured, and so that every truncated or dropped row is counted before TRL could drop it.
"""

from __future__ import annotations

import json
import logging
import resource
import shutil
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from peft import LoraConfig
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from harness.errors import HarnessError, SuiteError
from harness.models.device import DevicePolicy, decide, environment
from harness.models.identity import adapter_digest
from harness.models.load import load_base
from harness.models.tokens import encode_pair, load_tokenizer
from harness.schema import Checkpoint, Example, LogEntry, Precision, TrainingRun
from harness.spec import BaseSpec, TrainSpec
from harness.train.arguments import DECIDED, SUCCESSORS

COMPLETE = "complete.json"  # written last into a checkpoint; one without it was cut off
_RESUME_ONLY = (  # needed to go on training, not to use the adapter
    "optimizer.pt",
    "optimizer.bin",
    "scheduler.pt",
    "scaler.pt",
    "training_args.bin",
    COMPLETE,
)
_IGNORED = -100  # label of tokens that do not count towards the loss (PyTorch's convention)

TrainProgress = Callable[[int, int, str], None]  # step, steps in all, a note


@dataclass(frozen=True)
class TrainingJob:
    """What to train, on what, and where to leave checkpoints.

    Attributes:
        work_dir: Folder for checkpoints; if it holds complete ones, training goes on from there.
        chat: Whether the prompts were rendered by the tokenizer's chat template.
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


@dataclass
class EncodedRows:
    """Tokenized rows, and what became of those that were too long."""

    rows: list[dict[str, list[int]]] = field(default_factory=list)
    truncated: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def lengths(self) -> list[int]:
        """Tokens per kept row."""
        return [len(row["input_ids"]) for row in self.rows]


def train(job: TrainingJob) -> TrainingRun:
    """Train, or go on with a training that was interrupted.

    Returns:
        The training's record; checkpoint paths are relative to ``job.work_dir``.

    Raises:
        SuiteError: An argument is refused by TRL or PEFT.
        HarnessError: No row is left to train on, or the loss is not finite.
    """
    policy = decide(job.base)
    tokenizer = load_tokenizer(job.base, job.base_dir)
    precision: Precision = (
        job.spec.quantization.bnb_4bit_quant_type
        if job.spec.method == "qlora"
        else policy.compute_dtype
    )
    model = load_base(
        job.base,
        precision,
        policy,
        base_dir=job.base_dir,
        purpose="train",
        quantization=job.spec.quantization,
    )
    config = sft_config(job, policy)
    max_length = config.max_length
    encoded = encode_rows(job.train_examples, tokenizer, job, max_length)
    held_out = encode_rows(job.eval_examples, tokenizer, job, max_length)
    if not encoded.rows:
        raise HarnessError(
            f"No training row is left: {len(job.train_examples)} read, dropped {encoded.dropped}.",
            mend="Raise train.args.max_length or check the prompt.",
        )
    checkpoint = last_complete_checkpoint(job.work_dir)
    with _quiet_libraries():
        recorder = _Recorder(job, earlier=_progress_of(checkpoint))
        trainer = SFTTrainer(
            model=model,
            args=config,
            train_dataset=datasets.Dataset.from_list(encoded.rows),
            eval_dataset=datasets.Dataset.from_list(held_out.rows) if held_out.rows else None,
            processing_class=tokenizer,
            peft_config=None if job.spec.method == "full" else _lora_config(job.spec),
            callbacks=[recorder, *_early_stopping(job.spec, bool(held_out.rows))],
        )
        trainer.remove_callback(transformers.PrinterCallback)  # ours reports instead
        _fix_adapter_dtypes(trainer.model, policy)
        trainable, total = count_parameters(trainer.model)
        tokens = sequence_statistics(encoded.lengths)
        flops = estimated_flops(trainable, total, tokens["mean"] * _rows_seen(config, encoded))
        _announce(job, encoded, trainable, total, flops)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    log = tuple(_log_entries(trainer.state.log_history, recorder))
    if any(entry.loss is None for entry in log if entry.eval_loss is None):
        raise HarnessError(
            "The training loss became NaN or infinite.",
            mend="Lower train.args.learning_rate, or set base.dtype: fp32.",
        )
    return TrainingRun(
        method=job.spec.method,
        base_model=job.base.model,
        log=log,
        checkpoints=tuple(_checkpoints(job.work_dir, log)),
        trainable_parameters=trainable,
        total_parameters=total,
        rows_used=len(encoded.rows),
        rows_dropped=encoded.dropped,
        rows_truncated=encoded.truncated,
        sequence_tokens=tokens,
        estimated_flops=flops,
        tokens_per_second=recorder.tokens_per_second(),
        peak_memory_bytes=recorder.peak_memory_bytes,
        seconds=recorder.seconds,
        steps=trainer.state.global_step,
        stopped_early=_stop_reason(trainer.state, job.spec),
        resumed_from=tuple(recorder.resumed_from),
        arguments={"adapter_dtype": _adapter_dtype(trainer.model), **job.spec.args},
        environment=environment(policy),
    )


def sft_config(job: TrainingJob, policy: DevicePolicy) -> SFTConfig:
    """TRL's configuration: the suite's arguments over the harness' defaults.

    bf16 and fp16 are always set: TRL would otherwise switch bf16 on, also where it is emulated.

    Raises:
        SuiteError: TRL refuses an argument.
    """
    on_cpu = policy.device == "cpu"
    args: dict[str, Any] = {
        "report_to": "none",
        "logging_steps": 1,
        "save_strategy": "steps",
        "eval_strategy": "steps" if job.eval_examples else "no",
        # recomputing activations saves memory that a CPU has, for time that it has not
        "gradient_checkpointing": not on_cpu,
        "dataloader_pin_memory": not on_cpu,
        **job.spec.args,
    }
    if "save_steps" in args and args["eval_strategy"] == "steps":
        args.setdefault("eval_steps", args["save_steps"])
    if job.spec.early_stopping is not None:
        args.setdefault("metric_for_best_model", "eval_loss")
    args |= {
        "output_dir": str(job.work_dir),
        "seed": job.seed,
        "bf16": policy.compute_dtype == "bf16",
        "fp16": policy.compute_dtype == "fp16",
        "use_cpu": on_cpu,
        "disable_tqdm": True,
        "restore_callback_states_from_checkpoint": True,
    }
    try:
        with warnings.catch_warnings():  # TRL sets a field that transformers has renamed
            warnings.filterwarnings("ignore", message="`gradient_checkpointing` is deprecated")
            return SFTConfig(**args)
    except (TypeError, ValueError) as error:
        names = [name for name in [*SUCCESSORS, *DECIDED] if name in str(error)]
        hint = f"See {', '.join(names)} in the training guide." if names else None
        raise SuiteError(str(error).strip(), where="train.args", mend=hint) from error


def encode_rows(
    examples: Sequence[Example], tokenizer: Any, job: TrainingJob, max_length: int | None
) -> EncodedRows:
    """Tokenize examples and build their labels; rows over ``max_length`` tokens are cut, counted.

    They are cut at the end, as TRL does it; a row of whose completion nothing is left is dropped.
    """
    encoded = EncodedRows()
    for example in examples:
        prompt, completion = encode_pair(
            tokenizer, example.prompt, example.completion, chat=job.chat
        )
        ids = [*prompt, *completion]
        masked = len(prompt) if job.spec.completion_only_loss else 0
        if max_length is not None and len(ids) > max_length:
            if masked >= max_length:
                reason = f"prompt alone reaches max_length ({max_length} tokens)"
                encoded.dropped[reason] = encoded.dropped.get(reason, 0) + 1
                continue
            encoded.truncated += 1
            ids = ids[:max_length]
        encoded.rows.append({"input_ids": ids, "labels": [_IGNORED] * masked + ids[masked:]})
    return encoded


def sequence_statistics(lengths: Sequence[int]) -> dict[str, float]:
    """Smallest, median, mean, 95th percentile and largest number of tokens per row."""
    ordered = sorted(lengths)
    return {
        "min": float(ordered[0]),
        "median": float(statistics.median(ordered)),
        "mean": round(statistics.fmean(ordered), 2),
        "p95": float(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]),
        "max": float(ordered[-1]),
    }


def count_parameters(model: Any) -> tuple[int, int]:
    """Trainable and total parameters, counting 4-bit weights by real parameters, not packed bytes.

    bitsandbytes keeps two 4-bit weights in each stored byte.
    """
    trainable = total = 0
    for parameter in model.parameters():
        count = parameter.numel()
        if type(parameter).__name__ == "Params4bit":
            count *= 2 * parameter.element_size()
        total += count
        trainable += count if parameter.requires_grad else 0
    return trainable, total


def estimated_flops(trainable: int, total: int, tokens: float) -> float:
    """Floating-point operations of a training on so many tokens, attention scores left out.

    2 N per token forward and 2 N backward through the activations for all N parameters, and 2 N'
    for the gradients of the N' trainable ones; with N' = N these are the usual 6 N.

    Source:
        Kaplan et al. (2020), Scaling Laws for Neural Language Models, section 2.1.
    """
    return tokens * (4.0 * total + 2.0 * trainable)


def last_complete_checkpoint(work_dir: Path) -> Path | None:
    """The furthest checkpoint that was written to its end; those cut off are removed."""
    complete = []
    for folder in work_dir.glob("checkpoint-*"):
        if (folder / COMPLETE).is_file():
            complete.append(folder)
        else:
            shutil.rmtree(folder)
    return max(complete, key=_step_of, default=None)


def _step_of(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def _rows_seen(config: SFTConfig, encoded: EncodedRows) -> float:
    """Rows that pass through training in all steps or epochs asked for."""
    if config.max_steps > 0:
        return float(
            config.max_steps
            * config.per_device_train_batch_size
            * config.gradient_accumulation_steps
        )
    return float(config.num_train_epochs) * len(encoded.rows)


def _lora_config(spec: TrainSpec) -> LoraConfig:
    try:
        return LoraConfig(**{"task_type": "CAUSAL_LM", **spec.lora.model_dump()})
    except (TypeError, ValueError) as error:
        raise SuiteError(f"PEFT refuses it: {error}.", where="train.lora") from error


def _early_stopping(spec: TrainSpec, has_eval: bool) -> list[TrainerCallback]:
    if spec.early_stopping is None:
        return []
    if not has_eval:
        raise SuiteError(
            "Early stopping needs rows in the eval split, found none.",
            where="train.early_stopping",
            mend="Give data.splits a share for eval.",
        )
    return [
        transformers.EarlyStoppingCallback(
            early_stopping_patience=spec.early_stopping.patience,
            early_stopping_threshold=spec.early_stopping.threshold,
        )
    ]


def _stop_reason(state: Any, spec: TrainSpec) -> str | None:
    if spec.early_stopping is None or state.global_step >= state.max_steps:
        return None
    return (
        f"eval loss had not fallen by more than {spec.early_stopping.threshold:g} for "
        f"{spec.early_stopping.patience} evaluations at step {state.global_step}"
    )


def _fix_adapter_dtypes(model: Any, policy: DevicePolicy) -> None:
    """Keep trainable weights in fp32 on CPU.

    TRL casts the adapter of a 4-bit model to bf16, which CPUs without bf16 instructions emulate
    at a 20th of the speed, and in which small updates are lost.
    """
    if policy.device != "cpu":
        return
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            parameter.data = parameter.data.float()


def _adapter_dtype(model: Any) -> str:
    dtypes = {str(p.dtype).removeprefix("torch.") for p in model.parameters() if p.requires_grad}
    return ", ".join(sorted(dtypes))


def _announce(
    job: TrainingJob, encoded: EncodedRows, trainable: int, total: int, flops: float
) -> None:
    tokens = sequence_statistics(encoded.lengths)
    job.say(
        f"  {trainable:,} of {total:,} parameters train ({trainable / total:.2%}); "
        f"about {flops:.2g} FLOPs"
    )
    job.say(
        f"  {len(encoded.rows):,} rows of {tokens['min']:.0f} to {tokens['max']:.0f} tokens "
        f"(median {tokens['median']:.0f}); {encoded.truncated} truncated, "
        f"{sum(encoded.dropped.values())} dropped"
    )


class _Recorder(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Keeps times, memory and progress, across interruptions, and marks complete checkpoints."""

    def __init__(self, job: TrainingJob, earlier: dict[str, Any]) -> None:
        self.job = job
        self.earlier_seconds = float(earlier.get("seconds", 0.0))
        self.step_seconds = float(earlier.get("step_seconds", 0.0))
        self.peak_memory_bytes = int(earlier.get("peak_memory_bytes", 0))
        self.resumed_from = list(earlier.get("resumed_from", []))
        if "step" in earlier:
            self.resumed_from.append(int(earlier["step"]))
        self.times: dict[int, float] = {int(k): v for k, v in earlier.get("times", {}).items()}
        self.tokens = 0.0
        self._began = self._step_began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Wall time of the training so far, all its parts together."""
        return self.earlier_seconds + time.perf_counter() - self._began

    def tokens_per_second(self) -> float | None:
        """Real tokens per second of training steps, evaluation and saving left out."""
        return self.tokens / self.step_seconds if self.tokens and self.step_seconds else None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = time.perf_counter()
        if self.resumed_from:
            self.job.say(f"  resuming from step {state.global_step}")

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._step_began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.step_seconds += time.perf_counter() - self._step_began
        self.times[state.global_step] = round(self.seconds, 3)
        self.peak_memory_bytes = max(self.peak_memory_bytes, _peak_memory_bytes())

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        logs = logs or {}
        self.tokens = float(logs.get("num_tokens", self.tokens))
        parts = [f"loss {logs['loss']:.3f}"] if "loss" in logs else []
        parts += [f"eval loss {logs['eval_loss']:.3f}"] if "eval_loss" in logs else []
        speed = self.tokens_per_second()
        parts += [f"{speed:.0f} tok/s"] if speed else []
        self.job.progress(state.global_step, state.max_steps, ", ".join(parts))

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        content = {
            "step": state.global_step,
            "seconds": self.seconds,
            "step_seconds": self.step_seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
            "resumed_from": self.resumed_from,
            "times": self.times,
        }
        temporary = folder / f".{COMPLETE}"
        temporary.write_text(json.dumps(content))
        temporary.rename(folder / COMPLETE)


def _progress_of(checkpoint: Path | None) -> dict[str, Any]:
    if checkpoint is None:
        return {}
    content: dict[str, Any] = json.loads((checkpoint / COMPLETE).read_text("utf-8"))
    return content


def _peak_memory_bytes() -> int:
    """Peak memory so far: allocated on the GPU, or resident in this process on CPU."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB


def _log_entries(history: Sequence[dict[str, Any]], recorder: _Recorder) -> Iterator[LogEntry]:
    """The trainer's log as records; its closing summary has neither loss nor eval loss."""
    for entry in history:
        if "loss" not in entry and "eval_loss" not in entry:
            continue
        is_eval = "eval_loss" in entry
        prefix = "eval_" if is_eval else ""
        tokens = _finite(entry.get(f"{prefix}num_tokens"))
        yield LogEntry(
            step=entry["step"],
            epoch=_finite(entry.get("epoch")),
            loss=None if is_eval else _finite(entry["loss"]),
            eval_loss=_finite(entry.get("eval_loss")),
            learning_rate=_finite(entry.get("learning_rate")),
            grad_norm=_finite(entry.get("grad_norm")),
            mean_token_accuracy=_finite(entry.get(f"{prefix}mean_token_accuracy")),
            tokens=None if tokens is None else int(tokens),
            seconds=recorder.times.get(entry["step"]),
        )


def _finite(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if number - number == 0 else None  # NaN and infinity differ from themselves


def _checkpoints(work_dir: Path, log: Sequence[LogEntry]) -> Iterator[Checkpoint]:
    """Records of the checkpoints in order of steps."""
    eval_losses = {entry.step: entry.eval_loss for entry in log if entry.eval_loss is not None}
    for folder in sorted(work_dir.glob("checkpoint-*"), key=_step_of):
        step = _step_of(folder)
        yield Checkpoint(
            name=folder.name,
            step=step,
            path=folder.name,
            digest=adapter_digest(folder),
            eval_loss=eval_losses.get(step),
        )


def drop_resume_state(work_dir: Path) -> None:
    """Remove what only an unfinished training needs: optimizer, scheduler and random states."""
    for folder in work_dir.glob("checkpoint-*"):
        for name in (*_RESUME_ONLY, *(p.name for p in folder.glob("rng_state*.pth"))):
            (folder / name).unlink(missing_ok=True)


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep progress bars and advice of the libraries out of the harness' own progress."""
    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        datasets.enable_progress_bars()
        transformers.utils.logging.set_verbosity(verbosity)
