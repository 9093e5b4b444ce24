"""Log-likelihood requests of lm-eval, answered with every shared prefix computed once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.errors import HarnessError, MissingExtraError

try:
    from lm_eval.models.huggingface import HFLM
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "lm-eval", "lm-eval") from error

Progress = Callable[[int, int], None]
Engine = Literal["auto", "tree", "prefix", "stock"]


@dataclass
class SharedRequests:
    """What does not depend on weights, kept from one variant to the next.

    Attributes:
        encodings: Text -> token ids, as the tokenizer of all variants gives them.
    """

    encodings: dict[tuple[Any, ...], list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineChoice:
    """Which engine answers log-likelihood requests, and why, in words for the log."""

    engine: Literal["tree", "prefix", "stock"]
    why: str


class PrefixSharingLM(HFLM):  # type: ignore[misc]  # lm_eval is untyped
    """lm-eval's own model class around a loaded model; counts what is done and what is cut.

    Args:
        model: A transformers or PEFT model.
        tokenizer: Its tokenizer; a copy is used, since lm-eval may give it a padding token.
        batch_size: Requests per forward pass of the stock engine, and of generation.
        device: Where the model is.
        engine: ``auto`` chooses by a probe of the model.
        batch_tokens: Most tokens per forward pass; default: by device and free memory.
        shared: What to take over from, and leave to, other variants with the same tokenizer.
        progress: Called with (requests done, requests in all).

    Attributes:
        choice: Which engine answers log-likelihood requests, and why.
        truncated: Requests cut on the left because they are longer than the model's context.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        batch_size: int,
        device: str,
        engine: Engine = "auto",
        batch_tokens: int | None = None,
        shared: SharedRequests | None = None,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(
            pretrained=model,
            tokenizer=copy.deepcopy(tokenizer),
            batch_size=batch_size,
            device=device,
            softmax_dtype="float32",  # in bf16, near-ties between choices become ties
        )
        self.truncated = 0
        self.choice = EngineChoice("stock", "not written yet")
        self._shared = shared or SharedRequests()
        self._progress = progress
        self._done = self._total = 0
        self.set_cache_hook(self)

    def add_partial(self, _kind: str, _request: Any, _response: Any) -> None:
        """What lm-eval calls for its request cache as soon as a request is answered."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)

    def loglikelihood(
        self, requests: list[Any], disable_tqdm: bool = True
    ) -> list[tuple[float, bool]]:
        """Answer requests of (context, continuation) with (log-probability, is greedy)."""
        self._total += len(requests)
        answers: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
        return answers

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = True) -> list[float]:
        """Answer requests of whole texts with their log-probability."""
        self._total += len(requests)
        answers: list[float] = super().loglikelihood_rolling(requests, disable_tqdm=True)
        return answers

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        """Answer requests of (context, generation arguments) with a text."""
        self._total += len(requests)
        answers: list[str] = super().generate_until(requests, disable_tqdm=True)
        return answers

    def _loglikelihood_tokens(
        self,
        requests: Sequence[tuple[Any, list[int], list[int]]],
        disable_tqdm: bool = True,
        override_bs: int | None = None,
    ) -> Any:
        for _, context, continuation in requests:
            if not 0 < len(continuation) <= self.max_length:
                raise HarnessError(
                    f"A continuation of {len(continuation)} tokens cannot be scored: the model's "
                    f"context holds 1 to {self.max_length}.",
                    mend="Leave this task out for this model.",
                )
            self.truncated += len(context) + len(continuation) > self.max_length + 1
        return super()._loglikelihood_tokens(requests, disable_tqdm=True, override_bs=override_bs)

    def tok_batch_encode(
        self,
        strings: list[str],
        padding_side: str = "left",
        left_truncate_len: int | None = None,
        truncation: bool = False,
    ) -> Any:
        """Encode the contexts of a batch of generations, counting those that are cut."""
        encoded = super().tok_batch_encode(strings, padding_side, left_truncate_len, truncation)
        if left_truncate_len and encoded[0].shape[1] == left_truncate_len:
            lengths = [len(self.tok_encode(text)) for text in strings]
            self.truncated += sum(length > left_truncate_len for length in lengths)
        return encoded
