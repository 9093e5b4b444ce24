"""Rows become candidates: given an id, rendered, and dropped with a reason where they must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.data.prompts import Rendered, RowError, Template
from harness.data.rows import DataRow
from harness.data.splits import SplitPlan
from harness.digests import value_digest
from harness.errors import DataError, PromptError
from harness.hints import choices
from harness.suite.spec import DataSpec


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened to rows on the way.

    Attributes:
        dropped: Reason -> rows dropped for it.
        changed: What was changed in rows that were kept -> number of rows.
    """

    dropped: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class RenderedRow:
    """A row that was rendered and kept so far."""

    id: str
    row: DataRow
    rendered: Rendered
    input_text: str


def check_fields(spec: DataSpec, rows: Sequence[DataRow]) -> None:
    """Refuse a source without rows, and settings that name a field no row has."""
    if not rows:
        raise no_rows(spec)
    known = {name for row in rows for name in row.fields}
    named = [("data.required_fields", name) for name in spec.required_fields]
    if spec.id_field is not None:
        named.append(("data.id_field", spec.id_field))
    if spec.cluster.startswith("field:"):
        named.append(("data.cluster", spec.cluster.removeprefix("field:")))
    elif spec.cluster not in ("near", "exact"):
        raise DataError(
            f"cluster must be near, exact or field:<name>, found {spec.cluster!r}.",
            where="data.cluster",
        )
    for where, name in named:
        if name not in known:
            raise DataError(
                f"No row has the field {name!r}.",
                where=where,
                hint=choices(name, sorted(known), "The fields are"),
            )


def no_rows(spec: DataSpec) -> DataError:
    """What is wrong with a source that is empty."""
    name = spec.source or ", ".join(spec.files.values())
    return DataError(
        f"The source holds no rows: {name}.",
        where="data.source" if spec.source else "data.files",
    )


def row_ids(spec: DataSpec, rows: Sequence[DataRow], plan: SplitPlan) -> list[str]:
    """Ids by ``id_field``, or else digests of the rows' content.

    The content of a row that lies in two of the source's own splits gives two ids, so that both
    can be kept apart.
    """
    if spec.id_field is None:
        return [value_digest([row.fields, None if plan.pooled else row.split])[:16] for row in rows]
    first: dict[str, str] = {}
    ids = []
    for row in rows:
        value = row.fields.get(spec.id_field)
        name = "" if value is None else str(value).strip()
        if not name:
            raise DataError(
                f"The id field {spec.id_field!r} is missing or empty.",
                where=row.where,
                hint="Leave data.id_field out to take a digest of the row as its id.",
            )
        if name in first:
            raise DataError(
                f"The id {name!r} is also that of {first[name]}; ids must be unique.",
                where=row.where,
                hint="Name another data.id_field, or leave it out.",
            )
        first[name] = row.where
        ids.append(name)
    return ids


def render_all(
    spec: DataSpec,
    template: Template,
    rows: Sequence[DataRow],
    ids: Sequence[str],
    counts: Counts,
) -> list[RenderedRow]:
    """Render every row; rows without what they need are dropped with their reason."""
    candidates = []
    for row, row_id in zip(rows, ids, strict=True):
        try:
            rendered = _render(spec, template, row, counts)
        except RowError as error:
            counts.dropped[error.reason] += 1
        except PromptError as error:
            problem = f"{error.problem} The row is {row.where}."
            raise PromptError(problem, where=error.where or "prompt", hint=error.hint) from error
        else:
            candidates.append(RenderedRow(row_id, row, rendered, template.input_text(row.fields)))
    return candidates


def _render(spec: DataSpec, template: Template, row: DataRow, counts: Counts) -> Rendered:
    for name in spec.required_fields:
        if is_blank(row.fields.get(name)):
            raise RowError(f"empty field {name!r}")
    rendered = template.render(row.fields)
    references = tuple(reference for reference in rendered.references if reference)
    n_chars = len(rendered.prompt)
    if 0 < len(references) < len(rendered.references):
        counts.changed["had blank references, which were left out"] += 1
    if not references:
        raise RowError("empty reference")
    if template.has_completion and not rendered.completion.strip():
        raise RowError("empty completion")
    if n_chars < spec.min_chars:
        raise RowError(f"prompt shorter than {spec.min_chars} characters")
    if spec.max_chars is not None and n_chars > spec.max_chars:
        raise RowError(f"prompt longer than {spec.max_chars} characters")
    return replace(rendered, references=references)


def is_blank(value: Any) -> bool:
    """Whether a field says nothing: null, an empty list or object, or only whitespace."""
    return value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())


def without_duplicates(
    candidates: Sequence[RenderedRow], plan: SplitPlan, counts: Counts
) -> list[RenderedRow]:
    """Keep one of the rows with equal prompt and completion; its id does not depend on order.

    Copies in two of the source's own splits both stay: that is leakage, to be seen and not hidden.
    """
    kept: dict[tuple[str, str, str], RenderedRow] = {}
    for candidate in candidates:
        own = "" if plan.pooled else candidate.row.split
        key = (own, candidate.rendered.prompt, candidate.rendered.completion)
        earlier = kept.get(key)
        if earlier is not None:
            counts.dropped["duplicate"] += 1
        if earlier is None or candidate.id < earlier.id:
            kept[key] = candidate
    return list(kept.values())
