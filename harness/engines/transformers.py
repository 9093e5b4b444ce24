"""The built-in inference engine: transformers and PEFT, with our own batching around them."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.engines import base as door
from harness.models.foreign import conversion_proof
from harness.models.hardware import installed_versions
from harness.schema import QUANTIZED, Precision, Proof, VariantKind
from harness.suite.spec import BaseSpec

if TYPE_CHECKING:
    from harness.engines.alone import Alone
    from harness.engines.texts import AloneAs
    from harness.engines.trial import Trials
    from harness.models.adapters import AdapterSet
    from harness.models.causality import Causality
    from harness.models.mixed import Mixture
    from harness.models.policy import DevicePolicy

_PROCEDURE = 3  # raised when the engine itself comes to other results from the same input


@dataclass(frozen=True)
class TransformersModel:
    """A transformers or PEFT model with its adapter already acting, in evaluation mode.

    Attributes:
        model: The model.
        tokenizer: Its tokenizer.
        device: Where it is.
        trials: Of the loaded base; shared by its variants. None: nothing is tried.
        name: Of the adapter.
        causality: Whether losses and log-likelihoods of it look ahead. None: it is not asked.
    """

    model: Any
    tokenizer: Any
    device: str
    trials: Trials | None = None
    name: str | None = None
    causality: Causality | None = None

    @property
    def proofs(self) -> Sequence[Proof]:
        """What was measured so far of its texts, losses and log-likelihoods."""
        from harness.engines.kinds import kind_of

        proofs = self.trials.proofs(kind_of(self.model), self.name) if self.trials else []
        causal = self.causality.proof if self.causality is not None else None
        return [*([causal] if causal is not None else []), *proofs]

    def generate(
        self, prompts: Sequence[str], decoding: door.Decoding, **options: Any
    ) -> list[door.Generated]:
        """Batched generation; see ``engines.generation``."""
        from harness.engines.generation import generate

        return generate(
            self.model, self.tokenizer, prompts, decoding, trials=self.trials, **options
        )

    def completion_losses(
        self, pairs: Sequence[tuple[str, str]], **options: Any
    ) -> list[door.CompletionLoss]:
        """Batched losses; see ``engines.perplexity``."""
        from harness.engines.perplexity import completion_losses

        if self.causality is not None:
            self.causality.require()
        return completion_losses(self.model, self.tokenizer, pairs, trials=self.trials, **options)

    def lm_eval_model(self, **options: Any) -> Any:
        """lm-eval's own class with shared prefixes; see ``engines.loglikelihood``."""
        from harness.engines.loglikelihood import PrefixSharingLM

        own: dict[str, Any] = {"trials": self.trials, "causality": self.causality}
        return PrefixSharingLM(self.model, self.tokenizer, device=self.device, **own, **options)


@dataclass(frozen=True)
class _Mixed:
    mixture: Mixture
    tokenizer: Any
    trials: Trials
    alone: AloneAs

    def generate(
        self, prompts: Sequence[str], decoding: door.Decoding, **options: Any
    ) -> dict[str | None, list[door.Generated]]:
        from harness.engines.generation import generate_together

        own: dict[str, Any] = {"trials": self.trials, "alone": self.alone}
        return generate_together(self.mixture, self.tokenizer, prompts, decoding, **own, **options)


@dataclass(frozen=True)
class _Loaded:
    adapters: AdapterSet
    tokenizer: Any
    device: str
    trials: Trials
    proofs: Sequence[Proof] = ()

    def add_adapter(self, name: str, path: Path, *, alone: bool = False) -> list[Proof]:
        self.adapters.add(name, path, alone=alone)
        return [_nothing_left(self.adapters.unknown_options(name)), *conversion_proof(path)]

    def change(self, name: str | None) -> float:
        return self.adapters.change(name)

    @contextmanager
    def active(self, name: str | None) -> Iterator[door.ActiveModel]:
        with self.adapters.active(name) as model:
            own = self.trials, name, self.adapters.causality(name)
            yield TransformersModel(model, self.tokenizer, self.device, *own)

    def adapter_effect(self, name: str, prompts: Sequence[str], *, chat: bool) -> float:
        return self.adapters.effect(name, self.tokenizer, prompts, chat=chat)

    def why_not_mixed(self, names: Sequence[str | None]) -> str | None:
        return self.adapters.why_not_mixed(names)

    @contextmanager
    def mixed(self, names: Sequence[str | None]) -> Iterator[door.MixedModel]:
        with self.adapters.mixed(names) as mixture:
            yield _Mixed(mixture, self.tokenizer, self.trials, partial(self._alone, mixture))

    @contextmanager
    def _alone(self, mixture: Mixture, name: str | None) -> Iterator[Alone]:
        """A variant's own forward passes, while it is mixed with others."""
        from harness.engines.alone import Alone

        with mixture.apart(), self.adapters.active(name) as model:
            yield Alone(model)


def _nothing_left(options: Sequence[str]) -> Proof:
    """That all of an adapter's files was used, or what was not."""
    name, peft = "all of the adapter is used", installed_versions(["peft"])["peft"]
    if not options:
        words = "Every stored weight has its layer, and PEFT knows every option of the adapter."
        return Proof(probe=name, outcome="holds", words=words)
    return Proof(
        probe=name,
        outcome="fallback",
        words=f"adapter_config.json says {', '.join(options)}, which PEFT {peft} does not know "
        "and leaves out, so the adapter may compute something else than where it was trained.",
        hint="Upgrade peft to the version that wrote it.",
    )


class TransformersEngine:
    """transformers, PEFT and bitsandbytes; log-likelihoods by prefix tree."""

    cannot: Mapping[door.Ability, str] = {}

    def identity(self, kind: VariantKind, precision: Precision | Literal["auto"]) -> dict[str, Any]:
        """Versions of the libraries that take part, and our own procedure's number."""
        packages = ["torch", "transformers"]
        packages += ["bitsandbytes"] if precision in QUANTIZED else []
        packages += ["peft"] if kind in ("adapter", "merged") else []
        return {"versions": installed_versions(packages), "engine": _PROCEDURE}

    def tokenizer(self, base: BaseSpec, base_dir: Path) -> Any:
        """The base's tokenizer."""
        from harness.models.tokens import load_tokenizer

        return load_tokenizer(base, base_dir)

    @contextmanager
    def load(self, weights: door.Weights, policy: DevicePolicy) -> Iterator[door.LoadedModel]:
        """Load weights as ``models.load.load_base`` does for judging quality."""
        import torch

        from harness.engines.trial import Trials
        from harness.models.adapters import AdapterSet
        from harness.models.load import load_proved
        from harness.models.vocabulary import pad_with_known

        model, proofs = load_proved(
            weights.source,
            weights.precision,
            policy,
            base_dir=weights.base_dir,
            purpose="quality",
            quantization=weights.quantization,
        )
        tokenizer = self.tokenizer(weights.base, weights.base_dir)
        pad_with_known(model, tokenizer)
        loaded = _Loaded(AdapterSet(model), tokenizer, policy.device, Trials(), proofs)
        del model
        try:
            yield loaded
        finally:
            del loaded
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


ENGINE = TransformersEngine()
