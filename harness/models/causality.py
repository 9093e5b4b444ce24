"""Whether what a model says of a text depends on what comes after it, or on the rows beside it.

A loss reads a text with its end in sight. That is right where a token's logits depend on the tokens
up to it only; where they depend on others, the loss has seen what it is asked to predict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from harness.errors import ModelError, in_a_line
from harness.models.precision import rounding
from harness.schema import Proof

PROBE = "no token is seen before its time"
_BEHIND = 16  # tokens that stand after a text
_EXACT = 1e-3  # nats; in passes of equal shape rounding is the same, and what is right differs by 0
_NOISE = 4  # times the base's own moves: those were measured on a few texts only
_HINT = "Leave its tasks of losses and log-likelihoods out, or train another kind of adapter."
Logits = Callable[[Sequence[int], Sequence[int]], torch.Tensor]
"""(a row, the row beside it) -> the first one's logits, shape (tokens, vocabulary), fp32."""


class Moves(NamedTuple):
    """How far log-probabilities in a text move, in nats.

    Attributes:
        behind: When other tokens stand after it.
        beside: When the other row of the batch is another.
        rounding: When all is computed in another order, at most.
    """

    behind: float
    beside: float
    rounding: float


class Causality:
    """One model, tried when it is first asked for losses.

    Args:
        logits: Its forward pass.
        texts: What is read, in tokens.
        vocabulary: Tokens that the model knows.
        dtype: In which its layers compute.
        base: The same of the base under an adapter.

    Attributes:
        proof: What was measured; None before it was.
    """

    def __init__(
        self,
        logits: Logits,
        texts: Sequence[Sequence[int]],
        *,
        vocabulary: int,
        dtype: torch.dtype,
        base: Causality | None = None,
    ) -> None:
        self._logits = logits
        self._texts = texts
        self._vocabulary = vocabulary
        self._dtype = dtype
        self._base = base
        self._moves: Moves | None = None
        self.proof: Proof | None = None

    def require(self) -> None:
        """Refuse a model whose losses and log-likelihoods look ahead.

        Raises:
            ModelError: Its log-probabilities depend on later tokens, or on other rows.
        """
        if self.proof is None:
            self.proof = self._prove()
        if self.proof.outcome == "fails":
            raise ModelError(self.proof.words, hint=self.proof.hint)

    @property
    def moves(self) -> Moves:
        """What was measured, each on the text where it is largest."""
        if self._moves is None:
            columns = zip(*map(self._moves_of, self._texts), strict=True)
            self._moves = Moves(*map(max, columns))
        return self._moves

    def _moves_of(self, text: Sequence[int]) -> Moves:
        """Three passes of one shape: the text, with other tokens behind, with another row."""
        # none of the text's own, for an adapter may act from the last place of some token on
        free = sorted(set(range(self._vocabulary)) - set(text))
        most = min(_BEHIND, len(free) // 2)
        step = 2 * max(1, len(free) // 2 // _BEHIND)
        row, changed = ([*text, *free[at::step][:most]] for at in (0, 1))
        other, another = row[::-1], [(7 * token + 3) % self._vocabulary for token in row]
        logits = self._read(text, row, other)
        likely = logits.log_softmax(dim=-1)
        behind, beside = (
            float((self._read(text, *rows).log_softmax(dim=-1) - likely).abs().max())
            for rows in ((changed, other), (row, another))
        )
        return Moves(behind, beside, rounding(self._dtype, float(logits.abs().max())))

    def _read(self, text: Sequence[int], *rows: Sequence[int]) -> torch.Tensor:
        logits = self._logits(*rows)[: len(text)]
        if not logits.isfinite().all():  # who computes cells refuses it, and says where
            raise ValueError("its logits are not finite")
        return logits

    def _prove(self) -> Proof:
        try:
            own = self.moves
            noise = self._base.moves if self._base is not None else own._replace(behind=0.0)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # kinds that take one row only, or more than tokens
            words = f"It could not be tried with other tokens behind a text: {in_a_line(error)}"
            return Proof(probe=PROBE, outcome="fallback", words=words)
        return _judged(own, noise, is_base=self._base is None)


def _judged(own: Moves, noise: Moves, *, is_base: bool) -> Proof:
    """What a model's moves say, beside those that are no fault of its own.

    int8 takes columns out of the quantization for a whole batch, and experts get batches whose size
    depends on all tokens: such a base moves with what is around a text, and its adapters may, too.
    """
    shared = max(noise.behind, noise.beside)
    limit = _EXACT + (_NOISE * shared + noise.rounding if shared else 0.0)
    parts = [(own.behind, "other tokens behind it")]
    parts += [] if is_base else [(own.beside, "another row beside it")]
    told = " and ".join(f"by {value:.2g} nats with {what}" for value, what in parts)
    base = "" if is_base else f"; those of the base by {shared:.2g}"
    worst = max(value for value, _ in parts)
    holds = worst <= limit
    return Proof(
        probe=PROBE,
        outcome="holds" if holds else "fails",
        words=f"Log-probabilities in a text change {told}{base}."
        if holds
        else f"It looks ahead: log-probabilities in a text change {told}{base}. Losses and "
        "log-likelihoods, which are read off whole texts, would be of what it has already seen.",
        difference=worst,
        limit=limit,
        unit="nats",
        hint="" if holds else _HINT,
    )
