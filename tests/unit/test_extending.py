"""The guide on extending the harness: its examples are a package, and each of them is used."""

from __future__ import annotations

import csv
import io
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import nltk
import pytest
import yaml

from harness.checks.base import findings_about
from harness.console import Reporter
from harness.doors import ENGINES, EXECUTORS, SECTIONS, TASK_TYPES, Door
from harness.engines.base import Decoding, Generated, Weights
from harness.errors import MetricError, SuiteError, UsageError
from harness.report.build import build_view
from harness.report.html import render_html
from harness.report.markdown import render_markdown
from harness.report.tables import render_csv
from harness.run.executors import CellJob, CellOutcome, CellStart, StoreKey
from harness.run.pipeline import run_suite
from harness.run.state import Options
from harness.schema import Example, Score, Variant
from harness.store.runs import Store
from harness.suite.spec import BaseSpec, MetricSpec, QuantizationSpec
from harness.tasks.base import TaskRequest
from harness.validate.suite import CheckedSuite, read_suite
from tests.unit.doors import DOORS, doors_open_anew
from tests.unit.report.page_parser import Page
from tests.unit.suites import suite_file

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "extending.md"
PACKAGE = "my_package"


def blocks(language: str) -> list[tuple[str, str]]:
    """The file that each block of a language is of, as its first line says, and the block."""
    fence = re.compile(rf"^```{language}\n(?:#|---) (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(match[1], match[2]) for match in fence.finditer(GUIDE.read_text("utf-8"))]


def entry_points() -> dict[str, dict[str, str]]:
    """Name -> target by group, as the guide's ``pyproject.toml`` says."""
    groups: dict[str, dict[str, str]] = {}
    for _, text in blocks("toml"):
        groups |= tomllib.loads(text)["project"]["entry-points"]
    return groups


def patched(file: str) -> str:
    """A file of ours with all that the guide changes in it."""
    text = (ROOT / file).read_text("utf-8")
    for name, diff in blocks("diff"):
        if name == file:
            lines = diff.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] in " -")
            after = "".join(line[1:] for line in lines if line[0] in " +")
            assert text.count(before) == 1, f"{file} has no longer, or not once:\n{before}"
            text = text.replace(before, after)
    return text


def module(file: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A file of ours as the guide changes it, beside the real one."""
    name = file.removesuffix(".py").replace("/", ".")
    made = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, made)  # dataclasses look there
    exec(compile(patched(file), file, "exec"), vars(made))  # noqa: S102  # the guide's own code
    return made


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The guide's package, installed."""
    folder = tmp_path_factory.mktemp("site")
    (folder / PACKAGE).mkdir()
    (folder / PACKAGE / "__init__.py").write_text("")
    for name, text in blocks("python"):
        if name.startswith(f"{PACKAGE}/"):
            (folder / name).write_text(text, "utf-8")
    info = folder / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    lines = [
        line
        for group, entries in entry_points().items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch, doors_open_anew():
        patch.syspath_prepend(str(folder))
        yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The guide's files as if they stood in ``harness/``, where its text and its rows say."""
    targets = re.findall(r'"(\w+)": "(harness[\w.]+):', patched("harness/doors.py"))
    places = {name: target.replace(".", "/") + ".py" for name, target in targets}
    outside = {
        target.partition(":")[0].replace(".", "/") + ".py": places[name]
        for entries in entry_points().values()
        for name, target in entries.items()
    }
    guide = GUIDE.read_text("utf-8")
    for name, text in blocks("python"):
        place = outside.get(name, name)
        if place.startswith("harness/"):
            assert place == name or f"the file is `{place}`" in guide
            path = tmp_path / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            room = import_module(place.rpartition("/")[0].replace("/", "."))
            monkeypatch.setattr(room, "__path__", [*room.__path__, str(path.parent)])
    before = set(sys.modules)
    yield
    for module_name in set(sys.modules) - before:
        if (tmp_path / f"{module_name.replace('.', '/')}.py").exists():
            del sys.modules[module_name]


def made(text: str, split: str = "report") -> Example:
    return Example(
        id=text, split=split, prompt=f"say {text}", completion="", references=("b",), cluster=text
    )


def echoing(folder: Path, **changes: Any) -> CheckedSuite:
    """A suite on the engine and the task type of the guide."""
    base = {"model": "tiny:llama", "engine": "echo", "dtype": "fp32", "device": "cpu"}
    content: dict[str, Any] = {
        "base": base,
        "data": {"source": "rows.jsonl", "splits": {"report": 1.0}},
        "tasks": {"short": {"type": "brevity", "splits": ["report"], "max_words": 1}},
        "matrix": {"base": ["fp32"], "merged": "none"},
        **changes,
    }
    return suite_file(folder, **content)


def test_the_guide_shows_one_of_each_kind() -> None:
    """Guards what follows: the examples are found, and every door has one."""
    groups = entry_points()
    assert set(groups) == {door.group for door in DOORS}
    files = {name for name, _ in blocks("python")}
    targets = {target for entries in groups.values() for target in entries.values()}
    assert {target.partition(":")[0].replace(".", "/") + ".py" for target in targets} <= files
    assert "harness/metrics/jaccard.py" in files
    assert {name for name, _ in blocks("diff")} == {
        "harness/doors.py",
        "harness/metrics/registry.py",
    }


@pytest.mark.parametrize("document", [GUIDE, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_files_that_the_pages_name_exist(document: Path) -> None:
    """All but those that the guide is about to make."""
    text = re.sub(r"(?ms)^```.*?^```", "", document.read_text("utf-8"))
    text = re.sub(r"the file is `[^`]+`", "", text)
    for name in re.findall(r"`((?:harness|tests|docs|reports|suites)/[^` *<]*)`", text):
        assert (ROOT / name).exists(), name


@pytest.mark.usefixtures("own_files")
@pytest.mark.parametrize(
    ("prediction", "reference"),
    [("the cat sat", "a cat sat down"), ("a b", "a b"), ("a", "b"), ("A b", "a B c")],
)
def test_the_metric(monkeypatch: pytest.MonkeyPatch, prediction: str, reference: str) -> None:
    """It comes from the registry by its name, with its options, and agrees with nltk's."""
    registry = module("harness/metrics/registry.py", monkeypatch)
    assert "jaccard" in registry.metric_names()
    for spec, change in (("jaccard", str.lower), (_with("lowercase", False), str)):
        metric = registry.build_metric(spec)
        value, count = metric.statistics(prediction, ["x y z w", reference])
        sets = [set(change(text).split()) for text in (prediction, reference)]
        assert value == pytest.approx(1 - nltk.jaccard_distance(*sets))
        assert count == 1.0
    assert registry.build_metric("jaccard").signature == "jaccard|case:lower|refs:best"
    with pytest.raises(MetricError, match="lowercase"):
        registry.build_metric(_with("lowercase", "no"))


def _with(option: str, value: Any) -> MetricSpec:
    return MetricSpec(name="jaccard", options={option: value})


@pytest.mark.usefixtures("package")
def test_the_task_type(tmp_path: Path) -> None:
    """A suite may name it, and its session scores what a model writes."""
    file = echoing(tmp_path)
    examples = (made("a b"), made("c"), made("d e f", "select"))
    request = TaskRequest("short", file.suite, file.base_dir, examples)
    task_type = TASK_TYPES.get("brevity")
    one, other = (
        task_type.identity(TaskRequest("short", suite, tmp_path), {"n": 1}).scores
        for suite in (file.suite, read_suite(str(file.path), ["tasks.short.max_words=2"]).suite)
    )
    assert one != other
    with task_type.open(request, None, Reporter(-1)) as session:
        outcome = session.predict(_Says({"say a b": "a b", "say c": "c"}), _ignore).outcome
    (score,) = outcome.scores
    assert (score.task, score.split, score.n, score.value) == ("short", "report", 2, 0.5)
    assert outcome.arrays[score.stats].tolist() == [[0.0, 1.0], [1.0, 1.0]]
    assert outcome.arrays["ids/report"].tolist() == ["a b", "c"]


def test_the_engine(package: Path, tmp_path: Path) -> None:
    """It answers, and a suite that asks for more is refused with its reason."""
    assert package in Path(import_module(f"{PACKAGE}.engine").__file__ or "").parents
    engine = ENGINES.get("echo")
    base = BaseSpec(model="tiny:llama")
    weights = Weights(base, tmp_path, "fp32", QuantizationSpec())
    with engine.load(weights, None) as loaded, loaded.active(None) as model:
        (written,) = model.generate(["say hello"], Decoding(), chat=False, progress=_ignore)
        (loss,) = model.completion_losses([("a", "b c")], chat=False, max_length=None)
    assert (written.text, written.prompt_tokens, written.finish_reason) == ("hello", 2, "eos")
    assert (loss.nll_sum, loss.tokens) == (2.0, 2)
    for changes, reason in (
        ({"measure": {}}, "an echo takes no memory"),
        ({"train": {"method": "lora"}}, "an echo learns nothing"),
        ({"tasks": {"t": {"type": "lm_eval", "task": "mmlu"}}}, "an echo weighs no words"),
    ):
        with pytest.raises(SuiteError, match=reason):
            echoing(tmp_path, **changes)


@pytest.mark.usefixtures("package")
def test_the_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends a job and reads its outcome; a machine that does not answer fails the cell."""
    executor = EXECUTORS.get("ssh")
    with pytest.raises(UsageError, match="--executor ssh:HOST"):
        executor.start("", Reporter(-1)).__enter__()
    variant = Variant(id="base@fp32", kind="base", precision="fp32", base_model="tiny:llama")
    job = CellJob(
        suite={},
        base_dir=str(tmp_path),
        runs_dir=str(tmp_path),
        variant=variant,
        task="short",
        scores=StoreKey(key="k", identity={}),
    )
    answer = CellOutcome(variant=variant.id, task="short", seconds=1.5)
    ssh(tmp_path, monkeypatch, f"cat > {tmp_path}/sent; echo '{answer.model_dump_json()}'")
    with executor.start("gpu-1", Reporter(-1)) as workers:
        assert list(workers.compute([job])) == [
            CellStart(variant=variant.id, task="short"),
            answer,
        ]
    assert CellJob.model_validate_json((tmp_path / "sent").read_text()) == job
    ssh(tmp_path, monkeypatch, "echo 'ssh: no route to gpu-1' >&2; exit 255")
    with executor.start("gpu-1", Reporter(-1)) as workers:
        assert [event.reason for event in list(workers.compute([job]))[1:]] == [
            "ssh: no route to gpu-1"
        ]


def test_the_section(package: Path, make_run: Callable[..., Any]) -> None:
    """It stands in every form of the report, with the seconds of the run's cells."""
    assert SECTIONS.origin("time_spent") == "entry point time_spent of my-package 1.0"
    run = make_run(variants=("base@nf4", "checkpoint-40"))
    manifest = run.build()
    cells = tuple(cell.model_copy(update={"seconds": 30.0}) for cell in manifest.cells)
    view = build_view(run.store, manifest.model_copy(update={"cells": cells}))
    of_base = 30.0 * sum(cell.variant == "base@nf4" for cell in cells)
    assert view.sections["time_spent"]["seconds"]["base@nf4"] == of_base
    page = render_html(view)
    assert Page(page).errors == []
    assert re.findall(r'<section id="(\w+)"', page)[-3:] == ["time_spent", "provenance", "glossary"]
    assert "## Time spent" in render_markdown(view)
    rows = list(csv.DictReader(io.StringIO(render_csv(view, "time_spent.seconds"))))
    assert {row["variant"]: float(row["time"]) for row in rows}["base@nf4"] == of_base
    assert view.left_out == {}


@pytest.mark.usefixtures("package")
def test_the_check(tmp_path: Path) -> None:
    """It finds what it looks for among all findings, and nothing where there is nothing."""
    for sampled in (True, False):
        tasks = {"t": {"type": "generation", "metrics": ["bleu"], "do_sample": sampled}}
        findings = findings_about(suite_file(tmp_path, tasks=tasks).suite)
        noticed = [finding.what for finding in findings if finding.check == "sampling"]
        assert noticed == ["t draws its texts at random."] * sampled


def test_a_run_with_all_of_them(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell of that task, on that engine, by that executor; the worker's own process."""
    ssh(tmp_path, monkeypatch, f'shift 2; exec "{sys.executable}" "$@"')
    monkeypatch.setenv("PYTHONPATH", f"{package}{os.pathsep}{ROOT}")
    store = Store(tmp_path / "runs")
    manifest = run_suite(echoing(tmp_path), store, Options(executor="ssh:gpu-1"), Reporter(-1))
    (cell,) = manifest.cells
    assert (cell.kind, cell.status) == ("brevity", "done")
    (score,) = store.read_records("scores", str(cell.scores_key), "scores", Score)
    assert (score.metric, score.n, score.value) == ("brevity", 8, 1.0)


@pytest.mark.usefixtures("own_files")
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.what)
def test_built_in_it_takes_a_file_and_a_row(
    door: Door[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of the guide still fit into the tables, and what they name satisfies the door."""
    doors = module("harness/doors.py", monkeypatch)
    changed = next(d for d in vars(doors).values() if getattr(d, "group", "") == door.group)
    (name,) = changed.built_in.keys() - door.built_in.keys()
    assert name in entry_points()[door.group]
    assert lacking(door, changed.get(name)) == []


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.what)
def test_every_row_names_something_that_satisfies_its_door(door: Door[Any]) -> None:
    """A row holds a name, which nothing imports before somebody asks for it."""
    assert {name: lacking(door, door.get(name)) for name in door.built_in} == {
        name: [] for name in door.built_in
    }


def lacking(door: Door[Any], thing: object) -> list[str]:
    """Members of the door's protocol that a thing lacks."""
    module_name, _, name = door.protocol.partition(":")
    own = vars(getattr(import_module(module_name), name))
    members = {*own, *own.get("__annotations__", ())}
    return sorted(m for m in members if not m.startswith("_") and not hasattr(thing, m))


def test_hooks_run_what_nox_runs_in_the_versions_of_the_constraints() -> None:
    """A commit that the hooks let through passes the lint."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    lint = (ROOT / "noxfile.py").read_text("utf-8").partition("def lint(")[2].partition("\n@")[0]
    runs = [re.findall(r'"([^"]+)"', line) for line in re.findall(r"session\.run\((.*)\)", lint)]
    commands = [" ".join(word for word in words if word[0].isalpha()) for words in runs]
    assert [hook["entry"].partition(" --")[0] for hook in hooks] == commands
    pins = {pin for hook in hooks for pin in hook.get("additional_dependencies", ())}
    assert pins <= set((ROOT / "constraints.txt").read_text("utf-8").splitlines())


@pytest.mark.parametrize("name", ["bug_report", "feature_request"])
def test_issue_forms_are_well_formed(name: str) -> None:
    """As GitHub asks: a name, a description, and a body of fields with unique ids and labels."""
    path = ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml"
    form = yaml.safe_load(path.read_text("utf-8"))
    assert form["name"]
    assert form["description"]
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids))
    assert all(field["attributes"]["label"] for field in form["body"])
    assert {field["type"] for field in form["body"]} <= {"textarea", "input", "dropdown"}
    assert "harness doctor" in path.read_text("utf-8")


class _Says:
    """A model that says what it is told to."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self.answers = answers

    def generate(self, prompts: list[str], decoding: Decoding, **_: Any) -> list[Generated]:
        assert decoding.max_new_tokens == 4
        return [Generated(self.answers.get(prompt, ""), 2, 1, "eos", 0) for prompt in prompts]


def _ignore(*_: Any, **__: Any) -> None:
    """Progress that nobody watches."""


def ssh(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program of that name, found first."""
    program = folder / "bin" / "ssh"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
