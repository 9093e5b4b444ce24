"""What a model gives for one sequence by itself: the answer that every faster way must equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from harness.engines.finite import require_finite
from harness.errors import AloneNotFiniteError
from harness.models.adapters import base_of, forward_arguments
from harness.models.precision import computing_dtype, rounding

TOLERANCE = 1e-3  # nats per token in fp32, where rounding gives about 1e-6


class Alone:
    """Ordinary forward passes of a model: a batch of one, and no cache, padding or mask.

    Args:
        model: A transformers or PEFT model in evaluation mode, as one variant.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        takes = forward_arguments(model)
        self._options = {"use_cache": False} if "use_cache" in takes else {}
        self._keeps = "logits_to_keep" in takes
        self._reads_prefixes_alike = False

    def logits(self, ids: Sequence[int], last: int, what: str = "a sequence") -> torch.Tensor:
        """Logits after each of a sequence's last tokens, fp32, shape (last, vocabulary).

        Args:
            ids: Tokens.
            last: How many.
            what: Name of the sequence, for the message.

        Raises:
            AloneNotFiniteError: One of them is NaN or infinite.
        """
        options = {"logits_to_keep": last} if self._keeps else {}
        row = torch.tensor([list(ids)], device=self._model.device)
        with torch.inference_mode():
            outputs = self._model(input_ids=row, **self._options, **options)
            # prompt learning puts tokens in front, so that only places from the end are known
            logits: torch.Tensor = outputs.logits[0, -last:].float()

        def where(row: int) -> str:
            return f"{what}, read by itself, token {len(ids) - last + row + 1} of {len(ids)}"

        require_finite(logits, where, AloneNotFiniteError)
        return logits

    def steps(
        self, prompt: Sequence[int], new: Sequence[int], what: str = "a prompt"
    ) -> torch.Tensor:
        """Logits of the uncached loop, in which the whole text is read anew for each new token.

        A model that reads a prefix as it reads it alone gives them all in one pass; one whose
        answers depend on what follows (rotary factors by length, adapters that act from a place
        on) is asked for each.

        Args:
            prompt: Tokens.
            new: Tokens that were written after it.
            what: Name of the prompt, for messages.

        Returns:
            Logits that each new token was to be chosen from, shape (new tokens, vocabulary).
        """
        whole = self.logits([*prompt, *new[:-1]], len(new), what)
        if len(new) > 1 and not self._reads_prefixes_alike:
            first = self.logits(prompt, 1, what)
            if float((first - whole[:1]).abs().max()) > self.limit(whole):
                passes = [self.logits([*prompt, *new[:n]], 1, what) for n in range(1, len(new))]
                return torch.cat([first, *passes])
            self._reads_prefixes_alike = True
        return whole

    def limit(self, logits: torch.Tensor, mean_of: int = 1) -> float:
        """What two exact ways of computing a log-probability may differ by, in nats.

        Args:
            logits: That it comes from.
            mean_of: Tokens that a mean is taken over, in which most of the rounding cancels: of
                SmolLM2-135M in bf16 single tokens moved by up to 0.07 nats, means of 18 by 0.006.
        """
        largest = rounding(computing_dtype(base_of(self._model)), float(logits.abs().max()))
        return TOLERANCE + largest / min(mean_of, 16)
