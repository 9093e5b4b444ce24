"""Decoding is the forward pass: the first texts are compared with an uncached loop.

What is compared is written anyway, in the batches of the task: of the first steps of a padded row
and of one without padding, the likeliest token's log-probability, against that of the whole text
read anew by itself. A token may differ where two are nearly as likely; its log-probability may not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial

import torch

from harness.engines.alone import Alone
from harness.engines.decoder import PromptRow, Written
from harness.engines.trial import ENOUGH, PLANTED, Trial

PROBE = "decoding is the forward pass"
WHAT = "log-probabilities of new tokens"
_MOVED = "after others of the batch had ended"
Way = Callable[[Sequence[PromptRow], int], list[Written]]  # (prompts, steps to watch)
AloneAs = Callable[[str | None], AbstractContextManager[Alone]]  # of a variant


class ProvenTexts:
    """Writes batches by the way that a trial finds right.

    Args:
        ways: From the fastest on; the first takes a batch, the others are given one prompt.
        trial: Of these ways.
        alone: Gives a variant's own forward passes, as PEFT runs them.
        planted: Prompts that hold what the adapter waits for, if it waits for anything.
        mixed: Whether rows belong to several variants, each of which is compared.
    """

    def __init__(
        self,
        ways: Sequence[Way],
        trial: Trial,
        alone: AloneAs,
        planted: Sequence[PromptRow] = (),
        *,
        mixed: bool = False,
    ) -> None:
        self._ways = ways
        self._trial = trial
        self._alone = alone
        self._planted = planted
        self._mixed = mixed

    def run(self, batch: Sequence[PromptRow]) -> list[Written]:
        """Write after each prompt of a batch.

        Raises:
            ModelError: No way gives what the uncached loop gives.
        """
        return self._trial.run(partial(self._attempt, batch))

    def _attempt(self, batch: Sequence[PromptRow]) -> list[Written]:
        if self._planted and self._trial.needs(PLANTED):
            self._write(self._planted, planted=True)
        return self._write(batch)

    def _write(self, batch: Sequence[PromptRow], *, planted: bool = False) -> list[Written]:
        way = self._ways[self._trial.at]
        together = self._trial.at == 0
        texts = []
        for part in [batch] if together else [[row] for row in batch]:
            conditions = [PLANTED] * len(part) if planted else self._conditions(part)
            written = way(part, self._steps(conditions))
            for condition, text in self._witnesses(conditions, written):
                self._compare(condition, text)
            texts += written
        return texts

    def _conditions(self, batch: Sequence[PromptRow]) -> list[str]:
        """What is to be known of each row: that it is right with padding, or as its variant."""
        if self._mixed:
            return [row.variant or "base" for row in batch]
        longest = max(len(row.ids) for row in batch)
        return ["padded" if len(row.ids) < longest else "without padding" for row in batch]

    def _steps(self, conditions: Sequence[str]) -> int:
        """How many steps to watch: noting the likeliest tokens costs as much as choosing some."""
        if any(self._trial.needs(condition) for condition in set(conditions)):
            return ENOUGH
        return int(self._trial.needs(_MOVED))

    def _witnesses(
        self, conditions: Sequence[str], written: Sequence[Written]
    ) -> Iterator[tuple[str, Written]]:
        """Texts to compare, and in what condition each was written; the longer, the better."""
        groups: dict[str, list[Written]] = {}
        for condition, text in zip(conditions, written, strict=True):
            groups.setdefault(condition, []).append(text)
            if text.moved in text.likeliest:
                groups.setdefault(_MOVED, []).append(text)
        for condition, texts in groups.items():
            if self._trial.needs(condition):
                yield condition, max(texts, key=lambda t: (len(t.likeliest), -len(t.row.ids)))

    def _compare(self, condition: str, text: Written) -> None:
        with self._alone(text.row.variant) as passes:
            logits = passes.steps(
                text.row.ids, text.tokens[: max(text.likeliest) + 1], f"prompt {text.row.number}"
            )
        found = difference(logits, text.likeliest)
        self._trial.note(condition, len(text.likeliest), found, passes.limit(logits))


def difference(logits: torch.Tensor, likely: Mapping[int, tuple[int, float]]) -> float:
    """Largest difference of log-probabilities, in nats.

    Args:
        logits: Of each step, by the uncached loop, shape (steps, vocabulary).
        likely: Step -> likeliest token by another way, and its log-probability.
    """
    tokens, values = zip(*likely.values(), strict=True)
    index = torch.tensor([list(likely), tokens], device=logits.device)
    expected = logits.log_softmax(dim=-1)[index[0], index[1]].cpu()
    return float((expected - torch.tensor(values)).abs().max())
