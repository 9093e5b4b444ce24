"""Evaluation and benchmarking of QLoRA fine-tuning: which checkpoint to ship, and how sure."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``HarnessCallback``, which brings torch in and is loaded only where it is asked for."""
    if name == "HarnessCallback":
        return import_module("harness.run.callback").HarnessCallback
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
