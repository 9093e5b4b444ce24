"""Plans: variants, cells and keys, without torch and without any model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import MetricError, SuiteError
from harness.plan.plan import EvalCell, Plan, make_plan
from harness.store.runs import Store
from harness.suite.file import SuiteFile
from tests.unit.suites import TRAIN, adapter, put, suite_file


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def keys(plan: Plan) -> dict[str, tuple[str | None, str | None]]:
    """Cell id -> keys of its predictions and scores."""
    return {
        cell.id: (
            cell.predictions.key if cell.predictions else None,
            cell.scores.key,
        )
        for cell in plan.cells
        if isinstance(cell, EvalCell)
    }


def changed(store: Store, before: SuiteFile, after: SuiteFile) -> tuple[set[str], set[str]]:
    """Cells whose predictions, and whose scores, a change makes stale."""
    old, new = keys(make_plan(before, store)), keys(make_plan(after, store))
    assert old.keys() == new.keys()
    return (
        {cell for cell in old if old[cell][0] != new[cell][0]},
        {cell for cell in old if old[cell][1] != new[cell][1]},
    )


ALL = {"base@nf4/answers", "base@nf4/held_out", "base@nf4/hellaswag"}
TEXTS = {"base@nf4/answers", "base@nf4/hellaswag"}  # perplexity leaves no predictions
CASES: dict[str, tuple[str, set[str], set[str]]] = {
    "nothing": ("description=other", set(), set()),
    "a task's new metric": ("tasks.answers.metrics=[bleu]", set(), {"base@nf4/answers"}),
    "decoding": ("tasks.answers.max_new_tokens=9", {"base@nf4/answers"}, {"base@nf4/answers"}),
    "unused sampling option": ("tasks.answers.top_k=9", set(), set()),
    "limit of one task": ("tasks.held_out.limit=2", set(), {"base@nf4/held_out"}),
    "limit of a split that one task reads": (
        "data.limits={report: 2}",
        {"base@nf4/answers"},
        {"base@nf4/answers"},
    ),
    "limit of another task's split": ("data.limits={eval: 2}", set(), {"base@nf4/held_out"}),
    "limit of a split that nothing reads": ("data.limits={train: 2}", set(), set()),
    "shots": ("tasks.hellaswag.num_fewshot=2", {"base@nf4/hellaswag"}, {"base@nf4/hellaswag"}),
    "prompt": (
        "prompt.prompt='{{ text }}?'",
        {"base@nf4/answers"},
        {"base@nf4/answers", "base@nf4/held_out"},
    ),
    "seed": ("seed=7", TEXTS, ALL),
    "compute dtype": ("base.dtype=bf16", TEXTS, ALL),
    "device": ("base.device=cpu", TEXTS, ALL),
    "attention kernel": ("base.attn_implementation=eager", TEXTS, ALL),
    "another base": ("base.model=tiny:phi", TEXTS, ALL),
    "what measures": ("measure={repeats: 3}", set(), set()),
    "what is merged": ("matrix.merged=none", set(), set()),
}


@pytest.mark.parametrize("case", CASES)
def test_a_change_makes_stale_what_it_can_change_and_nothing_else(
    tmp_path: Path, store: Store, case: str
) -> None:
    """Each setting reaches exactly the keys of the results that depend on it."""
    override, predictions, scores = CASES[case]
    after = suite_file(tmp_path, override)
    assert changed(store, suite_file(tmp_path), after) == (predictions, scores)


def test_a_limit_of_what_training_does_not_read_leaves_the_training(
    tmp_path: Path, store: Store
) -> None:
    """It reads train and eval; how many are scored on report is nothing to it."""

    def key(limits: str) -> str:
        training = make_plan(suite_file(tmp_path, f"data.limits={limits}", train=TRAIN), store)
        assert training.trainings
        return training.trainings[0].item.key

    assert key("{report: 2, select: 1}") == key("{}")
    assert len({key("{}"), key("{eval: 2}"), key("{train: 2}")}) == 3


def test_packed_trainings_of_before_rows_were_kept_apart_are_not_read(
    tmp_path: Path, store: Store
) -> None:
    """Nothing else is trained anew for it."""

    def identity(**args: Any) -> dict[str, Any]:
        plan = make_plan(suite_file(tmp_path, train={**TRAIN, "args": args}), store)
        assert plan.trainings
        return plan.trainings[0].item.identity

    for args in ({"packing": True}, {"padding_free": True}, {"eval_packing": True}):
        assert identity(**args)["packing"] == 2
    for args in ({}, {"packing": False}, {"packing": True, "packing_strategy": "wrapped"}):
        assert "packing" not in identity(**args)


def test_changed_data_make_their_examples_stale(tmp_path: Path, store: Store) -> None:
    """Files are known by content: the same rows under another time stamp change nothing."""
    file = suite_file(tmp_path)
    before = keys(make_plan(file, store))
    (tmp_path / "rows.jsonl").touch()
    assert keys(make_plan(file, store)) == before
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "label": "b"}\n', "utf-8")
    after = keys(make_plan(file, store))
    assert {cell for cell in before if before[cell] != after[cell]} == {
        "base@nf4/answers",
        "base@nf4/held_out",
    }


def test_a_moved_suite_keeps_its_results(tmp_path: Path, store: Store) -> None:
    """No key holds a path of this machine."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = suite_file(tmp_path / "a"), suite_file(tmp_path / "b")
    assert keys(make_plan(first, store)) == keys(make_plan(second, store))
    assert make_plan(first, store).run_id == make_plan(second, store).run_id


def test_the_compute_dtype_variable_is_part_of_the_keys(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked for by the environment counts as what is asked for by the suite."""
    file = suite_file(tmp_path)
    before = keys(make_plan(file, store))
    monkeypatch.setenv("HARNESS_COMPUTE_DTYPE", "bf16")
    assert all(before[cell] != key for cell, key in keys(make_plan(file, store)).items())


def test_bases_share_their_results_with_and_without_checkpoints(
    tmp_path: Path, store: Store
) -> None:
    """The base is never evaluated twice: neither training nor checkpoints are in its keys."""
    alone = keys(make_plan(suite_file(tmp_path), store))
    adapter(tmp_path / "checkpoint-2")
    given = keys(make_plan(suite_file(tmp_path, checkpoints="checkpoint-2"), store))
    assert {cell: given[cell] for cell in alone} == alone


def test_the_script_of_an_evaluate_metric_is_part_of_its_scores(
    tmp_path: Path, store: Store
) -> None:
    """A metric module of the user's own is known by its content."""
    (tmp_path / "mine.py").write_text("one = 1\n", "utf-8")
    file = suite_file(tmp_path, "tasks.answers.metrics=['evaluate:mine.py']")
    before = keys(make_plan(file, store))
    (tmp_path / "mine.py").write_text("two = 2\n", "utf-8")
    after = keys(make_plan(file, store))
    assert {cell for cell in before if before[cell] != after[cell]} == {"base@nf4/answers"}
    assert before["base@nf4/answers"][0] == after["base@nf4/answers"][0]


def test_before_training_its_checkpoints_are_waited_for(tmp_path: Path, store: Store) -> None:
    """The expected names come from max_steps and save_steps."""
    plan = make_plan(suite_file(tmp_path, train=TRAIN, measure={}), store)
    waiting = {cell.id for cell in plan.cells if cell.state == "waiting"}
    names = ("checkpoint-2", "checkpoint-4", "checkpoint-6", "merged-best")
    tasks = ("answers", "held_out", "hellaswag", "measure")
    assert waiting == {f"{name}/{task}" for name in names for task in tasks}


@pytest.mark.parametrize(
    ("args", "names"),
    [
        ({"max_steps": 5, "save_steps": 2}, ["checkpoint-2", "checkpoint-4", "checkpoint-5"]),
        ({"max_steps": 6, "save_steps": 2, "save_total_limit": 1}, ["checkpoint-6"]),
        ({"num_train_epochs": 1, "save_steps": 2}, ["checkpoint-*"]),
        ({"max_steps": 6, "save_strategy": "epoch"}, ["checkpoint-*"]),
    ],
)
def test_expected_checkpoints(
    tmp_path: Path, store: Store, args: dict[str, Any], names: list[str]
) -> None:
    """Where the arguments do not tell the steps, a placeholder stands for the checkpoints."""
    plan = make_plan(suite_file(tmp_path, train={"args": args}, matrix={"merged": "none"}), store)
    waiting = dict.fromkeys(cell.variant for cell in plan.cells if cell.state == "waiting")
    assert list(waiting) == names


def test_checkpoints_of_equal_name_and_step_stay_apart(tmp_path: Path, store: Store) -> None:
    """Two trainings' checkpoint-2 get the folder in their ids, and so do their merged models."""
    for run in ("a", "b"):
        adapter(tmp_path / run / "checkpoint-2", run.encode())
    file = suite_file(tmp_path, checkpoints="*/checkpoint-2")
    plan = make_plan(file, store, merged=["b-checkpoint-2"])
    assert [v.id for v in plan.variants] == [
        "base@nf4",
        "a-checkpoint-2",
        "b-checkpoint-2",
        "merged-b-checkpoint-2",
    ]
    assert plan.variants[3].digests == plan.variants[2].digests


def test_a_link_to_a_checkpoint_is_no_second_one(tmp_path: Path, store: Store) -> None:
    """As ms-swift leaves it; alone it stands for what it points to."""
    for step in (4, 8):
        adapter(tmp_path / "v0" / f"checkpoint-{step}", f"{step}".encode())
    (tmp_path / "v0" / "last-checkpoint").symlink_to("checkpoint-8")
    for pattern, names in (
        ("v0/*", ["checkpoint-4", "checkpoint-8"]),
        ("v0/last-checkpoint", ["last-checkpoint"]),
    ):
        plan = make_plan(suite_file(tmp_path, checkpoints=pattern), store)
        assert [v.id for v in plan.variants if v.kind == "adapter"] == names


def test_an_adapter_of_the_hub_has_to_be_fetched(tmp_path: Path, store: Store) -> None:
    """The message has the command."""
    with pytest.raises(SuiteError, match="hf download someone/some-adapter --local-dir"):
        make_plan(suite_file(tmp_path, checkpoints="someone/some-adapter"), store)


def test_checkpoints_are_ordered_by_step(tmp_path: Path, store: Store) -> None:
    """Not by name, where 10 comes before 2."""
    for step in (10, 2):
        adapter(tmp_path / f"checkpoint-{step}", str(step).encode())
    plan = make_plan(suite_file(tmp_path, checkpoints="checkpoint-*"), store)
    assert [v.step for v in plan.variants if v.kind == "adapter"] == [2, 10]


def test_epochs_are_in_natural_order_and_of_unknown_step(tmp_path: Path, store: Store) -> None:
    """An order of names is not a training step, and none is made up."""
    for epoch in (1, 2, 10, 11):
        adapter(tmp_path / f"epoch_{epoch}", str(epoch).encode())
    file = suite_file(tmp_path, checkpoints=["epoch_*"])
    plan = make_plan(file, store, merged=["epoch_10"])
    names = ["epoch_1", "epoch_2", "epoch_10", "epoch_11", "merged-epoch_10"]
    assert [v.id for v in plan.variants[1:]] == names
    assert {v.step for v in plan.variants} == {None}


def test_what_an_earlier_run_merged_is_found_by_its_adapter(tmp_path: Path, store: Store) -> None:
    """A merged model is the same as long as its adapter is."""
    from harness.console import Reporter
    from harness.run.state import Options, Run

    for step in (2, 4):
        adapter(tmp_path / f"checkpoint-{step}", str(step).encode())
    file = suite_file(tmp_path, checkpoints="checkpoint-*")
    plan = make_plan(file, store, merged=["checkpoint-4"])
    earlier = Run(file, store, Reporter(-1), Options(), plan, created="").save()
    assert "merged-4" in [v.id for v in make_plan(file, store, earlier=earlier).variants]
    (tmp_path / "checkpoint-4/adapter_model.safetensors").write_bytes(b"other")
    variants = [v.id for v in make_plan(file, store, earlier=earlier).variants]
    assert variants == ["base@nf4", "checkpoint-2", "checkpoint-4"]


def test_a_cell_is_done_when_its_scores_are_there(tmp_path: Path, store: Store) -> None:
    """The store alone decides."""
    file = suite_file(tmp_path)
    cell = next(c for c in make_plan(file, store).cells if c.task == "held_out")
    assert cell.state == "missing"
    assert isinstance(cell, EvalCell)
    put(store, "scores", cell.scores.key, cell.scores.identity)
    states = {c.task: c.state for c in make_plan(file, store).cells}
    assert states == {"answers": "missing", "held_out": "done", "hellaswag": "missing"}


REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "task called measure": ({"tasks": {"measure": {"type": "perplexity"}}}, ["measure"]),
    "baseline": ({"baseline": "base@fp32"}, ["base@fp32", "base@nf4"]),
    "step to merge": (
        {"train": TRAIN, "matrix": {"merged": [3]}},
        ["step 3", "checkpoint-2, checkpoint-4, checkpoint-6"],
    ),
    "deciding task": ({"select": {"task": "answer"}}, ["answer", "Did you mean answers"]),
    "deciding task off select": ({"select": {"task": "held_out"}}, ["select split"]),
    "deciding lm-eval task": ({"select": {"task": "hellaswag"}}, ["select split"]),
    "deciding metric": (
        {"select": {"task": "answers", "metric": "bleu"}},
        ["bleu", "rougeL, chrf"],
    ),
    "deciding metric of the default task": (
        {"select": {"metric": "rougel"}},
        ["select.metric names 'rougel', which answers does not have", "rougeL, chrf"],
    ),
    "metric without a task that decides": (
        {
            "tasks": {"hellaswag": {"type": "lm_eval", "task": "hellaswag"}},
            "select": {"metric": "acc"},
        },
        ["'acc'", "no task is scored on the select split"],
    ),
    "constrained task": (
        {"select": {"constraints": [{"task": "hellaswg", "max_drop": 2}]}},
        ["select.constraints[0].task", "hellaswg", "Did you mean hellaswag"],
    ),
    "member of no group": (
        {"select": {"constraints": [{"task": "answers/a", "max_drop": 2}]}},
        ["'answers/a'", "answers has no members"],
    ),
    "constrained task off select": (
        {"select": {"constraints": [{"task": "held_out", "max_drop": 2}]}},
        ["held_out", "Add select to tasks.held_out.splits"],
    ),
    "constrained metric": (
        {"select": {"constraints": [{"task": "answers", "metric": "bleu", "max_drop": 2}]}},
        ["select.constraints[0].metric", "rougeL, chrf"],
    ),
    "constrained measurement": (
        {"measure": {}, "select": {"constraints": [{"measurement": "peak_rss", "max": "4 GB"}]}},
        ["'peak_rss'", "Did you mean peak_rss_bytes", "decode_tokens_per_s"],
    ),
    "constraint of what is not measured": (
        {"select": {"constraints": [{"measurement": "peak_rss_bytes", "max": "4 GB"}]}},
        ["measures nothing", "Add a measure section"],
    ),
    "bytes of a speed": (
        {"measure": {}, "select": {"constraints": [{"measurement": "e2e_s", "max": "4 GB"}]}},
        ["e2e_s by '4 GB'", "not counted in bytes"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_contradictions_are_refused_before_anything_is_computed(
    tmp_path: Path, store: Store, case: str
) -> None:
    """Each message names the suite, what was found and what there is."""
    changes, words = REFUSED[case]
    with pytest.raises(SuiteError) as caught:
        make_plan(suite_file(tmp_path, **changes), store)
    for word in ["suite.yaml", *words]:
        assert word in str(caught.value)


def test_constraints_of_what_there_is_are_accepted(tmp_path: Path, store: Store) -> None:
    """Members and metrics of lm-eval show only when it runs, so their names pass."""
    constraints = [
        {"task": "answers", "metric": "chrf", "max_drop": "5%"},
        {"task": "hellaswag/some_member", "metric": "acc_norm", "max_drop": 2},
        {"measurement": "peak_rss_bytes", "max": "4 GiB"},
        {"measurement": "decode_tokens_per_s", "min": 20},
    ]
    file = suite_file(tmp_path, measure={}, select={"constraints": constraints})
    assert len(make_plan(file, store).file.suite.select.constraints) == 4


def test_a_baseline_yet_to_be_trained_is_accepted(tmp_path: Path, store: Store) -> None:
    """Also where only the training will tell the steps."""
    train = {"args": {"num_train_epochs": 1}}
    plan = make_plan(suite_file(tmp_path, train=train, baseline="checkpoint-20"), store)
    assert plan.baseline == "checkpoint-20"


def test_an_unknown_metric_is_refused_while_planning(tmp_path: Path, store: Store) -> None:
    """Metrics are checked without torch."""
    with pytest.raises(MetricError, match="rougel"):
        make_plan(suite_file(tmp_path, "tasks.answers.metrics=[rougel]"), store)
