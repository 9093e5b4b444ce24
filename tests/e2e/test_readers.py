"""Every reader verb works where none of the heavy libraries can be imported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Finished, Result, harness

# hides the heavy libraries from the import system, as if they were not installed
BLOCKER = """
import sys

HEAVY = {
    "torch", "transformers", "peft", "trl", "bitsandbytes", "lm_eval", "datasets", "accelerate",
    "evaluate", "gguf", "tokenizers", "safetensors",
}

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            return None
        return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
"""


def light(tmp_path: Path, *args: str, runs: Path | None = None) -> Result:
    """Run a verb with the heavy libraries blocked."""
    (tmp_path / "blocker").mkdir(exist_ok=True)
    (tmp_path / "blocker" / "sitecustomize.py").write_text(BLOCKER, "utf-8")
    return harness(*args, cwd=tmp_path, runs=runs, env={"PYTHONPATH": str(tmp_path / "blocker")})


def test_the_blocker_blocks(tmp_path: Path) -> None:
    """Guards the tests below: a verb that needs torch must fail here, with the way out."""
    done = light(tmp_path, "eval", "tiny", runs=tmp_path / "runs")
    assert done.code == 2
    assert "pip install 'qlora-harness[" in done.err


@pytest.mark.parametrize(
    "verb",
    [
        ["suites"],
        ["suites", "--json"],
        ["schema"],
        ["runs"],
        ["runs", "--json"],
        ["prune"],
        ["verify"],
        ["verify", "small", "--json"],
        ["report", "small"],
        ["report", "small", "--format", "all"],
        ["report", "small", "--json"],
        ["select", "small"],
        ["select", "small", "--json"],
        ["validate", "tiny"],
        ["validate", "demo", "--json"],
        ["doctor"],
        ["doctor", "--json"],
        ["init", "tiny", "--to", "mine.yaml"],
    ],
    ids=" ".join,
)
def test_a_reader_verb_needs_no_torch(finished: Finished, tmp_path: Path, verb: list[str]) -> None:
    """Readers run on a bare CPU with only the base install."""
    has_runs = verb[0] in ("runs", "prune", "verify", "report", "select", "validate")
    if verb[0] == "report":
        verb = [*verb, "-o", str(tmp_path)] if "--json" not in verb else verb
    done = light(tmp_path, *verb, runs=finished.runs if has_runs else None)
    assert done.code == 0, done.err
    assert done.out
    if "--json" in verb or verb == ["schema"]:
        json.loads(done.out)


def test_a_copied_suite_validates(tmp_path: Path) -> None:
    """What init writes is a suite of its own name that validate accepts."""
    assert light(tmp_path, "init", "tiny", "--to", "my_suite.yaml").code == 0
    done = light(tmp_path, "validate", "my_suite.yaml", runs=tmp_path / "runs")
    assert done.code == 0, done.err
    assert "run       my_suite/" in done.out


def test_init_never_overwrites(tmp_path: Path) -> None:
    """An existing file is refused with a hint."""
    (tmp_path / "tiny.yaml").write_text("mine", "utf-8")
    done = light(tmp_path, "init")
    assert done.code == 2
    assert "--to" in done.err
    assert (tmp_path / "tiny.yaml").read_text("utf-8") == "mine"


def test_validate_tells_what_is_done_and_why_the_rest_is_stale(finished: Finished) -> None:
    """A changed setting names the field that made a result stale."""
    done = harness(
        "validate",
        str(finished.suite),
        "--set",
        "tasks.summaries.max_new_tokens=9",
        cwd=finished.folder,
        runs=finished.runs,
    )
    assert done.code == 0, done.err
    lines = {line.split()[1]: line for line in done.out.splitlines() if "/" in line[:30]}
    assert "decoding.max_new_tokens changed" in lines["checkpoint-2/summaries"]
    assert lines["checkpoint-2/held_out"].rstrip().endswith("done")


def test_prune_removes_only_what_no_run_names(finished: Finished, tmp_path: Path) -> None:
    """A dry run first; then leftovers and unnamed results go, and a second eval is unharmed."""
    import shutil

    runs = tmp_path / "runs"
    shutil.copytree(finished.runs, runs)
    orphan = runs / ".store" / "scores" / "orphan"
    orphan.mkdir()
    (orphan / "identity.json").write_text("{}", "utf-8")
    leftover = runs / ".store" / "predictions" / ".k.cut"
    leftover.mkdir()
    listed = harness("prune", cwd=tmp_path, runs=runs)
    assert str(orphan) in listed.out
    assert str(leftover) in listed.out
    assert orphan.exists()
    assert harness("prune", "--yes", cwd=tmp_path, runs=runs).code == 0
    assert not orphan.exists()
    assert not leftover.exists()
    again = harness("eval", str(finished.suite), cwd=tmp_path, runs=runs)
    assert again.code == 0, again.err
    assert "Loading" not in again.err
