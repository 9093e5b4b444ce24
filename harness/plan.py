"""Suite to cells: what is to be computed, under which key, and what is already done.

Nothing here loads torch or a model, so that ``harness validate`` answers at once. A key is the
digest of an *identity*: everything that can change the result, and nothing else.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from harness.data import source_identity
from harness.errors import SuiteError
from harness.metrics.registry import check_metric
from harness.models.identity import base_identity, check_adapter
from harness.prompts import template_identity
from harness.schema import CellKind, CellResult, Checkpoint, Manifest, TrainingRun, Variant
from harness.spec import GenerationTask, LmEvalTask, MetricSpec, PerplexityTask, Suite
from harness.store import Kind, Store, digest_of
from harness.suite import SuiteFile
from harness.tasks.lm_eval_data import lm_eval_identity
from harness.train.arguments import check_arguments

MEASURE = "measure"  # task id of the memory and speed cells
TRAIN = "train"  # id of the suite's own data among the examples
_ENGINE_VERSION = 1  # raised when the way of computing results changes
_TRAIN_PACKAGES = ("torch", "transformers", "peft", "trl", "bitsandbytes", "accelerate")
_EVAL_PACKAGES = ("torch", "transformers", "peft", "bitsandbytes")
_METRIC_PACKAGES = ("rouge_score", "sacrebleu", "nltk")

CellState = Literal["done", "missing", "waiting"]


@dataclass(frozen=True)
class Keyed:
    """A store key with its readable form."""

    key: str
    identity: dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One variant on one task, with the keys of what it produces.

    Both keys are None while the variant's weights do not exist yet: the cell is waiting for
    training or for the choice of what to merge. A perplexity cell has scores but no predictions.
    """

    variant: str
    task: str
    kind: CellKind
    predictions: Keyed | None = None
    scores: Keyed | None = None
    state: CellState = "missing"
    why: str = ""

    @property
    def id(self) -> str:
        """``variant/task``, as ``--only`` takes it."""
        return f"{self.variant}/{self.task}"


@dataclass(frozen=True)
class Plan:
    """Everything a suite asks for, and what of it is done."""

    file: SuiteFile
    run_id: str
    suite_digest: str
    training: Keyed | None
    training_run: TrainingRun | None
    examples: dict[str, Keyed]  # task id (or "train") -> examples
    variants: tuple[Variant, ...]
    cells: tuple[Cell, ...]
    baseline: str
    notes: tuple[str, ...] = field(default=())


def keyed(identity: dict[str, Any]) -> Keyed:
    """The key of an identity."""
    return Keyed(digest_of(identity), identity)


@cache
def version_of(package: str) -> str | None:
    """Installed version of a distribution, or None; nothing is imported."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions_of(packages: Sequence[str]) -> dict[str, str | None]:
    """Installed versions of several distributions."""
    return {package: version_of(package) for package in packages}


def make_plan(file: SuiteFile, store: Store, merged_steps: Sequence[int] | None = None) -> Plan:
    """Work out variants, cells and keys.

    Args:
        file: The suite and its place.
        store: Where results are looked up.
        merged_steps: Steps to merge once the choice has been made; None before it.

    Raises:
        SuiteError: The suite contradicts itself or names what does not exist.
    """
    suite = file.suite
    check_suite(file)
    base = base_identity(suite.base, file.base_dir)
    examples = plan_examples(file, base)
    training = _plan_training(file, base, examples)
    training_run = (
        store.read_record("training", training.key, "training", TrainingRun)
        if training and store.has("training", training.key)
        else None
    )
    checkpoints, waiting = _checkpoints(file, store, training, training_run)
    variants = tuple(_variants(suite, base, checkpoints, merged_steps))
    cells = [
        *_eval_cells(file, store, variants, base, examples),
        *_measure_cells(suite, variants, base),
    ]
    cells += [
        Cell(variant, task, kind, state="waiting", why=why)
        for variant, why in [*waiting, *_merge_waiting(suite, merged_steps, bool(checkpoints))]
        for task, kind in _task_kinds(suite)
    ]
    baseline = suite.baseline or _default_baseline(suite)
    known = [variant.id for variant in variants] + [variant for variant, _ in waiting]
    if baseline not in known:
        raise SuiteError(
            f"The baseline {baseline!r} is not a variant of this suite; there are: "
            f"{', '.join(known)}.",
            where=str(file.path),
            mend="Set baseline to one of them, or add its precision to matrix.base.",
        )
    suite_digest = digest_of(suite.model_dump(mode="json"))
    return Plan(
        file=file,
        run_id=suite_digest[:10],
        suite_digest=suite_digest,
        training=training,
        training_run=training_run,
        examples=examples,
        variants=variants,
        cells=tuple(cells),
        baseline=baseline,
    )


def check_suite(file: SuiteFile) -> None:
    """Checks that need more than the file itself: arguments of TRL, metrics, paths."""
    suite = file.suite
    if suite.train is not None:
        check_arguments(suite.train, str(file.path))
    for task_id, task in suite.tasks.items():
        if task_id in (MEASURE, TRAIN) or "/" in task_id:
            raise SuiteError(
                f"tasks.{task_id}: a task must not be called {MEASURE!r} or {TRAIN!r}, "
                "nor hold a slash.",
                where=str(file.path),
                mend="Choose another name.",
            )
        if isinstance(task, GenerationTask):
            for metric in task.metrics:
                check_metric(metric)


def plan_examples(file: SuiteFile, base: Mapping[str, Any]) -> dict[str, Keyed]:
    """Identities of the rendered examples of training and of each task."""
    suite = file.suite
    result: dict[str, Keyed] = {}
    pairs = [(TRAIN, (suite.data, suite.prompt))] if suite.train is not None else []
    pairs += [
        (task_id, suite.task_data(task_id))
        for task_id, task in suite.tasks.items()
        if not isinstance(task, LmEvalTask)
    ]
    for task_id, (data, prompt) in pairs:
        if data is None or prompt is None:
            continue
        identity = {
            "data": source_identity(data, file.base_dir),
            "prompt": template_identity(prompt),
            "seed": suite.seed,
        }
        if prompt.is_chat:  # the tokenizer's chat template renders the prompt
            identity["chat_template_of"] = dict(base)
        result[task_id] = keyed(identity)
    return result


def _plan_training(
    file: SuiteFile, base: Mapping[str, Any], examples: Mapping[str, Keyed]
) -> Keyed | None:
    suite = file.suite
    if suite.train is None:
        return None
    return keyed(
        {
            "base": dict(base),
            "compute_dtype": _dtype_choice(suite),
            "train": suite.train.model_dump(mode="json"),
            "examples": examples[TRAIN].identity,
            "seed": suite.seed,
            "versions": versions_of(_TRAIN_PACKAGES),
        }
    )


def _dtype_choice(suite: Suite) -> str:
    """What was asked of the device policy; what it decided is recorded with each result."""
    return os.environ.get("HARNESS_COMPUTE_DTYPE") or suite.base.dtype


def _checkpoints(
    file: SuiteFile, store: Store, training: Keyed | None, run: TrainingRun | None
) -> tuple[list[Checkpoint], list[tuple[str, str]]]:
    """Checkpoints that exist (with absolute paths), and (variant id, why) of those to come."""
    if training is not None and run is not None:
        folder = store.path("training", training.key)
        found = [c.model_copy(update={"path": str(folder / c.path)}) for c in run.checkpoints]
        return found, []
    if training is not None:
        return [], [(name, "waiting for training") for name in _expected_checkpoints(file.suite)]
    if file.suite.checkpoints is not None:
        return _external_checkpoints(file), []
    return [], []


def _expected_checkpoints(suite: Suite) -> list[str]:
    """Names of the checkpoints a training will leave, as far as its arguments tell."""
    args = suite.train.args if suite.train else {}
    steps, every = args.get("max_steps"), args.get("save_steps")
    if not isinstance(steps, int) or not isinstance(every, int) or min(steps, every) <= 0:
        return ["checkpoint-*"]
    saved = sorted({*range(every, steps + 1, every), steps})
    return [f"checkpoint-{step}" for step in saved[-(args.get("save_total_limit") or 10**9) :]]


def _external_checkpoints(file: SuiteFile) -> list[Checkpoint]:
    """Adapters trained elsewhere, in order of their steps (or of their names)."""
    patterns = file.suite.checkpoints or []
    paths: dict[Path, None] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        full = str(file.base_dir / Path(pattern).expanduser())
        found = sorted(glob.glob(full))  # noqa: PTH207  # pathlib's glob takes no absolute pattern
        folders = [Path(name) for name in found if Path(name).is_dir()]
        if not folders:
            raise SuiteError(
                f"checkpoints: {pattern!r} matches no folder.",
                where=str(file.path),
                mend=f"Paths are relative to the suite's folder, {file.base_dir}.",
            )
        paths.update(dict.fromkeys(folders))
    infos = [check_adapter(path, file.suite.base) for path in paths]
    order = sorted(range(len(infos)), key=lambda i: (infos[i].step is None, infos[i].step or 0, i))
    names = [Path(infos[i].path).name for i in order]
    result: list[Checkpoint] = []
    for i, name in zip(order, names, strict=True):
        info = infos[i]
        path = Path(info.path)
        unique = name if names.count(name) == 1 else f"{path.parent.name}-{name}"
        result.append(
            Checkpoint(
                name=unique,
                step=info.step if info.step is not None else len(result) + 1,
                path=str(path),
                digest=info.digest,
            )
        )
    return result


def _variants(
    suite: Suite,
    base: Mapping[str, Any],
    checkpoints: Sequence[Checkpoint],
    merged_steps: Sequence[int] | None,
) -> Iterator[Variant]:
    """The columns of the matrix whose weights exist (or, for merged ones, can be made)."""
    base_digest = {"base": digest_of(dict(base))}
    common = {"base_model": suite.base.model, "base_revision": suite.base.revision}
    full = suite.train is not None and suite.train.method == "full"
    for precision in dict.fromkeys(suite.matrix.base):
        yield Variant(
            id=f"base@{precision}",
            kind="base",
            precision=precision,
            digests=base_digest,
            **common,
        )
    for checkpoint in checkpoints:
        yield Variant(
            id=checkpoint.name,
            kind="full" if full else "adapter",
            precision=suite.matrix.adapters,
            adapter=checkpoint.path,
            step=checkpoint.step,
            digests={**base_digest, "adapter": checkpoint.digest},
            **common,
        )
    by_step = {checkpoint.step: checkpoint for checkpoint in checkpoints}
    for step in merged_steps or ():
        if step not in by_step:
            raise SuiteError(
                f"matrix.merged names step {step}, but there are: "
                f"{', '.join(map(str, by_step)) or 'none'}."
            )
        yield Variant(
            id=f"merged-{step}",
            kind="merged",
            precision=suite.matrix.merged_precision,
            adapter=by_step[step].path,
            step=step,
            digests={**base_digest, "adapter": by_step[step].digest},
            **common,
        )


def merged_steps(suite: Suite, steps: Sequence[int], best: int | None) -> list[int]:
    """Which of the adapters' steps to merge; ``best`` is the one chosen on select."""
    wanted = suite.matrix.merged
    if suite.train is not None and suite.train.method == "full":
        return []  # there is no adapter to merge
    if isinstance(wanted, list):
        return wanted
    if wanted == "best":
        return [] if best is None else [best]
    return {"all": list(steps), "last": list(steps[-1:]), "none": []}[wanted]


def _merge_waiting(
    suite: Suite, steps: Sequence[int] | None, has_checkpoints: bool
) -> list[tuple[str, str]]:
    if steps is not None or suite.matrix.merged == "none":
        return []
    if not has_checkpoints and suite.train is None:
        return []
    if isinstance(suite.matrix.merged, list):
        return [(f"merged-{step}", "waiting for training") for step in suite.matrix.merged]
    what = "the choice on select" if suite.matrix.merged == "best" else "training"
    return [(f"merged-{suite.matrix.merged}", f"waiting for {what}")]


def _default_baseline(suite: Suite) -> str:
    """The base at the adapters' precision where it is evaluated, else the first base."""
    if suite.matrix.adapters in suite.matrix.base or not suite.matrix.base:
        return f"base@{suite.matrix.adapters}"
    return f"base@{suite.matrix.base[0]}"


def _task_kinds(suite: Suite) -> list[tuple[str, CellKind]]:
    kinds: list[tuple[str, CellKind]] = [(name, task.type) for name, task in suite.tasks.items()]
    return [*kinds, (MEASURE, "measure")] if suite.measure is not None else kinds


def _eval_cells(
    file: SuiteFile,
    store: Store,
    variants: Sequence[Variant],
    base: Mapping[str, Any],
    examples: Mapping[str, Keyed],
) -> Iterator[Cell]:
    for variant in variants:
        weights = weights_identity(file.suite, variant, base)
        for task_id in file.suite.tasks:
            cell = _eval_cell(file, variant.id, task_id, weights, examples.get(task_id))
            done = cell.scores is not None and store.has("scores", cell.scores.key)
            yield replace(cell, state="done" if done else "missing")


def weights_identity(suite: Suite, variant: Variant, base: Mapping[str, Any]) -> dict[str, Any]:
    """What determines a variant's outputs for given inputs."""
    identity: dict[str, Any] = {
        "base": dict(base),
        "kind": variant.kind,
        "precision": variant.precision,
        "compute_dtype": _dtype_choice(suite),
        "versions": versions_of(_EVAL_PACKAGES),
        "engine": _ENGINE_VERSION,
    }
    if variant.precision in ("nf4", "fp4", "int8") and suite.train is not None:
        identity["quantization"] = suite.train.quantization.model_dump(mode="json")
    if variant.adapter is not None:
        identity["adapter"] = variant.digests["adapter"]
    return identity


def _eval_cell(
    file: SuiteFile,
    variant: str,
    task_id: str,
    weights: dict[str, Any],
    examples: Keyed | None,
) -> Cell:
    suite, task = file.suite, file.suite.tasks[task_id]
    if isinstance(task, LmEvalTask):
        identity = {"weights": weights, "lm_eval": lm_eval_identity(task, file.base_dir)}
        predictions = keyed({**identity, "seed": suite.seed})
        scores = _scores(task_id, predictions, "lm_eval")
        return Cell(variant, task_id, "lm_eval", predictions, scores)
    if examples is None:
        raise TypeError(f"{task_id} has no examples")  # excluded by Suite
    common = {
        "weights": weights,
        "examples": examples.identity,
        "splits": sorted(task.splits),
        "limit": task.limit,
    }
    if isinstance(task, PerplexityTask):
        scores = keyed({**common, "task": task_id, "max_length": task.max_length})
        return Cell(variant, task_id, "perplexity", None, scores)  # losses, but no texts
    predictions = keyed({**common, "decoding": _decoding_identity(suite, task)})
    metrics = [_metric_identity(metric) for metric in task.metrics]
    scores = _scores(task_id, predictions, metrics)
    return Cell(variant, task_id, "generation", predictions, scores)


def _scores(task_id: str, predictions: Keyed, metrics: Any) -> Keyed:
    """Scores depend on the predictions and on the metrics, so a new metric regenerates no text.

    They hold the task's name too, so a renamed task is scored again (from the same texts).
    """
    return keyed(
        {
            "task": task_id,
            "predictions": predictions.key,
            "metrics": metrics,
            "versions": versions_of(_METRIC_PACKAGES),
        }
    )


def _decoding_identity(suite: Suite, task: GenerationTask) -> dict[str, Any]:
    identity: dict[str, Any] = {
        "max_new_tokens": task.max_new_tokens,
        "max_prompt_tokens": task.max_prompt_tokens,
        "do_sample": task.do_sample,
        # it does not matter in exact arithmetic; in floating point it can flip a near-tie
        "batch_size": task.batch_size,
    }
    if task.do_sample:  # greedy decoding depends on none of these
        identity |= {
            "temperature": task.temperature,
            "top_p": task.top_p,
            "top_k": task.top_k,
            "seed": suite.seed,
        }
    return identity


def _metric_identity(metric: str | MetricSpec) -> dict[str, Any]:
    spec = MetricSpec(name=metric) if isinstance(metric, str) else metric
    identity = spec.model_dump(mode="json")
    if spec.name.startswith("evaluate:"):
        identity["evaluate"] = version_of("evaluate")
    return identity


def _measure_cells(
    suite: Suite, variants: Sequence[Variant], base: Mapping[str, Any]
) -> Iterator[Cell]:
    """Measurements are keyed by the hardware too, which needs torch: see ``pipeline``."""
    if suite.measure is None:
        return
    for variant in variants:
        yield Cell(variant.id, MEASURE, "measure", why="looked up when the run starts")


def explain_missing(cells: Sequence[Cell], store: Store, earlier: Manifest | None) -> list[Cell]:
    """Say why each missing cell is missing: new, or which field made an earlier result stale."""
    before = {(c.variant, c.task): c for c in earlier.cells} if earlier else {}
    explained = []
    for cell in cells:
        old = before.get((cell.variant, cell.task))
        if cell.kind == "measure" and old and old.measurements_key and cell.state == "missing":
            done = store.has("measurements", old.measurements_key)
            explained.append(replace(cell, state="done" if done else "missing", why=""))
        elif cell.state != "missing":
            explained.append(cell)
        else:
            explained.append(replace(cell, why=_why_missing(cell, store, old)))
    return explained


def _why_missing(cell: Cell, store: Store, old: CellResult | None) -> str:
    kind: Kind = "scores" if cell.predictions is None else "predictions"
    now = cell.predictions or cell.scores
    if now is None:
        return ""
    if kind == "predictions" and store.has(kind, now.key):
        return "predictions are there; scores are new"
    before = None if old is None else old.predictions_key if cell.predictions else old.scores_key
    if old is not None and old.status == "failed":
        return f"failed before: {old.reason}"
    if before is None:
        return "not computed yet"
    if not store.has(kind, before):
        return "its result was removed from the store"
    changed = changed_fields(store.identity(kind, before), now.identity)
    return f"stale: {', '.join(changed)} changed"


def changed_fields(old: Any, new: Any, prefix: str = "") -> list[str]:
    """Dotted names of the fields in which two identities differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = [*old, *(name for name in new if name not in old)]
        return [
            changed
            for name in names
            for changed in changed_fields(
                old.get(name), new.get(name), f"{prefix}.{name}" if prefix else str(name)
            )
        ]
    return [] if old == new else [prefix]


def referenced(manifests: Sequence[Manifest]) -> set[tuple[Kind, str]]:
    """Results that some run names, as (kind, key)."""
    found: set[tuple[Kind, str]] = set()
    for manifest in manifests:
        if manifest.training_key:
            found.add(("training", manifest.training_key))
        found.update(("examples", key) for key in manifest.examples.values())
        for cell in manifest.cells:
            named: list[tuple[Kind, str | None]] = [
                ("predictions", cell.predictions_key),
                ("scores", cell.scores_key),
                ("measurements", cell.measurements_key),
            ]
            found.update((kind, key) for kind, key in named if key)
    return found
