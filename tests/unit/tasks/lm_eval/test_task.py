"""Tasks of lm-eval on a loaded model: parity with lm-eval itself, local files, and mistakes."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import DataError, HarnessError, MetricError, ModelError, UsageError
from harness.suite.spec import LmEvalTask
from harness.tasks.lm_eval.identity import shipped_tasks_dir

pytest.importorskip("lm_eval")

import lm_eval
from lm_eval.api.metrics import pooled_sample_stderr
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

import harness.tasks.lm_eval.load as module
from harness.engines.transformers import TransformersModel
from harness.metrics.base import mean_of
from harness.tasks.lm_eval.outcome import LmEvalOutcome
from harness.tasks.lm_eval.task import prepare_lm_eval

LM_EVAL_TASKS = Path(lm_eval.__file__).parent / "tasks"
SUBJECTS = {"anatomy": 5, "astronomy": 3, "marketing": 2}  # questions; three categories of MMLU
Run = Callable[..., LmEvalOutcome]


@pytest.fixture(scope="session")
def index() -> dict[str, Any]:
    """The part of lm-eval's tasks used here; the whole takes ten seconds to read."""
    folders = [LM_EVAL_TASKS / name for name in ("hellaswag", "mmlu/default", "arc", "squadv2")]
    manager = TaskManager(include_defaults=False, include_path=folders)
    return dict(manager.task_index)


@pytest.fixture
def run(
    index: dict[str, Any],
    tiny_model: Any,
    tiny_tokenizer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Run a task given by its fields on tiny:llama, relative to tmp_path."""
    monkeypatch.setattr(module, "default_index", lambda: index)

    def call(task_id: str = "t", *, model: Any = None, seed: int = 7, **fields: Any) -> Any:
        progress = fields.pop("progress", None)
        task = LmEvalTask.model_validate({"type": "lm_eval", **fields})
        prepared = prepare_lm_eval(
            task, task_id, tokenizer=tiny_tokenizer, suite_dir=tmp_path, seed=seed
        )
        model = tiny_model if model is None else model
        with closing(prepared):
            return prepared.run(TransformersModel(model, tiny_tokenizer, "cpu"), progress=progress)

    return call


def _shipped_rows(name: str) -> list[dict[str, Any]]:
    path = shipped_tasks_dir().parent / "data" / name
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def hellaswag(tmp_path: Path) -> dict[str, Any]:
    """The data part of a HellaSwag task, in upstream's form (integer labels)."""
    rows = [{**row, "label": int(row["label"])} for row in _shipped_rows("smoke_hellaswag.jsonl")]
    _write(tmp_path / "val.jsonl", rows)
    return {"format": "hellaswag_jsonl", "files": {"validation": "val.jsonl"}}


def _csv_line(cells: list[str]) -> str:
    return ",".join(f'"{cell}"' for cell in cells)


def _hub_form(file: Path) -> list[dict[str, Any]]:
    """Rows of a file written by the fixture mmlu, in the Hub's form."""
    rows = [line[1:-1].split('","') for line in file.read_text("utf-8").splitlines()]
    return [
        {"question": question, "choices": choices, "answer": "ABCD".index(answer)}
        for question, *choices, answer in rows
    ]


@pytest.fixture
def mmlu(tmp_path: Path) -> dict[str, Any]:
    """The data part of an MMLU task: three subjects, with shots."""
    rows = _shipped_rows("smoke_mmlu.jsonl")
    for number, (subject, count) in enumerate(SUBJECTS.items()):
        for split, size, start in (("test", count, 7 * number), ("dev", 2, 30 + number)):
            lines = [
                ",".join(
                    f'"{cell}"' for cell in [r["question"], *r["choices"], "ABCD"[r["answer"]]]
                )
                for r in rows[start : start + size]
            ]
            file = tmp_path / split / f"{subject}_{split}.csv"
            file.parent.mkdir(exist_ok=True)
            file.write_text("\n".join(lines) + "\n", "utf-8")
    return {"format": "mmlu_csv", "files": {"test": "test", "dev": "dev"}}


def _direct(
    config: dict[str, Any], model: Any, tokenizer: Any, seed: int = 7, **options: Any
) -> dict[str, Any]:
    """What lm-eval itself gives for a task configuration."""
    result = lm_eval.simple_evaluate(
        HFLM(pretrained=model, tokenizer=tokenizer, batch_size=8, softmax_dtype="float32"),
        tasks=[config],
        task_manager=TaskManager(include_defaults=False),
        fewshot_random_seed=seed,
        **options,
    )
    assert result is not None
    return dict(result)


def _only(outcome: LmEvalOutcome, task: str, metric: str) -> Any:
    [score] = [s for s in outcome.scores if (s.task, s.metric) == (task, metric)]
    return score


def test_hellaswag_equals_lm_eval(
    run: Run, hellaswag: dict[str, Any], tmp_path: Path, tiny_model: Any, tiny_tokenizer: Any
) -> None:
    """Same documents, prompts, accuracies and standard errors as lm-eval's.

    Log-probabilities are the same but for the order in which floating point sums are taken.
    """
    hub_form = _write(tmp_path / "hub.jsonl", _shipped_rows("smoke_hellaswag.jsonl"))
    config = load_yaml(LM_EVAL_TASKS / "hellaswag" / "hellaswag.yaml") | {
        "training_split": None,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"validation": str(hub_form)}},
    }
    theirs = _direct(config, tiny_model, tiny_tokenizer, limit=12)
    ours = run("hs", task="hellaswag", data=hellaswag, limit=12)
    for metric in ("acc", "acc_norm"):
        score = _only(ours, "hs", metric)
        assert score.value == theirs["results"]["hellaswag"][f"{metric},none"]
        assert score.stderr == theirs["results"]["hellaswag"][f"{metric}_stderr,none"]
        assert (score.n, score.scale, score.higher_is_better) == (12, 1.0, True)
    for mine, sample in zip(ours.samples, theirs["samples"]["hellaswag"], strict=True):
        expected = [response[0] for response in sample["filtered_resps"]]
        assert mine["loglikelihoods"] == pytest.approx(expected, abs=1e-3)
        assert mine["prompt_hash"] == sample["prompt_hash"]


def test_mmlu_group_with_missing_subjects_equals_lm_eval(
    run: Run, mmlu: dict[str, Any], tmp_path: Path, tiny_model: Any, tiny_tokenizer: Any
) -> None:
    """Present subjects are scored as lm-eval does, averaged by size; the other 54 are listed."""
    ours = run("m", task="mmlu", data=mmlu, num_fewshot=2)
    assert len(ours.facts.missing) == 54
    assert "virology_test.csv" in ours.facts.missing["mmlu_virology"]
    values, stderrs = [], []
    for subject in SUBJECTS:
        files = {}
        for split in ("test", "dev"):
            rows = _hub_form(tmp_path / split / f"{subject}_{split}.csv")
            files[split] = str(_write(tmp_path / f"{subject}-{split}.jsonl", rows))
        config = load_yaml(LM_EVAL_TASKS / "mmlu" / "default" / f"mmlu_{subject}.yaml") | {
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": {"data_files": files},
        }
        theirs = _direct(config, tiny_model, tiny_tokenizer, num_fewshot=2)
        expected = theirs["results"][f"mmlu_{subject}"]
        score = _only(ours, f"m/mmlu_{subject}", "acc")
        assert (score.value, score.stderr) == (expected["acc,none"], expected["acc_stderr,none"])
        values.append(score.value)
        stderrs.append(score.stderr)
    total, sizes = _only(ours, "m", "acc"), list(SUBJECTS.values())
    assert total.value == pytest.approx(np.average(values, weights=sizes), rel=1e-12)
    assert total.stderr == pytest.approx(pooled_sample_stderr(stderrs, sizes), rel=1e-12)
    assert total.n == 10
    assert "tasks:3of57" in total.signature
    assert "nshot:2|" in total.signature
    assert ours.scores[0] == total
    assert any("54 of 57 tasks were not scored" in finding.what for finding in ours.findings)


def test_statistics_give_the_values(run: Run, mmlu: dict[str, Any]) -> None:
    """Column sums of the per-document rows give every score, the group's average included."""
    ours = run("m", task="mmlu", data=mmlu)
    assert {score.task for score in ours.scores} == {
        "m",
        *("m/mmlu_stem", "m/mmlu_other"),
        *(f"m/mmlu_{subject}" for subject in SUBJECTS),
    }
    for score in ours.scores:
        stats = ours.arrays[score.stats]
        ids = ours.arrays[f"ids/{score.task}/all"]
        clusters = ours.arrays[f"clusters/{score.task}/all"]
        assert stats.shape == (score.n, 2)
        assert len(set(ids)) == len(ids) == len(clusters) == score.n
        assert float(mean_of(stats.sum(axis=0))) == pytest.approx(score.value, rel=1e-12)


def test_repeated_documents_share_a_cluster(run: Run, tmp_path: Path) -> None:
    """Equal documents are one cluster and still have ids of their own."""
    rows = _shipped_rows("smoke_hellaswag.jsonl")[:3]
    _write(tmp_path / "hub.jsonl", [*rows, rows[0]])
    files = {"validation": "hub.jsonl"}
    ours = run(task="hellaswag", data={"format": "hub_fields", "files": files})
    assert len(set(ours.arrays["ids/t/all"])) == 4
    assert len(set(ours.arrays["clusters/t/all"])) == 3


def test_shipped_hellaswag_has_lm_evals_prompts(run: Run, tmp_path: Path) -> None:
    """smoke_hellaswag scores the same texts as lm-eval's hellaswag on the same rows."""
    _write(tmp_path / "hub.jsonl", _shipped_rows("smoke_hellaswag.jsonl"))
    files = {"validation": "hub.jsonl"}
    theirs = run(task="hellaswag", data={"format": "hub_fields", "files": files})
    ours = run(task="smoke_hellaswag")
    assert len(ours.samples) == 40
    for mine, other in zip(ours.samples, theirs.samples, strict=True):
        assert mine["arguments_sha256"] == other["arguments_sha256"]
        assert mine["metrics"] == other["metrics"]


def test_shipped_mmlu_takes_shots(run: Run) -> None:
    """smoke_mmlu scores choices as text, with up to the five shots that ship with it."""
    assert "nshot:5" in _only(run(task="smoke_mmlu", num_fewshot=5, limit=2), "t", "acc").signature
    with pytest.raises(DataError, match="6 shots, and there are only 5"):
        run(task="smoke_mmlu", num_fewshot=6, limit=2)


def test_equal_seeds_give_equal_results(run: Run, hellaswag: dict[str, Any]) -> None:
    """Shots are drawn with the suite's seed: equal seeds repeat them, other seeds change them."""
    hellaswag["files"]["train"] = "val.jsonl"
    fields = {"task": "hellaswag", "data": hellaswag, "num_fewshot": 3, "limit": 3}
    first, again, other = run(**fields), run(**fields), run(seed=8, **fields)
    assert first.scores == again.scores
    assert first.samples == again.samples
    prompts = [[sample["prompt_hash"] for sample in run.samples] for run in (first, other)]
    assert prompts[0] != prompts[1]


def test_nothing_is_printed_and_progress_is_told(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    """lm-eval's bars and warnings stay away; every request is counted once."""
    told: list[tuple[int, int]] = []
    run(task="smoke_mmlu", limit=3, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 12) for done in range(1, 13)]
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("lm_eval").propagate


def test_tokenizer_is_left_alone(run: Run, tiny_tokenizer: Any) -> None:
    """lm-eval gives tokenizers without a padding token one; ours is shared by all tasks."""
    before = tiny_tokenizer.pad_token, tiny_tokenizer.padding_side, len(tiny_tokenizer)
    run(task="smoke_mmlu", limit=1)
    assert (tiny_tokenizer.pad_token, tiny_tokenizer.padding_side, len(tiny_tokenizer)) == before


def test_active_adapter_is_scored(
    run: Run, tiny_model: Any, make_adapter: Callable[..., Path], tmp_path: Path
) -> None:
    """A PEFT model is scored with its adapter, and as the base when adapters are disabled."""
    from peft import PeftModel

    base = run(task="smoke_mmlu", limit=2)
    model = PeftModel.from_pretrained(tiny_model, str(make_adapter(tmp_path / "adapter")))
    adapted = run(task="smoke_mmlu", limit=2, model=model)
    with model.disable_adapter():
        disabled = run(task="smoke_mmlu", limit=2, model=model)
    told = [[s["loglikelihoods"] for s in outcome.samples] for outcome in (base, disabled, adapted)]
    assert told[0] == told[1]
    assert told[0] != told[2]


GENERATION = """
task: gen
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
output_type: generate_until
test_split: test
doc_to_text: "Q: {{q}}\\nA:"
doc_to_target: "{{a}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 4}
filter_list:
  - {name: whole, filter: [{function: take_first}]}
  - {name: number, filter: [{function: regex, regex_pattern: "([0-9]+)"}, {function: take_first}]}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
metadata: {version: 2.0}
"""


def test_generation_task_in_a_yaml_of_its_own(run: Run, tmp_path: Path) -> None:
    """Data files are relative to the YAML; filters are part of the metric's name; no network."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "gen.yaml").write_text(GENERATION)
    _write(tmp_path / "own" / "rows.jsonl", [{"q": f"{n}+1", "a": str(n + 1)} for n in range(3)])
    ours = run("g", task="own/gen.yaml", gen_kwargs={"max_gen_toks": 2})
    assert [s.metric for s in ours.scores] == ["exact_match,whole", "exact_match,number"]
    assert all("version:2.0" in score.signature for score in ours.scores)
    assert ours.arrays["g/exact_match,whole"].shape == (3, 2)
    assert len(ours.samples) == 6
    assert {"resps", "filtered_resps"} <= set(ours.samples[0])
    json.dumps(ours.samples, allow_nan=False)


def test_prompts_that_do_not_fit_are_counted(run: Run, tmp_path: Path, tiny_model: Any) -> None:
    """lm-eval cuts long prompts on the left and only logs it; here it becomes a finding."""
    (tmp_path / "gen.yaml").write_text(GENERATION)
    long = "word " * (2 * tiny_model.config.max_position_embeddings)
    _write(tmp_path / "rows.jsonl", [{"q": long, "a": "1"}, {"q": "2", "a": "2"}])
    ours = run(task="gen.yaml")
    assert [f.what for f in ours.findings if "cut" in f.what] == [
        "t: 1 requests were cut on the left."
    ]


CHOICE = """
task: choice
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
doc_to_choice: "{{c}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""


def test_multiple_choice_that_does_not_fit(run: Run, tmp_path: Path, tiny_model: Any) -> None:
    """A long context is cut and counted; a continuation longer than the model is an error."""
    (tmp_path / "choice.yaml").write_text(CHOICE)
    long = "word " * (2 * tiny_model.config.max_position_embeddings)
    _write(tmp_path / "rows.jsonl", [{"q": long, "a": 0, "c": ["yes", "no"]}])
    assert any(
        "2 requests were cut" in finding.what for finding in run(task="choice.yaml").findings
    )
    _write(tmp_path / "rows.jsonl", [{"q": "q", "a": 0, "c": [long, "no"]}])
    with pytest.raises(HarnessError, match="cannot be scored"):
        run(task="choice.yaml")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"a": 2, "c": ["yes", "no"]}, "Document 1 .* target 2, which is none of its choices"),
        ({"a": "Yes", "c": ["yes", "no"]}, "target 'Yes', which is none"),
        ({"a": 0, "c": ["yes", ""]}, "nothing but white space as choice 1"),
    ],
)
def test_a_document_that_no_answer_is_right_for_is_refused(
    run: Run, tmp_path: Path, row: dict[str, Any], problem: str
) -> None:
    """lm-eval warns in a log of thousands of lines, and counts it as a wrong answer."""
    (tmp_path / "choice.yaml").write_text(CHOICE)
    good = {"q": "q", "a": "no" if isinstance(row["a"], str) else 1, "c": ["yes", "no"]}
    _write(tmp_path / "rows.jsonl", [good, {"q": "q", **row}])
    with pytest.raises(DataError, match=problem):
        run(task="choice.yaml")
    assert run(task="choice.yaml", limit=1).scores[0].n == 1


ROLLING = """
task: rolling
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list:
  - {metric: word_perplexity, aggregation: weighted_perplexity, higher_is_better: false}
"""


def test_metric_that_is_no_mean_has_no_statistics(run: Run, tmp_path: Path) -> None:
    """A weighted perplexity cannot be had from column sums of (value, 1)."""
    (tmp_path / "rolling.yaml").write_text(ROLLING)
    _write(tmp_path / "rows.jsonl", [{"text": "a few words"}, {"text": "and some more"}])
    [score] = run(task="rolling.yaml").scores
    assert (score.stats, score.scale, score.stderr) == (None, None, None)
    assert not score.higher_is_better
    assert score.value is not None
    assert math.isfinite(score.value)


GROUP = """
group: both
task:
  - choice
  - task: smoke_mmlu_part
    dataset_path: json
    dataset_kwargs: {data_files: {test: rows.jsonl}}
    output_type: multiple_choice
    test_split: test
    doc_to_text: "{{q}}?"
    doc_to_target: "{{a}}"
    doc_to_choice: "{{c}}"
aggregate_metric_list: [{metric: acc, weight_by_size: false}]
metadata: {version: 3}
"""


def test_group_in_a_yaml_of_its_own(run: Run, tmp_path: Path) -> None:
    """Members are found beside the group, or written inline; an unweighted mean has no rows."""
    (tmp_path / "choice.yaml").write_text(CHOICE)
    (tmp_path / "both.yaml").write_text(GROUP)
    _write(tmp_path / "rows.jsonl", [{"q": "q", "a": 0, "c": ["yes", "no"]}] * 2)
    ours = run("b", task="both.yaml")
    total, choice, inline = (_only(ours, n, "acc") for n in ("b", "b/choice", "b/smoke_mmlu_part"))
    assert total.stats is None
    assert total.value == pytest.approx((choice.value + inline.value) / 2, rel=1e-12)
    assert "version:3|" in total.signature


def test_tag_has_no_average(run: Run, tmp_path: Path) -> None:
    """lm-eval gives no average for a tag, so there is none; its tasks stand under the task id."""
    row = {"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"}
    _write(tmp_path / "ARC-Easy.jsonl", [row])
    files = {"test": "{dataset_name}.jsonl"}
    ours = run("arc", task="ai2_arc", data={"format": "hub_fields", "files": files})
    assert {score.task for score in ours.scores} == {"arc/arc_easy"}
    assert list(ours.facts.missing) == ["arc_challenge"]


def test_one_file_for_several_data_sets_is_refused(run: Run, tmp_path: Path) -> None:
    """Both ARC tasks would score the same rows and report them as two results."""
    row = {"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"}
    _write(tmp_path / "arc.jsonl", [row])
    with pytest.raises(DataError, match="different data sets: arc_challenge, arc_easy"):
        run(task="ai2_arc", data={"format": "hub_fields", "files": {"test": "arc.jsonl"}})


def test_chat_template_is_applied_or_asked_for(run: Run, tiny_tokenizer: Any) -> None:
    """With a template, prompts differ; without one, the flag is an error."""
    fields = {"task": "smoke_mmlu", "limit": 1, "apply_chat_template": True}
    if tiny_tokenizer.chat_template is None:
        with pytest.raises(ModelError, match="has no chat template"):
            run(**fields)
        return
    plain, chat = run(task="smoke_mmlu", limit=1), run(**fields, system_instruction="Be brief.")
    assert plain.samples[0]["prompt_hash"] != chat.samples[0]["prompt_hash"]
    assert "chat:multiturn|system:" in chat.scores[0].signature


def test_shots_with_a_chat_template_equal_lm_evals(
    run: Run, tmp_path: Path, tiny_model: Any, tiny_tokenizer: Any
) -> None:
    """A suite that says nothing of turns has them, as lm-eval's own default has."""
    shipped = shipped_tasks_dir()
    config = load_yaml(shipped / "smoke_mmlu.yaml")
    files = config["dataset_kwargs"]["data_files"]
    files = {split: str((shipped / name).resolve()) for split, name in files.items()}
    config["dataset_kwargs"] = {"data_files": files, "cache_dir": str(tmp_path / "cache")}
    chat: dict[str, Any] = {"num_fewshot": 2, "limit": 8, "apply_chat_template": True}
    theirs = _direct(config, tiny_model, tiny_tokenizer, **chat)
    ours = run("m", task="smoke_mmlu", **chat)
    for metric in ("acc", "acc_norm"):
        expected = theirs["results"]["smoke_mmlu"][f"{metric},none"]
        assert _only(ours, "m", metric).value == expected
    hashes = [sample["prompt_hash"] for sample in theirs["samples"]["smoke_mmlu"]]
    assert [sample["prompt_hash"] for sample in ours.samples] == hashes


def test_turns_need_a_chat_template(run: Run) -> None:
    """Without a template there are no turns, and lm-eval would ignore the flag."""
    with pytest.raises(UsageError, match="fewshot_as_multiturn needs apply_chat_template"):
        run(task="smoke_mmlu", fewshot_as_multiturn=True)


def test_unknown_task_names_near_ones(run: Run) -> None:
    """A slip of the pen gets a proposal, shipped tasks included."""
    with pytest.raises(UsageError, match=r"named 'hellaswagg'\. Did you mean hellaswag"):
        run(task="hellaswagg")
    with pytest.raises(UsageError, match="smoke_mmlu"):
        run(task="smoke_mlmu")


def test_hub_data_without_network_says_how_to_mend_it(run: Run) -> None:
    """The data set is named, and what can be done."""
    with pytest.raises(DataError, match=r"needs the data set Rowan/hellaswag .* local files"):
        run(task="hellaswag")


def test_local_files_need_a_yaml_task(run: Run, hellaswag: dict[str, Any]) -> None:
    """A task written in Python loads its data itself."""
    with pytest.raises(UsageError, match="'squadv2' is written in Python"):
        run(task="squadv2", data=hellaswag)


def test_rows_without_the_fields_of_process_docs(run: Run, tmp_path: Path) -> None:
    """lm-eval's own code fails on such rows; the error says which data set's fields it needs."""
    _write(tmp_path / "a.jsonl", [{"q": 1}])
    data = {"format": "hub_fields", "files": {"validation": "a.jsonl"}}
    with pytest.raises(DataError, match=r"do not fit .*Rowan/hellaswag"):
        run(task="hellaswag", data=data)


def test_group_without_any_file_is_an_error(run: Run, tmp_path: Path) -> None:
    """Nothing to score is not a score."""
    (tmp_path / "test").mkdir()
    data = {"format": "mmlu_csv", "files": {"test": "test"}}
    with pytest.raises(DataError, match="None of the 57 tasks of 'mmlu' has a local file"):
        run(task="mmlu", data=data)
    with pytest.raises(DataError, match="None of the 1 tasks of 'mmlu_anatomy'"):
        run(task="mmlu_anatomy", data=data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "Not a"),
        ("dataset_path: json", "Not a task of lm-eval"),
        ("group: g\ntask: [no_such_task]", "'no_such_task', which does not exist"),
        (CHOICE + "unsafe_code: true", "neither is supported"),
        (CHOICE.replace("acc,", "no_such_metric,"), "'no_such_metric' .* could not be loaded"),
    ],
)
def test_yaml_that_cannot_be_run(run: Run, tmp_path: Path, text: str, message: str) -> None:
    """Each mistake in a task YAML is told before the model runs."""
    (tmp_path / "bad.yaml").write_text(text)
    _write(tmp_path / "rows.jsonl", [{"q": "q", "a": 0, "c": ["yes", "no"]}])
    with pytest.raises((UsageError, MetricError), match=message):
        run(task="bad.yaml")


@pytest.mark.slow
def test_default_index_knows_lm_evals_tasks() -> None:
    """The whole index, as users get it."""
    assert {"hellaswag", "mmlu", "mmlu_continuation", "ai2_arc"} <= set(module.default_index())


@pytest.mark.slow
@pytest.mark.realdata
def test_hellaswag_of_a_real_model(realdata: Path) -> None:
    """The first 100 rows give acc 0.42, acc_norm 0.45.

    Source: lm-eval 0.4.13 itself, fp32, on the same Q4_1 weights.
    """
    from harness.models.builtin import resolve_model
    from harness.suite.spec import BaseSpec

    try:
        folder = resolve_model(BaseSpec(model="smollm2-135m-instruct"), Path())
    except ModelError as error:
        pytest.skip(str(error))
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    prepared = prepare_lm_eval(
        LmEvalTask.model_validate(
            {
                "type": "lm_eval",
                "task": "hellaswag",
                "limit": 100,
                "data": {
                    "format": "hellaswag_jsonl",
                    "files": {"validation": "hellaswag/hellaswag_val_1000.jsonl"},
                },
            }
        ),
        "hs",
        tokenizer=tokenizer,
        suite_dir=realdata,
        seed=42,
    )
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with closing(prepared):
        ours = prepared.run(TransformersModel(model, tokenizer, "cpu"))
    assert {score.metric: score.value for score in ours.scores} == {"acc": 0.42, "acc_norm": 0.45}
