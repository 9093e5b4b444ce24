"""All rows of the benchmarks, by name, and the groups they stand in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module

from tests.benchmarks import clusters, leakage, main_jobs, nf4, pure_python, report_page, stored
from tests.benchmarks.results import GOALS_HEADER, PROBES_HEADER, Result, Settings


@dataclass(frozen=True)
class Row:
    """Something to measure.

    Attributes:
        title: What, in a few words.
        group: The table it stands in.
        run: Measures it, in a process of its own.
        needs_realdata: Whether it reads ``$HARNESS_REALDATA``.
        environment: Variables its process is started with.
    """

    title: str
    group: str
    run: Callable[[Settings], Result]
    needs_realdata: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


def _goal(title: str, where: str, *, realdata: bool = True, **options: Mapping[str, str]) -> Row:
    """A row of the goals; its module, which loads torch, is imported when it runs."""
    module, _, function = where.partition(":")

    def run(settings: Settings) -> Result:
        found: Result = getattr(import_module(f"tests.benchmarks.{module}"), function)(settings)
        return found

    return Row(title, "goals", run, realdata, **options)


def _parity(settings: Settings) -> Result:
    """The recorded check that answers on SmolLM2 are lm-eval's own, to the document."""
    from harness.tasks.lm_eval.quiet import quiet

    parity = import_module("tests.benchmarks.parity")
    most = 3 if settings.quick else parity.ALL
    tasks = [replace(task, documents=min(task.documents, most)) for task in parity.TASKS]
    with quiet():
        found = parity.check(tasks, device=settings.device)
    lines = parity.table(found).splitlines()
    return Result(lines, passed=all(agreement.agrees for agreement in found))


def _job(name: str) -> Row:
    title = main_jobs.JOBS[name].title
    return Row(title, "main-jobs", lambda settings: main_jobs.measure(name, settings))


def _probes(title: str, function: str) -> Row:
    def run(settings: Settings) -> Result:
        found: Result = getattr(import_module("tests.benchmarks.probes"), function)(settings)
        return found

    return Row(title, "probes", run)


ROWS: dict[str, Row] = {
    "hellaswag-0-shot": _goal(
        "HellaSwag 0-shot, 100 documents, against HFLM", "loglikelihood:hellaswag_0_shot"
    ),
    "hellaswag-10-shot": _goal(
        "HellaSwag 10-shot, 40 documents, against HFLM", "loglikelihood:hellaswag_10_shot"
    ),
    "mmlu-5-shot": _goal(
        "MMLU 5-shot, 2 subjects of 100 questions, against HFLM", "loglikelihood:mmlu_5_shot"
    ),
    "matrix": _goal("base + 4 adapters + merged against six lm-eval runs", "matrix:six_variants"),
    "mixed-adapters": _goal(
        "base + 4 adapters decoded in one batch, against one after another",
        "generation:mixed_adapters",
    ),
    "nf4": _goal(
        "decode on NF4 weights dequantized once, against Linear4bit on AVX2",
        "nf4:decode_on_nf4",
        realdata=False,
        environment=nf4.ENVIRONMENT,
    ),
    "generation": _goal(
        "64 SciTLDR abstracts, against batch-1 generate", "generation:generate_abstracts"
    ),
    "logits-memory": _goal(
        "peak memory of logits against HFLM", "logits_memory:peak_logits_memory", realdata=False
    ),
    "parity": Row(
        "answers equal HFLM's on SmolLM2",
        "parity",
        _parity,
        needs_realdata=True,
    ),
    "python": Row("hot pure-Python parts, by pytest-benchmark", "python", pure_python.measure),
    "leakage": Row(
        "100,000 training rows against 10,000 scored examples", "leakage", leakage.measure
    ),
    "clusters": Row("clusters of near-identical rows, up to 200,000", "clusters", clusters.measure),
    **{name: _job(name) for name in main_jobs.JOBS},
    "probes-tiny": _probes("all probes of the suite tiny, in seconds", "tiny"),
    "probes-demo": _probes("all probes of the suite demo, as a share of its time", "demo"),
    "store-verified": Row("verifying what a repeated eval reads", "store", stored.verified),
    "store-synced": Row("waiting for the disk in eval tiny", "store", stored.synced),
    "report-render": Row(
        "report of 10,000 examples x 8 variants: build and render it", "report", report_page.render
    ),
    "report-browser": Row(
        "the same page in headless Chromium: paint, keys, scrolling, filters",
        "report",
        report_page.browse,
    ),
    "report-demo": Row("size of the demo's report", "report", report_page.demo),
}
GROUPS: dict[str, tuple[str, ...]] = {
    "goals": GOALS_HEADER,
    "parity": (),
    "python": pure_python.HEADER,
    "leakage": leakage.HEADER,
    "clusters": clusters.HEADER,
    "main-jobs": main_jobs.HEADER,
    "probes": PROBES_HEADER,
    "report": report_page.HEADER,
    "store": stored.HEADER,
}
