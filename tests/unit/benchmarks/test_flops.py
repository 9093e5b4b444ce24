"""The benchmarks' count of operations, against calculations by hand."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.flops import Shape, Work, shape_of, shared_work, stock_work

# Two questions after the shot [1, 2, 3]; the first has two one-token answers, the second one
# answer of two tokens, and a third request equals the second.
REQUESTS = [
    ([1, 2, 3, 4], [8]),
    ([1, 2, 3, 4], [9]),
    ([1, 2, 3, 5], [6, 7]),
    ([1, 2, 3, 5], [6, 7]),
]


def test_stock_groups_answers_that_differ_in_the_last_token() -> None:
    """It reads 1 2 3 4 and 1 2 3 5 6: 9 tokens, 1+2+3+4 and 1+2+3+4+5 pairs, 9 rows of logits."""
    assert stock_work(REQUESTS, max_length=100) == Work(tokens=9, pairs=10 + 15, heads=9)


def test_shared_counts_every_prefix_once() -> None:
    """The nodes are 1 2 3, 4, 5 6 at depths 1 2 3, 4, 4 5; scored are 4, 5 and 6."""
    work = shared_work(REQUESTS, max_length=100)
    assert work == Work(tokens=6, pairs=1 + 2 + 3 + 4 + 4 + 5, heads=3)


def test_long_requests_are_cut_on_the_left() -> None:
    """With room for 3 tokens, 2 3 4 and 3 5 6 are read, which share nothing."""
    assert stock_work(REQUESTS, max_length=3) == Work(tokens=6, pairs=12, heads=6)
    assert shared_work(REQUESTS, max_length=3) == Work(tokens=6, pairs=12, heads=3)


def test_flops_of_a_shape() -> None:
    """2 x 10 per token, 4 x 3 per pair, 2 x 5 per row of logits."""
    shape = Shape(linear=10, attention=3, head=5)
    assert Work(tokens=6, pairs=19, heads=3).flops(shape) == 20 * 6 + 12 * 19 + 10 * 3


def test_the_shape_of_a_model(tiny_model: Any) -> None:
    """By the sizes in its configuration: q, o, k, v, three matrices of the MLP, and the head."""
    config = tiny_model.config
    hidden, heads = config.hidden_size, config.num_attention_heads
    width = hidden // heads
    attention = 2 * hidden * heads * width + 2 * hidden * config.num_key_value_heads * width
    mlp = 3 * hidden * config.intermediate_size
    layers = config.num_hidden_layers
    assert shape_of(tiny_model) == Shape(
        linear=layers * (attention + mlp),
        attention=layers * heads * width,
        head=config.vocab_size * hidden,
    )
