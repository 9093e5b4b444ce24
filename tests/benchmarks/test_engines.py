"""Planning of log-likelihood requests: what is computed before the first forward pass."""

from __future__ import annotations

import random

from harness.engines.prefix_tree import Limits, TokenRequest, make_plan
from tests.benchmarks.conftest import Measure

DOCUMENTS, ENDINGS = 500, 4


def hellaswag_shaped() -> list[TokenRequest]:
    """2,000 requests: four endings of 10 to 50 tokens after each context of 20 to 120."""
    draw = random.Random(0)
    requests = []
    for _ in range(DOCUMENTS):
        context = draw.choices(range(49_000), k=draw.randint(20, 120))
        for _ in range(ENDINGS):
            ending = draw.choices(range(49_000), k=draw.randint(10, 50))
            requests.append(TokenRequest([*context, *ending[:-1]], ending))
    return requests


def test_prefix_tree(measure: Measure) -> None:
    """Tree, rows and stems, and which token predicts what."""
    requests = hellaswag_shaped()
    plan = measure(f"prefix tree of {len(requests):,} requests", make_plan, requests, Limits())
    longest = sum(len(request.inputs) for request in requests)
    assert plan.distinct_tokens < 0.6 * longest
