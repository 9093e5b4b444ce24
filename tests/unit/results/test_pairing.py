"""May two scores be paired? The gate and the comparison of runs give one answer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.compare.build import build_comparison
from harness.gate.accept import accept_baseline
from harness.gate.check import run_gate
from harness.results.pairing import refusal
from harness.schema import Manifest
from harness.stats.panel import Sample
from harness.store.runs import Store
from tests.unit.gate.gate_runs import SPEC, Runs

NAMES = np.array([f"e{i}" for i in range(6)])
ROUGE, LOSS = ("answers", "rougeL", "report"), ("held_out", "eval_loss", "eval")


def sample(name: str = "one", **changes: Any) -> Sample:
    stats = np.stack([np.linspace(0.1, 0.9, 6), np.ones(6)], axis=1)
    return replace(Sample(name, NAMES, NAMES, stats), **changes)


def test_order_and_names_of_groups_do_not_matter() -> None:
    """Examples are matched by id, groups by what they hold."""
    turned = sample()
    turned = replace(turned, ids=NAMES[::-1], clusters=NAMES[::-1], stats=turned.stats[::-1])
    assert refusal(sample(), turned, "perplexity") is None
    renamed = sample(clusters=np.array([f"group {name}" for name in NAMES]))
    assert refusal(sample(), renamed, "generation") is None


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"ids": np.array([f"x{i}" for i in range(6)])}, "", "not scored on the same examples"),
        ({"ids": np.array(["e0", *NAMES[:5]])}, "", "holds the same example more than once"),
        ({"stats": np.ones((6, 3))}, "", "2 statistics per example and two has 3"),
        ({"clusters": np.array(list("aabbcc"))}, "", "other clusters than one's"),
        ({"stats": np.full((6, 2), 2.0)}, "perplexity", "of the 6 completions, 6 have another"),
    ],
)
def test_what_must_be_the_same(changes: dict[str, Any], kind: str, words: str) -> None:
    """Ids, each once; what the statistics are of; groups; of losses the tokens as well."""
    assert words in str(refusal(sample(), sample("two", **changes), kind))


def test_only_losses_are_one_per_token() -> None:
    """The last column of other statistics may be anything, such as a text's length."""
    assert refusal(sample(), sample("two", stats=np.full((6, 2), 2.0)), "generation") is None


# -- the same answer ------------------------------------------------------------------------------


@dataclass
class AlteredRuns(Runs):
    """Runs whose stored arrays and scores can be changed."""

    alter: Callable[[dict[str, Any]], dict[str, Any]] = dict
    unit: str = ""

    def _scores(self, variant: str, task: str, kind: str) -> tuple[list[Any], dict[str, Any]]:
        scores, arrays = super()._scores(variant, task, kind)
        return [s.model_copy(update={"unit": self.unit}) for s in scores], self.alter(arrays)


def clustered(arrays: dict[str, Any]) -> dict[str, Any]:
    """The same examples, two to a group."""
    return {
        name: np.array([f"{i // 2}" for i in range(len(array))])
        if name.startswith("clusters/")
        else array
        for name, array in arrays.items()
    }


def longer(arrays: dict[str, Any]) -> dict[str, Any]:
    """Losses of completions with twice as many tokens."""
    return {name: 2 * array if "/eval_loss/" in name else array for name, array in arrays.items()}


def renamed(arrays: dict[str, Any]) -> dict[str, Any]:
    """One example that is another one."""
    return {
        name: np.array(["new", *array[1:]]) if name.startswith("ids/") else array
        for name, array in arrays.items()
    }


def run(store: Store, run_id: str, **changes: Any) -> Manifest:
    spec = copy.deepcopy(SPEC)
    del spec["tasks"]["mmlu"]
    return AlteredRuns(store, run_id, spec=spec, measured=False, **changes).build()


@pytest.mark.parametrize(
    ("alter", "key", "words"),
    [
        (dict, ROUGE, None),
        (dict, LOSS, None),
        (clustered, ROUGE, "grouped into other clusters"),
        (longer, ROUGE, None),
        (longer, LOSS, "120 have another number of tokens"),
        (renamed, ROUGE, "examples"),
    ],
)
def test_gate_and_comparison_agree(
    tmp_path: Path, alter: Any, key: tuple[str, str, str], words: str | None
) -> None:
    """A comparison once took the reference's groups, and a gate the losses of other tokens."""
    store = Store(tmp_path / "runs")
    before, after = run(store, "r1"), run(store, "r2", alter=alter)
    accept_baseline(store, before, tmp_path / "b.json", "because", "me")
    result = run_gate(store, after, tmp_path / "b.json")
    (check,) = (c for c in result.checks if (c.task, c.metric, c.split) == key)
    (row,) = (
        row
        for row in build_comparison([(store, before), (store, after)]).rows
        if (row.task, row.metric, row.split) == key
    )
    comparison = row.cells[1].comparison
    assert comparison is not None
    if words is None:
        assert check.verdict in ("identical", "pass")
        assert comparison.reason is None
        assert comparison.delta is not None
    else:
        assert (check.verdict, comparison.delta) == ("invalid", None)
        assert words in str(check.reason)
        assert words in str(comparison.reason)


def test_scores_of_another_unit_are_never_subtracted(tmp_path: Path) -> None:
    """A comparison gives them a row of their own; a gate has to be told by a new baseline."""
    store = Store(tmp_path / "runs")
    before, after = run(store, "r1"), run(store, "r2", unit="words")
    accept_baseline(store, before, tmp_path / "b.json", "because", "me")
    result = run_gate(store, after, tmp_path / "b.json")
    assert (result.verdict, result.exit_code) == ("incompatible", 4)
    assert "chosen answers/rougeL on report: unit: was '', is 'words'" in result.differences
    rows = build_comparison([(store, before), (store, after)]).rows
    assert sum((row.task, row.metric, row.split) == ROUGE for row in rows) == 2
