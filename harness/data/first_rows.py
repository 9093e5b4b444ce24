"""The first rows of a source: whether a prompt can be rendered from them, told at once."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from harness.data.candidates import Counts, no_rows, render_all
from harness.data.docstrings import FIELDS
from harness.data.files import READERS
from harness.data.prompts import Template, plain_chat
from harness.data.rows import DataRow, clean
from harness.data.sources import DEFAULT_SPLIT, DataSource, files_of, format_of
from harness.suite.spec import DataSpec, PromptSpec

_ROWS = 20  # of each file
_MOST_BYTES = 32_000_000  # of a file that is read at once


def check_first_rows(source: DataSource, spec: DataSpec, prompt: PromptSpec) -> None:
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
    rows: list[DataRow] = []
    skipped = False
    for path, split in files_of(source, spec):
        is_big = path.stat().st_size > _MOST_BYTES
        read = None if is_big else READERS.get(format_of(path, spec))
        skipped = skipped or read is None
        rows += islice(read(path, split), _ROWS) if read is not None else ()
    if source.kind == "builtin":
        rows = [DataRow(dict.fromkeys(FIELDS, "text"), DEFAULT_SPLIT, source.name)]
    elif not rows and not skipped:
        raise no_rows(spec)
    changes: Counter[str] = Counter()
    rows = [DataRow(clean(row.fields, changes), row.split, row.where) for row in rows]
    render_all(spec, template, rows, [row.where for row in rows], Counts())
