"""Targets of multiple-choice documents, held against the choices before a model is asked.

lm-eval itself gives a document 0 whose target is none of its choices, whatever the model answers,
and never picks a choice without text by its length-normalised score. lm_eval is not imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from harness.errors import DataError

_SHOWN = 200  # characters of what a document has


def check_targets(leaf: Any, limit: int | None) -> None:
    """Refuse a task of lm-eval some of whose documents no answer can be right for.

    Tasks that score in their own way (``process_results``, or Python) are left alone.

    Args:
        leaf: A task without subtasks, with its data.
        limit: Documents that are scored, from the first on; None: all.

    Raises:
        DataError: Names the first such document, and counts the others.
    """
    own_way = leaf.config.process_results is not None or not hasattr(leaf, "multiple_target")
    if leaf.OUTPUT_TYPE != "multiple_choice" or own_way:
        return
    problems = (
        (place, problem)
        for place, doc in enumerate(islice(leaf.eval_docs, limit))
        if (problem := _problem(leaf, doc))
    )
    first = next(problems, None)
    if first is None:
        return
    more = sum(1 for _ in problems)
    others = f" {more} more documents are like that." if more else ""
    raise DataError(
        f"Document {first[0]} of the lm-eval task {leaf.task_name!r} {first[1]}.{others} lm-eval "
        "would score such documents as wrong, whatever the model answers.",
        hint="Mend doc_to_target, doc_to_choice or the rows, or leave such rows out in "
        "process_docs; the labels of a test split may not be public.",
    )


def _problem(leaf: Any, doc: Any) -> str | None:
    try:
        choices = leaf.doc_to_choice(doc)
        target = leaf.doc_to_text(doc) if leaf.multiple_input else leaf.doc_to_target(doc)
    except Exception:  # templates and functions fail in their own ways, and again when they run
        return None
    return _of_choices(choices) or _of_target(target, choices, several=bool(leaf.multiple_target))


def _of_choices(choices: Any) -> str | None:
    if not isinstance(choices, list | tuple) or not choices:
        return f"has no list of choices, but {_short(choices)}"
    for place, choice in enumerate(choices):
        if not isinstance(choice, str):
            return f"has a choice that is no text: {_short(choice)}"
        if not choice.strip():
            return f"has nothing but white space as choice {place} of {_short(list(choices))}"
    return None


def _of_target(target: Any, choices: Sequence[str], *, several: bool) -> str | None:
    if isinstance(target, list | tuple) != several:
        others = "a list of targets" if several else "one target"
        return f"has the target {_short(target)}, where others have {others}"
    targets = target if several else [target]
    stray = [one for one in targets if not _is_among(one, choices, by_text=not several)]
    if stray:
        return _stray(stray[0], choices)
    return None if targets else "has an empty list of targets"


def _is_among(target: Any, choices: Sequence[str], *, by_text: bool) -> bool:
    if isinstance(target, str):
        return by_text and target in choices
    try:
        return bool(target == int(target) and 0 <= target < len(choices))
    except (TypeError, ValueError):
        return False


def _stray(target: Any, choices: Sequence[str]) -> str:
    near = isinstance(target, str) and target.strip() in [choice.strip() for choice in choices]
    but = " (but for white space at its ends)" if near else ""
    if not isinstance(target, str) and str(target) in choices:
        but = " (lm-eval takes a number, and a template that gives one, for a place among them)"
    return f"has the target {_short(target)}, which is none of its choices{but}: " + _short(
        list(choices)
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
