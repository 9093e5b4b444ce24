"""Keeps transformers' bars and notes out of the harness's own output. No torch at import."""

from __future__ import annotations

import warnings


def quiet() -> None:
    """Turn off the libraries' progress bars and notes; warnings of our own are findings."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    warnings.filterwarnings(  # raised by transformers' own code, when PEFT reads the attribute
        "ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning
    )
