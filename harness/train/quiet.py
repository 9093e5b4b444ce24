"""Keeps the libraries' bars and advice out of the harness' own progress, but not their warnings."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import datasets
import transformers

from harness.models.quiet import recorded

_LIBRARIES = ("trl", "peft", "transformers", "accelerate", "bitsandbytes")
# Said of every training here, and not true of it or already decided on purpose.
_EXPECTED = re.compile(
    r"load_best_model_at_end"  # the choice is made on the select split, after training
    r"|gradient_checkpointing` is deprecated"
    r"|mtime may not be reliable"
    r"|fan_in_fan_out is set to"
    r"|tokenizer has new PAD/BOS/EOS tokens"
)


@contextmanager
def quiet_libraries() -> Iterator[list[str]]:
    """Collect what the libraries warn of, instead of printing it.

    Yields:
        A list that holds each distinct warning once, in order, when the block has ended.
    """
    notes: list[str] = []
    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_warning()
    had_bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    with recorded(*_LIBRARIES) as records:
        try:
            with warnings.catch_warnings(record=True) as raised:
                warnings.simplefilter("always")
                yield notes
        finally:
            if had_bars:
                datasets.enable_progress_bars()
            transformers.utils.logging.set_verbosity(verbosity)
    old = (DeprecationWarning, PendingDeprecationWarning)
    texts = [record.getMessage() for record in records]
    texts += [str(warning.message) for warning in raised if not issubclass(warning.category, old)]
    texts = [" ".join(text.split()) for text in texts if not _EXPECTED.search(text)]
    notes += dict.fromkeys(texts)
