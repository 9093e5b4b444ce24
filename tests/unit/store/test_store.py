"""The store: whole results or none, and errors that say what to do."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.errors import DiskError, StoreError, UsageError
from harness.schema import Finding, Manifest, Prediction
from harness.store.store import Store, digest_of, find_run, make_folder, room_on_disk, write_atomic


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def prediction(text: str) -> Prediction:
    return Prediction(example_id="a", text=text, prompt_tokens=1, new_tokens=1, finish_reason="eos")


def test_equal_values_have_equal_digests_whatever_their_order() -> None:
    """A key depends on content, not on the order of a mapping."""
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})


def test_a_digest_is_the_first_20_digits_of_the_sha256_of_canonical_json() -> None:
    """The value was computed with: printf '{"a":1}' | sha256sum."""
    assert digest_of({"a": 1}) == "015abd7f5cc57a2dd94b"


def test_a_result_appears_only_when_its_writing_ended(store: Store) -> None:
    """Readers never see a half-written result."""
    with store.writing("predictions", "k", {"x": 1}) as folder:
        store.write_records(folder, "predictions", [prediction("hi")])
        assert not store.has("predictions", "k")
    assert store.has("predictions", "k")
    assert store.identity("predictions", "k") == {"x": 1}
    assert store.read_records("predictions", "k", "predictions", Prediction)[0].text == "hi"


def test_a_failed_write_leaves_nothing(store: Store) -> None:
    """An error inside the block removes the temporary folder."""
    with pytest.raises(FileNotFoundError), store.writing("scores", "k", {}) as folder:
        (folder / "no such folder" / "part").write_text("x")
    assert not store.has("scores", "k")
    assert list((store.root / ".store" / "scores").iterdir()) == []


def test_a_leftover_of_a_killed_process_is_not_a_result(store: Store) -> None:
    """A temporary folder without identity is ignored."""
    folder = store.root / ".store" / "scores" / ".k.abc"
    folder.mkdir(parents=True)
    (folder / "scores.jsonl").write_text("{}")
    assert store.keys("scores") == []


@pytest.mark.parametrize("text", ["a\nb", "\u2028", "\x00", "\x1b[31m", "</script>", "\u202e", "é"])
def test_any_text_survives_a_round_trip(store: Store, text: str) -> None:
    """What a model wrote comes back unchanged, line separators included."""
    with store.writing("predictions", "k", {}) as folder:
        store.write_records(folder, "predictions", [prediction(text), prediction("next")])
    read = store.read_records("predictions", "k", "predictions", Prediction)
    assert [p.text for p in read] == [text, "next"]


def test_a_damaged_record_names_its_file_and_the_mend(store: Store) -> None:
    """A truncated file is told as such, with what to delete."""
    with store.writing("scores", "k", {}) as folder:
        store.write_records(folder, "findings", [Finding(check="c", severity="info", what="w")])
    path = store.path("scores", "k") / "findings.jsonl"
    path.write_text(path.read_text()[:20])
    with pytest.raises(StoreError, match="Not a valid Finding") as caught:
        store.read_records("scores", "k", "findings", Finding)
    assert str(path) in str(caught.value)
    assert "Delete" in str(caught.value)


def test_damaged_statistics_name_their_file(store: Store) -> None:
    """An unreadable npz is an error with a hint, not a traceback of numpy's."""
    with store.writing("scores", "k", {}) as folder:
        np.savez(folder / "stats.npz", a=np.zeros((2, 2)))
    assert store.read_stats("k")["a"].shape == (2, 2)
    (store.path("scores", "k") / "stats.npz").write_bytes(b"no")
    with pytest.raises(StoreError, match="per-example statistics"):
        store.read_stats("k")


def test_no_damage_to_statistics_is_a_traceback(store: Store) -> None:
    """Cut off anywhere, or with any one bit flipped: an error that names the file, or no harm."""
    with store.writing("scores", "k", {}) as folder:
        np.savez_compressed(folder / "stats.npz", a=np.arange(6.0).reshape(3, 2), b=np.array(["x"]))
    path = store.path("scores", "k") / "stats.npz"
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreError) as caught:
            store.read_stats("k")
        assert str(path) in str(caught.value)
        assert "Delete" in str(caught.value)
    refused = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            store.read_stats("k")
        except StoreError:
            refused += 1
    assert refused > len(whole) / 2  # the other bits are of times, flags and the like


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    """No space left on the device becomes a message with a hint, and nothing half-written."""
    with pytest.raises(DiskError, match="no room left") as caught, room_on_disk(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.exit_code == 2
    assert "prune" in str(caught.value)


def test_a_file_that_cannot_be_made_is_told_with_the_caller_s_mend() -> None:
    """Also where the system says only that there is no such place."""
    with pytest.raises(DiskError, match="cannot be written") as caught:
        write_atomic(Path("/proc/nosuch/a.txt"), "text", hint="Choose another with --output.")
    assert caught.value.hint == "Choose another with --output."


def test_a_folder_is_made_and_tried_before_it_is_needed(tmp_path: Path) -> None:
    """A folder in which no file can be made is told at once; the trial leaves nothing."""
    make_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    for place in (Path("/proc/x"), Path("/proc/self"), Path("/dev/null")):
        with pytest.raises(DiskError, match="cannot be written") as caught:
            make_folder(place, hint="Choose another with --output.")
        assert caught.value.hint == "Choose another with --output."


def test_an_atomic_write_replaces_the_file_in_one_step(tmp_path: Path) -> None:
    """The old content stands until the new one is whole."""
    path = tmp_path / "a.txt"
    write_atomic(path, "one")
    write_atomic(path, "two")
    assert path.read_text() == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_the_second_of_two_equal_results_is_dropped(store: Store) -> None:
    """Two processes that compute the same cell do not disturb each other."""
    with store.writing("scores", "k", {"n": 1}) as first:
        (first / "who").write_text("first")
        with store.writing("scores", "k", {"n": 1}) as second:
            (second / "who").write_text("second")
    assert (store.path("scores", "k") / "who").read_text() == "second"
    assert len(list((store.root / ".store" / "scores").iterdir())) == 1


def test_an_unknown_run_is_answered_with_what_there_is(tmp_path: Path) -> None:
    """A wrong run name says where was looked and how to make one."""
    with pytest.raises(UsageError, match="harness eval"):
        find_run("nosuch", tmp_path)


def manifest(suite: str, run_id: str, updated: str) -> Manifest:
    return Manifest(
        run_id=run_id,
        suite=suite,
        suite_digest="d",
        spec={},
        command="harness eval",
        created=updated,
        updated=updated,
        complete=True,
        variants=(),
        baseline="base",
        cells=(),
    )


def test_another_suite_s_damaged_manifest_is_not_in_the_way(store: Store) -> None:
    """A run is found beside it; it hides its own suite's latest, and is named where all fails."""
    store.write_manifest(manifest("one", "r1", "2026-01-01"))
    store.write_manifest(manifest("two", "r2", "2026-01-02"))
    path = store.write_manifest(manifest("two", "r3", "2026-01-03"))
    path.write_text(path.read_text()[:40])
    for name in ("one", "one/r1", "r1"):
        assert find_run(name, store.root)[1].run_id == "r1"
    assert find_run("two/r2", store.root)[1].run_id == "r2"
    for name in ("two", "two/r3", "r3"):
        with pytest.raises(StoreError, match="Not a valid Manifest") as caught:
            find_run(name, store.root)
        assert str(path) in str(caught.value)
    with pytest.raises(UsageError, match=r"two/r2, one/r1; unreadable: two/r3\."):
        find_run("nosuch", store.root)


def test_all_manifests_means_all(store: Store) -> None:
    """What prunes by them must not take a damaged one for none."""
    store.write_manifest(manifest("one", "r1", "2026-01-01"))
    store.write_manifest(manifest("two", "r2", "2026-01-02")).write_text("{")
    assert [found.run_id for found in store.manifests("one")] == ["r1"]
    with pytest.raises(StoreError, match="r2"):
        store.manifests()


def test_an_unfinished_folder_is_no_result(store: Store) -> None:
    """Not even one that was cut off between its identity and its renaming."""
    folder = store.path("training", ".k.work")
    folder.mkdir(parents=True)
    (folder / "identity.json").write_text("{}", "utf-8")
    with store.writing("training", "k", {}):
        assert store.keys("training") == []
    assert store.keys("training") == ["k"]


def test_the_lock_ends_with_its_holder(store: Store) -> None:
    """Whoever was killed holds nothing."""
    code = (
        "import os, sys, pathlib; from harness.store.store import Store\n"
        "with Store(pathlib.Path(sys.argv[1])).locked(exclusive=True): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store.root)], check=False)
    assert done.returncode == -9
    with store.locked(exclusive=True):
        pass
