"""Documents of an lm-eval task as texts, to be looked for among training rows."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import DataError, MissingExtraError
from harness.schema import Example
from harness.suite.spec import LmEvalTask
from harness.tasks.lm_eval.load import FOLDER_PREFIX, load_tasks
from harness.tasks.lm_eval.outcome import document_id
from harness.tasks.lm_eval.quiet import quiet
from harness.tasks.lm_eval.requests import seed_generators, templates_compiled_once

try:
    from lm_eval.utils import env as template_environment
    from lm_eval.utils import handle_non_serializable, hash_string
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "lm-eval", "lm-eval") from error


def read_documents(task: LmEvalTask, suite_dir: Path, seed: int) -> list[Example]:
    """Read the documents that a task is scored on: each one's question, and its right answer.

    Args:
        task: The task as the suite states it.
        suite_dir: What relative paths of the task are relative to.
        seed: The suite's seed; some tasks shuffle choices while their rows are loaded.

    Returns:
        One for each document, without shots, with the id that it has beside its scores.

    Raises:
        UsageError: The task is unknown, or cannot be run here.
        DataError: Its data cannot be had or read.
    """
    with (
        quiet(),
        templates_compiled_once(template_environment),
        tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as folder,
    ):
        seed_generators(seed)
        loaded = load_tasks(task, suite_dir, Path(folder))
        grouped = loaded.name not in loaded.leaves
        return [
            example.model_copy(update={"id": f"{name}/{example.id}"}) if grouped else example
            for name, leaf in loaded.leaves.items()
            for example in _examples(name, leaf, task.limit)
        ]


def _examples(name: str, leaf: Any, limit: int | None) -> Iterator[Example]:
    for number, document in leaf.doc_iterator(limit=limit):
        try:
            question, answer = leaf.doc_to_text(document), _answer(leaf, document)
        except Exception as error:  # a template or function of the task may raise anything
            raise DataError(
                f"Document {number} of the lm-eval task {name!r} cannot be rendered: "
                f"{type(error).__name__}: {error}."
            ) from error
        # as in lm-eval's evaluate
        text = json.dumps(document, indent=2, default=handle_non_serializable, ensure_ascii=False)
        digest = hash_string(text)
        yield Example(
            id=document_id(digest, number),
            # where choices stand in the place of the question, it is all in the answer
            prompt=question if isinstance(question, str) else "",
            completion=answer,
            references=(),
            cluster=digest[:16],
            split="report",
        )


def _answer(leaf: Any, document: Any) -> str:
    """The right answer; empty where the task tells none as a text."""
    target = leaf.doc_to_target(document)
    if isinstance(target, list):
        target = target[0] if target else ""
    if isinstance(target, int) and leaf.config.doc_to_choice is not None:
        choices = leaf.doc_to_choice(document)
        target = choices[target] if 0 <= target < len(choices) else ""
    return str(target)
