"""One training in the store: never two at once, never twice, and picked up where it was left."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from harness.console import Reporter
from harness.errors import DiskError, UsageError
from harness.schema import Environment, TrainingRun
from harness.store.runs import Store
from harness.suite.file import SuiteFile
from harness.suite.spec import MeasureSpec, Suite
from harness.train import qlora, session
from harness.train.checkpoints import work_folder
from harness.train.session import effort, train_once
from tests.unit.train.conftest import make_examples

KEY = "abc"
IDENTITY = {"base": "tiny"}
HOLD_LOCK = """
import sys
from pathlib import Path
from harness.train.session import _locked
with _locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def file(tmp_path: Path) -> SuiteFile:
    suite = Suite.model_validate(
        {
            "name": "s",
            "base": {"model": "tiny:llama", "dtype": "fp32", "device": "cpu"},
            "data": {"source": "rows.jsonl"},
            "prompt": {"prompt": "{{ a }}", "completion": "{{ b }}"},
            "train": {"args": {"max_steps": 4, "save_steps": 2}},
            "tasks": {"loss": {"type": "perplexity"}},
        }
    )
    return SuiteFile(suite, tmp_path / "suite.yaml", tmp_path)


def once(file: SuiteFile, store: Store) -> None:
    examples = [*make_examples(8), *make_examples(4, "eval")]
    train_once(file, file.suite.train, store, KEY, IDENTITY, examples, Reporter(-1))


def record(**change: Any) -> TrainingRun:
    """What came of a training of nothing."""
    environment = Environment(
        versions={},
        python="",
        platform="",
        device="cpu",
        device_name="",
        cpu_count=1,
        memory_bytes=1,
        compute_dtype="fp32",
        fingerprint="",
    )
    run = TrainingRun(
        method="qlora",
        base_model="tiny:llama",
        log=(),
        checkpoints=(),
        trainable_parameters=1,
        total_parameters=2,
        rows_used=8,
        seconds=1.0,
        steps=2,
        environment=environment,
    )
    return run.model_copy(update=change)


@pytest.fixture
def fake_train(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A training that only leaves one checkpoint; the list grows with each call."""
    calls: list[Any] = []

    def train(job: Any) -> TrainingRun:
        calls.append(job)
        folder = job.work_dir / "checkpoint-2"
        folder.mkdir(exist_ok=True)
        for name in ("adapter_model.safetensors", "optimizer.pt", "complete.json", "rng_state.pth"):
            (folder / name).write_text("x")
        return record()

    monkeypatch.setattr(qlora, "train", train)
    return calls


def test_a_training_becomes_a_result(file, store, tiny_dir):
    """Checkpoints and record under the key; what only resuming needs is gone, and the lock."""
    once(file, store)
    folder = store.path("training", KEY)
    run = store.read_record("training", KEY, "training", TrainingRun)
    assert [c.path for c in run.checkpoints] == ["checkpoint-2", "checkpoint-4"]
    names = {path.name for path in (folder / "checkpoint-4").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= names
    assert not names & {"optimizer.pt", "scheduler.pt", "rng_state.pth", "complete.json"}
    assert store.identity("training", KEY) == IDENTITY
    assert sorted(path.name for path in folder.parent.iterdir()) == [KEY]


def test_each_split_goes_its_way(file, store, fake_train):
    """Rows to train on and rows to evaluate on; others stay out."""
    examples = [*make_examples(3), *make_examples(2, "eval"), *make_examples(2, "report")]
    train_once(file, file.suite.train, store, KEY, IDENTITY, examples, Reporter(-1))
    (job,) = fake_train
    assert [len(job.train_examples), len(job.eval_examples)] == [3, 2]


def test_a_second_process_is_refused(file, store, fake_train):
    """It is told to wait; the lock goes with the process that holds it, even if killed."""
    work_dir = work_folder(store, KEY)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(work_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=r"Another process is running this training.*Wait"):
            once(file, store)
        assert fake_train == []
    finally:
        holder.kill()
        holder.communicate()
    once(file, store)
    assert len(fake_train) == 1


def test_a_training_finished_by_another_process_is_not_repeated(file, store, fake_train):
    """It may have ended between planning and locking."""
    once(file, store)
    once(file, store)
    assert len(fake_train) == 1
    assert not work_folder(store, KEY).exists()


def test_a_lock_file_left_by_a_kill_is_no_lock(file, store, fake_train):
    """Only a living process holds a lock."""
    work_dir = work_folder(store, KEY)
    work_dir.mkdir(parents=True)
    work_dir.with_suffix(".lock").touch()
    once(file, store)
    assert store.has("training", KEY)


def test_a_lock_file_removed_by_its_holder_is_not_taken(store, monkeypatch):
    """Whoever opened it just before must open the new one."""
    work_dir = work_folder(store, KEY)
    work_dir.parent.mkdir(parents=True)
    lock = work_dir.with_suffix(".lock")
    real, opened = session.locks.fcntl.flock, []

    def flock(stream: Any, operation: int) -> None:
        opened.append(stream)
        if len(opened) == 1:
            lock.unlink()  # the holder before is done in this moment
        real(stream, operation)

    monkeypatch.setattr(session.locks.fcntl, "flock", flock)
    with session._locked(work_dir):
        assert len(opened) == 2
        assert lock.exists()


def test_the_work_folder_of_an_interrupted_training_is_reused(file, store, fake_train):
    """Its checkpoints are what the training goes on from."""
    work_dir = work_folder(store, KEY)
    (work_dir / "checkpoint-1").mkdir(parents=True)
    once(file, store)
    assert fake_train[0].work_dir == work_dir
    assert (store.path("training", KEY) / "checkpoint-1").is_dir()


def test_a_kill_while_tidying_up_costs_no_training(file, store, fake_train, monkeypatch):
    """With the record written, only the last steps are made up for."""

    def killed(work_dir: Path) -> None:
        (work_dir / "checkpoint-2" / "complete.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session, "drop_resume_state", killed)
        with pytest.raises(KeyboardInterrupt):
            once(file, store)
    assert not store.has("training", KEY)
    once(file, store)
    assert len(fake_train) == 1
    names = [path.name for path in (store.path("training", KEY) / "checkpoint-2").iterdir()]
    assert names == ["adapter_model.safetensors"]
    assert json.loads((store.path("training", KEY) / "training.json").read_text())["steps"] == 2


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        Exception("No space left on device (os error 28)"),  # tokenizers
        SafetensorError("I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"),
    ],
)
def test_a_full_disk_is_one_message_whichever_library_met_it(file, store, monkeypatch, error):
    """The messages are those that the libraries gave on a full tmpfs."""

    def full(job: Any) -> None:
        raise error

    monkeypatch.setattr(qlora, "train", full)
    with pytest.raises(DiskError, match="no room left on the disk"):
        once(file, store)


def test_any_other_error_stays_itself(file, store, monkeypatch):
    """Only a full disk is translated."""

    def broken(job: Any) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(qlora, "train", broken)
    with pytest.raises(RuntimeError, match="something else"):
        once(file, store)


def test_a_training_tells_what_it_took() -> None:
    """Money only where the suite says what the machine costs: 90 s at 2.40 an hour are 0.06."""
    run = record(seconds=90.0, steps=3, peak_memory_bytes=1_500_000_000)
    assert effort(run, None) == "3 steps in 90 s, at most 1.50 GB of memory"
    assert effort(run, MeasureSpec(price_per_hour=2.4)).endswith(", 0.06 USD at 2.4 an hour")


def test_where_curves_are_and_why_it_stopped_is_told(file, store, monkeypatch, capfd):
    """TensorBoard's folder lies in the store, under a name that nobody guesses."""

    def train(job: Any) -> TrainingRun:
        (job.work_dir / "checkpoint-2").mkdir()
        (job.work_dir / "runs" / "today").mkdir(parents=True)
        return record(stopped_early="eval loss had not improved")

    monkeypatch.setattr(qlora, "train", train)
    train_once(file, file.suite.train, store, KEY, IDENTITY, [], Reporter(0))
    told = "".join(capfd.readouterr())
    assert "stopped early: eval loss had not improved" in told
    assert f"tensorboard --logdir {store.path('training', KEY)}/runs" in told.replace("\n", "")
