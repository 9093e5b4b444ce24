"""From a suite's data and prompt to examples, with an account of every row on the way."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from harness.data.candidates import (
    Counts,
    RenderedRow,
    check_fields,
    is_blank,
    no_rows,
    render_all,
    row_ids,
    without_duplicates,
)
from harness.data.clusters import exact_clusters, near_clusters
from harness.data.docstrings import FIELDS, read_docstrings
from harness.data.files import read_csv, read_json, read_jsonl
from harness.data.hub import read_hub, read_parquet
from harness.data.prompts import RenderChat, Template, plain_chat
from harness.data.rows import DataRow, SourceRows, clean
from harness.data.sources import DEFAULT_SPLIT, DataSource, Format, format_of, resolve
from harness.data.splits import SplitPlan, assign, hash_point, plan_splits
from harness.digests import text_digest, value_digest
from harness.errors import DataError, told_as
from harness.schema import DataReport, Example, Split
from harness.suite.spec import DataSpec, PromptSpec

_Reader = Callable[[Path, str], Iterable[DataRow]]
_READERS: dict[Format, _Reader] = {
    "jsonl": read_jsonl,
    "json": read_json,
    "csv": read_csv,
    "parquet": read_parquet,
}
_FIRST = 20  # rows of each file that are tried
_MOST_BYTES = 32_000_000  # of a file that is read at once
_METADATA_CHARS = 200  # longer texts are content, not something to group results by


def load_examples(
    spec: DataSpec,
    prompt: PromptSpec,
    *,
    seed: int,
    base_dir: Path,
    render_chat: RenderChat | None = None,
    printed: Callable[[str], str] | None = None,
) -> tuple[list[Example], DataReport]:
    """Read a data source, render its rows, and divide them among the splits.

    Args:
        spec: The suite's data.
        prompt: The suite's prompt.
        seed: Seed of splits and order; equal seeds give equal examples.
        base_dir: Folder of the suite file, which relative paths start from.
        render_chat: The tokenizer's chat template, for prompts of chat messages.
        printed: What is seen of a completion of such a prompt once a model has written it.

    Returns:
        The examples, split by split (train, eval, select, report) and in hash order within each,
        and what became of every row: ``rows_read`` is ``rows_kept`` plus all ``dropped``.

    Raises:
        DataError: The source is missing or unreadable, ids repeat, or a split would be empty.
        PromptError: The template is invalid or names a field that a row lacks.
        MissingExtraError: The source needs ``datasets``, which is not installed.
    """
    template = Template(prompt, render_chat, printed)
    source = resolve(spec, base_dir)
    read = read_source(source, spec)
    plan = plan_splits(spec, read.splits)
    counts = Counts(dropped=Counter(read.dropped))
    cleaned = [_cleaned(row, counts) for row in read.rows if row.split in plan.shares]
    rows = [row for row, _ in cleaned]
    rows_read = len(rows) + counts.dropped.total()
    check_fields(spec, rows)
    ids = row_ids(spec, rows, plan)
    candidates = render_all(spec, template, rows, ids, counts)
    candidates = without_duplicates(candidates, plan, counts)
    clusters = _clusters(spec, candidates)
    held_out = plan.held_out(clusters, seed)
    examples = [
        Example(
            id=candidate.id,
            prompt=candidate.rendered.prompt,
            completion=candidate.rendered.completion,
            references=candidate.rendered.references,
            cluster=cluster,
            split="report"
            if cluster in held_out
            else assign(cluster, plan.shares[candidate.row.split], seed),
            metadata=_metadata(candidate.row, plan, template.fields),
        )
        for candidate, cluster in zip(candidates, clusters, strict=True)
    ]
    notes = [*read.notes, *plan.notes, *(f"{n} rows {what}." for what, n in counts.changed.items())]
    notes += [] if plan.pooled else _leakage(examples)
    notes += _unreachable(examples, prompt)
    rank = {split: number for number, split in enumerate(plan.asked)}
    examples.sort(key=lambda e: (rank[e.split], hash_point(seed, "order", e.id), e.id))
    kept = _limited(examples, spec, counts.dropped)
    _check_splits(kept, spec, plan, counts.dropped, source)
    n_clusters = len({example.cluster for example in kept})
    report = DataReport(
        source=source.name,
        digest=value_digest(sorted(digest for _, digest in cleaned)),
        rows_read=rows_read,
        rows_kept=len(kept),
        dropped=dict(sorted(counts.dropped.items())),
        near_duplicates=len(kept) - n_clusters,
        clusters=n_clusters,
        split_sizes={s: sum(example.split == s for example in kept) for s in plan.asked},
        notes=tuple(notes),
    )
    return kept, report


def _cleaned(row: DataRow, counts: Counts) -> tuple[DataRow, str]:
    """A row without what cannot be written, and its digest."""
    with told_as(DataError, "This row cannot be used", where=row.where):
        fields = clean(row.fields, counts.changed)
        digest = value_digest(fields)  # what is nested too deeply shows here, with its place
    return DataRow(fields, row.split, row.where), digest


def _unreachable(examples: Sequence[Example], prompt: PromptSpec) -> list[str]:
    """A note of references that no generation can reach."""
    stopped = [all(any(s in r for s in prompt.stop) for r in e.references) for e in examples]
    if not any(stopped):
        return []
    return [f"{sum(stopped)} rows have a stop string inside every reference; output ends there."]


def read_source(source: DataSource, spec: DataSpec) -> SourceRows:
    """Read all rows of a source that was found.

    Raises:
        DataError: It is unreadable; ``OutOfReachError`` where it is on the Hub and that is away.
    """
    if source.kind == "builtin":
        return read_docstrings()
    if source.kind == "hub":
        return read_hub(spec)
    rows = [row for path, split, read in _files(source, spec) for row in read(path, split)]
    return SourceRows(rows, splits=tuple(source.files))


def _files(source: DataSource, spec: DataSpec) -> list[tuple[Path, str, _Reader]]:
    """Files whose rows are wanted, with their split and how they are read."""
    return [
        (path, split, _READERS[format_of(path, spec)])
        for split, paths in source.files.items()
        if not spec.split_map or split in spec.split_map
        for path in paths
    ]


def _clusters(spec: DataSpec, candidates: Sequence[RenderedRow]) -> list[str]:
    if spec.cluster == "near":
        return near_clusters([candidate.input_text for candidate in candidates])
    if spec.cluster == "exact":
        return exact_clusters([candidate.input_text for candidate in candidates])
    name = spec.cluster.removeprefix("field:")
    values = [candidate.row.fields.get(name) for candidate in candidates]
    return [
        candidate.id if is_blank(value) else text_digest(f"{name}={value}")[:16]
        for candidate, value in zip(candidates, values, strict=True)
    ]


def _metadata(row: DataRow, plan: SplitPlan, used: frozenset[str]) -> dict[str, Any]:
    """Short fields the template does not use: what results may later be grouped by."""
    short = {
        name: value
        for name, value in row.fields.items()
        if name not in used
        and (
            isinstance(value, bool | int | float)
            or (isinstance(value, str) and 0 < len(value) <= _METADATA_CHARS)
        )
    }
    return short if plan.pooled else short | {"source_split": row.split}


def _limited(examples: Sequence[Example], spec: DataSpec, dropped: Counter[str]) -> list[Example]:
    """The first examples of each split up to its limit."""
    kept, sizes = [], Counter[Split]()
    for example in examples:
        limit = spec.limits.get(example.split)
        if limit is not None and sizes[example.split] >= limit:
            dropped[f"beyond the limit of {limit} for {example.split}"] += 1
            continue
        sizes[example.split] += 1
        kept.append(example)
    return kept


def _check_splits(
    kept: Sequence[Example],
    spec: DataSpec,
    plan: SplitPlan,
    dropped: Counter[str],
    source: DataSource,
) -> None:
    filled = {example.split for example in kept}
    empty = [split for split in plan.asked if split not in filled and spec.limits.get(split) != 0]
    if not empty:
        return
    losses = ", ".join(f"{reason}: {n}" for reason, n in dropped.most_common())
    lost = f" Dropped: {losses}." if losses else ""
    most = max(Counter(example.cluster for example in kept).values(), default=0)
    if spec.cluster == "near" and most > len(kept) / 2:
        lost += (
            f" The inputs of {most} are near-identical and stay in one split; if what they share "
            "is no reason to keep them together, set data.cluster to exact."
        )
    raise DataError(
        f"The split {empty[0]!r} is empty: of {source.name}, {len(kept)} examples were kept and "
        f"none fell into it.{lost}",
        where="data.split_map" if spec.split_map else "data.splits",
        hint="Use more rows, give the split a larger share, or name in data.splits only the "
        "splits this suite needs.",
    )


def _leakage(examples: Sequence[Example]) -> list[str]:
    """Say how many clusters the source's own splits tear apart. Nothing is dropped for it."""
    members: dict[str, dict[Split, list[str]]] = defaultdict(lambda: defaultdict(list))
    for example in examples:
        members[example.cluster][example.split].append(example.id)
    torn = {cluster: ids_of for cluster, ids_of in members.items() if len(ids_of) > 1}
    if not torn:
        return []
    n_rows = sum(len(ids) for ids_of in torn.values() for ids in ids_of.values())
    first = " and ".join(f"{split}/{min(ids)}" for split, ids in torn[min(torn)].items())
    return [
        f"Leakage: {len(torn)} clusters of near-identical inputs ({n_rows} rows) lie in more than "
        f"one split, because the source's own splits have them there; for example {first}. "
        "None was dropped."
    ]


def check_first_rows(
    source: DataSource, spec: DataSpec, prompt: PromptSpec
) -> list[tuple[str, ...]]:
    """Render the first rows of a source that is quick to read; others are left for the run.

    Quick to read are the built-in's known fields and local JSONL, JSON and CSV files that are not
    large. A chat is rendered without its tokenizer's template.

    Args:
        source: Where ``spec`` leads to.
        spec: The suite's data.
        prompt: The suite's prompt.

    Returns:
        The references of each row that was kept; none of a built-in source.

    Raises:
        DataError: A file cannot be read, or the source holds no rows.
        PromptError: The template is invalid, names a field that a row lacks, or fails.
    """
    template = Template(prompt, plain_chat if prompt.is_chat else None)
    if source.kind == "hub":
        return []
    files = _files(source, spec)
    quick = [
        (path, split, read)
        for path, split, read in files
        if read is not read_parquet and path.stat().st_size <= _MOST_BYTES
    ]
    rows = [row for path, split, read in quick for row in islice(read(path, split), _FIRST)]
    if source.kind == "builtin":
        rows = [DataRow(dict.fromkeys(FIELDS, "text"), DEFAULT_SPLIT, source.name)]
    elif not rows and len(quick) == len(files):
        raise no_rows(spec)
    counts = Counts()
    rows = [_cleaned(row, counts)[0] for row in rows]
    kept = render_all(spec, template, rows, [row.where for row in rows], counts)
    return [] if source.kind == "builtin" else [row.rendered.references for row in kept]
