import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("evaluate", reason="the extra 'evaluate' is not installed")

from harness.errors import MetricError, MissingExtraError
from harness.suite.spec import MetricSpec
from harness.tasks.evaluate_module import EvaluateModule

MODULE = """
import datasets
import evaluate

class LengthRatio(evaluate.Metric):
    def _info(self):
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="", features={features}
        )

    def _compute(self, predictions, references, weight=1.0):
        {body}
"""
RATIO = """
        a, b = sum(map(len, predictions)), sum(map(len, references))
        return {"ratio": weight * a / b if b else float("nan"), "config": self.config_name}
"""
ONE = 'datasets.Features({"predictions": text, "references": text})'
LISTS = 'datasets.Features({"predictions": text, "references": datasets.Sequence(text)})'

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No cache of the user is read or written, and nothing is fetched."""
    import datasets.config
    import evaluate.config

    for config in (datasets.config, evaluate.config):
        monkeypatch.setattr(config, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", str(tmp_path / "metrics"))
    monkeypatch.setattr("evaluate.loading.HubEvaluationModuleFactory", _no_network)
    # an earlier test may have loaded modules from another folder, which would be searched first
    elsewhere = [path for path in sys.path if not Path(path, "evaluate_modules").is_dir()]
    monkeypatch.setattr(sys, "path", elsewhere)
    _forget_modules()
    yield
    _forget_modules()


def _forget_modules() -> None:
    for name in [name for name in sys.modules if name.startswith("evaluate_modules")]:
        del sys.modules[name]


def _no_network(*_: object, **__: object) -> None:
    raise ConnectionError


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the script of a module."""

    def script(name: str = "length_ratio", features: str = ONE, body: str = RATIO) -> Path:
        path = tmp_path / f"{name}.py"
        text = MODULE.replace("{features}", features).replace("{body}", body.strip())
        path.write_text(text, encoding="utf-8")
        return path

    return script


def module(path: Path | str, **options: Any) -> EvaluateModule:
    return EvaluateModule(MetricSpec(name=f"evaluate:{path}", options=options))


def test_a_local_module_scores_a_corpus_without_network(write: Write) -> None:
    """By hand: 3 characters over 6; the only number among the results is taken."""
    value, reason, statistics = module(write()).score_corpus(["a", "bb"], [["abc"], ["abc"]])
    assert value == 0.5
    assert reason is None
    assert statistics is None  # nothing to resample, so no interval is claimed


def test_options_reach_the_module(write: Write) -> None:
    body = 'return {"weight": weight, "named": float(self.config_name == "mine")}'
    path = write(body=body)
    options = {"config_name": "mine", "kwargs": {"weight": 3.0}}
    assert module(path, key="weight", **options).score_corpus(["a"], [["b"]])[0] == 3.0
    assert module(path, key="named", **options).score_corpus(["a"], [["b"]])[0] == 1.0


def test_per_example_gives_statistics_and_their_mean(write: Write) -> None:
    """By hand: ratios 1/2 and 2; their mean is 1.25, while the corpus ratio is 1."""
    predictions, references = ["a", "bb"], [["ab"], ["b"]]
    value, _, statistics = module(write(), per_example=True).score_corpus(predictions, references)
    assert value == 1.25
    assert statistics is not None
    assert statistics.tolist() == [[0.5, 1.0], [2.0, 1.0]]


def test_results_are_looked_at_before_there_are_texts(write: Write) -> None:
    """A key that the module does not return is refused with those that it does.

    Where it fails on references, what a model writes may still do.
    """
    several = write(body='return {"flesch": 1.0, "grade": 2.0}')
    module(several, key="grade").check([["a"], ["b"]])
    with pytest.raises(MetricError, match=r"'smog' .* not among its results.* flesch, grade\."):
        module(several, key="smog").check([["a"], ["b"]])
    with pytest.raises(MetricError, match="one number must be chosen"):
        module(several).check([["a"], ["b"]])
    module(write("fails", body="raise ValueError(references)")).check([["a"]])


def test_a_folder_with_a_script_of_its_name_is_a_module(write: Write, tmp_path: Path) -> None:
    """Relative paths start from the folder that the caller names."""
    (tmp_path / "own").mkdir()
    write().rename(tmp_path / "own" / "own.py")
    metric = EvaluateModule("evaluate:own", base_dir=tmp_path)
    assert metric.score_corpus(["a"], [["ab"]])[0] == 0.5


def test_references_take_the_form_that_the_module_takes(write: Write) -> None:
    """A list per example where it takes lists, a text where it takes texts."""
    lists = write("takes_lists", LISTS, 'return {"n": sum(map(len, references))}')
    assert module(lists).score_corpus(["a", "b"], [["x", "y"], ["z"]])[0] == 3
    assert module(lists).score_corpus(["a", "b"], [["x"], ["z"]])[0] == 2
    texts = write("takes_texts")
    with pytest.raises(MetricError, match=r"takes one reference.*references: first"):
        module(texts).score_corpus(["a"], [["xx", "y"]])
    assert module(texts, references="first").score_corpus(["a"], [["xx", "y"]])[0] == 0.5


def test_a_value_that_is_no_number_becomes_none_with_a_reason(write: Write) -> None:
    value, reason, _ = module(write()).score_corpus(["a"], [[""]])
    assert value is None
    assert reason is not None
    assert "gave nan" in reason


def test_no_examples_give_no_value_but_a_reason(write: Write) -> None:
    assert module(write()).score_corpus([], []) == (None, "there are no examples", None)


@pytest.mark.parametrize(
    ("key", "body", "problem"),
    [
        (None, 'return {"a": 1, "b": 2}', "results a, b; one number must be chosen"),
        (None, 'return {"a": [1]}', "results a; one number must be chosen"),
        ("c", 'return {"a": 1, "b": 2}', "'c' .* is not among its results; the results are a, b"),
        ("a", 'return {"a": [1], "b": 2}', "'a' .* is not a number"),
        (None, "return 3.0", "must give a dict of results, found float"),
        (None, "raise KeyError('inner')", "failed: KeyError: 'inner'"),
    ],
)
def test_results_that_are_not_one_number_are_refused(
    write: Write, key: str | None, body: str, problem: str
) -> None:
    """The message names the results there are."""
    metric = module(write(body=body), key=key)
    with pytest.raises(MetricError, match=problem):
        metric.score_corpus(["a"], [["b"]])


def test_a_module_that_failed_once_can_be_used_again(write: Write) -> None:
    body = 'return {"n": len(predictions) / (predictions[0] != "bad")}'
    metric = module(write(body=body))
    with pytest.raises(MetricError, match="ZeroDivisionError"):
        metric.score_corpus(["bad", "b"], [["x"], ["y"]])
    assert metric.score_corpus(["a"], [["x"]])[0] == 1.0


@pytest.mark.filterwarnings("default")
def test_a_hub_name_without_network_is_one_clear_error() -> None:
    with pytest.raises(MetricError, match=r"neither a local script.*evaluate.load\('accuracy'\)"):
        module("accuracy").score_corpus(["a"], [["a"]])


@pytest.mark.parametrize("name", ["missing.py", "./missing", "/no/where/x", "a/b/c"])
def test_a_missing_script_is_refused_at_once(name: str) -> None:
    with pytest.raises(MetricError, match="no script of an evaluate module"):
        module(name)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("import evaluate\nimport no_such_package\n", "packages that are not installed.*no_such"),
        ("x = (\n", "cannot be loaded: "),
        ("x = 1\n", "cannot be loaded: "),
    ],
)
def test_a_script_that_cannot_be_loaded_is_refused(
    tmp_path: Path, content: str, problem: str
) -> None:
    path = tmp_path / "broken.py"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(MetricError, match=problem):
        module(path).score_corpus(["a"], [["a"]])


def test_a_module_with_other_inputs_is_refused(write: Write) -> None:
    features = ONE.replace('"references"', '"source"')
    with pytest.raises(MetricError, match="also needs source"):
        module(write(features=features)).score_corpus(["a"], [["a"]])


def test_without_the_package_the_extra_is_named(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = module(write())
    monkeypatch.setitem(sys.modules, "evaluate", None)
    with pytest.raises(MissingExtraError, match=r"qlora-harness\[evaluate\]"):
        metric.score_corpus(["a"], [["a"]])


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"keys": "a"}, "option keys .* The options are key, config_name"),
        ({"references": "some"}, "option references .* found 'some'"),
    ],
)
def test_wrong_options_are_refused_at_once(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(MetricError, match=problem):
        module("accuracy", **options)


def test_the_signature_changes_with_the_script_and_the_options(write: Write) -> None:
    """A changed script must not be taken for the one that made stored scores."""
    path = write()
    signatures = [module(path).signature, module(path, kwargs={"weight": 2}).signature]
    path.write_text(path.read_text("utf-8") + "# changed\n", encoding="utf-8")
    signatures += [module(path).signature, module(path, per_example=True).signature]
    assert len(set(signatures)) == 4
    assert str(path.parent) not in signatures[0]
    assert module("accuracy", revision="v1").signature.startswith("evaluate:accuracy@v1|")


def test_direction_scale_and_unit_are_the_suites(write: Write) -> None:
    metric = module(write(), higher_is_better=False, scale=100.0, unit="%")
    assert (metric.higher_is_better, metric.scale, metric.unit) == (False, 100.0, "%")
