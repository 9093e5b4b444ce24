"""Texts by transformers' and PEFT's own ``generate``, one prompt at a time.

It is slow, and knows of adapters what no loop from outside does: from where on an activated LoRA
acts, where prompt learning puts its tokens. Tokens are chosen, and texts ended, as in ``decoder``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria

from harness.digests import value_digest
from harness.engines.base import Decoding
from harness.engines.decoder import Draws, PromptRow, Written, choose, likeliest, place
from harness.engines.endings import Endings, end_ids
from harness.engines.finite import require_finite
from harness.errors import SuiteError, in_a_line
from harness.models.adapters import base_of


class StockGenerator:
    """Writes by ``generate``.

    Args:
        model: A causal language model in evaluation mode.
        tokenizer: Its tokenizer.
        decoding: How to decode.
        on_step: Called after each step with (rows that have ended, tokens of the step).
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        decoding: Decoding,
        *,
        on_step: Callable[[int, int], None] = lambda _ended, _tokens: None,
    ) -> None:
        self._model = model
        self._pad = tokenizer.pad_token_id
        self._decoding = decoding
        self._endings = Endings(model, tokenizer, decoding)
        self._on_step = on_step

    def run(self, row: PromptRow, watched: int = 0) -> Written:
        """Write after one prompt; see ``Decoder.run``."""
        loop = _Loop(row, self._decoding, self._endings, watched, self._on_step)
        config = GenerationConfig(
            do_sample=False, max_new_tokens=self._decoding.max_new_tokens, pad_token_id=self._pad
        )
        _generate(
            self._model,
            row,
            config,
            logits_processor=[loop],
            stopping_criteria=[_Ended(loop.written)],
        )
        return loop.written


class _Loop(LogitsProcessor):  # type: ignore[misc]  # transformers is not followed by mypy
    """Chooses each token in the place of ``generate``."""

    def __init__(
        self,
        row: PromptRow,
        decoding: Decoding,
        endings: Endings,
        watched: int,
        on_step: Callable[[int, int], None],
    ) -> None:
        self.written = Written(row)
        self._decoding = decoding
        self._endings = endings
        self._watched = watched
        self._on_step = on_step
        steps, seed = decoding.max_new_tokens, decoding.seed
        self._draws = Draws([row.ids], steps, seed) if decoding.do_sample else None

    def __call__(self, _ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        text, logits = self.written, scores.float()
        step = len(text.tokens)
        require_finite(logits, partial(place, [text], step))
        if step < self._watched:
            [text.likeliest[step]] = likeliest(logits)
        draws = self._draws.at(step, [0]) if self._draws else None
        token = int(choose(logits, self._decoding, draws))
        text.tokens.append(token)
        text.reason = self._endings.reason(text.tokens)
        self._on_step(int(text.reason is not None), 1)
        chosen = torch.full_like(scores, -torch.inf)
        chosen[0, token] = 0
        return chosen


class _Ended(StoppingCriteria):  # type: ignore[misc]  # transformers is not followed by mypy
    def __init__(self, written: Written) -> None:
        self._written = written

    def __call__(self, ids: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
        return torch.tensor([self._written.reason is not None], device=ids.device)


class OwnGenerator:
    """Writes as ``generate`` does by itself, with options that our own decoding does not have.

    Args:
        model: A causal language model in evaluation mode.
        tokenizer: Its tokenizer.
        decoding: How to decode; its ``generation`` goes to transformers as it is.
        on_step: Called after each text with (rows that have ended, its tokens).
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        decoding: Decoding,
        *,
        on_step: Callable[[int, int], None] = lambda _ended, _tokens: None,
    ) -> None:
        self._model = model
        self._seed = decoding.seed
        self._endings = Endings(model, tokenizer, decoding)
        ends = sorted(end_ids(model, tokenizer))
        self._config = own_config(decoding, pad_token_id=tokenizer.pad_token_id, eos_token_id=ends)
        self._on_step = on_step

    def run(self, row: PromptRow) -> Written:
        """Write after one prompt; what follows a stop string is cut off."""
        device = self._model.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []), _refusals():
            # a stream of its own, as in ``Draws``: no text depends on those before it
            torch.manual_seed(int(value_digest([self._seed, list(row.ids)])[:15], 16))
            tokens = _generate(self._model, row, self._config)
        written = Written(row)
        for token in tokens[len(row.ids) :]:
            written.tokens.append(token)
            written.reason = self._endings.reason(written.tokens)
            if written.reason is not None:
                break
        self._on_step(1, len(written.tokens))
        return written


def _generate(model: Any, row: PromptRow, config: GenerationConfig, **hooks: Any) -> list[int]:
    """What ``generate`` makes of one prompt: its tokens, and those that follow."""
    ids = torch.tensor([list(row.ids)], device=model.device)
    with torch.inference_mode(), _bare_defaults(model):
        text = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=config,
            **hooks,
        )
    tokens: list[int] = text[0].tolist()
    return tokens


def own_config(decoding: Decoding, **tokens: Any) -> GenerationConfig:
    """Transformers' configuration of a decoding that names options of ``generate``.

    Args:
        decoding: How to decode.
        tokens: The ids of special tokens.

    Raises:
        SuiteError: transformers refuses an option.
    """
    sampling = {
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "top_k": decoding.top_k,
    }
    with _refusals():
        config = GenerationConfig(
            do_sample=decoding.do_sample,
            max_new_tokens=decoding.max_new_tokens,
            **(sampling if decoding.do_sample else {}),
            **tokens,
            **decoding.generation,
        )
        config.validate(strict=True)
    return config


@contextmanager
def _refusals() -> Iterator[None]:
    """What transformers raises of an option's value, as an error of the suite."""
    try:
        yield
    except (TypeError, ValueError) as error:
        told = f"transformers refuses it: {in_a_line(error)}"
        raise SuiteError(told, where="generation") from error


@contextmanager
def _bare_defaults(model: Any) -> Iterator[None]:
    """Put aside what a model repository suggests, such as penalties and sampling."""
    holders: Sequence[Any] = [
        part
        for part in {id(m): m for m in (model, base_of(model))}.values()
        if hasattr(part, "generation_config")
    ]
    before = [part.generation_config for part in holders]
    try:
        for part in holders:
            part.generation_config = GenerationConfig()
        yield
    finally:
        for part, config in zip(holders, before, strict=True):
            part.generation_config = config
