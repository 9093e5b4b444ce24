"""Results: whole or none, and errors that say what to do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from harness.digests import short_digest
from harness.errors import StoreError, StoreWarning
from harness.schema import Finding, Prediction
from harness.store.runs import Store
from tests.damages import DAMAGES, WHERE_EMPTY


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def prediction(text: str) -> Prediction:
    return Prediction(example_id="a", text=text, prompt_tokens=1, new_tokens=1, finish_reason="eos")


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
    """A truncated file is told as such, with the way out."""
    with store.writing("scores", "k", {}) as folder:
        store.write_records(folder, "findings", [Finding(check="c", severity="info", what="w")])
    path = store.path("scores", "k") / "findings.jsonl"
    path.write_text(path.read_text()[:20])
    with pytest.raises(StoreError, match=r"findings\.jsonl has 20 bytes, not 81") as caught:
        store.read_records("scores", "k", "findings", Finding)
    assert str(path) in str(caught.value)
    assert "Run the eval again" in str(caught.value)


def test_damaged_statistics_name_their_file(store: Store) -> None:
    """An unreadable npz is an error with a hint, not a traceback of numpy's."""
    with store.writing("scores", "k", {}) as folder:
        np.savez(folder / "stats.npz", a=np.zeros((2, 2)))
    assert store.read_stats("k")["a"].shape == (2, 2)
    (store.path("scores", "k") / "stats.npz").write_bytes(b"no")
    with pytest.raises(StoreError, match=r"stats\.npz has 2 bytes"):
        store.read_stats("k")


def test_no_damage_to_statistics_is_a_traceback(store: Store) -> None:
    """Cut off anywhere, or with any one bit flipped: an error that names the file."""
    with store.writing("scores", "k", {}) as folder:
        np.savez_compressed(folder / "stats.npz", a=np.arange(6.0).reshape(3, 2), b=np.array(["x"]))
    path = store.path("scores", "k") / "stats.npz"
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreError) as caught:
            store.read_stats("k")
        assert str(path) in str(caught.value)
        assert "Run the eval again" in str(caught.value)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match="was changed"):
            store.read_stats("k")


def test_the_second_of_two_equal_results_is_dropped(store: Store) -> None:
    """Two processes that compute the same cell do not disturb each other."""
    with store.writing("scores", "k", {"n": 1}) as first:
        (first / "who").write_text("first")
        with store.writing("scores", "k", {"n": 1}) as second:
            (second / "who").write_text("second")
    assert (store.path("scores", "k") / "who").read_text() == "second"
    assert len(list((store.root / ".store" / "scores").iterdir())) == 1


def test_an_unfinished_folder_is_no_result(store: Store) -> None:
    """Not even one that was cut off between its identity and its renaming."""
    folder = store.path("training", ".k.work")
    folder.mkdir(parents=True)
    (folder / "identity.json").write_text("{}", "utf-8")
    with store.writing("training", "k", {}):
        assert store.keys("training") == []
    assert store.keys("training") == ["k"]


def written(store: Store, text: str = "hi") -> Path:
    """A finished result of two files."""
    with store.writing("predictions", "k", {"x": 1}) as folder:
        store.write_records(folder, "predictions", [prediction(text)])
        store.write_records(folder, "proofs", [])
    return store.path("predictions", "k")


@pytest.mark.parametrize("name", ["identity.json", "predictions.jsonl", "proofs.jsonl"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_to_a_result_is_seen_and_mended(
    store: Store, tmp_path: Path, name: str, damage: str
) -> None:
    """It counts as missing; written again it is as before, and what was there is set aside."""
    folder = written(store)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    if not before[name] and damage not in WHERE_EMPTY:
        pytest.skip("nothing is in it")
    other = written(Store(tmp_path / "other"), "ho") / name
    DAMAGES[damage](folder / name, other)
    assert not store.has("predictions", "k")
    with pytest.raises(StoreError, match="Run the eval again"):
        store.read_records("predictions", "k", name.partition(".")[0], Prediction)
    with pytest.warns(StoreWarning, match="was damaged") as told:
        written(store)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (aside,) = (path for path in folder.parent.iterdir() if path != folder)
    assert str(told[0].message).endswith(aside.name)
    assert store.names("predictions") == ["k"]


def test_a_result_of_an_earlier_version_is_read_and_gets_its_digests(store: Store) -> None:
    """Its mark is the identity, whose digest is its key."""
    identity, folder = {"x": 1}, written(store)
    folder = folder.rename(folder.with_name(key := short_digest(identity)))
    (folder / "identity.json").write_text(json.dumps(identity))
    assert store.has("predictions", key)
    store.add_digests("predictions", key)
    assert store.identity("predictions", key) == identity
    (folder / "predictions.jsonl").write_text("")
    assert store.damage("predictions", key) == "predictions.jsonl has 0 bytes, not " + str(
        len(prediction("hi").model_dump_json()) + 1
    )


def test_an_identity_that_is_not_that_of_its_key_is_damaged(store: Store) -> None:
    """So a mark that lost its digests is not taken for one of an earlier version."""
    folder = written(store)
    (folder / "identity.json").write_text(json.dumps({"x": 1}))
    assert store.damage("predictions", "k") == "identity.json was changed"
