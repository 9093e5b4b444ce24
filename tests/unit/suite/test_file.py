"""Reading suites: defaults, overrides, and errors that name the place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.errors import SuiteError
from harness.suite.file import builtin_suites, find_suite, load_suite
from harness.suite.spec import suite_schema

MINIMAL = """\
name: mine
base:
  model: tiny:llama
tasks:
  summaries:
    type: generation
    metrics: [rougeL]
    data: {source: rows.jsonl}
    prompt: {prompt: "{{ text }}", completion: "{{ label }}"}
"""


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "suite.yaml"
    path.write_text(text, "utf-8")
    return str(path)


def message(name: str, *overrides: str) -> str:
    with pytest.raises(SuiteError) as caught:
        load_suite(name, overrides)
    return str(caught.value)


def test_a_minimal_suite_gets_the_defaults(tmp_path: Path) -> None:
    """What is not said has a documented default."""
    suite = load_suite(write(tmp_path, MINIMAL)).suite
    assert suite.seed == 42
    assert suite.matrix.base == ["nf4"]
    assert suite.matrix.merged == "best"


def test_relative_paths_start_at_the_suite_file(tmp_path: Path) -> None:
    """The base folder is the suite's own, wherever the command was run."""
    assert load_suite(write(tmp_path, MINIMAL)).base_dir == tmp_path.resolve()


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("name: mine", "name: Mine!", 1, "name must match pattern"),
        ("  model: tiny:llama", "  modle: tiny:llama", 3, "base.modle is not a key of a suite"),
        ("    metrics: [rougeL]", "    metrics: []", 7, "tasks.summaries.metrics needs at least"),
        ("    type: generation", "    type: generaton", 6, "Did you mean generation?"),
        ("tasks:", "seed: -1\ntasks:", 4, "seed must be greater than or equal to 0, found -1"),
        ("{source: rows.jsonl}", "{}", 8, "exactly one of source and files must be given"),
        ("tasks:", "train: {lora: {r: 0}}\ntasks:", 4, "train.lora.r must be greater than 0"),
    ],
)
def test_an_error_names_file_line_and_key(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    """Every error says where, what was needed and what was found."""
    path = write(tmp_path, MINIMAL.replace(old, new))
    text = message(path)
    assert f"{path}:{line}: " in text
    assert words in text


def test_all_errors_come_at_once(tmp_path: Path) -> None:
    """A user mends a suite in one go, not error by error."""
    text = MINIMAL.replace("mine", "Mine").replace("[rougeL]", "[]")
    assert len(message(write(tmp_path, text)).splitlines()) == 2


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ('description="\\ud800"', "--set description: description must be text, found half of a"),
        ('tasks.summaries.prompt.stop=["a", "\\udc00"]', "tasks.summaries.prompt.stop[1] must be"),
        ("tasks.summaries.metrics=[{name: bleu, options: {a: .nan}}]", "must be a finite number"),
    ],
)
def test_what_no_record_can_hold_is_refused(tmp_path: Path, override: str, words: str) -> None:
    """Half of a surrogate pair, and numbers that JSON does not have: nothing could be written."""
    assert words in message(write(tmp_path, MINIMAL), override)


def test_an_unknown_key_suggests_the_near_one(tmp_path: Path) -> None:
    """A misspelt key is refused with the key that was probably meant."""
    text = MINIMAL.replace("    metrics", "    max_new_token: 3\n    metrics")
    assert "Did you mean max_new_tokens?" in message(write(tmp_path, text))


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    """YAML would silently keep the last of two equal keys."""
    assert "'name' is given 2 times" in message(write(tmp_path, MINIMAL + "name: again\n"))


def test_broken_yaml_names_the_line(tmp_path: Path) -> None:
    """A syntax error is told with its line, not with a traceback."""
    path = write(tmp_path, "name: [\nbase: x\n")
    assert re.match(rf"{re.escape(path)}:[23]: Not valid YAML", message(path))


def test_overrides_reach_nested_keys(tmp_path: Path) -> None:
    """--set changes one value and leaves its neighbours."""
    suite = load_suite(
        write(tmp_path, MINIMAL), ["base.dtype=fp32", "tasks.summaries.metrics=[bleu, chrf]"]
    ).suite
    assert (suite.base.model, suite.base.dtype) == ("tiny:llama", "fp32")
    assert suite.tasks["summaries"].metrics == ("bleu", "chrf")  # type: ignore[union-attr]


def test_paths_of_the_command_line_start_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A suite's own start from its folder; names that are no paths here stay as they are."""
    (tmp_path / "suites").mkdir()
    suite = write(tmp_path / "suites", MINIMAL)
    (tmp_path / "rows.jsonl").touch()
    monkeypatch.chdir(tmp_path)

    def source(setting: str) -> object:
        data = load_suite(suite, [setting]).suite.data
        return data and (data.source or data.files)

    assert source("data.source=rows.jsonl") == "../rows.jsonl"
    assert source("data.source='*.jsonl'") == "../*.jsonl"
    assert source("data.source=suites/new.jsonl") == "suites/new.jsonl"
    assert source("data.source=./new.jsonl") == "../new.jsonl"
    assert source("data={files: {train: rows.jsonl}}") == {"train": "../rows.jsonl"}
    assert load_suite(suite, ["base.model=rows.jsonl"]).suite.base.model == "../rows.jsonl"
    assert load_suite(suite, ["description=rows.jsonl"]).suite.description == "rows.jsonl"


def test_dtypes_by_the_names_that_torch_has(tmp_path: Path) -> None:
    """As in bitsandbytes' own options; the suite, and its keys, are the same."""
    suites = [
        load_suite(
            write(tmp_path, MINIMAL), [f"base.dtype={dtype}", f"matrix.base=[{dtype}, nf4]"]
        ).suite
        for dtype in ("fp16", "float16", "torch.float16")
    ]
    assert suites[0] == suites[1] == suites[2]


def test_an_override_without_equals_sign_is_refused(tmp_path: Path) -> None:
    """The form of --set is named in the error."""
    assert "dotted.key=value" in message(write(tmp_path, MINIMAL), "base.dtype")


def test_a_limit_reaches_every_task(tmp_path: Path) -> None:
    """--limit bounds the examples of all tasks."""
    suite = load_suite(write(tmp_path, MINIMAL), limit=3).suite
    assert [task.limit for task in suite.tasks.values()] == [3]


def test_a_missing_suite_names_the_built_in_ones() -> None:
    """A wrong name is answered with the names that work."""
    text = message("nosuch.yaml")
    assert "demo" in text
    assert "tiny" in text


def test_built_in_suites_are_found_by_name_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`demo` and `suites/demo.yaml` both work outside a checkout."""
    monkeypatch.chdir(tmp_path)
    assert find_suite("demo") == find_suite("suites/demo.yaml") == builtin_suites()["demo"]


@pytest.mark.parametrize("name", ["demo", "tiny", "benchmarks"])
def test_built_in_suites_are_valid(name: str) -> None:
    """What is shipped can be read."""
    assert load_suite(name).suite.name == name


def test_train_and_checkpoints_exclude_each_other(tmp_path: Path) -> None:
    """A suite trains or takes checkpoints, not both."""
    text = MINIMAL.replace("tasks:", "train: {}\ncheckpoints: a/*\ntasks:")
    assert "only one of train and checkpoints" in message(write(tmp_path, text))


def test_the_json_schema_in_docs_is_current() -> None:
    """Editors complete from docs/suite.schema.json; `harness schema` writes it."""
    path = Path(__file__).parents[3] / "docs" / "suite.schema.json"
    assert json.loads(path.read_text("utf-8")) == json.loads(json.dumps(suite_schema())), (
        "run: harness schema > docs/suite.schema.json"
    )


def test_shipped_suites_satisfy_the_json_schema() -> None:
    """The schema accepts what the reader accepts."""
    import jsonschema
    import yaml

    for path in builtin_suites().values():
        jsonschema.validate(yaml.safe_load(path.read_text("utf-8")), suite_schema())


@pytest.mark.parametrize("text", ["2e-4", "2E-4", "2.0e-4", "0.0002", "+2e-4", ".2e-3"])
def test_numbers_are_those_of_yaml_1_2(tmp_path: Path, text: str) -> None:
    """PyYAML alone takes 2e-4 for a text, and a learning rate would silently be one."""
    path = write(
        tmp_path, MINIMAL.replace("    metrics:", f"    temperature: {text}\n    metrics:")
    )
    assert load_suite(path).suite.tasks["summaries"].temperature == pytest.approx(2e-4)  # type: ignore[union-attr]
    override = load_suite(
        write(tmp_path, MINIMAL + "data: {source: r.jsonl}\nprompt: {prompt: a, completion: b}\n"),
        [f"train.args.learning_rate={text}"],
    )
    assert override.suite.train is not None
    assert override.suite.train.args["learning_rate"] == pytest.approx(2e-4)


@pytest.mark.parametrize("text", ["e5", "1e", "v1e5", "1e5x", "checkpoint-2e"])
def test_what_only_looks_like_a_number_stays_a_text(tmp_path: Path, text: str) -> None:
    """Names may hold digits and the letter e."""
    path = write(tmp_path, MINIMAL + f"description: {text}\n")
    assert load_suite(path).suite.description == text


@pytest.mark.parametrize("tasks", ["tasks: [a]", "tasks: {a: hellaswag}"])
def test_a_limit_over_wrong_tasks_ends_in_a_message(tmp_path: Path, tasks: str) -> None:
    """`--limit` reaches into the tasks before they are validated."""
    path = write(tmp_path, f"name: mine\nbase: {{model: tiny:llama}}\n{tasks}\n")
    with pytest.raises(SuiteError, match="tasks"):
        load_suite(path, limit=2)


@pytest.mark.parametrize(
    ("key", "needle"),
    [
        (
            "select.constraints=[{measurement: ttft_s, max: 4 XB}]",
            "select.constraints[0].max must be a number, or bytes such as 4 GB or 512 MiB, "
            "found '4 XB'.",
        ),
        ("gate.margin=2 %%", "gate.margin must be a share such as 5%, found '2 %%'."),
    ],
)
def test_amounts_and_margins_are_asked_for_in_words(tmp_path: Path, key: str, needle: str) -> None:
    """Not by a regular expression, and once per mistake."""
    told = message(write(tmp_path, MINIMAL), key)
    assert needle in told
    assert len(told.splitlines()) == 1


def test_options_of_generate_are_told_by_name(tmp_path: Path) -> None:
    """Those of the task itself are keys of their own."""
    path = write(tmp_path, MINIMAL)
    setting = "tasks.summaries.generation={num_beams: 4}"
    assert load_suite(path, [setting]).suite.tasks["summaries"].generation == {"num_beams": 4}
    for name, near in (("num_beam", "num_beams"), ("temperature", "num_beams")):
        with pytest.raises(SuiteError, match=f"no option '{name}'") as refused:
            load_suite(path, [f"tasks.summaries.generation={{{name}: 4}}"])
        assert near in str(refused.value)
