"""Keeps the libraries' bars and advice out of the harness' own progress, but not their warnings."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import datasets
import transformers

_LIBRARIES = ("trl", "peft", "transformers", "accelerate", "bitsandbytes")
# Said of every training here, and not true of it or already decided on purpose.
_EXPECTED = re.compile(
    r"load_best_model_at_end"  # the choice is made on the select split, after training
    r"|gradient_checkpointing` is deprecated"
    r"|mtime may not be reliable"
    r"|fan_in_fan_out is set to"
    r"|tokenizer has new PAD/BOS/EOS tokens"
)


class _WarningCollector(logging.Handler):
    def __init__(self, seen: dict[str, None]) -> None:
        super().__init__(logging.WARNING)
        self.seen = seen

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.setdefault(record.getMessage())


@contextmanager
def quiet_libraries() -> Iterator[list[str]]:
    """Collect what the libraries warn of, instead of printing it.

    Yields:
        A list that holds each distinct warning once, in order, when the block has ended.
    """
    seen: dict[str, None] = {}
    notes: list[str] = []
    collector = _WarningCollector(seen)
    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_warning()
    had_bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [collector], False
    try:
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always")
            yield notes
        for warning in raised:
            if not issubclass(warning.category, DeprecationWarning | PendingDeprecationWarning):
                seen.setdefault(str(warning.message))
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
        if had_bars:
            datasets.enable_progress_bars()
        transformers.utils.logging.set_verbosity(verbosity)
        notes += [" ".join(text.split()) for text in seen if not _EXPECTED.search(text)]
