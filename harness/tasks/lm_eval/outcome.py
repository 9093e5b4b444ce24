"""Turns what lm-eval returns into scores, per-example statistics and per-document records."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.checks.base import findings_about
from harness.checks.lm_eval_run import LmEvalFacts
from harness.digests import text_digest
from harness.metrics.names import LM_EVAL_SCALES
from harness.schema import HubData, Score
from harness.suite.spec import LmEvalTask
from harness.tasks.base import TaskOutcome

SPLIT = "all"  # lm-eval's tasks bring their own documents; they are not split


@dataclass
class LmEvalOutcome(TaskOutcome):
    """Scores of one variant on one lm-eval task or group.

    A single task's scores have ``task`` = the suite's task id. Of a group, the group's own average
    has the task id, and subgroups and leaf tasks are called ``<task id>/<lm-eval's name>``. The
    metric is called as in lm-eval, with the filter behind a comma where it is not ``none``:
    ``acc``, ``exact_match,strict-match``.

    Names in ``arrays``:
        ``<score.task>/<metric>`` (in ``Score.stats``): shape (n, 2), rows of (value, 1), or (0, 0)
            for a document to which the metric gave no number. Only where the metric is a mean over
            documents, so that column sums give it; a group's average has them where its tasks
            are weighted by size.
        ``ids/<score.task>/all``: str, shape (n,), lm-eval's document hash and the document's index;
            in groups behind the leaf's name.
        ``clusters/<score.task>/all``: str, shape (n,), the document hash alone: equal documents
            share a cluster.

    Attributes:
        samples: lm-eval's record of each document.
        datasets: Where the documents of leaf tasks come from; only those on the Hub.
        facts: What the findings are about.
    """

    samples: list[dict[str, Any]] = field(default_factory=list)
    datasets: list[HubData] = field(default_factory=list)
    facts: LmEvalFacts | None = None


@dataclass(frozen=True)
class GroupFacts:
    """What is needed to know of a group beside lm-eval's results.

    Attributes:
        leaves: Its scored leaf tasks, subgroups' included.
        size_weighted: Metrics whose average weighs each leaf by its number of documents.
    """

    leaves: tuple[str, ...]
    size_weighted: frozenset[str]


@dataclass(frozen=True)
class RunFacts:
    """Everything that scores are made of.

    Attributes:
        results: What lm-eval's ``evaluate`` returned, samples included.
        root: Name of the group (or single task) that was asked for; None for a tag.
        means: Leaf task -> metrics that are a mean over documents.
        groups: Group -> facts about it.
        seed: Seed of the shots.
        lm_eval: Version of lm-eval.
        facts: What was left out, cut, warned of, or computed in another way than asked.
        datasets: Leaf task -> the data set on the Hub that it reads; only those that do.
    """

    results: Mapping[str, Any]
    root: str | None
    means: Mapping[str, frozenset[str]]
    groups: Mapping[str, GroupFacts]
    seed: int
    lm_eval: str
    facts: LmEvalFacts
    datasets: Mapping[str, HubData] = field(default_factory=dict)


def outcome_of(task: LmEvalTask, run: RunFacts) -> LmEvalOutcome:
    """Make records of a finished run.

    Args:
        task: The task as the suite states it.
        run: What was scored.
    """
    task_id = run.facts.task
    builder = _Builder(task, run)
    for leaf in run.means:
        builder.add_leaf(leaf)
    for group in run.groups:
        builder.add_group(group)
    outcome = builder.outcome
    outcome.scores.sort(key=lambda score: score.task != task_id)  # the group's average first
    outcome.datasets = [
        data.model_copy(update={"task": builder.name(leaf)}) for leaf, data in run.datasets.items()
    ]
    outcome.facts = run.facts
    outcome.findings = findings_about(run.facts)
    return outcome


@dataclass
class _Builder:
    task: LmEvalTask
    run: RunFacts
    outcome: LmEvalOutcome = field(default_factory=LmEvalOutcome)

    def name(self, name: str) -> str:
        """``Score.task`` of a leaf task or group."""
        task_id = self.run.facts.task
        if name == self.run.root:
            return task_id
        # groups written inline carry their parent's name
        return f"{task_id}/{name.removeprefix(f'{self.run.root}::')}"

    def add_leaf(self, leaf: str) -> None:
        samples, name = self.run.results["samples"][leaf], self.name(leaf)
        first = samples[0]["filter"]  # every filter goes over the same documents
        documents = [sample for sample in samples if sample["filter"] == first]
        ids = [document_id(sample["doc_hash"], sample["doc_id"]) for sample in documents]
        self._identify(name, ids, [sample["doc_hash"][:16] for sample in documents])
        for metric, filter_name in self._metrics(leaf):
            rows = [sample for sample in samples if sample["filter"] == filter_name]
            numbers = [_number(row.get(metric)) for row in rows]
            stats = np.array([(number or 0.0, float(number is not None)) for number in numbers])
            counted = sum(metric in row for row in rows)
            is_mean = metric in self.run.means[leaf] and len(rows) == len(ids)
            self._score(leaf, metric, filter_name, counted, stats if is_mean else None)
        self.outcome.samples += [self._record(name, leaf, sample) for sample in samples]

    def add_group(self, group: str) -> None:
        facts, arrays, name = self.run.groups[group], self.outcome.arrays, self.name(group)
        ids: list[str] = []
        clusters: list[str] = []
        for leaf in facts.leaves:
            own = f"{self.name(leaf)}/{SPLIT}"
            ids += [f"{leaf}/{text}" for text in arrays[f"ids/{own}"]]
            clusters += list(arrays[f"clusters/{own}"])
        scored = {(score.task, score.metric): score for score in self.outcome.scores}
        for metric, filter_name in self._metrics(group):
            key = _metric_key(metric, filter_name)
            parts = [scored.get((self.name(leaf), key)) for leaf in facts.leaves]
            stats = None
            if metric in facts.size_weighted and all(p is not None and p.stats for p in parts):
                stats = np.concatenate([arrays[str(p.stats)] for p in parts if p is not None])
                self._identify(name, ids, clusters)
            counted = sum(part.n for part in parts if part is not None)
            self._score(group, metric, filter_name, counted, stats)

    def _identify(self, name: str, ids: list[str], clusters: list[str]) -> None:
        self.outcome.arrays[f"ids/{name}/{SPLIT}"] = np.array(ids, dtype=np.str_)
        self.outcome.arrays[f"clusters/{name}/{SPLIT}"] = np.array(clusters, dtype=np.str_)

    def _metrics(self, name: str) -> list[tuple[str, str]]:
        """Metric and filter of every value that lm-eval gives for a task or group."""
        parts = [key.partition(",") for key in self.run.results["results"][name]]
        return [(m, f) for m, comma, f in parts if comma and not m.endswith("_stderr")]

    def _score(self, name: str, metric: str, filter_name: str, n: int, stats: Any) -> None:
        values = self.run.results["results"][name]
        value = _number(values[f"{metric},{filter_name}"])
        higher = self.run.results["higher_is_better"].get(name, {}).get(metric)
        task, key = self.name(name), _metric_key(metric, filter_name)
        array = f"{task}/{key}"
        if stats is not None:
            self.outcome.arrays[array] = stats
        scale = LM_EVAL_SCALES.get(metric)  # unless a task counts in per cent what others do not
        self.outcome.scores.append(
            Score(
                task=task,
                metric=key,
                split=SPLIT,
                n=n,
                value=value,
                reason=None if value is not None else "lm-eval gave no finite number",
                stderr=_number(values.get(f"{metric}_stderr,{filter_name}")),
                scale=None if scale is None or (value or 0.0) > scale else scale,
                higher_is_better=higher is not False,
                signature=self._signature(name, filter_name),
                stats=None if stats is None else array,
            )
        )

    def _signature(self, name: str, filter_name: str) -> str:
        """Everything beside the model that determines the value, in sacrebleu's manner."""
        task, results = self.task, self.run.results
        leaves = self.run.groups[name].leaves if name in self.run.groups else (name,)
        shots = "/".join(sorted({str(results["n-shot"].get(leaf, 0)) for leaf in leaves}))
        parts = [
            f"lm-eval:{self.run.lm_eval}",
            f"task:{name}",
            f"version:{results['versions'].get(name)}",
            f"nshot:{shots}",
            f"limit:{task.limit or 'none'}",
            f"filter:{filter_name}",
            f"data:{task.data.format if task.data else 'own'}",
        ]
        if shots != "0":
            parts.append(f"seed:{self.run.seed}")
        if task.apply_chat_template:
            parts.append("chat:multiturn" if task.fewshot_as_multiturn else "chat:yes")
        if task.system_instruction:
            parts.append(f"system:{text_digest(task.system_instruction)[:8]}")
        if name in self.run.groups:
            absent = len(self.run.facts.missing) if name == self.run.root else 0
            total = f"of{len(leaves) + absent}" if absent else ""
            parts.append(f"tasks:{len(leaves)}{total}")
        return "|".join(parts)

    def _record(self, name: str, leaf: str, sample: Mapping[str, Any]) -> dict[str, Any]:
        responses = sample["filtered_resps"]
        record: dict[str, Any] = {
            "task": name,
            "leaf": leaf,
            "id": document_id(sample["doc_hash"], sample["doc_id"]),
            **{name: sample[name] for name in ("doc_id", "doc_hash", "prompt_hash", "target_hash")},
            "target": plain(sample["target"]),
            "filter": sample["filter"],
            "arguments_sha256": [
                text_digest(json.dumps(plain(args), sort_keys=True, ensure_ascii=False))
                for args in sample["arguments"]
            ],
            "metrics": {metric: plain(sample[metric]) for metric in sample["metrics"]},
        }
        if all(isinstance(r, tuple | list) and len(r) == 2 for r in responses):
            record["loglikelihoods"] = [plain(r[0]) for r in responses]
            record["is_greedy"] = [plain(r[1]) for r in responses]
        else:
            record["resps"] = plain(sample["resps"])
            record["filtered_resps"] = plain(responses)
        return record


def document_id(doc_hash: str, doc_id: int) -> str:
    """Id of a document beside its scores: lm-eval's hash of it, and its place."""
    return f"{doc_hash[:16]}-{doc_id}"


def plain(value: Any) -> Any:
    """A value as JSON can hold it: numpy unwrapped, NaN and infinity as None, the rest as text."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | None) else str(value)


def _metric_key(metric: str, filter_name: str) -> str:
    return metric if filter_name == "none" else f"{metric},{filter_name}"


def _number(value: Any) -> float | None:
    if isinstance(value, bool | int | float | np.number | np.bool_) and math.isfinite(value):
        return float(value)
    return None
