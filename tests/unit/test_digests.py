"""Digests of files, texts and values."""

import concurrent.futures
import hashlib
import os
import sqlite3
import time

import pytest

from harness import digests
from harness.digests import file_digest, short_digest, text_digest, value_digest
from harness.errors import UsageError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("HARNESS_CACHE", str(folder))
    return folder


@pytest.fixture
def big(tmp_path, monkeypatch):
    """A file that counts as big and has not changed for a while."""
    monkeypatch.setattr(digests, "_REMEMBERED_BYTES", 1)
    monkeypatch.setattr(digests, "_SETTLED_NS", -1)
    path = tmp_path / "weights.bin"
    path.write_bytes(b"abc")
    return path


# FIPS 180-2, appendix B.1
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_file_digest_is_sha256(tmp_path):
    """The published sha256 of "abc" comes out, from a small file."""
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert file_digest(path) == ABC
    assert file_digest(str(path)) == ABC


def test_a_big_file_is_read_once(big, monkeypatch):
    """A remembered digest is told without reading the file again."""
    assert file_digest(big) == ABC
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert file_digest(big) == ABC


def test_other_content_of_equal_size_and_time_is_noticed(big):
    """Unpacking an archive can restore size and time of an older file; the digest is not stale."""
    status = big.stat()
    assert file_digest(big) == ABC
    time.sleep(0.02)  # one tick of the file system's clock
    big.write_bytes(b"abd")
    os.utime(big, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file_digest(big) == hashlib.sha256(b"abd").hexdigest()


def test_a_file_written_just_now_is_not_remembered(big, monkeypatch):
    """A file could change again within one tick of the clock, so its digest is not kept yet."""
    monkeypatch.setattr(digests, "_SETTLED_NS", 10**12)
    assert file_digest(big) == ABC
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: hashlib.sha256(b"read again"))
    assert file_digest(big) == hashlib.sha256(b"read again").hexdigest()


def test_an_unusable_cache_costs_no_result(big, cache):
    """Digests are right where the cache is damaged or cannot be created."""
    cache.mkdir()
    (cache / "digests.sqlite3").write_bytes(b"not a database" * 100)
    assert file_digest(big) == ABC
    (cache / "digests.sqlite3").unlink()
    cache.rmdir()
    cache.write_text("a file where the folder should be")
    assert file_digest(big) == ABC


def test_many_writers_at_once(big, tmp_path, cache):
    """Concurrent processes may digest different files into one cache."""
    paths = []
    for i in range(24):
        path = tmp_path / f"f{i}"
        path.write_bytes(b"x" * (i + 1))
        paths.append(path)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(file_digest, paths))
    assert found == [hashlib.sha256(b"x" * (i + 1)).hexdigest() for i in range(24)]
    connection = sqlite3.connect(cache / "digests.sqlite3")
    (n,) = connection.execute("SELECT count(*) FROM file_digest").fetchone()
    connection.close()
    assert n == 24


def test_missing_file_is_a_usage_error(tmp_path):
    """A file that is not there is named."""
    with pytest.raises(UsageError, match=r"gone\.bin: Cannot read this file"):
        file_digest(tmp_path / "gone.bin")


def test_value_digest_ignores_the_order_of_keys():
    """Equal JSON values have equal digests, and text digests take lone surrogates."""
    assert value_digest({"a": 1, "b": [2]}) == value_digest({"b": [2], "a": 1})
    assert value_digest([1, 2]) != value_digest([2, 1])
    assert text_digest("abc") == ABC
    assert len(text_digest("\ud800")) == 64


def test_equal_values_have_equal_digests_whatever_their_order() -> None:
    """A key depends on content, not on the order of a mapping."""
    assert short_digest({"a": 1, "b": [1, 2]}) == short_digest({"b": [1, 2], "a": 1})
    assert short_digest({"a": 1}) != short_digest({"a": 2})


def test_a_digest_is_the_first_20_digits_of_the_sha256_of_canonical_json() -> None:
    r"""The value was computed with: printf '{"a":1}' | sha256sum."""
    assert short_digest({"a": 1}) == "015abd7f5cc57a2dd94b"


def test_every_digest_of_a_value_takes_half_of_a_surrogate_pair():
    r"""The value was computed with: printf '{"a":"\xed\xa0\x80"}' | sha256sum."""
    assert value_digest({"a": "\ud800"}).startswith("ac0c777c2228e0f98767")
    assert short_digest({"a": "\ud800"}) == "ac0c777c2228e0f98767"
