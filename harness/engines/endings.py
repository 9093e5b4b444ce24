"""Where a text ends, and what of its tokens is shown."""

from __future__ import annotations

from typing import Any

from harness.engines.base import Decoding
from harness.models.tokens import decode_output, unprinted
from harness.schema import FinishReason


def end_ids(model: Any, tokenizer: Any) -> set[int]:
    """Tokens that end a text, by a model's generation configuration and by its tokenizer."""
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ids = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
    return ids - {None}


class Endings:
    """What ends the texts of a model.

    Args:
        model: Its generation configuration names tokens that end a text.
        tokenizer: So does its tokenizer.
        decoding: Brings stop strings.
    """

    def __init__(self, model: Any, tokenizer: Any, decoding: Decoding) -> None:
        self._tokenizer = tokenizer
        self._stop = decoding.stop
        self._stop_ids = unprinted(tokenizer, decoding.stop)
        self._end_ids = end_ids(model, tokenizer) - self._stop_ids
        # A stop string of n bytes lies within the last n tokens, since none of those that are
        # shown is shorter than a byte; a few more allow for tokens that decode to nothing.
        self._window = max((len(stop.encode()) for stop in decoding.stop), default=0) + 4

    def reason(self, tokens: list[int]) -> FinishReason | None:
        """Why the last of some new tokens ends the text; None where it does not."""
        if tokens[-1] in self._end_ids:
            return "eos"
        if tokens[-1] in self._stop_ids:
            return "stop"
        if self._stop:
            tail = decode_output(self._tokenizer, tokens[-self._window :])
            if any(stop in tail for stop in self._stop):
                return "stop"
        return None

    def text(self, tokens: list[int], reason: FinishReason | None) -> str:
        """New tokens as text, without special tokens and cut before a stop string."""
        text = decode_output(self._tokenizer, tokens)
        if reason == "stop":
            ends = [text.find(stop) for stop in self._stop]
            text = text[: min((at for at in ends if at >= 0), default=len(text))]
        return text
