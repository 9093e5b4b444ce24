"""All examples as compressed blocks of a page: an index, and texts in chunks decoded on demand.

A block is base64 of gzip. The index holds what lists, sorts and filters; it is a header in JSON
and arrays behind it::

    uint32 length of the header | header, padded to 4 bytes | array | array | ...

All numbers are little-endian; the header says where each array begins (in bytes from the end of
the header), so a page reads them in place. A chunk is JSON, one entry per example::

    [prompt, [reference, ...], [output or null per variant]]
    output = [text, finish reason, new tokens, prompt tokens, truncated prompt tokens]

The same examples give the same bytes.
"""

import base64
import gzip
import json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.metrics.names import metric_name
from harness.report.browser.view import MISSING, AllExamples, TaskOutputs, Values
from harness.schema import Prediction

BUDGET_BYTES = 40_000_000  # of all texts, as they stand in the page
INDEX = "browser-index"
_CHUNK_EXAMPLES, _CHUNK_CHARS = 128, 400_000  # a chunk is decoded in a few milliseconds
_START_CHARS = 90
_LEVEL = 6  # level 9 takes twice as long and saves 1 %
_NO_CHUNK = 0xFFFF
_BLANKS = re.compile(r"[ \t\n]+")


@dataclass(frozen=True)
class ExampleBlocks:
    """What a page embeds."""

    blocks: tuple[tuple[str, str], ...]  # id and base64 text of each block, the index first
    # examples by task whose texts had no room; they are listed all the same
    left_out: Mapping[str, int]
    raw_bytes: int  # size of the texts before compression


@dataclass(frozen=True)
class _Chunk:
    """Examples of a task whose texts are compressed together, in the order of the data."""

    task: int
    places: NDArray[np.int64]
    interest: float = 0.0  # of its first example: 1 is the most extreme of its task


def pack(examples: AllExamples, budget_bytes: int = BUDGET_BYTES) -> ExampleBlocks:
    """Compress all examples of a run.

    Where the texts exceed the budget, those of the most middling differences between candidate
    and baseline are left out, in whole chunks.

    Args:
        examples: What to pack.
        budget_bytes: Most bytes of base64 that texts may take in the page.

    Raises:
        StoreError: A result of the run is missing or unreadable.
    """
    tasks = examples.tasks
    kept = _compressed(tasks, _in_order(tasks), budget_bytes, whole=True)
    if kept is None:
        ranked = sorted(_by_interest(tasks), key=lambda chunk: -chunk.interest)
        kept = _compressed(tasks, ranked, budget_bytes) or []
    chunk_of = [np.full(len(task.examples), _NO_CHUNK, dtype=np.uint16) for task in tasks]
    for number, (chunk, _, _) in enumerate(kept):
        chunk_of[chunk.task][chunk.places] = number
    missing = [int((own == _NO_CHUNK).sum()) for own in chunk_of]
    index = (INDEX, _encode(_index(tasks, chunk_of))[0])
    return ExampleBlocks(
        blocks=(index, *((f"chunk-{number}", text) for number, (_, text, _) in enumerate(kept))),
        left_out={task.task: n for task, n in zip(tasks, missing, strict=True) if n},
        raw_bytes=sum(size for _, _, size in kept),
    )


def _compressed(
    tasks: Sequence[TaskOutputs],
    chunks: Sequence[_Chunk],
    budget_bytes: int,
    *,
    whole: bool = False,
) -> list[tuple[_Chunk, str, int]] | None:
    """Compress chunks until the budget is spent.

    Returns:
        Each with its text and its size before; None where ``whole`` is asked for and they do not
        all fit.
    """
    kept: list[tuple[_Chunk, str, int]] = []
    spent = 0
    for chunk in chunks[:_NO_CHUNK]:
        text, size = _encode(_texts(tasks[chunk.task], chunk.places))
        if spent + len(text) <= budget_bytes:
            spent += len(text)
            kept.append((chunk, text, size))
        elif whole:
            return None
        elif len(chunk.places) > 1:
            break  # but one huge text does not keep the others out
    return kept


def _in_order(tasks: Sequence[TaskOutputs]) -> list[_Chunk]:
    """Chunks in the order of the data, so that what is listed together is decoded together."""
    return [
        _Chunk(number, places)
        for number, task in enumerate(tasks)
        for places in _cut(task, np.arange(len(task.examples)))
    ]


def _by_interest(tasks: Sequence[TaskOutputs]) -> Iterator[_Chunk]:
    """Chunks that begin with the differences farthest from the middle one."""
    for number, task in enumerate(tasks):
        deltas = task.deltas()
        known = np.isfinite(deltas)
        middle = float(np.median(deltas[known])) if known.any() else 0.0
        order = np.argsort(-np.where(known, np.abs(deltas - middle), 0.0), kind="stable")
        done = 0
        for places in _cut(task, order):
            yield _Chunk(number, np.sort(places), 1 - done / len(order))
            done += len(places)


def _cut(task: TaskOutputs, order: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Cut an order of examples where a chunk has enough of them, or enough text."""
    lengths = _lengths(task).sum(axis=0) + [len(example.prompt) for example in task.examples]
    start, chars = 0, 0
    for end, place in enumerate(order):
        own = int(lengths[place])
        if end > start and (end - start == _CHUNK_EXAMPLES or chars + own > _CHUNK_CHARS):
            yield order[start:end]
            start, chars = end, 0
        chars += own
    if start < len(order):
        yield order[start:]


def _lengths(task: TaskOutputs) -> NDArray[np.uint32]:
    """Characters of each output, shape (variants, n)."""
    rows = [[len(item.text) if item else 0 for item in made] for made in task.outputs]
    return np.array(rows, dtype=np.uint32).reshape(len(task.outputs), len(task.examples))


def _texts(task: TaskOutputs, places: NDArray[np.int64]) -> bytes:
    entries = []
    for place in places.tolist():
        example = task.examples[place]
        outputs = [_output(made[place]) for made in task.outputs]
        entries.append([example.prompt, example.references, outputs])
    return _json(entries)


def _output(item: Prediction | None) -> list[Any] | None:
    if item is None:
        return None
    sizes = (item.new_tokens, item.prompt_tokens, item.truncated_prompt_tokens)
    return [item.text, item.finish_reason, *sizes]


def _index(tasks: Sequence[TaskOutputs], chunk_of: Sequence[NDArray[np.uint16]]) -> bytes:
    body = bytearray()
    header = []
    for task, chunks in zip(tasks, chunk_of, strict=True):
        splits = list(dict.fromkeys(example.split for example in task.examples))
        number = {split: place for place, split in enumerate(splits)}
        written = task.outputs[task.variants.index(task.candidate)]
        arrays = {
            "values": np.array([metric.values for metric in task.metrics], dtype="<f4"),
            "chars": _lengths(task).astype("<u4"),
            "groups": task.groups.astype("<u2"),
            "chunk": chunks.astype("<u2"),
            "flags": task.flags,
            "split": np.array([number[item.split] for item in task.examples], dtype=np.uint8),
        }
        header.append(
            {
                "task": task.task,
                "variants": task.variants,
                "baseline": task.baseline,
                "candidate": task.candidate,
                "missing": dict(task.missing),
                "metrics": [_metric(item) for item in task.metrics],
                "splits": splits,
                "ids": [example.id for example in task.examples],
                "starts": [_start(item) for item in written],
                "arrays": {name: _append(body, array) for name, array in arrays.items()},
            }
        )
    text = _json({"version": 1, "missing": MISSING, "noChunk": _NO_CHUNK, "tasks": header})
    return struct.pack("<I", len(text)) + text + bytes(-len(text) % 4) + bytes(body)


def _metric(item: Values) -> dict[str, Any]:
    return {
        "name": item.metric,
        "label": metric_name(item.metric),
        "scale": item.scale,
        "higher": item.higher_is_better,
    }


def _append(body: bytearray, array: NDArray[Any]) -> int:
    """Add an array and say where it begins; every one begins at a multiple of four bytes."""
    place = len(body)
    body += array.tobytes()
    body += bytes(-len(body) % 4)
    return place


def _start(item: Prediction | None) -> str:
    """What a list shows of an output, on one line."""
    return _BLANKS.sub(" ", item.text[: 4 * _START_CHARS]).strip()[:_START_CHARS] if item else ""


def _json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:  # lone surrogates have no UTF-8, but an escape in JSON
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _encode(data: bytes) -> tuple[str, int]:
    """Base64 of gzip without a time, and the size before."""
    packed = gzip.compress(data, compresslevel=_LEVEL, mtime=0)
    return base64.b64encode(packed).decode("ascii"), len(data)
