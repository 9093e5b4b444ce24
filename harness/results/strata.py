"""Groups of examples to look at apart: by length, by what was found of the output, by category.

Groups of one kind partition the examples, findings excepted, of which an output may have several.
How they are cut is fixed before any score is looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.checks.outputs import DEFINITIONS, findings_of
from harness.schema import Example, Overlap, Prediction

PROMPT = "prompt length"
REFERENCE = "reference length"
OUTPUT = "output length"
FINDING = "finding"
TRAINED = "training overlap"
MEMBER = "task"

MOST_VALUES = 12  # a field with more distinct values is no category
MOST_FIELDS = 8
_LONGEST_VALUE = 40
_FEWEST_WORDS = 3  # median of words below which a text's length is counted in characters
_TRAINED_NAMES = {
    "exact": "the input is a training row's",
    "near": "near copy of a training row",
    "contained": "shares long runs of words with a training row",
    None: "shares nothing long with training rows",
}
_RATIO_EDGES = (0.5, 0.8, 1.25, 2.0)
_RATIO_NAMES = (
    "less than 0.5 of the reference",
    "0.5 to 0.8 of the reference",
    "0.8 to 1.25 of the reference",
    "1.25 to 2 times the reference",
    "more than 2 times the reference",
)


@dataclass(frozen=True, eq=False)
class Group:
    """Some of the examples."""

    kind: str  # what was looked at, such as ``prompt length`` or ``field source``
    name: str  # which of them these are, such as ``24 to 61 tokens``
    rows: NDArray[np.bool_]  # whether each example belongs to it, shape (n,)


@dataclass(frozen=True)
class OutputPair:
    """Predictions of two variants by example id; empty where nothing was generated."""

    baseline: Mapping[str, Prediction]
    candidate: Mapping[str, Prediction]


def example_groups(
    ids: Sequence[str],
    examples: Mapping[str, Example],
    outputs: OutputPair,
    overlaps: Sequence[Overlap] = (),
) -> tuple[list[Group], list[str]]:
    """Every group that the records of some examples allow.

    Args:
        ids: Example ids, length n; the order of ``Group.rows``.
        examples: Examples by id.
        outputs: What baseline and candidate wrote; lengths and findings are the candidate's.
        overlaps: What examples have in common with training rows.

    Returns:
        The groups, and what was left out and why, in words.
    """
    groups: list[Group] = []
    notes: list[str] = []
    groups += overlap_groups(ids, overlaps)
    written = [outputs.candidate[name] for name in ids if name in outputs.candidate]
    known = [examples[name] for name in ids if name in examples]
    paired = len(known) == len(ids)
    if len(written) == len(ids):
        tokens = [item.prompt_tokens + item.truncated_prompt_tokens for item in written]
        groups += quartile_groups(PROMPT, "tokens", tokens)
    elif outputs.candidate:
        notes.append("Some outputs are missing, so neither lengths nor findings are looked at.")
    if paired:
        references = [item.references[0] if item.references else "" for item in known]
        unit, lengths = text_lengths(references)
        groups += quartile_groups(REFERENCE, unit, lengths)
        if len(written) == len(ids):
            own = text_lengths([item.text for item in written], unit)[1]
            groups += ratio_groups(own, lengths)
            groups += _finding_groups(known, written, outputs.baseline)
        more, left = category_groups([item.metadata for item in known])
        groups += more
        notes += left
    elif examples:
        notes.append("Some examples are missing, so references and fields are not looked at.")
    return groups, notes


def text_lengths(texts: Sequence[str], unit: str | None = None) -> tuple[str, list[int]]:
    """Lengths of texts and their unit: words, or characters where words are few.

    Labels and languages that are written without spaces have hardly more than one word.

    Args:
        texts: The texts.
        unit: ``words`` or ``characters``; None decides by the median.
    """
    words = [len(text.split()) for text in texts]
    if unit is None:
        unit = "words" if texts and np.median(words) >= _FEWEST_WORDS else "characters"
    return unit, words if unit == "words" else [len(text.strip()) for text in texts]


def quartile_groups(kind: str, unit: str, lengths: ArrayLike) -> list[Group]:
    """Cut examples at the quartiles of a length; equal lengths stay together.

    Args:
        kind: What is long.
        unit: What the lengths count.
        lengths: One per example, shape (n,).

    Returns:
        At most four groups that hold every example once; none where all lengths fall into one.
    """
    values = np.asarray(lengths, dtype=np.int64)
    if len(values) == 0:
        return []
    places = np.searchsorted(np.quantile(values, (0.25, 0.5, 0.75)), values, side="left")
    groups = []
    for place in np.unique(places):
        rows = places == place
        low, high = int(values[rows].min()), int(values[rows].max())
        span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        groups.append(Group(kind, f"{span} {unit}", rows))
    return groups if len(groups) > 1 else []


def overlap_groups(ids: Sequence[str], overlaps: Sequence[Overlap]) -> list[Group]:
    """Examples by what they have in common with training rows; none where nothing has."""
    level = {overlap.example_id: overlap.level for overlap in overlaps}
    own = [_TRAINED_NAMES[level.get(name)] for name in ids]
    names = [name for name in _TRAINED_NAMES.values() if name in own]
    groups = [Group(TRAINED, name, np.array([name == one for one in own])) for name in names]
    return groups if len(groups) > 1 else []


def ratio_groups(own: Sequence[int], reference: Sequence[int]) -> list[Group]:
    """Cut examples by the length of the output relative to its reference's, at fixed ratios."""
    written, wanted = np.asarray(own, dtype=float), np.asarray(reference, dtype=float)
    places = np.searchsorted(_RATIO_EDGES, written / np.maximum(wanted, 1.0), side="right")
    places = np.where(wanted == 0, len(_RATIO_NAMES), places)
    names = (*_RATIO_NAMES, "the reference is empty")
    groups = [Group(OUTPUT, names[place], places == place) for place in np.unique(places)]
    return groups if len(groups) > 1 else []


def category_groups(metadata: Sequence[Mapping[str, Any]]) -> tuple[list[Group], list[str]]:
    """Cut examples by every metadata field that is a category.

    A category is a text, integer or truth value with two to twelve distinct values of at most
    forty characters, fewer than half as many as there are examples.

    Args:
        metadata: One mapping per example, length n.

    Returns:
        The groups of at most eight fields, in the order of the alphabet, and a note on others.
    """
    names = sorted({name for row in metadata for name in row})
    fields: dict[str, list[str]] = {}
    for name in names:
        values = [row.get(name) for row in metadata]
        if not all(value is None or isinstance(value, str | int) for value in values):
            continue
        texts = ["(not given)" if value is None else str(value) for value in values]
        distinct = set(texts)
        if not 2 <= len(distinct) <= min(MOST_VALUES, len(texts) // 2):
            continue
        if max(map(len, distinct)) <= _LONGEST_VALUE:
            fields[name] = texts
    kept = list(fields)[:MOST_FIELDS]
    groups = [
        Group(f"field {name}", value, np.array([text == value for text in fields[name]]))
        for name in kept
        for value in sorted(set(fields[name]))
    ]
    left = list(fields)[MOST_FIELDS:]
    return groups, [f"Fields not looked at, to bound the looks: {', '.join(left)}."] if left else []


def _finding_groups(
    examples: Sequence[Example], written: Sequence[Prediction], baseline: Mapping[str, Prediction]
) -> list[Group]:
    findings = [
        findings_of(item, example.prompt, baseline.get(example.id))
        for example, item in zip(examples, written, strict=True)
    ]
    groups = [
        Group(FINDING, name, np.array([name in own for own in findings])) for name in DEFINITIONS
    ]
    return [group for group in groups if group.rows.any()]
