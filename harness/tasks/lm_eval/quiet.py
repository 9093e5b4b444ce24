"""Keeps lm-eval quiet: its log and progress bars would flood the harness's own output."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from typing import Any

import tqdm.std  # type: ignore[import-untyped]

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


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self.messages: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        if not any(expected in text for expected in _EXPECTED):
            self.messages[text] = self.messages.get(text, 0) + 1


class Warnings:
    """What lm-eval warned of, each message once."""

    def __init__(self, collector: _Collector) -> None:
        self._collector = collector

    def texts(self) -> list[str]:
        """Messages in order of their first appearance, cut to 500 characters and 20 messages."""
        found = [
            text[:500] + (f" ({times} times)" if times > 1 else "")
            for text, times in self._collector.messages.items()
        ]
        more = len(found) - _MOST
        return found[:_MOST] + ([f"... and {more} more warnings"] if more > 0 else [])


@contextmanager
def quiet() -> Iterator[Warnings]:
    """Hold back the log and the progress bars of lm-eval; yield what it warned of."""
    logger, collector = logging.getLogger("lm_eval"), _Collector()
    before = (logger.handlers, logger.propagate, logger.level)
    logger.handlers, logger.propagate = [collector], False
    logger.setLevel(logging.WARNING)
    # Not every bar of lm-eval can be switched off by an argument, and tqdm reads its environment
    # variables only when it is imported.
    bar: Any = tqdm.std.tqdm
    shown = bar.__init__
    bar.__init__ = partialmethod(shown, disable=True)
    try:
        yield Warnings(collector)
    finally:
        bar.__init__ = shown
        logger.handlers, logger.propagate = before[:2]
        logger.setLevel(before[2])


class _Recorder(logging.Handler):
    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self.records: Records = []

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args = record.getMessage(), None  # hold on to no document
        self.records.append(record)


@contextmanager
def recorded() -> Iterator[Records]:
    """Take down what lm-eval warns of, for ``repeat``; ``quiet`` hears it as well."""
    logger, recorder = logging.getLogger("lm_eval"), _Recorder()
    logger.addHandler(recorder)
    try:
        yield recorder.records
    finally:
        logger.removeHandler(recorder)


def repeat(records: Records) -> None:
    """Warn once more of what was taken down, where its cause is not gone through again."""
    for record in records:
        logging.getLogger(record.name).handle(record)
