"""Reads JSONL, JSON and CSV files exactly as they are written.

These three are read here and not through ``datasets`` because its readers guess types: in
datasets 5.2 the text ``2020-01-01`` of a JSONL file becomes a timestamp, the texts ``NA`` and
``null`` of a CSV file become nulls, and a CSV row with too many cells shifts its columns. Such a
change would reach prompts and references unseen. Here every text stays what it is, and an error
names the file and the line.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.data.rows import DataRow
from harness.errors import DataError


def read_jsonl(path: Path, split: str) -> Iterator[DataRow]:
    """Read one JSON object per line; blank lines are skipped.

    Raises:
        DataError: A line is not a JSON object, or the file is not UTF-8.
    """
    for number, line in enumerate(_text(path).split("\n"), 1):  # splitlines would cut at U+2028
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"Not valid JSON: {error}.",
                where=where,
                hint="A JSONL file holds one JSON object per line, without commas between lines.",
            ) from error
        yield _row(value, split, where)


def read_json(path: Path, split: str) -> Iterator[DataRow]:
    """Read a JSON array of objects; a file that does not begin with ``[`` is read as JSONL.

    Raises:
        DataError: The file is neither.
    """
    text = _text(path)
    if not text.lstrip().startswith("["):
        try:
            yield from read_jsonl(path, split)
        except DataError as error:
            raise DataError(
                f"Neither an array of objects nor one object per line: {error.problem}",
                where=error.where,
                hint="Write the rows as [{...}, {...}], at the top of the file.",
            ) from error
        return
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"Not valid JSON: {error}.", where=f"{path}{line}") from error
    for index, value in enumerate(values):
        yield _row(value, split, f"{path}[{index}]")


def read_csv(path: Path, split: str) -> Iterator[DataRow]:
    """Read a CSV file with a header line (``.tsv``: separated by tabs); every cell is a text.

    Raises:
        DataError: A row has more or fewer cells than the header, or quotes are not closed.
    """
    lines = csv_lines(path)
    _, header = next(lines, (1, []))
    if len(set(header)) != len(header):
        twice = sorted({name for name in header if header.count(name) > 1})
        raise DataError(f"Column {twice[0]!r} occurs twice.", where=f"{path}:1")
    for number, cells in lines:
        where = f"{path}:{number}"
        if cells and len(cells) != len(header):
            raise DataError(
                f"This row has {len(cells)} cells, the header {len(header)}.",
                where=where,
                hint="Put cells that contain the separator into double quotes.",
            )
        if cells:
            yield DataRow(dict(zip(header, cells, strict=True)), split, where)


def csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row of a CSV file, a header like any other; blank ones too.

    Raises:
        DataError: Quotes are not closed, or the file is not UTF-8.
    """
    csv.field_size_limit(sys.maxsize)  # the default cuts off at 128 KiB per cell
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.reader(io.StringIO(_text(path), newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"Not valid CSV: {error}.", where=f"{path}:{reader.line_num}") from error


def _row(value: Any, split: str, where: str) -> DataRow:
    if not isinstance(value, dict):
        raise DataError(
            f"A row must be a JSON object with fields, found {type(value).__name__}.", where=where
        )
    return DataRow(value, split, where)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read this file: {error.strerror}.", where=str(path)) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"Not UTF-8: byte 0x{content[error.start]:02x}.",
            where=f"{path}:{line}",
            hint="Save the file as UTF-8, for example with: iconv -f latin1 -t utf-8.",
        ) from error


READERS: Mapping[str, Callable[[Path, str], Iterator[DataRow]]] = {
    "jsonl": read_jsonl,
    "json": read_json,
    "csv": read_csv,
}
