"""Rows of HellaSwag's and MMLU's own files, and of files in the Hub's form, checked one by one.

Torch-free. Types are never guessed from texts, as the readers of ``datasets`` do (a text that looks
like a date becomes a timestamp there): rows are written to Parquet with the types they have. The
one exception is CSV, which has no types: a column whose every cell is a whole number or a JSON list
becomes one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.data.files import csv_lines, read_csv, read_json, read_jsonl
from harness.errors import DataError, MissingExtraError

LETTERS = "ABCD"
_READERS = {".jsonl": read_jsonl, ".json": read_json, ".csv": read_csv}
_TYPED_CELL = re.compile(r"-?\d{1,15}|\[.*\]", re.DOTALL)


def hellaswag_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of HellaSwag's own JSONL, in the Hub's form (where ``label`` is a string).

    Raises:
        DataError: With file and line, for a row without context, endings or a valid label.
    """
    for number, row in enumerate(read_jsonl(path, "")):
        fields, where = row.fields, row.where
        endings = fields.get("endings")
        if not isinstance(endings, list) or not all(isinstance(e, str) and e for e in endings):
            raise DataError("The field 'endings' must be a list of texts.", where=where)
        if len(endings) != 4:
            raise DataError(
                f"The field 'endings' must hold 4 texts, found {len(endings)}.", where=where
            )
        label = str(fields.get("label", ""))
        if label not in {"0", "1", "2", "3"}:
            raise DataError(
                f"The field 'label' must be 0 to 3, found {fields.get('label')!r}.",
                where=where,
                hint="HellaSwag's test file has no labels; use the validation file.",
            )
        for name in ("activity_label", "ctx_a", "ctx_b"):
            if not isinstance(fields.get(name), str):
                raise DataError(f"The text field {name!r} is missing.", where=where)
        context = f"{fields['ctx_a']} {fields['ctx_b']}".strip()
        if not context:
            raise DataError("The fields 'ctx_a' and 'ctx_b' are both empty.", where=where)
        yield {
            "ind": fields.get("ind", number),
            "activity_label": fields["activity_label"],
            "ctx_a": fields["ctx_a"],
            "ctx_b": fields["ctx_b"],
            "ctx": fields.get("ctx", context),
            "endings": endings,
            **{key: str(fields.get(key, "")) for key in ("source_id", "split", "split_type")},
            "label": label,
        }


def mmlu_rows(path: Path, subject: str) -> Iterator[dict[str, Any]]:
    """Rows of MMLU's own CSV without header (question, A to D, letter), in the Hub's form.

    Raises:
        DataError: With file and line, for a wrong number of columns or a bad answer letter.
    """
    for line, cells in csv_lines(path):
        where = f"{path}:{line}"
        if not cells:
            continue
        if len(cells) != 6:
            raise DataError(
                f"6 columns are needed (question, A, B, C, D, answer), found {len(cells)}.",
                where=where,
                hint="Put cells that contain a comma into double quotes.",
            )
        question, *choices, answer = cells
        letter = answer.strip()
        if len(letter) != 1 or letter not in LETTERS:
            raise DataError(
                f"The answer must be one of the letters A, B, C, D, found {answer!r}.",
                where=where,
                hint="Take the header line out: MMLU's own files have none." if line == 1 else None,
            )
        yield {
            "question": question,
            "subject": subject,
            "choices": choices,
            "answer": LETTERS.index(letter),
        }


def hub_rows(path: Path, needed: Collection[str]) -> list[dict[str, Any]]:
    """Rows of a JSONL, JSON or CSV file whose fields are already the Hub's.

    Args:
        path: The file.
        needed: Fields that the task reads from every row.

    Raises:
        DataError: With file and line, for a malformed row or one that lacks a field.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"A {', '.join(_READERS)} or .parquet file is needed, found "
            f"{path.suffix or 'no suffix'}.",
            where=str(path),
        )
    rows = []
    for row in reader(path, ""):
        lacking = sorted(set(needed) - set(row.fields))
        if lacking:
            raise _lacks(lacking[0], row.fields, row.where)
        rows.append(dict(row.fields))
    return _typed(rows) if path.suffix.lower() == ".csv" else rows


def check_parquet(path: Path, needed: Collection[str]) -> None:
    """Check that a Parquet file has rows and the fields that the task reads.

    Raises:
        DataError: It has not, or it is no Parquet file.
    """
    pyarrow, parquet = _pyarrow()
    try:
        file = parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"Not a valid Parquet file: {error}.", where=str(path)) from error
    lacking = sorted(set(needed) - set(file.schema_arrow.names))
    if lacking:
        raise _lacks(lacking[0], file.schema_arrow.names, str(path))
    if not file.metadata.num_rows:
        raise DataError("The file holds no rows.", where=str(path))


def write_parquet(rows: Sequence[dict[str, Any]], source: Path, target: Path) -> None:
    """Write rows with the types they have; a field that a row lacks becomes null.

    Raises:
        DataError: There are no rows, or a field holds values of different types.
    """
    if not rows:
        raise DataError("The file holds no rows.", where=str(source))
    pyarrow, parquet = _pyarrow()
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {}
    for name in names:
        try:
            columns[name] = pyarrow.array([row.get(name) for row in rows])
        except (pyarrow.ArrowException, OverflowError) as error:
            raise DataError(
                f"The field {name!r} does not hold values of one type: {error}.",
                where=str(source),
                hint="Write the field in the same type in every row.",
            ) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns), target)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "hf") from error
    return pyarrow, parquet


def _lacks(field: str, present: Collection[str], where: str) -> DataError:
    return DataError(
        f"The task reads the field {field!r}, and the row has only "
        f"{', '.join(map(repr, present)) or 'none'}.",
        where=where,
        hint="Rename the field, or choose the data.format that the file is in.",
    )


def _typed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Turn the columns of a CSV file that hold whole numbers or JSON lists into these."""
    for name in rows[0] if rows else ():
        if not all(_TYPED_CELL.fullmatch(row[name].strip()) for row in rows):
            continue
        try:
            values = [json.loads(row[name]) for row in rows]
        except ValueError:  # 007 or [sic] is a text
            continue
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return rows
