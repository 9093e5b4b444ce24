"""Texts of lm-eval's own loop are the forward pass's, too, or are written one prompt at a time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any

import torch

from harness.engines.alone import Alone
from harness.engines.decoder import likeliest
from harness.engines.endings import end_ids
from harness.engines.finite import finite_passes
from harness.engines.kinds import kind_of
from harness.engines.texts import PROBE, WHAT, difference
from harness.engines.trial import ENOUGH, Trial, Trials, Untried

Generate = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]
"""(prompts, their mask, most tokens of a row) -> rows with what was written after them."""
_SHOWN = 8  # tokens of a prompt's end by which a message names it


class GenerateTrial:
    """Runs a ``generate`` that takes prompts padded on the left, and compares what it writes.

    Args:
        model: A transformers or PEFT model.
        tokenizer: Its tokenizer.
        batch_size: Prompts of a batch.
        trials: Of the loaded base; None leaves the comparison out.
        task: What tells the task from others, which have trials of their own.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        batch_size: Any,
        trials: Trials | None,
        task: Hashable = None,
    ) -> None:
        ways = [f"written by lm-eval in batches of {batch_size}", "written by lm-eval one by one"]
        use = PROBE, "lm-eval", batch_size, task
        make = partial(Trial, PROBE, WHAT, ways)
        self._trial = (trials or Untried()).of(kind_of(model), use, make)
        self._model = model
        self._tokenizer = tokenizer
        self._alone = Alone(model)
        self._ends = {tokenizer.pad_token_id, *end_ids(model, tokenizer)}

    def run(
        self, generate: Generate, prompts: torch.Tensor, mask: torch.Tensor, longest: int
    ) -> torch.Tensor:
        """Rows with what was written after them.

        Args:
            generate: Writes.
            prompts: Padded on the left, shape (rows, width).
            mask: 1 where a prompt is, of the same shape.
            longest: Most tokens of a row, padding included.

        Raises:
            NotFiniteError: A logit is NaN or infinite.
            ModelError: No way gives what the uncached loop gives.
        """
        return self._trial.run(partial(self._attempt, generate, prompts, mask, longest))

    def _attempt(
        self, generate: Generate, prompts: torch.Tensor, mask: torch.Tensor, longest: int
    ) -> torch.Tensor:
        width = prompts.shape[1]
        if self._trial.at == 0:
            return self._write(generate, prompts, mask, longest)
        new = []
        for row, own in zip(prompts, mask.bool(), strict=True):
            alone = row[own][None]
            most = longest - width + alone.shape[1]
            written = self._write(generate, alone, torch.ones_like(alone), most)
            new.append(written[0, alone.shape[1] :])
        pad = self._tokenizer.pad_token_id
        rest = torch.nn.utils.rnn.pad_sequence(new, batch_first=True, padding_value=pad)
        return torch.cat([prompts, rest], dim=1)

    def _write(
        self, generate: Generate, prompts: torch.Tensor, mask: torch.Tensor, longest: int
    ) -> torch.Tensor:
        steps: list[list[tuple[int, float]]] = []

        def where(row: int, step: int) -> str:
            return f"new token {step + 1} after a prompt that ends in {self._end(prompts[row])!r}"

        def note(step: int, logits: torch.Tensor) -> None:
            if step < ENOUGH and len(logits) == len(prompts):  # beams are several rows a prompt
                steps.append(likeliest(logits))

        with finite_passes(self._model, where, note):
            written = generate(prompts, mask, longest)
        for condition, row in self._witnesses(mask):
            ids = prompts[row][mask[row].bool()].tolist()
            new = self._until_end(written[row, prompts.shape[1] :].tolist())[: len(steps)]
            if new:
                what = f"a prompt that ends in {self._end(prompts[row])!r}"
                logits = self._alone.steps(ids, new, what)
                likely = {step: steps[step][row] for step in range(len(new))}
                limit = self._alone.limit(logits)
                self._trial.note(condition, len(new), difference(logits, likely), limit)
        return written

    def _witnesses(self, mask: torch.Tensor) -> Iterator[tuple[str, int]]:
        """A row without padding, and the one with the most."""
        lengths = mask.sum(dim=1)
        for condition, row in (
            ("without padding", int(lengths.argmax())),
            ("padded", int(lengths.argmin())),
        ):
            is_padded = int(lengths[row]) < mask.shape[1]
            if is_padded is (condition == "padded") and self._trial.needs(condition):
                yield condition, row

    def _until_end(self, tokens: list[int]) -> list[int]:
        ends = [at for at, token in enumerate(tokens) if token in self._ends]
        return tokens[: ends[0] + 1] if ends else tokens

    def _end(self, prompt: torch.Tensor) -> str:
        return str(self._tokenizer.decode(prompt[-_SHOWN:].tolist()))
