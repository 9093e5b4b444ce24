"""Exact work of scoring a set of requests: lm-eval's own way, and with every prefix shared.

A request is what a model reads, ``inputs``, and how many of its last positions predict a token of
the answer, ``scored``. Counted are multiplications and additions of all linear layers, of causal
attention and of the head; norms, activations and the embedding are left out, as is usual (Kaplan
et al. 2020, Scaling Laws for Neural Language Models, section 2.1; here without their approximation
of attention).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Encoded = tuple[Sequence[int], Sequence[int]]  # context and continuation, as token ids


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder that its work depends on.

    Attributes:
        linear: Parameters of all linear layers without the head.
        attention: Width of queries of all heads together, summed over layers.
        head: Parameters of the head.
    """

    linear: int
    attention: int
    head: int


@dataclass(frozen=True)
class Work:
    """What is computed for some requests.

    Attributes:
        tokens: Tokens that pass through the layers, padding excluded.
        pairs: Pairs of a token and one that it attends to, itself included.
        heads: Tokens whose logits are computed.
    """

    tokens: int
    pairs: int
    heads: int

    def flops(self, shape: Shape) -> int:
        """Two operations per parameter and token; four per pair and unit of attention's width."""
        return (
            2 * shape.linear * self.tokens
            + 4 * shape.attention * self.pairs
            + 2 * shape.head * self.heads
        )


def shape_of(model: Any) -> Shape:
    """Sizes of a transformers model."""
    import torch

    config, head = model.config, model.get_output_embeddings()
    linear = sum(
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    )
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    attention = width * config.num_attention_heads * config.num_hidden_layers
    return Shape(linear, attention, head.weight.numel())


def stock_work(requests: Iterable[Encoded], max_length: int) -> Work:
    """Work of lm-eval's HFLM: one sequence per group of requests, and the head on every token.

    It groups requests whose context and answer differ in the very last token only. Padding of
    shorter sequences in a batch, which it computes as well, is not counted: it is no part of what
    an exact method saves, and depends on the batch size.
    """
    lengths = [
        min(len(whole), max_length)
        for whole in {(*context, *answer[:-1]) for context, answer in requests}
    ]
    pairs = sum(length * (length + 1) // 2 for length in lengths)
    return Work(sum(lengths), pairs, sum(lengths))


def shared_work(requests: Iterable[Encoded], max_length: int) -> Work:
    """The least work of an exact method: every distinct prefix once, the head where it is read."""
    children: dict[tuple[int, int], int] = {}  # node and next token -> node; the root is 0
    scored: set[int] = set()
    pairs = 0
    for context, answer in requests:
        inputs = [*context, *answer][-(max_length + 1) : -1]
        node = 0
        for depth, token in enumerate(inputs):
            before = len(children)
            node = children.setdefault((node, token), before + 1)
            pairs += (depth + 1) * (len(children) - before)
            if depth >= len(inputs) - len(answer):
                scored.add(node)
    return Work(len(children), pairs, len(scored))
