"""What the benchmarks of pure Python measure with: pytest-benchmark, and a title for the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Measure = Callable[..., Any]


@pytest.fixture
def measure(benchmark: Any) -> Measure:
    """``measure(title, function, *args)``: time calls of a function, return what it gives."""

    def call(title: str, function: Callable[..., Any], *args: Any) -> Any:
        benchmark.extra_info["title"] = title
        return benchmark(function, *args)

    return call
