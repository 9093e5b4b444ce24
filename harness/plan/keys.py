"""Identities: everything that can change a result, and nothing else. Their digests are the keys.

Nothing here loads torch or a model, so that ``harness validate`` answers at once.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.prompts import template_identity
from harness.data.sources import source_identity
from harness.digests import file_digest, short_digest
from harness.metrics.registry import is_evaluate_module
from harness.models.hardware import installed_versions
from harness.schema import QUANTIZED, TRAIN, Split, Variant
from harness.suite.file import SuiteFile
from harness.suite.spec import (
    DTYPE_VARIABLE,
    GenerationTask,
    LmEvalTask,
    MetricSpec,
    PerplexityTask,
    Suite,
)
from harness.tasks.lm_eval.identity import lm_eval_identity

_TRAIN_SPLITS: tuple[Split, ...] = ("train", "eval")  # what a training reads of its data

# Raised when the harness itself comes to other results from the same input.
_TRAINING_VERSION = 1
_ENGINE_VERSION = 2
_SCORING_VERSION = 1

_TRAIN_PACKAGES = ("torch", "transformers", "peft", "trl", "bitsandbytes", "accelerate")
_METRIC_PACKAGES = ("rouge_score", "sacrebleu", "nltk")


@dataclass(frozen=True)
class Keyed:
    """A store key with its readable form."""

    key: str
    identity: dict[str, Any]


def keyed(identity: dict[str, Any]) -> Keyed:
    """The key of an identity."""
    return Keyed(short_digest(identity), identity)


def asked_device(suite: Suite) -> dict[str, str]:
    """What was asked of the device policy; what it decided is recorded with each result."""
    return {
        "device": suite.base.device,
        "compute_dtype": os.environ.get(DTYPE_VARIABLE) or suite.base.dtype,
        "attn_implementation": suite.base.attn_implementation,
    }


def examples_of(file: SuiteFile, base: Mapping[str, Any]) -> dict[str, Keyed]:
    """Identities of the rendered examples of training and of each task that has some."""
    suite = file.suite
    pairs = [(TRAIN, (suite.data, suite.prompt))] if suite.train is not None else []
    pairs += [
        (task_id, suite.task_data(task_id))
        for task_id, task in suite.tasks.items()
        if not isinstance(task, LmEvalTask)
    ]
    result: dict[str, Keyed] = {}
    for task_id, (data, prompt) in pairs:
        if data is None or prompt is None:
            raise TypeError(f"{task_id} has no data or no prompt")  # excluded by Suite
        identity = {
            "data": source_identity(data, file.base_dir),
            "prompt": template_identity(prompt),
            "seed": suite.seed,
        }
        if prompt.is_chat:  # the tokenizer's chat template renders the prompt
            identity["chat_template_of"] = dict(base)
        result[task_id] = keyed(identity)
    return result


def training_of(
    suite: Suite, base: Mapping[str, Any], examples: Mapping[str, Keyed]
) -> Keyed | None:
    """Identity of the suite's training, or None where it has none."""
    if suite.train is None:
        return None
    return keyed(
        {
            "base": dict(base),
            **asked_device(suite),
            "train": suite.train.model_dump(mode="json"),
            "examples": _of_splits(examples[TRAIN].identity, _TRAIN_SPLITS),
            "seed": suite.seed,
            "versions": installed_versions(_TRAIN_PACKAGES),
            "procedure": _TRAINING_VERSION,
        }
    )


def weights_of(suite: Suite, variant: Variant, base: Mapping[str, Any]) -> dict[str, Any]:
    """What determines a variant's outputs for given inputs."""
    quantized = variant.precision in QUANTIZED
    packages = ["torch", "transformers"]
    packages += ["bitsandbytes"] if quantized else []
    packages += ["peft"] if variant.kind in ("adapter", "merged") else []
    identity: dict[str, Any] = {
        "base": dict(base),
        "kind": variant.kind,
        "precision": variant.precision,
        **asked_device(suite),
        "versions": installed_versions(packages),
        "engine": _ENGINE_VERSION,
    }
    if quantized:
        options = suite.quantization
        identity["quantization"] = options.model_dump(mode="json")
    if variant.adapter is not None:
        identity["adapter"] = variant.digests["adapter"]
    return identity


def merged_of(suite: Suite, variant: Variant) -> Keyed:
    """Identity of a merged model's weights: what was merged into what, and how precisely."""
    return keyed(
        {
            "base": variant.digests["base"],
            "adapter": variant.digests["adapter"],
            "precision": variant.precision,
            **asked_device(suite),
        }
    )


def inputs_of(file: SuiteFile, examples: Mapping[str, Keyed]) -> dict[str, dict[str, Any]]:
    """What each task is run on: its examples, or what lm-eval reads, as far as scores depend on it.

    Made once for all variants, since it reads files.
    """
    return {
        task_id: lm_eval_identity(task, file.base_dir)
        if isinstance(task, LmEvalTask)
        else _of_splits(examples[task_id].identity, task.splits)
        for task_id, task in file.suite.tasks.items()
    }


def _of_splits(examples: Mapping[str, Any], splits: Collection[str]) -> dict[str, Any]:
    """The identity of examples of some splits: a limit of another split changes none of them."""
    data = dict(examples["data"])
    limits = {split: n for split, n in data.pop("limits", {}).items() if split in splits}
    return {**examples, "data": data | ({"limits": limits} if limits else {})}


def results_of(
    file: SuiteFile, task_id: str, weights: Mapping[str, Any], inputs: Mapping[str, Any]
) -> tuple[Keyed | None, Keyed]:
    """Identities of one variant's predictions (None for perplexity, which has no texts) and scores.

    Scores depend on the predictions and on the metrics, so a new metric regenerates no text. They
    hold the task's name too, so a renamed task is scored again (from the same texts).
    """
    suite, task = file.suite, file.suite.tasks[task_id]
    if isinstance(task, LmEvalTask):
        predictions = keyed({"weights": weights, "lm_eval": inputs, "seed": suite.seed})
        return predictions, _scores_of(task_id, predictions, "lm_eval")
    common = {
        "weights": weights,
        "examples": inputs,
        "splits": sorted(task.splits),
        "limit": task.limit,
        # it does not matter in exact arithmetic; in floating point it can flip a near-tie
        "batch_size": task.batch_size,
    }
    if isinstance(task, PerplexityTask):
        return None, keyed({**common, "task": task_id, "max_length": task.max_length})
    predictions = keyed({**common, "decoding": _decoding(suite, task)})
    metrics = [_metric(metric, file.base_dir) for metric in task.metrics]
    return predictions, _scores_of(task_id, predictions, metrics)


def _scores_of(task_id: str, predictions: Keyed, metrics: Any) -> Keyed:
    return keyed(
        {
            "task": task_id,
            "predictions": predictions.key,
            "metrics": metrics,
            "versions": installed_versions(_METRIC_PACKAGES),
            "scoring": _SCORING_VERSION,
        }
    )


def _decoding(suite: Suite, task: GenerationTask) -> dict[str, Any]:
    identity: dict[str, Any] = {
        "max_new_tokens": task.max_new_tokens,
        "max_prompt_tokens": task.max_prompt_tokens,
        "do_sample": task.do_sample,
    }
    if task.mix_adapters == "always":
        identity["mix_adapters"] = "always"  # in half precision it can flip a near-tie
    if task.do_sample:  # greedy decoding depends on none of these
        identity |= {
            "temperature": task.temperature,
            "top_p": task.top_p,
            "top_k": task.top_k,
            "seed": suite.seed,
        }
    return identity


def _metric(metric: str | MetricSpec, base_dir: Path) -> dict[str, Any]:
    spec = MetricSpec.of(metric)
    identity = spec.model_dump(mode="json")
    if is_evaluate_module(spec.name):
        identity["evaluate"] = installed_versions(["evaluate"])
        script = base_dir / Path(spec.name.partition(":")[2]).expanduser()
        files = sorted(script.glob("*.py")) if script.is_dir() else [script]
        identity["script"] = {file.name: file_digest(file) for file in files if file.is_file()}
    return identity
