"""Identities: everything that can change a result, and nothing else. Their digests are the keys.

Nothing here loads torch or a model, so that ``harness validate`` answers at once.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.data.prompts import template_identity
from harness.data.sources import source_identity
from harness.digests import short_digest
from harness.doors import ENGINES, TASK_TYPES
from harness.engines.base import Engine
from harness.models.hardware import installed_versions
from harness.schema import QUANTIZED, TRAIN, Split, Variant
from harness.suite.spec import DTYPE_VARIABLE, ENGINE, Suite, TrainSpec
from harness.tasks.base import TaskRequest
from harness.validate.suite import CheckedSuite

_TRAIN_SPLITS: tuple[Split, ...] = ("train", "eval")  # what a training reads of its data

# Raised when the harness itself comes to other results from the same input.
_TRAINING_VERSION = 1
_PACKING_VERSION = 2
_WHOLE_ROWS_VERSION = 1  # of rows of which the prompt is learned too
_SCORING_VERSION = 1
_MERGING_VERSION = 2

_TRAIN_PACKAGES = ("torch", "transformers", "peft", "trl", "bitsandbytes", "accelerate")
_METRIC_PACKAGES = ("rouge_score", "sacrebleu", "nltk")
_REFERENCES = "chat_references"  # what those of chats are; no training reads them


@dataclass(frozen=True)
class Keyed:
    """A store key with its readable form."""

    key: str
    identity: dict[str, Any]


def keyed(identity: dict[str, Any]) -> Keyed:
    """The key of an identity."""
    return Keyed(short_digest(identity), identity)


def engine_of(suite: Suite) -> Engine:
    """The inference engine that a suite names."""
    engine: Engine = ENGINES.get(suite.base.engine)
    return engine


def asked_device(suite: Suite) -> dict[str, str]:
    """What was asked of the device policy; what it decided is recorded with each result."""
    return {
        "device": suite.base.device,
        "compute_dtype": os.environ.get(DTYPE_VARIABLE) or suite.base.dtype,
        "attn_implementation": suite.base.attn_implementation,
    }


def examples_of(file: CheckedSuite) -> dict[str, Keyed]:
    """Identities of the rendered examples of training and of each task that has some."""
    suite = file.suite
    names = [TRAIN] if suite.names_training_rows else []
    names += [task_id for task_id, task in suite.tasks.items() if not task.brings_data]
    result: dict[str, Keyed] = {}
    for name in names:
        data, prompt = suite.task_data(name)
        identity = {
            "data": source_identity(data, file.base_dir),
            "prompt": template_identity(prompt),
            "seed": suite.seed,
        }
        if prompt.is_chat:  # the tokenizer's chat template renders the prompt
            identity["chat_template_of"] = dict(file.base)
            identity[_REFERENCES] = "printed"  # earlier ones were the row's own text
        result[name] = keyed(identity)
    return result


def training_of(file: CheckedSuite, train: TrainSpec, examples: Mapping[str, Keyed]) -> Keyed:
    """Identity of one of the suite's trainings."""
    suite = file.suite
    rows = {name: part for name, part in examples[TRAIN].identity.items() if name != _REFERENCES}
    return keyed(
        {
            "base": dict(file.base),
            **asked_device(suite),
            "train": train.model_dump(mode="json"),
            "examples": _of_splits(rows, _TRAIN_SPLITS),
            "seed": suite.seed,
            "versions": installed_versions(_TRAIN_PACKAGES),
            "procedure": _TRAINING_VERSION,
            **({"packing": _PACKING_VERSION} if train.joins_rows else {}),
            **_stops_by(suite, train, examples),
            **({} if train.completion_only_loss else {"whole_rows": _WHOLE_ROWS_VERSION}),
        }
    )


def _stops_by(suite: Suite, train: TrainSpec, examples: Mapping[str, Keyed]) -> dict[str, Any]:
    """The task that stops a training, with its examples: both can change when it ends."""
    name = None if train.early_stopping is None else train.early_stopping.task
    if name is None or name not in suite.tasks:
        return {}
    own = examples.get(name)
    return {
        "stops_by": {
            "task": suite.tasks[name].model_dump(mode="json"),
            "examples": None if own is None else _of_splits(own.identity, ("select",)),
            "versions": installed_versions(_METRIC_PACKAGES),
            "scoring": _SCORING_VERSION,
        }
    }


def weights_of(file: CheckedSuite, variant: Variant) -> dict[str, Any]:
    """What determines a variant's outputs for given inputs."""
    suite = file.suite
    engine = engine_of(suite)
    own = ENGINES.ask(
        suite.base.engine, lambda: dict(engine.identity(variant.kind, variant.precision))
    )
    identity: dict[str, Any] = {
        **own,  # first, so that none of it takes the place of what follows
        "base": dict(file.base),
        "kind": variant.kind,
        "precision": variant.precision,
        **asked_device(suite),
    }
    if suite.base.engine != ENGINE:
        identity["inference_engine"] = suite.base.engine
    if variant.precision in QUANTIZED:
        identity["quantization"] = suite.quantization.model_dump(mode="json")
    if variant.adapter is not None:
        identity["adapter"] = variant.digests["adapter"]
    if variant.kind == "merged":
        identity["merging"] = _MERGING_VERSION
    return identity


def merged_of(suite: Suite, variant: Variant) -> Keyed:
    """Identity of a merged model's weights: what was merged into what, and how precisely."""
    return keyed(
        {
            "base": variant.digests["base"],
            "adapter": variant.digests["adapter"],
            "precision": variant.precision,
            **asked_device(suite),
            "procedure": _MERGING_VERSION,
        }
    )


def inputs_of(file: CheckedSuite, examples: Mapping[str, Keyed]) -> dict[str, Any]:
    """What each task is run on: its examples, or what it brings, as far as scores depend on it.

    Made once for all variants, since it reads files.
    """
    inputs = {}
    for task_id, task in file.suite.tasks.items():
        own = examples.get(task_id)
        of_splits = None if own is None else _of_splits(own.identity, task.scored_splits)
        request = TaskRequest(task_id, file.suite, file.base_dir)
        inputs[task_id] = TASK_TYPES.ask(
            task.type, partial(TASK_TYPES.get(task.type).inputs, request, of_splits)
        )
    return inputs


def _of_splits(examples: Mapping[str, Any], splits: Collection[str]) -> dict[str, Any]:
    """The identity of examples of some splits: a limit of another split changes none of them."""
    data = dict(examples["data"])
    limits = {split: n for split, n in data.pop("limits", {}).items() if split in splits}
    return {**examples, "data": data | ({"limits": limits} if limits else {})}


def results_of(
    file: CheckedSuite, task_id: str, weights: Mapping[str, Any], inputs: Any
) -> tuple[Keyed | None, Keyed]:
    """Identities of one variant's outputs (None where none are kept by themselves) and scores.

    Scores depend on the outputs and on the metrics, so a new metric regenerates no text. They
    hold the task's name too, so a renamed task is scored again (from the same texts).
    """
    request = TaskRequest(task_id, file.suite, file.base_dir)
    name = request.spec.type
    identity = TASK_TYPES.ask(name, partial(TASK_TYPES.get(name).identity, request, inputs))
    # last, so that nothing of the type's takes its place; equal types of two names are two types
    common = {"weights": weights, **({} if name in TASK_TYPES.built_in else {"task_type": name})}
    if identity.outputs is None:
        return None, keyed(TASK_TYPES.ask(name, lambda: {**identity.scores, **common}))
    predictions = keyed(TASK_TYPES.ask(name, lambda: {**identity.outputs, **common}))
    scores = {
        "task": task_id,
        "predictions": predictions.key,
        "metrics": identity.scores,
        "versions": installed_versions(_METRIC_PACKAGES),
        "scoring": _SCORING_VERSION,
    }
    return predictions, keyed(scores)
