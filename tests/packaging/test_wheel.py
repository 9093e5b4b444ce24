"""The wheel in a clean environment: the base install, which has no torch."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the programs of an environment that holds only the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("packaging")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "-w", str(folder), str(ROOT)], check=True, timeout=300
    )
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    wheel = next(folder.glob("*.whl"))
    constraints = ["-c", str(ROOT / "constraints.txt")]
    subprocess.run(
        [str(programs / "pip"), "install", "-q", *constraints, str(wheel)], check=True, timeout=600
    )
    return programs


def run(programs: Path, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(programs / args[0]), *args[1:]], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_the_base_install_has_no_torch(installed: Path, tmp_path: Path) -> None:
    """There is none to import, so nothing of the harness can bring it in."""
    done = run(installed, "python", "-c", "import harness.cli.main, torch", cwd=tmp_path)
    assert "No module named 'torch'" in done.stderr


@pytest.mark.parametrize(
    "verb",
    ["--version", "--help", "suites", "schema", "doctor", "runs", "init tiny", "validate tiny"],
)
def test_readers_work_from_the_wheel(installed: Path, tmp_path: Path, verb: str) -> None:
    """Shipped suites and templates are found in the installation."""
    done = run(installed, "harness", *verb.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_a_maker_verb_names_what_to_install(installed: Path, tmp_path: Path) -> None:
    """Without the extra, eval says which one is needed."""
    done = run(installed, "harness", "eval", "tiny", cwd=tmp_path)
    assert done.returncode == 2
    assert "pip install 'qlora-harness[" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_is_rendered_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """A run made elsewhere is rendered with the installed templates."""
    script = ROOT / "tests" / "unit" / "conftest.py"
    subprocess.run([sys.executable, str(script), str(tmp_path / "made")], check=True, cwd=ROOT)
    manifest = next((tmp_path / "made").rglob("manifest.json"))
    done = run(
        installed, "harness", "report", str(manifest.parent), "-o", str(tmp_path), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!doctype html>")
