"""Two runs of one suite, made and compared through the command line."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from harness.report.build import build_view
from harness.schema import Manifest
from harness.store.runs import Store
from tests.e2e.conftest import Finished, Result, harness

CHANGES = ("train.args.max_steps=4", "select.rule=best")


@dataclass(frozen=True)
class Compared:
    """A store with two runs of the small suite, of its own: others read the first one's store."""

    folder: Path
    first: Manifest
    second: Manifest

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def report(self, *args: str) -> Result:
        names = (f"small/{manifest.run_id}" for manifest in (self.first, self.second))
        return harness("report", *names, *args, cwd=self.folder, runs=self.runs)


@pytest.fixture(scope="module")
def compared(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """The small suite again, trained for fewer steps and chosen by another rule."""
    folder = tmp_path_factory.mktemp("compared")
    shutil.copytree(finished.runs, folder / "runs")
    suite = shutil.copy(finished.suite, folder)
    sets = [part for change in CHANGES for part in ("--set", change)]
    done = harness("eval", str(suite), *sets, cwd=folder, runs=folder / "runs")
    assert done.code == 0, done.err
    runs = {m.spec["train"]["args"]["max_steps"]: m for m in Store(folder / "runs").manifests()}
    return Compared(folder, runs[6], runs[4])


def test_two_runs_are_compared(compared: Compared) -> None:
    """One page in a folder of its own, and the verdict on the terminal."""
    done = compared.report()
    assert done.code == 0, done.err
    *verdict, path = done.out.splitlines()
    assert Path(path).parent.parent == compared.runs / "comparisons"
    first, choice = compared.first.selection, compared.second.selection
    assert first is not None
    assert choice is not None
    assert f"small/{compared.second.run_id} ({choice.chosen})" in verdict[0]
    assert f"small/{compared.first.run_id} ({first.chosen})" in verdict[0]
    assert "on the same 12 examples of the report split" in verdict[0]
    page = Path(path).read_text("utf-8")
    assert "<h1>small/" in page
    assert "max_</span><wbr>" in page  # a setting's name may break after its underscore


def test_the_figures_are_those_of_the_runs(compared: Compared) -> None:
    """Every value equals the one in the run's own report; differences are the values'."""
    done = compared.report("--json")
    view = json.loads(done.out)
    own = [build_view(Store(compared.runs), m) for m in (compared.first, compared.second)]
    assert len(view["rows"]) == len(own[0].rows)
    for row in view["rows"]:
        values: list[float] = []
        for cell, facts, single in zip(row["cells"], view["runs"], own, strict=True):
            there = single.row(row["task"], row["metric"], row["split"])
            found = there.cell(facts["variant"]) if there else None
            assert found is not None
            assert found.figure is not None
            assert found.figure.value is not None
            assert cell["figure"]["value"] == found.figure.value
            values.append(found.figure.value)
        comparison = row["cells"][1]["comparison"]
        assert np.isclose(comparison["delta"], values[1] - values[0])
        assert comparison["low"] is None or comparison["low"] <= comparison["delta"]


def test_only_what_was_changed_differs(compared: Compared) -> None:
    """Of all settings, data, hardware and versions, the two that were set are listed."""
    view = json.loads(compared.report("--json").out)
    assert [(item["key"], item["values"]) for item in view["differences"]] == [
        ("train.args.max_steps", ["6", "4"]),
        ("select.rule", ["one_se", "best"]),
    ]
    assert [run["training"]["steps"] for run in view["runs"]] == [6, 4]
    for row in view["base_rows"]:  # both bases are the same stored results
        assert row["cells"][1]["comparison"]["identical"]


def test_a_run_and_itself_are_refused(compared: Compared) -> None:
    """Exit code 2 and how to name another."""
    name = f"small/{compared.second.run_id}"
    done = harness("report", name, name, cwd=compared.folder, runs=compared.runs)
    assert (done.code, done.out) == (2, "")
    assert "named twice" in done.err


def test_other_examples_are_not_compared(compared: Compared) -> None:
    """A run on fewer examples stands beside the other, with the limit as the reason."""
    path = compared.folder / "few.yaml"
    path.write_text(
        (compared.folder / "suite.yaml").read_text("utf-8").replace("name: small", "name: few"),
        "utf-8",
    )
    done = harness(
        *("eval", str(path), "--limit", "3", "--only", "base@nf4/summaries", "-q"),
        *("--set", "train.args.max_steps=2"),
        cwd=compared.folder,
        runs=compared.runs,
    )
    assert done.code == 0, done.err
    name = f"small/{compared.first.run_id}"
    done = harness(
        *("report", name, "few", "--variant", "base@nf4", "--json"),
        cwd=compared.folder,
        runs=compared.runs,
    )
    view = json.loads(done.out)
    (row,) = (
        row
        for row in view["rows"]
        if (row["task"], row["metric"], row["split"]) == ("summaries", "rougeL", "report")
    )
    found = row["cells"][1]["comparison"]
    assert found["delta"] is None
    assert found["reason"].startswith("other examples: 3 are in both, 9 only in small")
    assert "--limit: not set against 3" in found["reason"]
    assert [cell["figure"]["n"] for cell in row["cells"]] == [12, 3]
