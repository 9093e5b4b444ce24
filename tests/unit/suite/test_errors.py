"""What is wrong with a suite: all of it at once, each with its line or its ``--set``."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.suite.file import load_suite
from harness.validate.suite import read_suite

SUITE = """\
name: mine
base:
  model: tiny:llama
data:
  source: rows.jsonl
  splits: {train: 0.4, eval: 0.2, select: 0.2, report: 0.2}
prompt:
  prompt: "{{ body }}"
  completion: "{{ label }}"
train:
  lora:
    lora_alpha: 8
  args:
    learning_rate: 1.0e-3
    max_steps: 4
tasks:
  answers:
    type: generation
    max_new_tokens: 8
    metrics: [rougeL]
"""
ROW = '{"body": "a text", "label": "an answer"}\n'


def write(folder: Path, *changes: tuple[str, str], rows: str = ROW) -> str:
    """The suite with changes of its text, beside its rows."""
    (folder / "rows.jsonl").write_text(rows, "utf-8")
    text = SUITE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "suite.yaml"
    path.write_text(text, "utf-8")
    return str(path)


def told(path: str, *overrides: str, rows: bool = False) -> list[str]:
    """The lines of the message, without the folder."""
    with pytest.raises(UsageError) as caught:
        read_suite(path, overrides, rows=rows)
    return str(caught.value).replace(path, "suite.yaml").splitlines()


def test_a_right_suite_is_read(tmp_path: Path) -> None:
    """With and without a look at its rows."""
    path = write(tmp_path)
    assert read_suite(path, rows=True) == read_suite(path)
    assert read_suite(path).suite == load_suite(path).suite


@pytest.mark.parametrize(
    "key",
    [
        "measure.prompt_tokens[0]",
        "measure.new_tokens[0]",
        "measure.batch_sizes[0]",
        "train.lora.r",
        "tasks.answers.max_new_tokens",
        "tasks.answers.batch_size",
    ],
)
def test_what_no_machine_can_hold_is_refused(tmp_path: Path, key: str) -> None:
    """Before anything is loaded."""
    name, _, listed = key.partition("[")
    value = "[1000000000000]" if listed else "1000000000000"
    (line,) = told(write(tmp_path), f"{name}={value}")
    assert line.startswith(f"--set {name}: {key} must be less than or equal to 1000000")


def test_everything_is_told_in_the_order_of_lines(tmp_path: Path) -> None:
    """Keys of ours, of PEFT's and of TRL's, metrics and templates, in one go."""
    path = write(
        tmp_path,
        ("name: mine", "name: mine\nsead: 3"),
        ("{{ body }}", "{{ body }"),
        ("lora_alpha", "lora_alfa"),
        ("learning_rate", "learning_rat"),
        ("max_new_tokens", "max_new_token"),
        ("rougeL", "rogueL"),
    )
    lines = told(path)
    starts = [
        "suite.yaml:2: sead is not a key of a suite. Did you mean seed or seeds?",
        "suite.yaml:9: prompt.prompt: Not a valid jinja2 template (line 1)",
        "suite.yaml:13: train.lora.lora_alfa is not a field of PEFT's LoraConfig. Did you mean",
        "suite.yaml:15: train.args.learning_rat is not a field of TRL's SFTConfig. Did you mean",
        "suite.yaml:20: tasks.answers.max_new_token is not a key of a suite. Did you mean max_new",
        "suite.yaml:21: There is no metric 'rogueL'. Did you mean rougeL",
    ]
    assert len(lines) == len(starts)
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(start)


def test_a_section_that_is_wrong_hides_nothing_else(tmp_path: Path) -> None:
    """A prompt without its marker, names that have successors, and a metric, in one go."""
    path = write(
        tmp_path,
        ('  prompt: "{{ body }}"\n  completion: "{{ label }}"', '  text: "{{ label }}"'),
        ("learning_rate: 1.0e-3", "fp16: false\n    warmup_ratio: 0.03\n    group_by_length: true"),
        ("rougeL", "rouge_l"),
    )
    lines = told(path, rows=True)
    words = ("prompt: text needs", "fp16", "warmup_ratio", "group_by_length", "'rouge_l'")
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("base=null", ["base must be"]),
        ("tasks=[1]", ["tasks must be"]),
        ("tasks.answers.type=nope", ["which is no task type"]),
        ("prompt=null", ["train needs data and prompt"]),
        ("data={source: rows.jsonl, splits: {train: 2}}", ["splits must add up to 1"]),
        ("gate={metrics: [{task: answers}]}", ["gate.metrics[0].metric is needed"]),
    ],
)
def test_other_errors_are_told_beside_one_that_takes_a_section_away(
    tmp_path: Path, override: str, words: list[str]
) -> None:
    """And nothing that would be right without it."""
    path = write(tmp_path, ("learning_rate", "learning_rat"))
    lines = told(path, override, rows=True)
    assert len(lines) == len(words) + 1
    for word in (*words, "learning_rat is not a field"):
        assert any(word in line for line in lines)


def test_several_rules_that_cannot_be_kept_are_told_at_once(tmp_path: Path) -> None:
    """Not only the first of them."""
    gate = """\
gate:
  metrics:
    - {task: nosuch, metric: rougeL}
    - {task: answers, metric: bleu}
    - {task: answers, metric: rougeL, floor: 600}
"""
    lines = told(write(tmp_path, ("tasks:", f"{gate}tasks:")))
    assert [line.partition(": ")[0] for line in lines] == [f"suite.yaml:{n}" for n in (18, 19, 20)]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("lr=1", "lr is not a key of a suite. Did you mean train.args.learning_rate?"),
        ("learning_rate=1e-4", "learning_rate is not a key of a suite. Did you mean train.args."),
        ("sead=1", "sead is not a key of a suite. Did you mean seed or seeds?"),
        ("tsks.answers.limit=1", "tsks is not a key of a suite. Did you mean tasks?"),
        ("tasks.answers.limt=1", "tasks.answers.limt is not a key of a suite. Did you mean limit?"),
        ("train.args.learning_rat=1", "train.args.learning_rat is not a field"),
        ("tasks.answers.metrics=[rougel]", "There is no metric 'rougel'. Did you mean rougeL"),
        (
            "select.constraints=[{task: answers, metric: rougeL, min: 3, foo: 1}]",
            "select.constraints[0].foo",
        ),
        ("prompt.prompt='{{ body }'", "prompt.prompt: Not a valid jinja2 template"),
        ("seed=-1", "seed must be greater than or equal to 0, found -1."),
    ],
)
def test_what_was_set_on_the_command_line_is_told_there(
    tmp_path: Path, override: str, words: str
) -> None:
    """And not at some innocent line of the file."""
    (line,) = told(write(tmp_path), override)
    assert line.startswith(f"--set {override.partition('=')[0]}: {words}")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("tasks.answers.metrics=[{name: bleu, optons: {}}]", "metrics[0].optons is not a key of"),
        ("tasks.answers.metrics.0=3", "metrics[0] must be a valid string, found 3."),
        ("matrix.merged=bset", "must be 'best', 'last', 'all' or 'none', found 'bset'."),
        ("matrix.merged=[a]", "matrix.merged[0] must be a valid integer"),
    ],
)
def test_what_may_be_one_thing_or_another_is_told_once(
    tmp_path: Path, override: str, words: str
) -> None:
    """By what it most likely was meant to be, not by all that it is not."""
    (line,) = told(write(tmp_path), override)
    assert words in line


def test_what_the_file_says_keeps_its_line_beside_what_was_set(tmp_path: Path) -> None:
    """The command line's come last."""
    path = write(tmp_path, ("max_steps", "max_step"))
    assert [line.partition(": ")[0] for line in told(path, "foo=1")] == [
        "suite.yaml:15",
        "--set foo",
    ]


def test_only_keys_of_the_same_level_are_suggested(tmp_path: Path) -> None:
    """`foo` at the top is near to a gate's `floor`, which would not help there."""
    (line,) = told(write(tmp_path), "foo=1")
    assert "Did you mean" not in line
    assert "There are: name, description, seed, seeds, base, train," in line
    (line,) = told(write(tmp_path), "gate.metrics=[{task: answers, metric: rougeL, flor: 3}]")
    assert line.endswith("gate.metrics[0].flor is not a key of a suite. Did you mean floor?")


def test_a_task_s_name_may_hold_dots(tmp_path: Path) -> None:
    """And its keys still have their line."""
    file = load_suite(write(tmp_path, ("  answers:", "  v1.answers:")))
    assert file.at("tasks.v1.answers.metrics[0]") == f"{file.path}:20"


# -- rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "rows", "words"),
    [
        ("{{ bdy }}", ROW, "suite.yaml:8: prompt.prompt: Field 'bdy' is needed by the template"),
        ("{{ body }}", "", "suite.yaml:5: data.source: The source holds no rows: rows.jsonl."),
        ("{{ body }}", "\n\n", "suite.yaml:5: data.source: The source holds no rows: rows.jsonl."),
    ],
)
def test_rows_that_do_not_fit_the_prompt_are_told(
    tmp_path: Path, new: str, rows: str, words: str
) -> None:
    """With the line of the suite, before anything is computed."""
    path = write(tmp_path, ("{{ body }}", new), rows=rows)
    (line,) = told(path, rows=True)
    assert line.startswith(words)
    if "bdy" in new:
        assert f"The row is {tmp_path}/rows.jsonl:1. Did you mean 'body'?" in line
    read_suite(path)  # an eval reads the rows anyway


def test_a_missing_data_file_has_the_line_that_names_it(tmp_path: Path) -> None:
    """As every mistake does."""
    (line,) = told(write(tmp_path, ("rows.jsonl", "rosw.jsonl")), rows=True)
    assert line.startswith(f"suite.yaml:5: {tmp_path}/rosw.jsonl: There is no such file.")
    assert "Did you mean rows.jsonl" in line


def test_a_row_that_would_be_dropped_is_no_mistake(tmp_path: Path) -> None:
    """A null is counted by the run; a field that a template asks about may be missing."""
    rows = '{"body": null, "label": "x"}\n' + ROW
    path = write(
        tmp_path, ("{{ body }}", "{{ body }}{% if hint is defined %}{{ hint }}{% endif %}")
    )
    (tmp_path / "rows.jsonl").write_text(rows, "utf-8")
    read_suite(path, rows=True)


def test_the_fields_of_the_built_in_data_are_known_without_reading_it(tmp_path: Path) -> None:
    """It takes seconds to collect."""
    path = write(tmp_path, ("rows.jsonl", "stdlib-docstrings"))
    (line,) = told(path, "prompt.completion='{{ sumary }}'", rows=True)
    assert line.startswith("--set prompt.completion: ")
    assert "Did you mean 'summary'?" in line


def test_a_task_s_own_prompt_is_looked_at(tmp_path: Path) -> None:
    """With its own line."""
    own = 'metrics: [rougeL]\n    prompt: {prompt: "{{ txt }}", completion: "{{ label }}"}'
    (line,) = told(write(tmp_path, ("metrics: [rougeL]", own)), rows=True)
    assert line.startswith("suite.yaml:21: tasks.answers.prompt.prompt: Field 'txt'")


@pytest.mark.parametrize(
    ("method", "given", "base", "adapters", "merged"),
    [
        ("qlora", "", ["nf4"], "nf4", "best"),
        ("lora", "", ["auto"], "auto", "best"),
        ("full", "", ["fp32"], "fp32", "none"),
        ("full", "matrix: {base: [bf16]}", ["bf16"], "fp32", "none"),
        ("lora", "matrix: {adapters: nf4}", ["auto"], "nf4", "best"),
    ],
)
def test_the_matrix_is_by_default_at_the_precision_of_the_training(
    tmp_path: Path, method: str, given: str, base: list[str], adapters: str, merged: str
) -> None:
    """What the suite says of it stands."""
    path = write(tmp_path, ("train:\n", f"{given}\ntrain:\n  method: {method}\n"))
    matrix = read_suite(path).suite.matrix
    assert (matrix.base, matrix.adapters, matrix.merged) == (base, adapters, merged)


def test_whole_models_are_not_merged(tmp_path: Path) -> None:
    """A checkpoint of full fine-tuning has no adapter."""
    path = write(tmp_path, ("train:\n", "train:\n  method: full\n"))
    (line,) = told(path, "matrix.merged=best")
    assert "train.method is full: a checkpoint is a whole model" in line
    assert line.endswith("Leave matrix.merged out.")
