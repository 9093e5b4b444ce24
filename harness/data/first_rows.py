"""The first rows of a source: whether a prompt can be rendered from them, told at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path

from harness.data.candidates import Counts, no_rows, render_all
from harness.data.docstrings import FIELDS
from harness.data.files import read_csv, read_json, read_jsonl
from harness.data.prompts import Template, plain_chat
from harness.data.rows import Row, clean
from harness.data.sources import DEFAULT_SPLIT, Format, Source, format_of
from harness.suite.spec import DataSpec, PromptSpec

_ROWS = 20  # of each file
_MOST_BYTES = 32_000_000  # of a file that is read at once
_Reader = Callable[[Path, str], Iterable[Row]]
_QUICK: Mapping[Format, _Reader] = {
    "jsonl": read_jsonl,
    "json": read_json,
    "csv": read_csv,
}


def check_first_rows(source: Source, spec: DataSpec, prompt: PromptSpec) -> None:
    """Render the first rows of a source that is quick to read; others are left for the run.

    Quick to read are the built-in's known fields and local JSONL, JSON and CSV files that are not
    large. A chat is rendered without its tokenizer's template.

    Args:
        source: Where ``spec`` leads to.
        spec: The suite's data.
        prompt: The suite's prompt.

    Raises:
        DataError: A file cannot be read, or the source holds no rows.
        PromptError: The template is invalid, names a field that a row lacks, or fails.
    """
    template = Template(prompt, plain_chat if prompt.is_chat else None)
    if source.kind == "hub":
        return
    files = [] if source.kind == "builtin" else _files(source, spec)
    quick = [(path, split, read) for path, split, read in files if read is not None]
    rows = [row for path, split, read in quick for row in islice(read(path, split), _ROWS)]
    if source.kind == "builtin":
        rows = [Row(dict.fromkeys(FIELDS, "text"), DEFAULT_SPLIT, source.name)]
    elif not rows and len(quick) == len(files):
        raise no_rows(spec)
    changes: Counter[str] = Counter()
    rows = [Row(clean(row.fields, changes), row.split, row.where) for row in rows]
    render_all(spec, template, rows, [row.where for row in rows], Counts())


def _files(source: Source, spec: DataSpec) -> list[tuple[Path, str, _Reader | None]]:
    """Files with their split and how they are read; None for those that take long."""
    return [
        (path, split, _QUICK.get(format_of(path, spec)) if _is_small(path) else None)
        for split, paths in source.files.items()
        if not spec.split_map or split in spec.split_map
        for path in paths
    ]


def _is_small(path: Path) -> bool:
    return path.stat().st_size <= _MOST_BYTES
