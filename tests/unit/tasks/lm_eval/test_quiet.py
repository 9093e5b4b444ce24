"""lm-eval's log and bars are held back while it runs, and only then."""

from __future__ import annotations

import logging

import pytest

tqdm = pytest.importorskip("tqdm").tqdm

from harness.models.quiet import recorded  # noqa: E402
from harness.tasks.lm_eval.quiet import quiet, repeat, texts  # noqa: E402

LOGGER = logging.getLogger("lm_eval.tasks")


def test_warnings_are_collected_once_each(capfd: pytest.CaptureFixture[str]) -> None:
    """A warning that is repeated for every document is one message with a count."""
    with quiet() as warnings:
        for _ in range(3):
            LOGGER.warning("Label index\nout of range")
        LOGGER.info("not a warning")
        LOGGER.warning("Passed an already-initialized model through `pretrained`")
        assert list(tqdm(range(2))) == [0, 1]
    assert texts(warnings) == ["Label index out of range (3 times)"]
    assert capfd.readouterr() == ("", "")


def test_many_warnings_are_cut() -> None:
    """Messages that differ for every document must not fill the report."""
    with quiet() as warnings:
        for number in range(25):
            LOGGER.warning("document %d", number)
    assert len(texts(warnings)) == 21
    assert texts(warnings)[-1] == "... and 5 more warnings"


def test_everything_is_put_back(capfd: pytest.CaptureFixture[str]) -> None:
    """Also after an error inside."""
    before = (logging.getLogger("lm_eval").handlers, logging.getLogger("lm_eval").level)
    with pytest.raises(ValueError, match="inside"), quiet():
        raise ValueError("inside")
    assert (logging.getLogger("lm_eval").handlers, logging.getLogger("lm_eval").level) == before
    list(tqdm(range(2)))
    assert "2/2" in capfd.readouterr().err


def test_warnings_are_repeated_as_often_as_they_were_said() -> None:
    """What is done once for all variants is told to each, in the same order."""
    with quiet() as first:
        LOGGER.warning("before")
        with recorded("lm_eval", alone=False) as said:
            for number in (1, 2, 1):
                LOGGER.warning("document %d", number)
            LOGGER.info("not a warning")
        LOGGER.warning("after")
    with quiet() as second:
        LOGGER.warning("before")
        repeat(said)
        LOGGER.warning("after")
    assert texts(first) == ["before", "document 1 (2 times)", "document 2", "after"]
    assert texts(second) == texts(first)
