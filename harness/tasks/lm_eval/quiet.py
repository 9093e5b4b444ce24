"""Keeps lm-eval quiet: its log and progress bars would flood the harness's own output."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from typing import Any

import tqdm.std  # type: ignore[import-untyped]

from harness.models.quiet import recorded

# Said on every run, or told by the harness itself in a better place
_EXPECTED = (
    "`pretrained` model kwarg is not of type",
    "Passed an already-initialized model",
    "Combined length of context",
    "Left truncation applied",
    "overrides existing task from",
    "Duplicate task name",
    "Duplicate group name",
)
_MOST = 20  # warnings kept of one run; some are repeated for every document in other words

Records = list[logging.LogRecord]


def texts(records: Records) -> list[str]:
    """Messages in order of their first appearance, cut to 500 characters and 20 messages."""
    said = Counter(" ".join(record.getMessage().split()) for record in records)
    messages = [
        text[:500] + (f" ({times} times)" if times > 1 else "")
        for text, times in said.items()
        if not any(expected in text for expected in _EXPECTED)
    ]
    more = len(messages) - _MOST
    return messages[:_MOST] + ([f"... and {more} more warnings"] if more > 0 else [])


@contextmanager
def quiet() -> Iterator[Records]:
    """Hold back the log and the progress bars of lm-eval; yield what it warned of."""
    # Not every bar of lm-eval can be switched off by an argument, and tqdm reads its environment
    # variables only when it is imported.
    bar: Any = tqdm.std.tqdm
    shown = bar.__init__
    bar.__init__ = partialmethod(shown, disable=True)
    try:
        with recorded("lm_eval") as records:
            yield records
    finally:
        bar.__init__ = shown


def repeat(records: Records) -> None:
    """Warn once more of what was taken down, where its cause is not gone through again."""
    for record in tuple(records):
        logging.getLogger(record.name).handle(record)
