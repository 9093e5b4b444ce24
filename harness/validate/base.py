"""Whether a base that is stored quantized can be had in the precisions that a suite asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from harness.errors import ModelError, SuiteError
from harness.models.source import locate
from harness.models.stored import StoredForm, stored_form
from harness.suite.file import SuiteFile
from harness.suite.spec import Suite


def base_checks(file: SuiteFile) -> Iterator[Callable[[], object]]:
    """Checks of the base by its files, as far as they are there; each raises a SuiteError."""
    base = file.suite.base
    if not base.model:
        return  # left out, because something is wrong with it
    try:
        kind = locate(base, file.base_dir).kind
    except ModelError:
        return  # there is nothing, which is told where the base is identified
    try:
        form = stored_form(base, file.base_dir)
    except ModelError as error:
        yield partial(_refuse, file, "base.model", error.problem, error.hint)
        return
    if base.dequantize:
        if form is None and kind != "hub":
            words = "base.dequantize is set, but the model is not stored quantized."
            yield partial(_refuse, file, "base.dequantize", words, "Leave it out.")
    elif form is not None and form.precision is None:
        words = f"base.model is stored in {form.words}, which is none of the harness's precisions."
        yield partial(_refuse, file, "base.model", words, form.way_out())
    elif form is not None:
        for key, asked in _asked(file.suite):
            if asked != form.precision:
                yield partial(_refuse, file, key, *_words(key, asked, form))


def _asked(suite: Suite) -> Iterator[tuple[str, str]]:
    """Keys that ask for a precision of the base, each with the precision."""
    matrix, trainings = suite.matrix, suite.trainings
    yield from (("matrix.base", precision) for precision in dict.fromkeys(matrix.base))
    for train in trainings.values():
        if train.method != "qlora":
            yield "train.method", "plain weights"
        else:
            yield "train.quantization", train.quantization.bnb_4bit_quant_type
    if not trainings and suite.checkpoints is None:
        return
    adapters = [name for name, train in trainings.items() if train.method != "full"]
    if adapters or not trainings:
        asked = [suite.precision_of(name) for name in adapters or [""]]
        yield from (("matrix.adapters", precision) for precision in dict.fromkeys(asked))
        if matrix.merged != "none":
            yield "matrix.merged", "plain weights"


def _words(key: str, asked: str, form: StoredForm) -> tuple[str, str]:
    """What is wrong with a key, and what to write."""
    reason = f"{key} asks for {asked}, but the model is stored in {form.words}."
    own = {"matrix.merged": "Write none", "train.method": "Write qlora"}.get(key, "")
    return reason, form.way_out(own)


def _refuse(file: SuiteFile, key: str, words: str, hint: str | None) -> None:
    raise SuiteError(words, where=file.at(key), hint=hint)
