"""A few rows of a suite's data, or some made from the columns that its prompts name."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.data.examples import read_source
from harness.data.prompts import Template, plain_chat
from harness.data.rows import DataRow
from harness.data.sources import DEFAULT_SPLIT, resolve
from harness.digests import value_digest
from harness.errors import OutOfReachError
from harness.files import write_atomic
from harness.schema import Split
from harness.suite.spec import DataSpec, PromptSpec

_ROWS = 160  # of each split of the source
_EXAMPLES: dict[Split, int] = {"train": 24, "eval": 4, "select": 6, "report": 6}


def few_rows(
    spec: DataSpec, prompts: Sequence[PromptSpec], base_dir: Path, folder: Path
) -> tuple[DataSpec, str]:
    """Write a few rows of a source into files, spread over it.

    Args:
        spec: The suite's data.
        prompts: All prompts that read it.
        base_dir: Folder of the suite file.
        folder: Where to write them.

    Returns:
        The same data with these files as its source and few examples in each split, and a line on
        what they are.

    Raises:
        DataError: The source is missing or unreadable.
        PromptError: A template is not valid.
    """
    source = resolve(spec, base_dir)
    try:
        read = read_source(source, spec)
    except OutOfReachError:
        splits = tuple(spec.split_map) or (DEFAULT_SPLIT,)
        rows = _made_rows(_fields(spec, prompts), splits)
        told = f"{len(rows)} made rows, for {source.name} is out of reach"
    else:
        rows, splits = _spread(read.rows), read.splits
        told = f"{len(rows)} of {len(read.rows):,} rows of {source.name}"
    content = {split: _lines(row for row in rows if row.split == split) for split in splits}
    files = _written(content, folder / value_digest(content)[:12])
    alone = splits == (DEFAULT_SPLIT,)
    shares = [name for name, share in spec.splits.items() if share]
    change: dict[str, Any] = {
        "source": files[DEFAULT_SPLIT] if alone else None,
        "files": {} if alone else files,
        "format": "jsonl",
        "name": None,
        "revision": None,
        "splits": {name: 1 / len(shares) for name in shares},
        "limits": {s: min(most, spec.limits.get(s, most)) for s, most in _EXAMPLES.items()},
    }
    return spec.model_copy(update=change), f"data: {told}"


def _spread(rows: Sequence[DataRow]) -> list[DataRow]:
    """At most ``_ROWS`` of each split, from all over it: rows may be sorted."""
    by_split: dict[str, list[DataRow]] = defaultdict(list)
    for row in rows:
        by_split[row.split].append(row)
    return [
        own[len(own) * place // most]
        for own in by_split.values()
        for most in [min(_ROWS, len(own))]
        for place in range(most)
    ]


def _lines(rows: Iterable[DataRow]) -> str:
    return "".join(json.dumps(row.fields, default=str) + "\n" for row in rows)


def _written(content: dict[str, str], folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    files = {split: folder / f"{place}.jsonl" for place, split in enumerate(content)}
    for split, path in files.items():
        write_atomic(path, content[split])
    return {split: str(path.absolute()) for split, path in files.items()}


def _fields(spec: DataSpec, prompts: Sequence[PromptSpec]) -> dict[str, PromptSpec | None]:
    """Fields that a row must have, each with the prompt that reads it, if one does."""
    named = [*spec.required_fields, spec.id_field, spec.cluster.removeprefix("field:")]
    fields: dict[str, PromptSpec | None] = {name: None for name in named if name}
    if not spec.cluster.startswith("field:"):
        fields.pop(spec.cluster, None)
    for prompt in prompts:
        fields |= dict.fromkeys(sorted(Template(prompt, plain_chat).fields), prompt)
    return fields


def _made_rows(fields: dict[str, PromptSpec | None], splits: Sequence[str]) -> list[DataRow]:
    """Rows whose fields hold English of many lengths; conversations where a prompt reads one."""
    words = re.findall("[A-Za-z]+", str(subprocess.__doc__))
    draw = random.Random(0)  # noqa: S311  # texts, no secrets

    def text() -> str:
        return " ".join(draw.choices(words, k=draw.randint(4, 60)))

    def value(name: str, prompt: PromptSpec | None) -> Any:
        if prompt is not None and name == prompt.messages_field:
            return [{"role": role, "content": text()} for role in ("user", "assistant")]
        turns = prompt.turns if prompt is not None else None
        if turns is not None and name == turns.field:
            return f"{turns.start}{turns.user} {text()} {turns.assistant} {text()} {turns.end}"
        return text()

    return [
        DataRow({name: value(name, prompt) for name, prompt in fields.items()}, split, "made")
        for split in splits
        for _ in range(_ROWS)
    ]
