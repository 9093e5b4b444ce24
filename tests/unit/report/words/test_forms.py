"""In which form to ship a choice."""

from __future__ import annotations

from typing import Any

import pytest

from harness.report.view.records import Figure, TradeOff, TradeOffPoint
from harness.report.words.forms import form_words
from harness.schema import Equivalence


def found(**changes: Any) -> Equivalence:
    known: dict[str, Any] = {
        "task": "t", "metric": "m", "split": "report", "first": "cp", "second": "merged", "n": 96,
        "delta": 0.001, "margin": 0.02,
    }  # fmt: skip
    return Equivalence(**{**known, **changes})


def costs(memory: float | None, speed: float | None) -> TradeOff:
    """An adapter with 1 GB and 10 tok/s, and a merged model."""
    points = [("cp", 1e9, 10.0), ("merged", memory, speed)]
    return TradeOff(
        points=tuple(
            TradeOffPoint(
                variant=name, quality=Figure(value=1), memory_bytes=size, decode_tokens_per_s=rate
            )
            for name, size, rate in points
        )
    )


@pytest.mark.parametrize(
    ("changes", "cost", "words"),
    [
        ({"delta": None}, costs(1e9, 10), ""),
        (
            {"equivalent": True, "proved": False},
            costs(1e9, 99),
            "Ship cp as an adapter: when merged was merged, it was not measured whether it still",
        ),
        ({"equivalent": None}, costs(1e9, 99), "Ship cp as an adapter: the headline's figures"),
        ({"equivalent": False}, costs(1e9, 99), "Ship cp as an adapter: the headline's figures"),
        (
            {"equivalent": None, "no_worse": True},
            costs(1e9, 14),
            "Ship merged: as good, and it decodes faster (14.0 against 10.0 tok/s).",
        ),
        ({"equivalent": True}, costs(1e9, 10.4), "Either form can be shipped; memory and speed do"),
        ({"equivalent": True}, costs(None, None), "Either form can be shipped; memory and speed"),
        (
            {"equivalent": True},
            costs(1e9, 14),
            "Ship merged: as good, and it decodes faster (14.0 against 10.0 tok/s).",
        ),
        (
            {"identical": True, "equivalent": True},
            costs(2e9, 10),
            "Ship cp as an adapter: as good merged, but merged needs more memory",
        ),
        (
            {"equivalent": True},
            costs(2e9, 14),
            "Either form can be shipped: merged decodes faster (14.0 against 10.0 tok/s), but",
        ),
    ],
)
def test_the_form_follows_from_equivalence_and_cost(
    changes: dict[str, Any], cost: TradeOff, words: str
) -> None:
    """Where they are as good as each other, what was measured decides; else what was chosen."""
    assert form_words(found(**changes), cost).startswith(words)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("peak_rss_bytes", "Either form can be shipped; memory and speed do not tell"),
        ("peak_allocated_bytes", "Ship merged: as good, and it needs less memory"),
    ],
)
def test_resident_memory_tells_less_than_allocated_memory(name: str, words: str) -> None:
    """A process's peak varies by itself; 10 % less of it says nothing about the model."""
    cost = costs(0.9e9, 10).model_copy(update={"memory_name": name})
    assert form_words(found(equivalent=True), cost).startswith(words)
