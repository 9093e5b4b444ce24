"""The plan of splits, and the hash that assigns clusters."""

import hashlib
from collections import Counter

import pytest

from harness.data.splits import DEFAULT_SHARES, assign, deal, hash_point, plan_splits
from harness.errors import DataError
from harness.suite.spec import DataSpec


def test_hash_point():
    """The first 13 hex digits of the sha256 of seed, purpose and key, over 16^13."""
    digest = hashlib.sha256(b"7:split:abc").hexdigest()
    assert hash_point(7, "split", "abc") == int(digest, 16) // 16**51 / 16**13
    assert hash_point(8, "split", "abc") != hash_point(7, "split", "abc")


def test_shares_come_out():
    """Over many clusters the splits have their shares, within 4 standard deviations."""
    n = 20_000
    found = [assign(str(i), DEFAULT_SHARES, seed=3) for i in range(n)]
    for split, share in DEFAULT_SHARES.items():
        deviation = (share * (1 - share) / n) ** 0.5
        assert abs(found.count(split) / n - share) < 4 * deviation


def test_assign_survives_rounding():
    """Shares that add up to a little less than 1 leave no cluster without a split."""
    shares = {"train": 0.1, "report": 0.0}
    assert {assign(str(i), shares, seed=0) for i in range(100)} == {"train"}


def test_default_and_given_shares():
    """Without anything said the default shares hold; splits replaces them."""
    plan = plan_splits(DataSpec(source="x"), ("train",))
    assert plan.shares == {"train": DEFAULT_SHARES}
    assert plan.asked == ["train", "eval", "select", "report"]
    plan = plan_splits(DataSpec(source="x", splits={"report": 0.5, "select": 0.5}), ("train",))
    assert plan.asked == ["select", "report"]
    assert plan.pooled
    assert not plan.notes


def test_pooling_own_splits_is_said():
    """Rows of a source's train and test split are not mixed in silence."""
    plan = plan_splits(DataSpec(source="a/b"), ("train", "test"))
    assert plan.pooled
    assert "train, test) were pooled" in plan.notes[0]


def test_files_named_like_splits_are_those_splits():
    """files: {train: ..., report: ...} needs no split_map; other names are pooled, and said."""
    plan = plan_splits(DataSpec(files={"train": "a", "report": "b"}), ("train", "report"))
    assert plan.shares == {"train": {"train": 1.0}, "report": {"report": 1.0}}
    assert not plan.pooled
    assert plan_splits(DataSpec(files={"train": "a", "test": "b"}), ("train", "test")).pooled


def test_split_map():
    """Own splits go where the map says; a list divides evenly, or in the ratio of splits."""
    spec = DataSpec(source="a/b", split_map={"train": "train", "test": ["select", "report"]})
    plan = plan_splits(spec, ("train", "validation", "test"))
    assert plan.shares == {"train": {"train": 1.0}, "test": {"select": 0.5, "report": 0.5}}
    assert plan.notes == ("Splits of the source that were not read: validation.",)
    spec = spec.model_copy(update={"splits": {"train": 0.6, "select": 0.1, "report": 0.3}})
    shares = plan_splits(spec, ("train", "test")).shares["test"]
    assert shares == pytest.approx({"select": 0.25, "report": 0.75})


def test_split_map_errors():
    """An unknown own split is refused with those there are; so is a list without any share."""
    with pytest.raises(DataError, match=r"no split 'dev'\. It has: train, validation"):
        plan_splits(DataSpec(source="a/b", split_map={"dev": "eval"}), ("train", "validation"))
    spec = DataSpec(source="x", split_map={"train": ["eval", "select"]}, splits={"train": 1.0})
    with pytest.raises(DataError, match="add up to 0"):
        plan_splits(spec, ("train",))
    with pytest.raises(DataError, match="no splits"):
        plan_splits(DataSpec(source="x", split_map={"train": []}), ("train",))


def test_folds_are_even_and_tear_no_cluster_apart():
    """Ten rows of one cluster and twenty alone in 3 folds: ten rows each, every row in one."""
    clusters = ["big"] * 10 + [str(place) for place in range(20)]
    dealt = deal(clusters, 3, seed=5)
    assert Counter(dealt[cluster] for cluster in clusters) == {1: 10, 2: 10, 3: 10}
    assert dealt == deal(sorted(clusters), 3, seed=5)
    assert dealt != deal(clusters, 3, seed=6)


def test_more_folds_than_clusters():
    """Near-identical rows are not torn apart for the sake of a fold."""
    with pytest.raises(DataError, match="3 folds need as many groups"):
        deal(["a", "b", "b"], 3, seed=0)


def test_a_fold_is_the_report_split_and_the_rest_is_divided():
    """Shares are those of the rest; without any said, the usual ones less the report's."""
    plan = plan_splits(DataSpec(source="x", folds=5, fold=2), ("train",))
    assert plan.asked == ["train", "eval", "select", "report"]
    shares = {"train": 14 / 17, "eval": 1 / 17, "select": 2 / 17}
    assert plan.shares["train"] == pytest.approx(shares)
    clusters = [str(place) for place in range(50)]
    plans = [
        plan_splits(DataSpec(source="x", folds=5, fold=fold), ("train",)) for fold in range(1, 6)
    ]
    held_out = [cluster for plan in plans for cluster in plan.held_out(clusters, 42)]
    assert sorted(held_out) == sorted(clusters)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"source": "x", "folds": 1}, "greater than or equal to 2"),
        ({"source": "x", "folds": 5, "split_map": {"train": "train"}}, "cannot be mapped"),
        ({"files": {"train": "a", "report": "b"}, "folds": 5}, "cannot be mapped"),
        ({"source": "x", "folds": 5, "splits": {"train": 0.5, "report": 0.5}}, "without report"),
        ({"source": "x", "folds": 5, "fold": 6}, "fold 6 needs folds: 6 or more"),
        ({"source": "x", "fold": 1}, "fold 1 needs folds"),
    ],
)
def test_folds_that_cannot_be(data, words):
    """What contradicts folds is refused."""
    with pytest.raises(ValueError, match=words):
        DataSpec(**data)
