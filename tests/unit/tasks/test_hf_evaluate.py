import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("evaluate", reason="the extra 'evaluate' is not installed")

from harness.errors import MetricError, MissingExtraError
from harness.spec import MetricSpec
from harness.tasks.hf_evaluate import EvaluateModule

MODULE = """
    import datasets
    import evaluate

    class LengthRatio(evaluate.Metric):
        def _info(self):
            text = datasets.Value("string")
            return evaluate.MetricInfo(
                description="", citation="", inputs_description="",
                features={features},
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
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache of the user is read or written, and nothing is fetched."""
    import datasets.config
    import evaluate.config

    for config in (datasets.config, evaluate.config):
        monkeypatch.setattr(config, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", str(tmp_path / "metrics"))
    monkeypatch.setattr("evaluate.loading.HubEvaluationModuleFactory", _no_network)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if name.startswith("evaluate_modules"):
            del sys.modules[name]


def _no_network(*_: object, **__: object) -> None:
    raise ConnectionError


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the script of a module."""

    def script(name: str = "length_ratio", features: str = ONE, body: str = RATIO) -> Path:
        path = tmp_path / f"{name}.py"
        text = textwrap.dedent(MODULE).replace("{features}", features)
        path.write_text(text.replace("        {body}", textwrap.dedent(body).replace("\n", "\n        ")), encoding="utf-8")
        return path

    return script


def module(path: Path | str, **options: Any) -> EvaluateModule:
    return EvaluateModule(MetricSpec(name=f"evaluate:{path}", options=options))
