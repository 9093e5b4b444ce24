"""What a task's own code imports is told before it is loaded, with what to install."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.plan.explain import check_tasks
from harness.suite.spec import LmEvalTask
from harness.tasks.lm_eval.code import check_code, own_code
from tests.unit.suites import suite_file

pytest.importorskip("lm_eval")

YAML = "task: own\ndataset_path: json\ndoc_to_text: !function code.text\n"


def check(folder: Path, code: str, **files: str) -> None:
    (folder / "own.yaml").write_text(YAML, "utf-8")
    for name, text in {"code": code, **files}.items():
        (folder / f"{name}.py").write_text(text, "utf-8")
    check_code(LmEvalTask(type="lm_eval", task="own.yaml"), folder)


@pytest.mark.parametrize(
    "code",
    [
        "import re, json\nimport numpy as np\nfrom lm_eval.api.metrics import mean",
        "from beside import helper",
        "try:\n    import no_such\nexcept ImportError:\n    no_such = None",
        "try:\n    import no_such\nexcept:\n    pass",
        "def text(doc):\n    import no_such",
        "from lm_eval.tasks.hellaswag.utils import process_docs",
        "from transformers import AutoTokenizer\nfrom sklearn.metrics import f1_score",
        "from datasets import *\nfrom os import no_such",  # of Python's own nothing is said
        "import os.path, xml.etree.ElementTree, importlib.metadata",
        "this is no Python",  # told when it is loaded
    ],
)
def test_what_can_be_imported_is_let_through(tmp_path: Path, code: str) -> None:
    """Also what is imported where it is used, or may fail."""
    check(tmp_path, code, beside="helper = 1")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import no_such.part", "there is no module 'no_such'"),
        ("from no_such import x", "there is no module 'no_such'"),
        ("from beside import helper", "there is no module 'no_such'"),
        ("import numpy.no_such", "there is no module 'numpy.no_such'.*version of numpy"),
        (
            "from datasets import load_metric",
            "no name 'datasets.load_metric'.*Another version of datasets may have",
        ),
        ("from lm_eval.tasks.ifeval import utils", "pip install 'lm-eval.ifeval.'"),
        (
            "try:\n    import no_such\nexcept ImportError:\n    raise OSError('ask Ada') from None",
            "'no_such'.* ask Ada",
        ),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, code: str, problem: str) -> None:
    """Over files that lie beside it and lm-eval's own, with lm-eval's extra where it has one."""
    if "ifeval" in code:
        pytest.importorskip("nltk")
        if _is_installed("langdetect"):
            pytest.skip("what ifeval needs is installed")
    with pytest.raises(UsageError, match=f"'own.yaml'.*{problem}"):
        check(tmp_path, code, beside="import no_such\nhelper = 1")


def _is_installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def test_validate_tells_all_of_them_with_their_lines(tmp_path: Path) -> None:
    """One line for each task that cannot be run, at its place in the suite."""
    (tmp_path / "own.yaml").write_text(YAML, "utf-8")
    (tmp_path / "code.py").write_text("import no_such", "utf-8")
    task = {"type": "lm_eval", "task": "own.yaml"}
    file = suite_file(tmp_path, tasks={"one": {**task}, "two": {**task}})
    with pytest.raises(UsageError) as told:
        check_tasks(file)
    lines = str(told.value).splitlines()
    assert len(lines) == 2
    assert all(re.match(r".*suite.*yaml:\d+: The code of", line) for line in lines)
    check_tasks(suite_file(tmp_path, tasks={"one": {**task, "task": "smoke_mmlu"}}))


def test_code_of_a_task_of_ones_own_is_named(tmp_path: Path) -> None:
    """Every Python file that its YAML runs; of lm-eval's own tasks none, and none without any."""
    check(tmp_path, "def text(doc):\n    return doc")
    assert own_code(LmEvalTask(type="lm_eval", task="own.yaml"), tmp_path) == [tmp_path / "code.py"]
    assert own_code(LmEvalTask(type="lm_eval", task="hellaswag"), tmp_path) == []
    (tmp_path / "plain.yaml").write_text("task: plain\ndataset_path: json\n", "utf-8")
    assert own_code(LmEvalTask(type="lm_eval", task="plain.yaml"), tmp_path) == []
