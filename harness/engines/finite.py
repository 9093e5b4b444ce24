"""Numbers are finite: an answer that comes of a logit that is NaN or infinite is no answer.

Such a logit would not be seen later: the likeliest of NaNs is a token, and a text of such tokens
has a score like any other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from harness.errors import NotFiniteError
from harness.models.adapters import base_of


def require_finite(
    logits: torch.Tensor,
    where: Callable[[int], str],
    error: type[NotFiniteError] = NotFiniteError,
) -> None:
    """Refuse logits of which any is NaN or infinite.

    Args:
        logits: Shape (rows, vocabulary); read once.
        where: Says what a row is of, for the message.
        error: What to raise.

    Raises:
        NotFiniteError: Names the first row that has one.
    """
    low, high = torch.aminmax(logits)  # a NaN anywhere makes both NaN
    if not math.isfinite(float(low)) or not math.isfinite(float(high)):
        row = int(torch.isfinite(logits).all(dim=-1).logical_not().nonzero()[0])
        raise error(f"A logit is NaN or infinite: {where(row)}.", hint=_HINT)


def require_finite_sums(sums: Sequence[float], where: Callable[[int], str]) -> None:
    """Refuse log-probabilities, or sums of them, of which any is NaN or infinite.

    Raises:
        NotFiniteError: Names the first one.
    """
    for row, value in enumerate(sums):
        if not math.isfinite(value):
            problem = f"A log-probability is {value}: {where(row)}."
            raise NotFiniteError(problem, hint=_HINT)


@contextmanager
def finite_passes(
    model: Any,
    where: Callable[[int, int], str],
    note: Callable[[int, torch.Tensor], None] = lambda _number, _logits: None,
) -> Iterator[None]:
    """Watch the forward passes of a loop that is not ours: each one's last logits must be finite.

    Args:
        model: A transformers or PEFT model.
        where: Says what a row of a pass is of, both counted from 0, for the message.
        note: Called with each pass, counted from 0, and its last logits, shape (rows, vocabulary).
    """
    passes = itertools.count()

    def check(_module: Any, _args: Any, outputs: Any) -> None:
        number = next(passes)
        logits = outputs.logits[:, -1]
        require_finite(logits, lambda row: where(row, number))
        note(number, logits.float())

    hook = base_of(model).register_forward_hook(check)
    try:
        yield
    finally:
        hook.remove()


_HINT = (
    "In fp16 what exceeds 65504 overflows: set base.dtype to bf16 or fp32. Otherwise look at the "
    "weights: a training that diverged, or a damaged file, has such numbers, too."
)
