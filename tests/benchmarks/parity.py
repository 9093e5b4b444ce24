"""The recorded parity check: every document of HellaSwag and MMLU scored as lm-eval scores it.

``python -m tests.benchmarks.parity`` compares the prefix-sharing engine with lm-eval's own model
class, as it comes, on 500 documents of HellaSwag and all questions of two MMLU subjects with five
shots, in fp32 on SmolLM2-135M. It takes some ten minutes on two cores, most of them lm-eval's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.benchmarks import models
from tests.benchmarks.realdata import SUBJECTS, build_requests
from tests.benchmarks.timing import say

ALL = 1_000_000  # more documents than any task has
TOLERANCE = 1e-3  # nats per request
HEADER = (
    "| task | documents | requests | acc differs | acc_norm differs | greedy differs "
    "| largest Δ log-likelihood |",
    "|---|---|---|---|---|---|---|",
)


@dataclass(frozen=True)
class Task:
    """One line of the table.

    Attributes:
        title: What it is called there.
        name: Of ``realdata.write_tasks``.
        shots: Examples before each question.
        documents: How many, from the first on.
    """

    title: str
    name: str
    shots: int
    documents: int


TASKS = (
    Task("HellaSwag, 0-shot", "bench_hellaswag", 0, 500),
    *(Task(f"MMLU {name}, 5-shot", f"bench_mmlu_{name}", 5, ALL) for name in SUBJECTS),
)


@dataclass(frozen=True)
class Agreement:
    """How far two ways of scoring one task agree.

    Attributes:
        task: The task.
        documents: Documents scored.
        requests: Log-likelihoods compared.
        differing: Documents by metric whose value is not identical; None where the task has no
            such metric.
        greedy: Requests whose greedy flag differs.
        largest: Largest absolute difference of a log-likelihood, in nats.
    """

    task: Task
    documents: int
    requests: int
    differing: dict[str, int | None]
    greedy: int
    largest: float

    @property
    def agrees(self) -> bool:
        """Whether it is what the harness promises."""
        return not (self.greedy or any(self.differing.values())) and self.largest <= TOLERANCE

    @property
    def line(self) -> str:
        """Its line of the table."""
        metrics = ["—" if count is None else f"{count}" for count in self.differing.values()]
        cells = [self.task.title, self.documents, self.requests, *metrics, self.greedy]
        return f"| {' | '.join(map(str, cells))} | {self.largest:.1e} |"


def compare(task: Task, ours: Any, reference: Any) -> Agreement:
    """Score one task with both, and compare request by request and document by document."""
    with tempfile.TemporaryDirectory(prefix="harness-parity-") as folder:
        requests = build_requests([task.name], Path(folder), shots=task.shots, limit=task.documents)
        found = ours.loglikelihood(requests.requests)
        expected = reference.loglikelihood(requests.requests, disable_tqdm=True)
        documents = list(zip(requests.documents(found), requests.documents(expected), strict=True))
    metrics = documents[0][1].keys()
    return Agreement(
        task,
        documents=len(documents),
        requests=len(found),
        differing={
            metric: sum(mine[metric] != theirs[metric] for mine, theirs in documents)
            if metric in metrics
            else None
            for metric in ("acc", "acc_norm")
        },
        greedy=sum(mine[1] is not theirs[1] for mine, theirs in zip(found, expected, strict=True)),
        largest=max(abs(mine[0] - theirs[0]) for mine, theirs in zip(found, expected, strict=True)),
    )


def check(
    tasks: Sequence[Task] = TASKS, *, device: str = "cpu", engine: Any = "auto"
) -> list[Agreement]:
    """Compare both on some tasks, with one model, one after the other.

    Raises:
        UsageError: There is no real data.
    """
    from lm_eval.models.huggingface import HFLM

    from harness.engines.loglikelihood import PrefixSharingLM

    model, tokenizer = models.load(device)
    ours = PrefixSharingLM(model, tokenizer, batch_size=8, device=device, engine=engine)
    reference = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=8)
    say(f"Engine {ours.choice.engine}: {ours.choice.why}")
    found = []
    for task in tasks:
        say(f"{task.title} ...")
        found.append(compare(task, ours, reference))
    return found


def table(found: Sequence[Agreement]) -> str:
    """The Markdown table."""
    return "\n".join([*HEADER, *(agreement.line for agreement in found)])


def run(*, documents: int = ALL, device: str = "cpu") -> str:
    """Make the check, print the table and return it.

    What differs is in the table; ``main`` also exits with 1 then.

    Args:
        documents: At most so many of each task, to try that it works.
        device: ``cpu`` or ``cuda``.

    Raises:
        UsageError: There is no real data.
    """
    shown = table(check(_at_most(documents), device=device))
    sys.stdout.write(f"{shown}\n")
    return shown


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.parity", description=__doc__)
    parser.add_argument("--documents", type=int, default=ALL, help="at most so many of each task")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    found = check(_at_most(args.documents), device=args.device)
    sys.stdout.write(f"{table(found)}\n")
    differing = [agreement.task.title for agreement in found if not agreement.agrees]
    if differing:
        sys.exit(f"Not as lm-eval scores: {'; '.join(differing)}")


def _at_most(documents: int) -> list[Task]:
    return [replace(task, documents=min(task.documents, documents)) for task in TASKS]


if __name__ == "__main__":
    main()
