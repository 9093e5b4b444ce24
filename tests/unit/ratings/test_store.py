"""Sheets and ratings in the store."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from harness.digests import short_digest
from harness.errors import StoreError
from harness.ratings.records import AutoTie, Item, Rating, ReturnedFile, SheetPlan, SheetRow
from harness.ratings.store import (
    Sheets,
    StoredRatings,
    read_ratings,
    read_sheets,
    write_ratings,
    write_sheets,
)
from harness.store.runs import Store
from harness.suite.ratings import CRITERIA


def _sheets() -> Sheets:
    identity = {"seed": 1, "items": ["e1"]}
    return Sheets(
        key=short_digest(identity),
        plan=SheetPlan(
            id="bcdfgh",
            run="suite/run",
            task="summaries",
            variants=("base", "tuned"),
            baseline="base",
            predictions={"base": "k1", "tuned": "k2"},
            raters=("ada",),
            criteria=tuple(CRITERIA.values()),
            pairs=(("base", "tuned"),),
            splits=("report",),
            seed=1,
        ),
        items=(
            Item(
                id="e1",
                cluster="c1",
                split="report",
                prompt="Line\u2028separator\n",
                outputs={"base": "", "tuned": "=1+1 \U0001f600"},
            ),
        ),
        rows=(
            SheetRow(
                token="bcdfghjk",  # noqa: S106  # of a row
                rater="ada",
                position=1,
                kind="pair",
                item="e1",
                variants=("base", "tuned"),
            ),
        ),
        ties=(AutoTie(item="e2", variants=("base", "tuned")),),
        identity=identity,
    )


def _file(content: bytes, name: str = "ada.csv") -> ReturnedFile:
    return ReturnedFile(
        name=name,
        digest=hashlib.sha256(content).hexdigest(),
        rater="ada",
        format="csv",
        rows=1,
        imported="2025-01-01T00:00:00+00:00",
    )


def _rating(position: int, file: ReturnedFile) -> Rating:
    return Rating(
        token="bcdfghjk"[:7] + "lmnpq"[position],
        rater="ada",
        kind="scale",
        purpose="main",
        item="e1",
        variants=("tuned",),
        position=position,
        scores={"fluency": 4, "relevance": None},
        comment="naïve\n…",
        file=file.digest,
    )


def test_sheets_come_back_as_they_were_written(tmp_path: Path) -> None:
    """Whatever the texts hold; and the store says what their key depends on."""
    store, sheets = Store(tmp_path), _sheets()
    write_sheets(store, sheets)
    assert read_sheets(store, sheets.key) == sheets
    assert store.identity("sheets", sheets.key) == {"seed": 1, "items": ["e1"]}


def test_sheets_that_are_kept_are_left_alone(tmp_path: Path) -> None:
    """Writing them again changes no file."""
    store, sheets = Store(tmp_path), _sheets()
    write_sheets(store, sheets)
    before = {p: p.stat().st_mtime_ns for p in store.path("sheets", sheets.key).iterdir()}
    write_sheets(store, sheets)
    assert {p: p.stat().st_mtime_ns for p in store.path("sheets", sheets.key).iterdir()} == before


@pytest.mark.parametrize("name", ["plan.json", "items.jsonl", "rows.jsonl", "ties.jsonl"])
def test_damaged_sheets_name_the_file_and_the_way_back(tmp_path: Path, name: str) -> None:
    """They can be made again, row by row, and must not just be thrown away."""
    store, sheets = Store(tmp_path), _sheets()
    write_sheets(store, sheets)
    path = store.path("sheets", sheets.key) / name
    path.write_text("{")
    with pytest.raises(StoreError, match="sheet export again") as error:
        read_sheets(store, sheets.key)
    assert error.value.where == str(path)
    assert "Delete" not in str(error.value)


def test_ratings_and_the_bytes_they_came_in_are_kept(tmp_path: Path) -> None:
    """Each return lies beside the ratings under its digest, as it was sent."""
    store, content = Store(tmp_path), b"row;fluency\r\nbcdfghjk;4\r\n"
    file = _file(content)
    key = write_ratings(store, "s", [_rating(1, file)], [file], {file.digest: content})
    assert read_ratings(store, key) == StoredRatings((_rating(1, file),), (file,))
    returned = store.path("ratings", key) / "returns" / f"{file.digest}.csv"
    assert returned.read_bytes() == content


def test_the_same_returns_have_the_same_key(tmp_path: Path) -> None:
    """In whatever order they come, whenever they are imported; other sheets have another."""
    store = Store(tmp_path)
    one, two = _file(b"1"), _file(b"2", "b.csv")
    blobs = {one.digest: b"1", two.digest: b"2"}
    ratings = [_rating(1, one), _rating(2, two)]
    key = write_ratings(store, "s", ratings, [one, two], blobs)
    later = two.model_copy(update={"imported": "2025-02-02T00:00:00+00:00", "name": "c.csv"})
    assert write_ratings(store, "s", ratings[::-1], [later, one], {}) == key
    assert write_ratings(store, "other", ratings, [one, two], blobs) != key
    assert write_ratings(store, "s", ratings[:1], [one, two], blobs) != key


def test_a_new_result_holds_all_earlier_returns(tmp_path: Path) -> None:
    """Bytes that came earlier are taken over, so that the last result alone suffices."""
    store = Store(tmp_path)
    one, two = _file(b"1"), _file(b"2")
    first = write_ratings(store, "s", [_rating(1, one)], [one], {one.digest: b"1"})
    both = [_rating(1, one), _rating(2, two)]
    second = write_ratings(store, "s", both, [one, two], {two.digest: b"2"})
    assert first != second
    kept = store.path("ratings", second) / "returns"
    assert {path.read_bytes() for path in kept.iterdir()} == {b"1", b"2"}
    assert len(read_ratings(store, first).files) == 1  # and what was there is as it was


def test_returns_that_are_gone_are_missed(tmp_path: Path) -> None:
    """Nothing is written that would forget what a rater sent; a changed copy does not pass."""
    store = Store(tmp_path)
    one = _file(b"1")
    with pytest.raises(StoreError, match="is not kept any more"):
        write_ratings(store, "s", [_rating(1, one)], [one], {})
    key = write_ratings(store, "s", [_rating(1, one)], [one], {one.digest: b"1"})
    (store.path("ratings", key) / "returns" / f"{one.digest}.csv").write_bytes(b"changed")
    with pytest.raises(StoreError, match="was changed"):
        write_ratings(store, "s", [_rating(2, one)], [one], {})
    assert store.keys("ratings") == [key]


def test_bytes_must_be_those_of_their_digest(tmp_path: Path) -> None:
    """A file that changed while it was imported is refused, and leaves nothing behind."""
    store, one = Store(tmp_path), _file(b"1")
    with pytest.raises(StoreError, match="are not those of its digest"):
        write_ratings(store, "s", [_rating(1, one)], [one], {one.digest: b"2"})
    assert store.keys("ratings") == []
    assert list((tmp_path / ".store" / "ratings").iterdir()) == []


def test_damaged_ratings_say_where_the_returns_lie(tmp_path: Path) -> None:
    """People's work is never to be deleted: the error names the folder of what they sent."""
    store, one = Store(tmp_path), _file(b"1")
    key = write_ratings(store, "s", [_rating(1, one)], [one], {one.digest: b"1"})
    folder = store.path("ratings", key)
    (folder / "ratings.jsonl").write_text(json.dumps({"token": "x"}) + "\n")
    with pytest.raises(StoreError, match="Do not delete it") as error:
        read_ratings(store, key)
    assert str(folder / "returns") in str(error.value)
    with pytest.raises(StoreError, match="Do not delete it"):
        read_ratings(store, "missing")
