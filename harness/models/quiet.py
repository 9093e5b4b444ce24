"""Keeps libraries' bars, notes and logs out of the harness's own output. No torch at import."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


def quiet() -> None:
    """Turn off the libraries' progress bars and notes; warnings of our own are findings."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    warnings.filterwarnings(  # raised by transformers' own code, when PEFT reads the attribute
        "ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning
    )
    # of virtual tokens: the probe of lm-eval's engines finds out, and falls back to lm-eval's own
    warnings.filterwarnings("ignore", message="Position ids are not supported for parameter")


class _WarningRecorder(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__(logging.WARNING)
        self.records = records

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args = record.getMessage(), None  # hold on to nothing it was made of
        self.records.append(record)


@contextmanager
def recorded(*names: str, alone: bool = True) -> Iterator[list[logging.LogRecord]]:
    """Take down what loggers warn of.

    Args:
        names: Of the loggers.
        alone: Whether nobody else hears it; otherwise it is printed as before.

    Yields:
        A list that holds each warning as it comes.
    """
    records: list[logging.LogRecord] = []
    recorder = _WarningRecorder(records)
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers = [recorder] if alone else [*logger.handlers, recorder]
        logger.propagate = logger.propagate and not alone
    try:
        yield records
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
