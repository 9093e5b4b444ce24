"""Loads a base once for all variants that stand on it, and switches their adapters over it."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.models.adapters import AdapterSet, adapter_effect
from harness.models.load import load_base
from harness.models.tokens import load_tokenizer
from harness.run.context import Workplace
from harness.schema import TRAIN, Finding, Precision, Variant

_PROBE_PROMPTS = 2  # prompts on which an adapter must change the logits
_PROBE_TEXT = "The capital of France is"  # where no task brings prompts of its own


@dataclass
class Host:
    """A loaded base with its tokenizer and adapters, or the reason why it could not be loaded.

    Attributes:
        failure: Why the base could not be loaded.
        failures: Variant -> why its adapter could not be loaded or probed.
        probed: Variant -> what probing its adapter found.
    """

    model: Any = None
    tokenizer: Any = None
    adapters: AdapterSet | None = None
    failure: str | None = None
    failures: dict[str, str] = field(default_factory=dict)
    probed: dict[str, list[Finding]] = field(default_factory=dict)

    def failure_of(self, variant: Variant) -> str | None:
        """Why this variant cannot be computed, or None."""
        return self.failure or self.failures.get(variant.id)

    @contextmanager
    def active(self, variant: Variant) -> Iterator[Any]:
        """The model as this variant: with its adapter, or with all adapters switched off."""
        if self.adapters is None:
            yield self.model
            return
        with self.adapters.active(variant.id if variant.kind == "adapter" else None) as model:
            yield model


@contextmanager
def loaded(work: Workplace, group: Sequence[Variant]) -> Iterator[Host]:
    """Load the weights of a group; free them afterwards."""
    host = Host()
    first = group[0]
    work.reporter.say(f"Loading {first.base_model} for {', '.join(v.id for v in group)}")
    try:
        host = _load(work, group)
    except UsageError:
        raise
    except Exception as error:  # whatever it is, it is these cells' result and not the run's end
        host.failure = work.reason(error)
    try:
        yield host
    finally:
        host.model = host.adapters = None
        gc.collect()
        _empty_device_cache()


def _load(work: Workplace, group: Sequence[Variant]) -> Host:
    suite, base_dir, first = work.file.suite, work.file.base_dir, group[0]
    base = suite.base
    if first.kind == "merged":
        base = base.model_copy(update={"model": str(work.merged_dirs[first.id]), "revision": None})
    elif first.kind == "full":
        base = base.model_copy(update={"model": str(first.adapter), "revision": None})
    precision: Precision = (
        work.policy.compute_dtype if first.precision == "auto" else first.precision
    )
    model = load_base(
        base,
        precision,
        work.policy,
        base_dir=base_dir,
        purpose="quality",
        quantization=work.file.suite.quantization,
    )
    host = Host(model, load_tokenizer(suite.base, base_dir))
    adapters = [variant for variant in group if variant.kind == "adapter"]
    if adapters:
        host.adapters = AdapterSet(model)
    for variant in adapters:
        _add(work, host, variant)
    return host


def _add(work: Workplace, host: Host, variant: Variant) -> None:
    """Load and probe one adapter; one that fails leaves the others alone."""
    if host.adapters is None:
        return
    try:
        host.adapters.add(variant.id, Path(str(variant.adapter)))
        host.probed[variant.id] = _probe(work, host, variant)
    except UsageError:
        raise
    except Exception as error:  # whatever it is, it is these cells' result and not the run's end
        host.failures[variant.id] = work.reason(error)


def _empty_device_cache() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _probe(work: Workplace, host: Host, variant: Variant) -> list[Finding]:
    """Prove that the adapter acts: one that changes no logits would score as the base."""
    if host.adapters is None:
        return []
    prompts, chat = [_PROBE_TEXT], False
    for task, examples in work.examples.items():  # training's examples where there are some
        spec = work.file.suite.prompt if task == TRAIN else work.file.suite.task_data(task)[1]
        prompts = [example.prompt for example in examples[:_PROBE_PROMPTS]]
        chat = spec is not None and spec.is_chat
        break
    effect = adapter_effect(host.adapters, variant.id, host.tokenizer, prompts, chat=chat)
    work.reporter.detail(f"  {variant.id}: largest change of a logit {effect:.3g}")
    if effect != 0:
        return []
    return [
        Finding(
            check="adapter effect",
            severity="error",
            what="it changes no logit, so it scores as the base.",
            why="Its weights are zero, or it adapts no module of this base.",
            hint="Check that the adapter was trained and that its target modules match.",
        )
    ]
