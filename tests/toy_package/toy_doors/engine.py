"""An inference engine: it says the end of each prompt again, and an adapter makes it say more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.engines.base import (
    Ability,
    CompletionLoss,
    Decoding,
    Generated,
    LoadedModel,
    Progress,
    Weights,
)
from harness.schema import Proof


@dataclass(frozen=True)
class _Parrot:
    adapted: bool
    proofs: Sequence[Proof] = ()

    def generate(
        self, prompts: Sequence[str], decoding: Decoding, *, chat: bool, progress: Progress
    ) -> list[Generated]:
        n = 3 if self.adapted else 1
        texts = [" ".join(prompt.split()[-n:]) for prompt in prompts]
        return [
            Generated(text, len(p), n, "eos", 0) for p, text in zip(prompts, texts, strict=True)
        ]

    def completion_losses(
        self, pairs: Sequence[tuple[str, str]], **options: Any
    ) -> list[CompletionLoss]:
        per_word = 1.0 if self.adapted else 2.0
        counts = [len(completion.split()) for _, completion in pairs]
        return [CompletionLoss(per_word * n, n, 0) for n in counts]

    def lm_eval_model(self, **options: Any) -> Any:
        raise NotImplementedError


class _Loaded:
    proofs: Sequence[Proof] = ()

    def add_adapter(self, name: str, path: Path, *, alone: bool = False) -> Sequence[Proof]:
        return [Proof(probe="it can speak", outcome="holds", words="It said hello.")]

    def change(self, name: str | None) -> float:
        return 0.0

    @contextmanager
    def active(self, name: str | None) -> Iterator[_Parrot]:
        yield _Parrot(name is not None)

    def adapter_effect(self, name: str, prompts: Sequence[str], *, chat: bool) -> float:
        return 1.0

    def why_not_mixed(self, names: Sequence[str | None]) -> str | None:
        return "a parrot says one thing at a time"

    def mixed(self, names: Sequence[str | None]) -> Any:
        raise NotImplementedError


class Parrot:
    cannot: Mapping[Ability, str] = {
        "lm_eval": "a parrot weighs no words",
        "measuring": "a parrot has no memory",
    }

    def identity(self, kind: Any, precision: Any) -> dict[str, Any]:
        return {"parrot": 1}

    def tokenizer(self, base: Any, base_dir: Path) -> Any:
        return None

    @contextmanager
    def load(self, weights: Weights, policy: Any) -> Iterator[LoadedModel]:
        yield _Loaded()


ENGINE = Parrot()
