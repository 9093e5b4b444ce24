"""These start the real worker: a new interpreter that imports torch and loads a model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.errors import HarnessError
from harness.measure.job import MeasureJob
from harness.measure.process import measure
from harness.metrics.quantities import MEASURED
from harness.store import locks
from harness.suite.spec import BaseSpec


def workers(parent: int) -> list[psutil.Process]:
    return [
        process
        for process in psutil.Process(parent).children(recursive=True)
        if "harness.measure.worker" in process.cmdline()
    ]


def test_measure_end_to_end(job: MeasureJob) -> None:
    """A worker's figures come back complete, and add up as their definitions say."""
    lines: list[str] = []
    found = measure(job, progress=lines.append)
    assert {m.name for m in found} == {
        name for name in MEASURED if name not in ("peak_allocated_bytes", "peak_reserved_bytes")
    }
    for point in (4, 6):
        figures = {m.name: m for m in found if (m.new_tokens, m.warmup) == (point, 1)}
        assert {m.batch_size for m in figures.values()} == {2}
        assert len(figures["itl_s"].values) == 3 * (point - 1)
        for repeat in range(3):
            gaps = figures["itl_s"].values[repeat * (point - 1) : (repeat + 1) * (point - 1)]
            ttft, e2e = figures["ttft_s"].values[repeat], figures["e2e_s"].values[repeat]
            assert ttft + sum(gaps) == pytest.approx(e2e, rel=1e-9)
            assert figures["tpot_s"].values[repeat] * (point - 1) == pytest.approx(e2e - ttft)
    whole = {m.name: m.values for m in found if m.warmup == 0}
    assert whole["peak_rss_bytes"] >= whole["rss_before_load_bytes"]
    assert len(whole["load_s"]) == len(whole["first_call_s"]) == 1
    assert lines == [
        "loading the model",
        "first call",
        "point 1 of 2: 8 prompt and 4 new tokens, batch 2",
        "point 2 of 2: 8 prompt and 6 new tokens, batch 2",
    ]
    assert workers(os.getpid()) == []


def test_missing_model(job: MeasureJob) -> None:
    """The worker's own error comes back with its place and its remedy."""
    missing = job.model_copy(update={"base": BaseSpec(model="./no-such-model")})
    with pytest.raises(HarnessError, match="no such folder") as caught:
        measure(missing)
    assert caught.value.where
    assert caught.value.where.endswith("no-such-model")
    assert caught.value.hint


def test_killed_worker(job: MeasureJob) -> None:
    """A worker that is killed, as the kernel does when memory runs out, is an error of its own."""

    def kill(_: str) -> None:
        for process in workers(os.getpid()):
            process.send_signal(signal.SIGKILL)

    with pytest.raises(HarnessError, match=r"killed by signal 9 \(SIGKILL\)") as caught:
        measure(job, progress=kill)
    assert "smaller batch sizes" in str(caught.value)


def test_crashed_worker(job: MeasureJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that ends without a result is reported with its last words."""
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # no interpreter can start like this
    with pytest.raises(HarnessError, match=r"exit code 1 and no result\. Its last words: .*") as e:
        measure(job)
    assert "measuring model at fp32" in str(e.value)


@pytest.mark.slow
def test_failing_progress_stops_the_worker(job: MeasureJob) -> None:
    """An interruption in the caller ends the worker too."""

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(job, progress=interrupt)
    assert workers(os.getpid()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl, which only Linux has")
def test_worker_dies_with_its_parent(job: MeasureJob, tmp_path: Path) -> None:
    """When the harness is killed with -9, no worker goes on measuring."""
    endless = job.model_copy(update={"grid": job.grid.model_copy(update={"repeats": 10**4})})
    file = tmp_path / "job.json"
    file.write_text(json.dumps(endless.model_dump(mode="json")))
    code = (
        "import sys, pathlib; from harness.measure.job import MeasureJob;"
        "from harness.measure.process import measure;"
        "job = MeasureJob.model_validate_json(pathlib.Path(sys.argv[1]).read_text());"
        "measure(job, progress=lambda line: print(line, flush=True))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        try:
            while "point 1" not in parent.stdout.readline():
                assert parent.poll() is None
            (worker,) = workers(parent.pid)
        finally:
            parent.kill()
    gone, alive = psutil.wait_procs([worker], timeout=30)
    for process in alive:
        process.kill()
    assert gone
    assert not alive


def test_a_worker_that_stops_answering_is_given_up(
    job: MeasureJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a bound; it is told what it said last, and nothing of it is left."""
    script = "import os, time; os.write(1, b'loading\\n'); os.write(2, b'odd\\n'); time.sleep(600)"
    monkeypatch.setattr("harness.measure.process._COMMAND", (sys.executable, "-c", script))
    monkeypatch.setattr("harness.measure.process._SILENCE_S", 2.0)
    lines: list[str] = []
    with pytest.raises(HarnessError, match=r"did not answer for 2 s.*odd"):
        measure(job, progress=lines.append)
    assert lines == ["loading"]
    assert not any(script in child.cmdline() for child in psutil.Process().children())


def test_folders_of_killed_measurements_are_removed(
    tmp_path: Path, job: MeasureJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those of measurements that go on, nor those that have just begun."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("harness.measure.process._COMMAND", (sys.executable, "-c", "print()"))
    for name in ("left", "held", "young"):
        (tmp_path / f"harness-measure-{name}").mkdir()
    for name in ("left", "held"):
        os.utime(tmp_path / f"harness-measure-{name}", (0, 0))
    with locks.holding(tmp_path / "harness-measure-held" / ".lock", exclusive=False):
        os.utime(tmp_path / "harness-measure-held", (0, 0))
        with pytest.raises(HarnessError, match="no result"):
            measure(job)
        there = {path.name.rpartition("-")[2] for path in tmp_path.glob("harness-*")}
    assert there == {"held", "young"}
