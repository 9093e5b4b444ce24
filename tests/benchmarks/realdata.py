"""HellaSwag, MMLU and SciTLDR from ``$HARNESS_REALDATA``, as lm-eval's own tasks and as prompts."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.errors import UsageError
from harness.tasks.lm_eval.rows import hellaswag_rows, mmlu_rows, write_parquet

VARIABLE = "HARNESS_REALDATA"
# Two whole subjects of 100 questions; their exact FLOP ratio together, 8.0, is that of all of MMLU
SUBJECTS = ("abstract_algebra", "global_facts")
NEEDED = {
    "hellaswag/hellaswag_val_1000.jsonl": "HellaSwag's validation rows, upstream's field names",
    "mmlu/dev": "MMLU's <subject>_dev.csv files",
    "mmlu/test": "MMLU's <subject>_test.csv files",
    "scitldr/test.jsonl": "SciTLDR-A's test rows",
}


def realdata() -> Path:
    """The folder of real data.

    Raises:
        UsageError: It is not named, or something is not there.
    """
    named = os.environ.get(VARIABLE)
    wants = "; ".join(f"{name} ({what})" for name, what in NEEDED.items())
    if not named:
        raise UsageError(
            f"These rows need real data, and ${VARIABLE} is not set.",
            hint=f"Set it to a folder that holds {wants}.",
        )
    missing = [name for name in NEEDED if not (Path(named) / name).exists()]
    if missing:
        raise UsageError(
            f"${VARIABLE} has no {', '.join(missing)}.",
            where=named,
            hint=f"The folder must hold {wants}.",
        )
    return Path(named)


def write_tasks(folder: Path) -> dict[str, Path]:
    """Write lm-eval's own task YAMLs with local files in the place of Hub data.

    The prompts, choices and metrics are included from lm-eval; HellaSwag has no shots unless it is
    given some, MMLU five. HellaSwag's shots are drawn from
    the rows that are evaluated, as there are no others: lm-eval leaves the document itself out
    where the split of the shots is the task's ``test_split``, so the rows are given that name.

    Returns:
        Path of the YAML by task name: ``bench_hellaswag``, and ``bench_mmlu_<subject>``.
    """
    import lm_eval.tasks

    data, own = realdata(), Path(lm_eval.tasks.__file__).parent
    folder.mkdir(parents=True, exist_ok=True)
    source = data / "hellaswag" / "hellaswag_val_1000.jsonl"
    rows = {"test": (list(hellaswag_rows(source)), source)}
    files = {
        "bench_hellaswag": _write_task(
            folder,
            "bench_hellaswag",
            own / "hellaswag" / "hellaswag.yaml",
            rows,
            {
                "training_split": None,
                "validation_split": None,
                "test_split": "test",
                "fewshot_split": "test",
            },
        )
    }
    for subject in SUBJECTS:
        rows = {}
        for split in ("test", "dev"):
            source = data / "mmlu" / split / f"{subject}_{split}.csv"
            rows[split] = (list(mmlu_rows(source, subject)), source)
        name = f"bench_mmlu_{subject}"
        stock = own / "mmlu" / "default" / f"mmlu_{subject}.yaml"
        files[name] = _write_task(folder, name, stock, rows, {"tag": None, "num_fewshot": 5})
    return files


def _write_task(
    folder: Path,
    name: str,
    stock: Path,
    rows: dict[str, tuple[list[dict[str, Any]], Path]],
    changes: dict[str, Any],
) -> Path:
    files = {}
    for split, (split_rows, source) in rows.items():
        files[split] = str(folder / f"{name}-{split}.parquet")
        write_parquet(split_rows, source, Path(files[split]))
    config = {
        "include": str(stock),
        "task": name,
        "dataset_path": "parquet",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files, "cache_dir": str(folder / "cache")},
        **changes,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    return path


@dataclass(frozen=True)
class RequestSet:
    """Log-likelihood requests of some lm-eval tasks, as lm-eval itself builds them.

    Attributes:
        requests: lm-eval's instances, in its order.
        tasks: The task that each belongs to.
    """

    requests: Sequence[Any]
    tasks: Sequence[Any]

    def documents(self, answers: Sequence[tuple[float, bool]]) -> list[dict[str, float]]:
        """What lm-eval's own metrics make of answers: one mapping per document."""
        choices: dict[tuple[str, int], tuple[Any, Any, list[tuple[float, bool]]]] = {}
        for request, task, answer in zip(self.requests, self.tasks, answers, strict=True):
            key = (task.task_name, request.doc_id)
            choices.setdefault(key, (task, request.doc, []))[2].append(answer)
        return [task.process_results(doc, given) for task, doc, given in choices.values()]


def build_requests(names: Sequence[str], folder: Path, *, shots: int, limit: int) -> RequestSet:
    """Requests of the first ``limit`` documents of each task.

    Args:
        names: Of ``write_tasks``.
        folder: Where the tasks' files go.
        shots: Examples before each question.
        limit: Documents per task.
    """
    from lm_eval.tasks import TaskManager

    from harness.tasks.lm_eval.quiet import quiet

    write_tasks(folder)
    requests: list[Any] = []
    tasks: list[Any] = []
    with quiet():
        manager = TaskManager(include_defaults=False, include_path=folder)
        loaded = manager.load(list(names))["tasks"]
        for name in names:
            task = loaded[name]
            task.set_config("num_fewshot", shots)
            task.set_fewshot_seed(1234)  # lm-eval's own default
            task.build_all_requests(limit=limit)
            requests += task.instances
            tasks += [task] * len(task.instances)
    return RequestSet(requests, tasks)


def abstracts(count: int) -> list[str]:
    """Prompts of the first SciTLDR abstracts."""
    return [" ".join(row["source"]) + "\nTLDR:" for row in _scitldr(count)]


def titles(count: int) -> list[str]:
    """Prompts of a few words: the titles of the first SciTLDR abstracts."""
    return [f"{row['title']}\n\nAbstract:" for row in _scitldr(count)]


def _scitldr(count: int) -> list[dict[str, Any]]:
    lines = (realdata() / "scitldr" / "test.jsonl").read_text("utf-8").splitlines()[:count]
    return [json.loads(line) for line in lines]
