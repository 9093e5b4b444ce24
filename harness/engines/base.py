"""The door of inference engines: who loads a variant's weights and answers with them.

An engine is named by ``base.engine`` of a suite. It loads the weights of a group of variants once
(``load``), takes their adapters over them, and hands out the model as one variant at a time
(``active``), which generates texts, scores completions, and answers lm-eval. What it cannot do it
says in ``cannot``, so that a suite that asks for it is refused before anything is computed.

Nothing here imports torch, and an engine's module must not either: it is loaded to validate suites.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from harness.models.policy import DevicePolicy
from harness.schema import FinishReason, Precision, Proof, VariantKind
from harness.suite.spec import BaseSpec, QuantizationSpec

Ability = Literal["adapters", "mixing", "lm_eval", "measuring"]
Progress = Callable[..., None]  # progress(done, total, note="")


@dataclass(frozen=True)
class Decoding:
    """How to decode.

    Attributes:
        max_new_tokens: Most tokens to generate per prompt, EOS included.
        stop: Strings that end a generation; the text is cut before the first of them.
        do_sample: Sample instead of taking the likeliest token.
        temperature: Divides the logits before sampling.
        top_p: Samples from the smallest set of tokens whose probabilities add up to this.
        top_k: Samples from this many likeliest tokens; 0 switches it off.
        seed: Of the sampling. Every prompt draws from its own stream, seeded by this and by its
            tokens, so that a text does not depend on batch size, order or other prompts.
        max_prompt_tokens: Longer prompts are cut on the left, and counted; None leaves it to the
            model's context length.
        batch_size: Prompts per batch; halved when memory runs out.
        generation: Further options of transformers' ``generate``, which then writes the texts.
    """

    max_new_tokens: int = 64
    stop: tuple[str, ...] = ()
    do_sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    max_prompt_tokens: int | None = None
    batch_size: int = 64
    generation: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Generated:
    """What the model wrote after one prompt.

    Attributes:
        text: Without special tokens, and cut before a stop string.
        prompt_tokens: Tokens the model read.
        new_tokens: Tokens it generated, those of EOS or of the stop string included.
        finish_reason: ``eos``, ``stop``, or ``length`` when ``max_new_tokens`` were used up.
        truncated_prompt_tokens: Tokens cut from the prompt's left.
    """

    text: str
    prompt_tokens: int
    new_tokens: int
    finish_reason: FinishReason
    truncated_prompt_tokens: int


@dataclass(frozen=True)
class CompletionLoss:
    """Loss of one completion given its prompt.

    Attributes:
        nll_sum: Summed negative log-likelihood of the completion's tokens, in nats.
        tokens: Completion tokens that were scored, EOS included.
        truncated_tokens: Tokens that did not fit: cut from the prompt's left, and where the
            completion alone is too long, from its end.
    """

    nll_sum: float
    tokens: int
    truncated_tokens: int


@dataclass(frozen=True)
class Weights:
    """What to load.

    Attributes:
        base: The base, which brings the tokenizer too.
        base_dir: Folder that its relative paths start from.
        precision: Of the weights.
        quantization: Options of quantized weights.
        folder: A whole model to load in the base's place, such as a merged one.
    """

    base: BaseSpec
    base_dir: Path
    precision: Precision
    quantization: QuantizationSpec
    folder: Path | None = None

    @property
    def source(self) -> BaseSpec:
        """Where the weights come from."""
        return self.base if self.folder is None else self.base.at(str(self.folder))


class ActiveModel(Protocol):
    """A loaded model as one variant. Rendered prompts in; ``chat``: by the chat template.

    An engine measures that its answers are those of the plain forward pass, and raises
    ``ModelError`` where it has no way of answering that is.
    """

    @property
    def proofs(self) -> Sequence[Proof]:
        """What was measured so far of the variant's answers, those in common batches included."""

    def generate(
        self, prompts: Sequence[str], decoding: Decoding, *, chat: bool, progress: Progress
    ) -> list[Generated]:
        """A continuation of each prompt, in the order of the prompts."""

    def completion_losses(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        chat: bool,
        max_length: int | None,
        batch_size: int,
        progress: Progress,
    ) -> list[CompletionLoss]:
        """The loss of each completion given its prompt, in the order of the pairs."""

    def lm_eval_model(self, **options: Any) -> Any:
        """The model as lm-eval's ``LM``; see ``engines.loglikelihood.PrefixSharingLM``."""


class MixedModel(Protocol):
    """Several variants that answer in common batches; None is the plain base."""

    def generate(
        self, prompts: Sequence[str], decoding: Decoding, *, chat: bool, progress: Progress
    ) -> dict[str | None, list[Generated]]:
        """What ``ActiveModel.generate`` gives, by variant."""


class LoadedModel(Protocol):
    """Loaded weights, and the adapters over them."""

    @property
    def proofs(self) -> Sequence[Proof]:
        """What was proved of the weights while they were loaded."""

    def add_adapter(self, name: str, path: Path, *, alone: bool = False) -> Sequence[Proof]:
        """Load an adapter.

        Args:
            name: What to call it.
            path: Its folder.
            alone: Whether it has these weights to itself.

        Returns:
            What was proved of its files.

        Raises:
            ApartError: It cannot stand beside the base or the others; alone it may.
            ModelError: It does not fit.
        """

    def change(self, name: str | None) -> float:
        """Largest change of a logit of a variant since it was loaded; None is the base.

        0 means equal to the last bit.
        """

    def active(self, name: str | None) -> AbstractContextManager[ActiveModel]:
        """The model with one adapter acting, or with none."""

    def adapter_effect(self, name: str, prompts: Sequence[str], *, chat: bool) -> float:
        """Largest change that an adapter makes to any logit of the prompts."""

    def why_not_mixed(self, names: Sequence[str | None]) -> str | None:
        """Why these variants cannot share batches; None where they can."""

    def mixed(self, names: Sequence[str | None]) -> AbstractContextManager[MixedModel]:
        """These variants, sharing batches."""


class Engine(Protocol):
    """One way of running models.

    Attributes:
        cannot: What it cannot do, each with the reason in words.
    """

    cannot: Mapping[Ability, str]

    def identity(self, kind: VariantKind, precision: Precision | Literal["auto"]) -> dict[str, Any]:
        """What of the engine can change a result (versions, its own procedure); part of keys."""

    def tokenizer(self, base: BaseSpec, base_dir: Path) -> Any:
        """The base's tokenizer, as transformers has it; None where the engine has no such thing."""

    def load(self, weights: Weights, policy: DevicePolicy) -> AbstractContextManager[LoadedModel]:
        """Load weights; they are freed when the context ends."""
