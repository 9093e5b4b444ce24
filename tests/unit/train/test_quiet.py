"""Libraries are quiet during training, and what they warn of is not lost."""

from __future__ import annotations

import logging
import warnings

import datasets
import pytest
import transformers

from harness.train.quiet import quiet_libraries


def test_warnings_are_collected_once_in_order(capfd):
    """From Python's warnings and from the libraries' loggers; none is printed."""
    with quiet_libraries() as notes:
        for _ in range(2):
            logging.getLogger("trl.trainer.sft_trainer").warning("rows are\n  left out")
            warnings.warn("runs unpaged", UserWarning, stacklevel=1)
        logging.getLogger("peft").info("not a warning")
        warnings.warn("an old name", DeprecationWarning, stacklevel=1)
    assert notes == ["rows are left out", "runs unpaged"]
    assert capfd.readouterr().err == ""


def test_what_is_decided_on_purpose_is_no_note():
    """The best checkpoint is chosen after training, on another split."""
    with quiet_libraries() as notes:
        logging.getLogger("transformers").warning(
            "Using EarlyStoppingCallback without load_best_model_at_end=True."
        )
    assert notes == []


def test_everything_is_as_before_afterwards():
    """Also when training fails."""
    logger = logging.getLogger("trl")
    before = (
        transformers.utils.logging.get_verbosity(),
        datasets.are_progress_bars_disabled(),
        list(logger.handlers),
        logger.propagate,
    )
    with pytest.raises(ValueError, match="broken"), quiet_libraries():
        raise ValueError("broken")
    after = (
        transformers.utils.logging.get_verbosity(),
        datasets.are_progress_bars_disabled(),
        list(logger.handlers),
        logger.propagate,
    )
    assert after == before
