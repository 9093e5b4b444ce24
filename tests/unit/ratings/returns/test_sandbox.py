"""Files of strangers end their reader, not the import; every input here is harmless."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.errors import DataError, HarnessError, UsageError
from harness.ratings.returns.returns import read_return
from harness.ratings.returns.sandbox import Limits, ReturnReader

ROW = "row,fluency,comment\nbcdfghjk,5,"


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    path = tmp_path / "ada.csv"
    path.write_text(ROW + "fine\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def reader() -> Iterator[ReturnReader]:
    with ReturnReader() as made:
        yield made


def test_a_file_is_read_as_it_is_without(reader: ReturnReader, sheet: Path) -> None:
    """What comes through the process is what the reader gives, with the bytes of the file."""
    assert reader.read(sheet) == read_return(sheet)


def test_messages_come_through(reader: ReturnReader, tmp_path: Path, sheet: Path) -> None:
    """A refusal is the same, word by word, and the next file is read."""
    picture = tmp_path / "x.csv"
    picture.write_bytes(b"\x89PNG")
    with pytest.raises(DataError) as direct:
        read_return(picture)
    with pytest.raises(UsageError) as through:
        reader.read(picture)
    assert str(through.value) == str(direct.value)
    assert reader.read(sheet).rows
    with pytest.raises(DataError, match="No such file"):
        reader.read(tmp_path / "missing.csv")


def test_words_are_asked_for_where_they_decide(tmp_path: Path) -> None:
    """Words of the sheet are looked up for texts in an encoding that has to be told."""
    asked = []

    def words() -> set[str]:
        asked.append(True)
        return {"좋"}

    path = tmp_path / "ada.csv"
    with ReturnReader(words) as reader:
        path.write_bytes((ROW + "좋\n").encode())
        assert reader.read(path).rows[0].cells["comment"] == "좋"
        assert not asked
        path.write_bytes((ROW + "좋\n").encode("cp949"))
        assert reader.read(path).rows[0].cells["comment"] == "좋"
    assert asked


def ending(code: str) -> Sequence[str]:
    """A reader that does this instead of answering."""
    start = "import os, signal, sys, time; print('ready', flush=True); sys.stdin.readline(); "
    return (sys.executable, "-c", start + code)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("os._exit(3)", r"ended on it \(exit code 3\)"),
        ("os.kill(os.getpid(), signal.SIGTERM)", r"ended on it \(SIGTERM\)"),
        ("os.kill(os.getpid(), signal.SIGXCPU)", "given up after 60 s of computing"),
        ("os.write(2, b'memory allocation of 9 bytes failed'); os._exit(1)", "more than 512 MiB"),
        ("print(5, end='')", r"ended on it \(exit code 0\)"),
    ],
)
def test_a_reader_that_ends_is_told_with_its_file(sheet: Path, code: str, why: str) -> None:
    """One line with the file, and another process for the next one."""
    with ReturnReader(command=ending(code)) as reader:
        for _ in range(2):
            with pytest.raises(DataError, match=why) as caught:
                reader.read(sheet)
            assert caught.value.where == str(sheet)
            assert "\n" not in str(caught.value)


def test_a_reader_that_does_not_start_is_no_fault_of_the_file(sheet: Path) -> None:
    """Its last words are told."""
    command = (sys.executable, "-c", "raise SystemExit('no such module')")
    with (
        ReturnReader(command=command) as reader,
        pytest.raises(HarnessError, match=r"does not start\. no such module"),
    ):
        reader.read(sheet)


def test_a_reader_that_waits_is_given_up(sheet: Path) -> None:
    """Time passes also where nothing is computed."""
    limits = Limits(seconds=1)
    with (
        ReturnReader(limits=limits, command=ending("time.sleep(60)")) as reader,
        pytest.raises(DataError, match="given up after 1 s"),
    ):
        reader.read(sheet)


def test_memory_is_bounded_per_file(tmp_path: Path, sheet: Path) -> None:
    """A file that takes more than it may is told; a small one after it is read."""
    large = tmp_path / "large.csv"
    large.write_text(ROW + "x" * 2**23, "utf-8")
    with ReturnReader(limits=Limits(memory=2**24)) as reader:
        with pytest.raises(DataError, match="more than 16 MiB of memory"):
            reader.read(large)
        assert reader.read(sheet).rows
    with ReturnReader() as reader:
        assert reader.read(large).rows


def test_an_answer_is_bounded(tmp_path: Path, sheet: Path) -> None:
    """A reader that never ends its line is stopped."""
    with (
        ReturnReader(command=ending("[os.write(1, b'x' * 2**16) for _ in range(2**20)]")) as reader,
        pytest.raises(DataError, match="more than 512 MiB"),
    ):
        reader.read(sheet)
