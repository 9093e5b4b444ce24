"""What may go, and what must stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.console import Reporter
from harness.errors import UsageError
from harness.run.state import Options, start
from harness.schema import HumanKeys
from harness.store.prune import Extra, find_garbage, referenced, remove_garbage
from harness.store.runs import Store
from tests.unit.suites import TRAIN, put, suite_file


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one run that names one result of each kind, and everything else unnamed."""
    store = Store(tmp_path / "runs")
    run = start(suite_file(tmp_path), store, Options(), Reporter(-1))
    cell = next(c for c in run.plan.cells if c.task == "answers")
    assert cell.predictions is not None
    assert cell.scores is not None
    run.record(cell.done())
    put(store, "predictions", cell.predictions.key, {})
    put(store, "scores", cell.scores.key, {}, "findings.jsonl")
    put(store, "examples", run.plan.examples["answers"].key, {})
    return store


def test_what_a_run_names_stays(store: Store) -> None:
    """Examples, predictions and scores of every manifest."""
    assert find_garbage(store) == []
    assert {kind for kind, _ in referenced(store.manifests())} == {
        "examples",
        "predictions",
        "scores",
    }


def test_what_no_run_names_goes(store: Store) -> None:
    """A result whose run was deleted, or that another setting replaced."""
    path = put(store, "scores", "orphan", {})
    (path / "scores.jsonl").write_bytes(b"12345")
    (found,) = find_garbage(store)
    assert (found.path, found.why) == (path, "no run names it")
    assert found.size_bytes >= 5
    assert remove_garbage(store) == [found]
    assert not path.exists()
    assert find_garbage(store) == []


def test_a_write_that_was_cut_off_goes(store: Store) -> None:
    """Temporary folders of results, and temporary files of manifests."""
    folder = store.root / ".store/scores/.key.x1y2"
    folder.mkdir()
    (folder / "identity.json").write_text("{}", "utf-8")  # cut off just before the renaming
    run = next(store.root.glob("small/*"))
    file = run / ".manifest.json.x1y2"
    file.write_text("{", "utf-8")
    assert {item.path for item in find_garbage(store)} == {folder, file}
    remove_garbage(store)
    assert not folder.exists()
    assert not file.exists()


def test_an_unfinished_training_stays_unless_asked(store: Store) -> None:
    """It would be resumed, and may hold hours of work."""
    work = store.root / ".store/training/.key.work/checkpoint-2"
    work.mkdir(parents=True)
    assert find_garbage(store) == []
    assert [item.path for item in find_garbage(store, Extra(unfinished=True))] == [work.parent]


def test_what_an_interrupted_run_finished_is_as_safe_as_what_it_did_not(
    store: Store, tmp_path: Path
) -> None:
    """Killed between the end of training and the next manifest, hours of work have no name yet.

    The same holds for texts that were generated and not scored, and for their scores.
    """
    run = start(suite_file(tmp_path, train=TRAIN), store, Options(), Reporter(-1))
    run.save()  # as before training
    assert run.plan.trainings
    cell = next(c for c in run.plan.cells if c.task == "answers" and c.state != "waiting")
    assert cell.predictions is not None
    assert cell.scores is not None
    held_out = next(c for c in run.plan.cells if c.task == "held_out" and c.scores is not None)
    assert held_out.scores is not None
    items = [("training", run.plan.trainings[0].item), ("scores", held_out.scores)]
    paths = [put(store, kind, item.key, item.identity) for kind, item in items]
    assert find_garbage(store) == []
    found = find_garbage(store, Extra(unfinished=True))
    assert sorted(item.path for item in found) == sorted(paths)
    assert {item.why for item in found} == {
        "of a run that was interrupted; eval would go on with it"
    }
    run.ended = True
    run.save()
    (store.path("training", run.plan.trainings[0].item.key)).rename(tmp_path / "away")
    others = [m for m in store.manifests() if m.run_id != run.plan.run_id]
    store.write_manifest(others[0].model_copy(update={"ended": True}))
    assert [item.path for item in find_garbage(store)] == paths[1:]


def test_a_training_of_other_settings_is_not_spared(store: Store, tmp_path: Path) -> None:
    """An interrupted run keeps what it would go on with, and not everything else."""
    run = start(suite_file(tmp_path, train=TRAIN), store, Options(), Reporter(-1))
    run.save()
    other = start(suite_file(tmp_path, "seed=7", train=TRAIN), store, Options(), Reporter(-1))
    assert other.plan.trainings
    path = put(
        store, "training", other.plan.trainings[0].item.key, other.plan.trainings[0].item.identity
    )
    assert [item.path for item in find_garbage(store)] == [path]


def test_merged_weights_stay_while_a_run_has_merged_that_adapter(
    store: Store, tmp_path: Path
) -> None:
    """With ``merged`` they go in any case: base and adapter can make them again."""
    run = start(suite_file(tmp_path), store, Options(), Reporter(-1))
    variant = run.plan.variants[0].model_copy(
        update={"kind": "merged", "digests": {"base": "b", "adapter": "a"}}
    )
    run.plan = replace(run.plan, variants=(variant,))
    run.save()
    used, unused = put(store, "merged", "k", {"adapter": "a"}), put(store, "merged", "l", {})
    assert [item.path for item in find_garbage(store)] == [unused]
    assert [item.path for item in find_garbage(store, Extra(merged=True))] == [used, unused]


def test_nothing_is_removed_while_a_run_is_going_on(store: Store) -> None:
    """Its newest results are not named by a manifest yet; listing them is harmless."""
    path = put(store, "scores", "new", {})
    with store.locked():
        assert len(find_garbage(store)) == 1
        with pytest.raises(UsageError, match="going on"):
            remove_garbage(store)
    assert path.exists()


def test_no_run_begins_while_results_are_removed(store: Store) -> None:
    """The other side of the same lock; two runs at a time are fine."""
    with store.locked(exclusive=True), pytest.raises(UsageError, match="prune"), store.locked():
        pass
    with store.locked(), store.locked():
        pass


def test_what_people_made_stays_unless_asked(store: Store) -> None:
    """Sheets and returns of a run that was deleted cannot be computed again."""
    path = put(store, "ratings", "orphan", {})
    assert find_garbage(store) == []
    assert [item.path for item in find_garbage(store, Extra(ratings=True))] == [path]


def test_ratings_that_a_run_names_stay_in_any_case(store: Store) -> None:
    """With the sheets that they answer."""
    paths = [put(store, "sheets", "s", {}), put(store, "ratings", "r", {})]
    (manifest,) = store.manifests()
    human = HumanKeys(sheets="s", ratings="r")
    store.write_manifest(manifest.model_copy(update={"human": human}))
    assert find_garbage(store, Extra(ratings=True)) == []
    assert all(path.exists() for path in paths)
