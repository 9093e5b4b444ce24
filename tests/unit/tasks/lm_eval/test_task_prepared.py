"""One loaded task serves all variants, and each gets what a task of its own would give it."""

from __future__ import annotations

import copy
import gc
import json
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import DataError
from harness.models.tokens import load_tokenizer
from harness.suite.spec import BaseSpec, LmEvalTask

pytest.importorskip("lm_eval")

import torch
from lm_eval.api.task import Task

import harness.tasks.lm_eval.task as module
from harness.engines import loglikelihood
from harness.engines.transformers import TransformersModel
from harness.tasks.lm_eval.documents import read_documents
from harness.tasks.lm_eval.outcome import LmEvalOutcome
from harness.tasks.lm_eval.task import PreparedLmEval, prepare_lm_eval

Prepare = Callable[..., PreparedLmEval]

# Everything random that a task may do: it shuffles rows while they are loaded, draws shots by the
# default sampler, and takes numbers from the global generators in prompts and in metrics.
RANDOM = """
task: random
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl, train: rows.jsonl}}
output_type: multiple_choice
test_split: test
fewshot_split: train
num_fewshot: 3
process_docs: !function functions.shuffled
doc_to_text: !function functions.text
doc_to_target: "{{a}}"
doc_to_choice: "{{c}}"
process_results: !function functions.results
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
FUNCTIONS = """
import logging
import random
import numpy as np

def shuffled(rows):
    return rows.map(lambda row: {"c": random.sample(row["c"], len(row["c"]))})

def text(doc):
    logging.getLogger("lm_eval.tasks").warning("building")
    return f"{doc['q']} {random.random():.3f} {np.random.rand():.3f}"

def results(doc, results):
    logging.getLogger("lm_eval.tasks").warning("scoring")
    return {"acc": random.random() + np.random.rand()}
"""
GENERATION = """
task: gen
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl, train: rows.jsonl}}
output_type: generate_until
test_split: test
fewshot_split: train
doc_to_text: "Q: {{q}}\\nA:"
doc_to_target: "{{a}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 6, do_sample: true, temperature: 1.0}
repeats: 2
filter_list:
  - {name: first, filter: [{function: take_first}]}
  - {name: digits, filter: [{function: regex, regex_pattern: "([0-9]+)"}, {function: take_first}]}
metric_list: [{metric: exact_match}]
"""
TASKS: dict[str, dict[str, Any]] = {
    "choices": {"task": "smoke_hellaswag", "limit": 5},
    "shots in order": {"task": "smoke_mmlu", "num_fewshot": 3, "limit": 4},
    "whole texts": {"task": "rolling.yaml", "limit": 3},
    "random": {"task": "random.yaml", "limit": 6},
    "texts": {"task": "gen.yaml", "num_fewshot": 2, "limit": 4},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Task files and their rows."""
    choices = ["red", "green", "blue", "white"]
    rows = [{"q": f"What is {n}+1?", "a": n % 4, "c": choices} for n in range(8)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "random.yaml").write_text(RANDOM)
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    (tmp_path / "gen.yaml").write_text(GENERATION)
    rolling = {
        "task": "rolling",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "rows.jsonl"}},
        "output_type": "loglikelihood_rolling",
        "test_split": "test",
        "doc_to_text": "",
        "doc_to_target": "{{q}}",
        "metric_list": [{"metric": "byte_perplexity"}],
    }
    (tmp_path / "rolling.yaml").write_text(json.dumps(rolling))
    return tmp_path


@pytest.fixture
def prepare(folder: Path, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """Prepare a task given by its fields; temporary folders are made below ``tmp_path/temp``."""
    (folder / "temp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "temp"))

    def call(**fields: Any) -> PreparedLmEval:
        task = LmEvalTask.model_validate({"type": "lm_eval", **fields})
        return prepare_lm_eval(task, "t", tokenizer=tiny_tokenizer, suite_dir=folder, seed=7)

    return call


@pytest.fixture
def other_model(tiny_model: Any) -> Any:
    """The tiny model with other weights."""
    other = copy.deepcopy(tiny_model)
    with torch.no_grad():
        for number, weights in enumerate(other.parameters()):
            generator = torch.Generator().manual_seed(number)
            weights.add_(torch.randn(weights.shape, generator=generator), alpha=0.02)
    return other


def _run_on(prepared: PreparedLmEval, model: Any) -> LmEvalOutcome:
    tokenizer = load_tokenizer(BaseSpec(model="tiny:llama"), Path())
    return prepared.run(TransformersModel(model, tokenizer, "cpu"))


def _fresh(prepare: Prepare, model: Any, **fields: Any) -> LmEvalOutcome:
    with closing(prepare(**fields)) as prepared:
        return _run_on(prepared, model)


def _assert_equal(ours: LmEvalOutcome, theirs: LmEvalOutcome) -> None:
    assert ours.scores == theirs.scores
    assert ours.samples == theirs.samples  # prompt hashes, arguments, log-likelihoods, texts
    assert ours.findings == theirs.findings  # what lm-eval warned of, and how often
    assert ours.arrays.keys() == theirs.arrays.keys()
    for name, values in ours.arrays.items():
        np.testing.assert_array_equal(values, theirs.arrays[name])


@pytest.mark.parametrize("fields", TASKS.values(), ids=TASKS)
def test_every_run_equals_one_on_a_fresh_task(
    prepare: Prepare, tiny_model: Any, other_model: Any, fields: dict[str, Any]
) -> None:
    """Requests, random draws, answers, scores and warnings of a variant do not depend on others."""
    models = [tiny_model, other_model, tiny_model]
    with closing(prepare(**fields)) as prepared:
        shared = [_run_on(prepared, model) for model in models]
    for ours, model in zip(shared, models, strict=True):
        torch.rand(3)  # whatever went on in between
        _assert_equal(ours, _fresh(prepare, model, **fields))
    assert shared[0].samples != shared[1].samples


@pytest.mark.parametrize("fields", TASKS.values(), ids=TASKS)
def test_documents_shown_by_themselves_are_those_that_are_scored(
    prepare: Prepare, folder: Path, tiny_model: Any, fields: dict[str, Any]
) -> None:
    """With their ids, rows that the task shuffles while it loads them included."""
    with closing(prepare(**fields)) as prepared:
        (ids,) = (
            names
            for key, names in _run_on(prepared, tiny_model).arrays.items()
            if key.startswith("ids/")
        )
    task = LmEvalTask.model_validate({"type": "lm_eval", **fields})
    documents = read_documents(task, folder, 7)
    assert [document.id for document in documents] == list(ids)
    assert all(document.completion for document in documents)


def test_requests_are_built_once(
    prepare: Prepare, tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a second variant, neither prompts are rendered nor shots drawn."""
    built: list[str] = []
    building = Task.build_all_requests

    def counted(self: Any, **options: Any) -> None:
        built.append(self.task_name)
        building(self, **options)

    monkeypatch.setattr(Task, "build_all_requests", counted)
    with closing(prepare(task="smoke_mmlu", num_fewshot=2, limit=2)) as prepared:
        for _ in range(3):
            _run_on(prepared, tiny_model)
    assert built == ["smoke_mmlu"]


def test_what_does_not_depend_on_weights_is_shared(
    prepare: Prepare, tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All variants of a task get one place for encodings and plans; another task has its own."""
    given: list[Any] = []
    real = loglikelihood.PrefixSharingLM

    def spy(*args: Any, shared: Any, **options: Any) -> Any:
        given.append(shared)
        return real(*args, shared=shared, **options)

    monkeypatch.setattr(loglikelihood, "PrefixSharingLM", spy)
    first, second = (prepare(task="smoke_mmlu", limit=1) for _ in range(2))
    with closing(first), closing(second):
        for prepared in (first, first, second):
            _run_on(prepared, tiny_model)
    assert given[0] is given[1]
    assert given[0] is not given[2]


def test_a_run_that_fails_leaves_nothing_to_the_next(
    prepare: Prepare, tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether requests were being built, with shots drawn already, or answered, or scored."""
    fields = TASKS["random"]
    expected = _fresh(prepare, tiny_model, **fields)
    places = (
        "lm_eval.api.task.ConfigurableTask.construct_requests",
        "harness.engines.loglikelihood.PrefixSharingLM.loglikelihood",
        "lm_eval.api.task.ConfigurableTask.process_results",
    )
    with closing(prepare(**fields)) as prepared:
        for place in places:
            with monkeypatch.context() as patch:
                patch.setattr(place, _out_of_memory)
                with pytest.raises(MemoryError):
                    _run_on(prepared, tiny_model)
        _assert_equal(_run_on(prepared, tiny_model), expected)


def _out_of_memory(*_args: Any, **_options: Any) -> Any:
    raise MemoryError


def test_warnings_of_loading_building_and_scoring_are_told_to_each_variant(
    prepare: Prepare, tiny_model: Any
) -> None:
    """Six documents with three shots: texts are rendered 24 times, though only once a task."""
    told = []
    with closing(prepare(**TASKS["random"])) as prepared:
        for _ in range(2):
            found = _run_on(prepared, tiny_model).findings
            told.append([f.what for f in found if "lm-eval says" in f.what])
    assert told[0] == told[1]
    # one more of each text is rendered when a task is loaded, as a test
    assert told[0] == [
        "t: lm-eval says: building (25 times)",
        "t: lm-eval says: scoring (6 times)",
    ]


def test_the_engine_is_told_where_there_is_something_to_choose(
    prepare: Prepare, tiny_model: Any
) -> None:
    """A task that only generates has no log-likelihoods, so no model is probed for it."""
    choices = _fresh(prepare, tiny_model, task="smoke_mmlu", limit=1, engine="stock")
    assert choices.facts.engine is not None
    assert [f.severity for f in choices.findings if "engine stock" in f.what] == ["info"]
    assert all("stock" not in score.signature for score in choices.scores)
    texts = _fresh(prepare, tiny_model, task="gen.yaml", limit=1)
    assert texts.facts.engine is None
    assert not any("engine" in finding.what for finding in texts.findings)


def test_the_temporary_folder_lives_as_long_as_the_task(
    prepare: Prepare, folder: Path, tiny_model: Any
) -> None:
    """Closed or forgotten, it leaves nothing behind; a closed task cannot be run."""
    temp = folder / "temp"
    prepared = prepare(task="gen.yaml", limit=1)
    assert len(list(temp.iterdir())) == 1
    _run_on(prepared, tiny_model)
    prepared.close()
    prepared.close()
    assert list(temp.iterdir()) == []
    with pytest.raises(TypeError, match="t was closed"):
        _run_on(prepared, tiny_model)
    prepared = prepare(task="gen.yaml", limit=1)
    assert len(list(temp.iterdir())) == 1
    del prepared
    gc.collect()
    assert list(temp.iterdir()) == []


def test_a_task_that_cannot_be_loaded_leaves_no_folder(prepare: Prepare, folder: Path) -> None:
    """Nor is anything of lm-eval left patched."""
    with pytest.raises(DataError, match="there are only 8"):
        prepare(task="gen.yaml", num_fewshot=9)
    assert list((folder / "temp").iterdir()) == []
    assert "from_string" not in vars(module.template_environment)
