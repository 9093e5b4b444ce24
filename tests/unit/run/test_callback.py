"""The harness inside a training: what it evaluates, what it leaves alone, when it stops."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

from harness import HarnessCallback
from harness.console import Reporter
from harness.errors import SuiteError, UsageError
from harness.plan.plan import make_plan
from harness.run.pipeline import run_suite
from harness.run.state import Options
from harness.schema import TrainingRun
from harness.store.runs import Store
from harness.validate.suite import read_suite

pytestmark = pytest.mark.filterwarnings("ignore")  # of TRL and transformers, as a script has them

SUITE = """
name: quick
base: {model: MODEL, dtype: fp32, device: cpu}
checkpoints: out/checkpoint-*
data: {files: {select: rows.jsonl}}
prompt: {prompt: "{{ q }}=", completion: " {{ a }}"}
tasks:
  qa: {type: generation, splits: [select], max_new_tokens: 4, metrics: [f1, exact_match]}
  loss: {type: perplexity, splits: [select]}
"""
ROWS = [{"q": f"def f{i}(x)", "a": f"result {i % 3}"} for i in range(12)]


@pytest.fixture
def trainer(tmp_path: Path, tiny_dir: Path) -> Callable[..., SFTTrainer]:
    """Make a TRL trainer of a tiny model, as a user's script does."""
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    (tmp_path / "suite.yaml").write_text(SUITE.replace("MODEL", str(tiny_dir)))

    def make(name: str = "out", **args: Any) -> SFTTrainer:
        torch.manual_seed(0)
        rows = [{"prompt": f"{row['q']}=", "completion": f" {row['a']}"} for row in ROWS]
        config = SFTConfig(
            output_dir=str(tmp_path / name), use_cpu=True, bf16=False, report_to="none",
            max_steps=6, save_steps=2, logging_steps=1, per_device_train_batch_size=2,
            learning_rate=1e-2, seed=3, disable_tqdm=True, **args,
        )  # fmt: skip
        return SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(tiny_dir),
            args=config,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(tiny_dir),
            peft_config=LoraConfig(r=4, lora_dropout=0.3, target_modules="all-linear"),
        )

    return make


def train(trainer: SFTTrainer, tmp_path: Path, **options: Any) -> tuple[HarnessCallback, list[str]]:
    said: list[str] = []
    options = {"budget": None, "say": said.append, **options}
    callback = HarnessCallback(trainer, tmp_path / "suite.yaml", **options)
    trainer.add_callback(callback)
    trainer.train()
    return callback, said


def losses(trainer: SFTTrainer) -> list[tuple[float, float]]:
    return [(e["loss"], e["grad_norm"]) for e in trainer.state.log_history if "loss" in e]


@pytest.mark.slow
def test_losses_are_those_of_a_training_without_it(
    trainer: Callable[..., SFTTrainer], tmp_path: Path
) -> None:
    """To the last bit, with dropout; and each save has its scores in the trainer's log."""
    plain = trainer("plain")
    plain.train()
    watched = trainer()  # its making sets the seed, as in a script
    callback, said = train(watched, tmp_path)
    assert losses(watched) == losses(plain)
    own, other = watched.model.state_dict(), plain.model.state_dict()
    assert all(torch.equal(own[name], other[name]) for name in own)
    scored = [e for e in watched.state.log_history if "eval_qa/f1" in e]
    assert [e["step"] for e in scored] == [2, 4, 6]
    assert all("eval_loss/eval_loss" in e for e in scored)
    assert callback.chosen in (2, 4, 6)
    assert watched.state.best_model_checkpoint.endswith(f"checkpoint-{callback.chosen}")
    assert any(line.startswith("harness: checkpoint-2: qa/f1") for line in said)
    assert len(
        (tmp_path / "out/harness/checkpoint-4/qa-predictions.jsonl").read_text().splitlines()
    )


def test_the_best_by_the_task_is_kept_and_training_stops(
    trainer: Callable[..., SFTTrainer], tmp_path: Path
) -> None:
    """A loss that only rises stops the training, and save_total_limit 1 leaves the first."""
    ran = trainer(save_total_limit=1, load_best_model_at_end=False)
    ran.args.learning_rate = 5.0  # ruins the model
    callback, said = train(ran, tmp_path, tasks=["loss"], patience=1)
    assert callback.chosen == 2
    assert ran.state.global_step == 4
    assert any("stopped early at step 4" in line for line in said)
    assert [p.name for p in (tmp_path / "out").glob("checkpoint-*")] == ["checkpoint-2"]


@pytest.mark.slow
def test_an_evaluation_over_the_budget_is_skipped_and_told(
    trainer: Callable[..., SFTTrainer], tmp_path: Path
) -> None:
    """The first is made; those that would take more than a millionth of the time are not."""
    callback, said = train(trainer(), tmp_path, tasks=["loss"], budget=1e-6)
    assert callback.skipped == [4, 6]
    assert list(callback.tasks.readings) == [2]
    assert "2 checkpoints were not evaluated" in said[-1]


def test_the_three_lines_of_the_guide_run(
    trainer: Callable[..., SFTTrainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they stand there, beside a trainer and a suite.yaml."""
    guide = Path(__file__).parents[3] / "docs" / "guides" / "training.md"
    lines = guide.read_text("utf-8").partition("```python\nfrom harness import")[2]
    monkeypatch.chdir(tmp_path)
    own = {"trainer": trainer()}
    exec("from harness import" + lines.partition("```")[0], own)  # noqa: S102  # our own guide
    assert own["callback"] in own["trainer"].callback_handler.callbacks


def test_a_task_that_is_not_there_is_refused(
    trainer: Callable[..., SFTTrainer], tmp_path: Path
) -> None:
    with pytest.raises(SuiteError, match="nothing is not a task"):
        HarnessCallback(trainer(), tmp_path / "suite.yaml", tasks=["nothing"])


@pytest.mark.slow
def test_a_suite_stops_its_training_by_a_task(tmp_path: Path, tiny_dir: Path) -> None:
    """One that gains nothing ends, as the record says; the task is part of the key."""
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    train = (
        "train: {method: lora, lora: {r: 4}, early_stopping: {task: loss, patience: 1}, "
        "args: {max_steps: 8, save_steps: 2, learning_rate: 1.0e-12}}"
    )
    suite = SUITE.replace("MODEL", str(tiny_dir)).replace("checkpoints: out/checkpoint-*", train)
    suite = suite.replace("{select: rows.jsonl}", "{train: rows.jsonl, select: rows.jsonl}")
    (tmp_path / "suite.yaml").write_text(suite)
    store = Store(tmp_path / "runs")
    file = read_suite(str(tmp_path / "suite.yaml"))
    manifest = run_suite(file, store, Options(train_only=True), Reporter(-1))
    (key,) = manifest.training_keys.values()
    record = store.read_record("training", key, "training", TrainingRun)
    assert record.steps == 4
    assert record.stopped_early == "loss had not gained a standard error in 1 checkpoints at step 4"
    assert [checkpoint.step for checkpoint in record.checkpoints] == [2, 4]
    other = read_suite(str(tmp_path / "suite.yaml"), ["tasks.loss.max_length=16"])
    assert make_plan(other, store).trainings[0].item.key != key
    assert make_plan(file, store).trainings[0].item.key == key


def test_stopping_by_a_task_that_is_not_there_is_refused(tmp_path: Path, tiny_dir: Path) -> None:
    """By validate, before anything is trained."""
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    train = "train: {early_stopping: {task: nothing}}"
    suite = SUITE.replace("MODEL", str(tiny_dir)).replace("checkpoints: out/checkpoint-*", train)
    suite = suite.replace("{select: rows.jsonl}", "{train: rows.jsonl, select: rows.jsonl}")
    (tmp_path / "suite.yaml").write_text(suite)
    with pytest.raises(UsageError, match=r"train.early_stopping.task is nothing, which is no"):
        read_suite(str(tmp_path / "suite.yaml"))
