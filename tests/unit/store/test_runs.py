"""Runs: found by name, damaged ones in nobody's way, and held while they go on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import StoreError, UsageError
from harness.schema import Manifest, Variant
from harness.store.runs import Store, find_run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


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


def test_a_misspelt_run_is_answered_with_the_near_one(store: Store) -> None:
    """Of its suite, or its whole name."""
    store.write_manifest(manifest("small", "r1", "2026"))
    for name, near in (("smal", "small"), ("small/r2", "small/r1")):
        with pytest.raises(UsageError, match=f"Did you mean .*{near}"):
            find_run(name, store.root)


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
        with pytest.raises(StoreError, match="This manifest was changed") as caught:
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


def test_the_lock_ends_with_its_holder(store: Store) -> None:
    """Whoever was killed holds nothing."""
    code = (
        "import os, sys, pathlib; from harness.store.runs import Store\n"
        "with Store(pathlib.Path(sys.argv[1])).locked(exclusive=True): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store.root)], check=False)
    assert done.returncode == -9
    with store.locked(exclusive=True):
        pass


@pytest.mark.parametrize("old_place", ["kept", "gone"])
@pytest.mark.parametrize("earlier", [False, True], ids=["", "by an earlier version"])
def test_a_copied_store_names_its_own_weights(
    store: Store, tmp_path: Path, old_place: str, *, earlier: bool
) -> None:
    """Weights of a training inside it; those of adapters trained elsewhere stay where they are."""
    inside, outside = ".store/training/k/checkpoint-2", str(tmp_path / "mine" / "checkpoint-2")
    (store.root / inside).mkdir(parents=True)
    variants = tuple(
        Variant(id=name, kind="adapter", base_model="m", precision="fp32", adapter=place)
        for name, place in (("a", str(store.root / inside)), ("b", outside))
    )
    changes = {"variants": variants, "training_key": "k"}
    run = manifest("one", "r1", "2026-01-01").model_copy(update=changes)
    path = store.write_manifest(run)
    assert str(store.root) not in path.read_text()
    if earlier:
        path.write_text(run.model_dump_json())
    assert store.read_manifest(path) == run
    shutil.copytree(store.root, tmp_path / "copy")
    if old_place == "gone":
        shutil.rmtree(store.root)
    (read,) = Store(tmp_path / "copy").manifests()
    assert [v.adapter for v in read.variants] == [str(tmp_path / "copy" / inside), outside]
