"""TRL's configuration: the suite's arguments over what the harness decides."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from trl import SFTConfig

from harness.errors import SuiteError, in_a_line
from harness.models.policy import DevicePolicy
from harness.suite.arguments import DECIDED, SUCCESSORS, as_sft_takes_them
from harness.suite.spec import TrainSpec


def sft_config(
    spec: TrainSpec, *, seed: int, work_dir: Path, policy: DevicePolicy, has_eval_rows: bool
) -> SFTConfig:
    """TRL's configuration: the suite's arguments over the harness' defaults.

    bf16 and fp16 are always set: TRL would otherwise switch bf16 on, also where it is emulated.

    Raises:
        SuiteError: TRL refuses an argument, or an evaluation is asked for without rows.
    """
    on_cpu = policy.device == "cpu"
    if on_cpu and policy.compute_dtype == "fp16":
        raise SuiteError(
            "Training in fp16 needs a GPU.",
            where="base.dtype",
            hint="Use auto, fp32 or bf16 on a CPU.",
        )
    if on_cpu and spec.args.get("activation_offloading"):
        raise SuiteError(
            "It moves activations from a GPU to the CPU, where they are already.",
            where="train.args.activation_offloading",
            hint="Leave it out on a CPU.",
        )
    args: dict[str, Any] = {
        "report_to": "none",
        "logging_steps": 1,
        "save_strategy": "steps",
        # recomputing activations saves memory that a CPU has, for time that it has not
        "gradient_checkpointing": not on_cpu and not spec.has_tokens_in_cache,
        "dataloader_pin_memory": not on_cpu,
        **as_sft_takes_them(spec.args),
    }
    _default_evaluation(args, spec, has_eval_rows)
    packs = args.get("packing") and args.get("packing_strategy", "bfd") != "wrapped"
    unpadded = packs or args.get("padding_free")
    args |= {
        "output_dir": str(work_dir),
        "seed": seed,
        "bf16": policy.compute_dtype == "bf16",
        "fp16": policy.compute_dtype == "fp16",
        "use_cpu": on_cpu,
        "disable_tqdm": True,
        "restore_callback_states_from_checkpoint": True,
        # a loss that is not finite must show; the filter would log 0 in its place
        "logging_nan_inf_filter": False,
        # kept in the trainer's state, so that it counts on when training is resumed; without
        # padding there is no attention mask to count by
        "include_num_input_tokens_seen": "all" if unpadded else "non_padding",
    }
    try:
        with warnings.catch_warnings():  # TRL sets a field that transformers has renamed
            warnings.filterwarnings("ignore", message="`gradient_checkpointing` is deprecated")
            config = SFTConfig(**args)
    except Exception as error:  # of any library that an argument brings in
        names = [name for name in [*SUCCESSORS, *DECIDED] if name in str(error)]
        hint = f"See {', '.join(names)} in the training guide." if names else None
        raise SuiteError(in_a_line(error), where="train.args", hint=hint) from error
    _check_hub(config)
    # the Trainer keeps the best checkpoint by this metric; which one is used is chosen on select
    config.load_best_model_at_end = False
    if config.n_gpu > 1:  # the policy chose one device; TRL refuses DataParallel over several
        config._n_gpu = 1
    return config


def _check_hub(config: SFTConfig) -> None:
    """Refuse to push to a repository of no name, or of one that the Hub does not take."""
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    if not config.push_to_hub:
        return
    hint = (
        "Write hub_model_id: owner/name. To publish what was chosen, and not every checkpoint: "
        "harness select RUN --copy-to DIR, then hf upload owner/name DIR."
    )
    if not config.hub_model_id:
        problem = "push_to_hub needs the repository's name."
        raise SuiteError(problem, where="train.args.push_to_hub", hint=hint)
    try:
        validate_repo_id(config.hub_model_id)
    except HFValidationError as error:
        problem, where = in_a_line(error), "train.args.hub_model_id"
        raise SuiteError(problem, where=where, hint=hint) from error


def _default_evaluation(args: dict[str, Any], spec: TrainSpec, has_eval_rows: bool) -> None:
    """Evaluate where there are rows for it, at every save unless the suite says otherwise."""
    saves = args["save_strategy"]
    default = ("steps" if saves == "best" else saves) if has_eval_rows else "no"
    strategy = args.setdefault("eval_strategy", default)
    if strategy == "steps":
        args.setdefault("eval_steps", args.get("save_steps", SFTConfig.save_steps))
    by_loss = spec.early_stopping is not None and spec.early_stopping.task is None
    needing = {
        "train.early_stopping": by_loss,
        "train.args.save_strategy: best": saves == "best",
        "train.args.load_best_model_at_end": bool(args.get("load_best_model_at_end")),
    }
    for where, needs in needing.items():
        if needs and strategy == "no" and has_eval_rows:
            raise SuiteError(
                "It goes by evaluations during training, and eval_strategy is no.",
                where=where,
                hint="Leave train.args.eval_strategy out.",
            )
    needing |= {f"train.args.eval_strategy: {strategy}": strategy != "no"}
    for where, needs in needing.items():
        if needs and not has_eval_rows:
            raise SuiteError(
                "It needs rows in the eval split, found none.",
                where=where,
                hint="Give data.splits a share for eval.",
            )
    if by_loss or saves == "best":
        args.setdefault("metric_for_best_model", "eval_loss")


def stop_reason(state: Any, spec: TrainSpec, metric: str | None) -> str | None:
    """Why training ended before its last step, in words; None if it did not."""
    if spec.early_stopping is None or state.global_step >= state.max_steps:
        return None
    if spec.early_stopping.task is not None:
        return (
            f"{spec.early_stopping.task} had not gained a standard error in "
            f"{spec.early_stopping.patience} checkpoints at step {state.global_step}"
        )
    name = (metric or "eval_loss").removeprefix("eval_").replace("_", " ")
    return (
        f"eval {name} had not improved by more than {spec.early_stopping.threshold:g} for "
        f"{spec.early_stopping.patience} evaluations at step {state.global_step}"
    )
