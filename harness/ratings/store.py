"""Sheets and ratings in the store.

Layout of a result of kind ``sheets``::

    identity.json   what the key depends on
    plan.json       the plan
    items.jsonl     examples and outputs
    rows.jsonl      the key to every row: which variants it shows
    ties.jsonl      equal outputs

and of kind ``ratings``, one per state of what has come back; each holds all that the last one did::

    identity.json                 the sheets, the returned files, and a digest of the ratings
    ratings.jsonl                 every judgement
    files.jsonl                   every returned file
    returns/<sha256>.<format>     its bytes, as the rater sent them
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.digests import short_digest
from harness.errors import StoreError
from harness.ratings.records import (
    AutoTie,
    Item,
    Rating,
    ReturnedFile,
    SheetPlan,
    SheetRow,
    Sheets,
    lean,
)
from harness.store.runs import Store

RETURNS = "returns"  # folder of the files that raters sent back


@dataclass(frozen=True)
class StoredRatings:
    """What has come back so far."""

    ratings: tuple[Rating, ...] = ()  # every judgement
    files: tuple[ReturnedFile, ...] = ()  # every returned file that was imported


def write_sheets(store: Store, sheets: Sheets) -> None:
    """Keep an export; nothing happens where it is kept already.

    Raises:
        DiskError: It cannot be written.
    """
    if store.has("sheets", sheets.key):
        return
    with store.writing("sheets", sheets.key, sheets.identity) as folder:
        store.write_record(folder, "plan", sheets.plan)
        store.write_records(folder, "items", sheets.items)
        store.write_records(folder, "rows", sheets.rows)
        store.write_records(folder, "ties", sheets.ties)


def read_sheets(store: Store, key: str) -> Sheets:
    """Read an export.

    Raises:
        StoreError: It is missing or damaged. Raters' answers can then not be told apart any more,
            unless the same export is made again.
    """
    hint = (
        "Move the folder away (keep it) and run harness sheet export again: the same run and suite "
        "give the same sheets, row by row."
    )
    with _hinted(hint):
        return Sheets(
            key=key,
            plan=store.read_record("sheets", key, "plan", SheetPlan),
            items=tuple(store.read_records("sheets", key, "items", Item)),
            rows=tuple(lean(store.read_records("sheets", key, "rows", SheetRow))),
            ties=tuple(store.read_records("sheets", key, "ties", AutoTie)),
            identity=store.identity("sheets", key),
        )


def write_ratings(
    store: Store,
    sheets_key: str,
    ratings: Sequence[Rating],
    files: Sequence[ReturnedFile],
    blobs: Mapping[str, bytes],
) -> str:
    """Keep what has come back so far, beside what was kept before.

    Args:
        store: Where to.
        sheets_key: The export that it answers.
        ratings: All ratings so far, those known before included.
        files: All returned files so far, likewise.
        blobs: Digest -> bytes of the files that are new; the others' are taken over from earlier
            results.

    Returns:
        The key: equal ratings of equal files have equal keys, whenever and in whatever order they
        came.

    Raises:
        StoreError: Some file's bytes are neither given nor kept, or are not those of its digest.
        DiskError: It cannot be written.
    """
    ratings = sorted(ratings, key=lambda rating: (rating.rater, rating.kind, rating.position))
    files = sorted(files, key=lambda file: file.digest)
    digest = hashlib.sha256()
    for rating in ratings:
        digest.update(f"{rating.model_dump_json()}\n".encode())
    identity = {
        "sheets": sheets_key,
        "files": [file.digest for file in files],
        "ratings": digest.hexdigest(),
    }
    key = short_digest(identity)
    if store.has("ratings", key):
        return key
    with store.writing("ratings", key, identity) as folder:
        (folder / RETURNS).mkdir()
        for file in files:
            content = blobs.get(file.digest)
            if content is None:
                content = _kept_bytes(store, file)
            elif hashlib.sha256(content).hexdigest() != file.digest:
                raise StoreError(
                    f"The bytes of {file.name} are not those of its digest {file.digest}.",
                    where=file.name,
                    hint="Leave the file as it is while it is imported, and import it again.",
                )
            _blob(folder, file).write_bytes(content)
        store.write_records(folder, "ratings", ratings)
        store.write_records(folder, "files", files)
    return key


def read_ratings(store: Store, key: str) -> StoredRatings:
    """Read what has come back.

    Raises:
        StoreError: It is missing or damaged; says where the files that raters sent still lie.
    """
    returns = store.path("ratings", key) / RETURNS
    hint = (
        "Do not delete it: raters' work cannot be computed anew. What they sent back lies in "
        f"{returns}; copy that folder, move the result away, and import the files again with "
        "harness sheet import."
    )
    with _hinted(hint):
        return StoredRatings(
            ratings=tuple(lean(store.read_records("ratings", key, "ratings", Rating))),
            files=tuple(store.read_records("ratings", key, "files", ReturnedFile)),
        )


def ratings_of(store: Store, sheets_key: str) -> str | None:
    """The fullest result of ratings of an export, whichever run it was made for; None without any.

    Sheets depend on what is shown and asked, not on the run, so another run of the same results
    (with other rules of choosing, say) can take its ratings over.
    """
    results = [
        (len(identity["files"]), store.path("ratings", key).stat().st_mtime, key)
        for key in store.keys("ratings")
        if (identity := store.identity("ratings", key)).get("sheets") == sheets_key
    ]
    return max(results)[2] if results else None


@contextmanager
def _hinted(hint: str) -> Iterator[None]:
    """Give errors of the store another way out than computing a result anew."""
    try:
        yield
    except StoreError as error:
        raise StoreError(error.problem, where=error.where, hint=hint) from error


def _blob(folder: Path, file: ReturnedFile) -> Path:
    """Where a returned file's bytes lie in a result's folder."""
    return folder / RETURNS / f"{file.digest}.{file.format}"


def _kept_bytes(store: Store, file: ReturnedFile) -> bytes:
    """A returned file's bytes, from whichever earlier result holds them whole."""
    looked_at = []
    for key in store.keys("ratings"):
        path = _blob(store.path("ratings", key), file)
        if path.is_file():
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == file.digest:
                return content
            looked_at.append(str(path))
    changed = f"; what is kept of it was changed: {', '.join(looked_at)}" if looked_at else ""
    raise StoreError(
        f"What {file.rater} sent back earlier, {file.name}, is not kept any more{changed}.",
        where=str(store.path("ratings", "")),
        hint="Import it again together with the new ones; nothing was changed.",
    )
