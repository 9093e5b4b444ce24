"""Computes cells: loads each base once, switches adapters over it, keeps what comes out."""

from __future__ import annotations

import gc
import json
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import UsageError
from harness.identities import TRAIN
from harness.models.adapters import AdapterSet, adapter_effect
from harness.models.device import DevicePolicy
from harness.models.load import load_base
from harness.models.tokens import load_tokenizer
from harness.plan import Cell
from harness.progress import Reporter
from harness.run import named
from harness.schema import (
    CellResult,
    Environment,
    Example,
    Finding,
    Precision,
    Prediction,
    Variant,
)
from harness.spec import GenerationTask, LmEvalTask, PerplexityTask
from harness.store import Store
from harness.suite import SuiteFile
from harness.tasks.generation import predict, score, select_examples
from harness.tasks.lm_eval import run_lm_eval
from harness.tasks.outcome import TaskOutcome
from harness.tasks.perplexity import run_perplexity

_PROBE_PROMPTS = 2  # prompts on which an adapter must change the logits
_PROBE_TEXT = "The capital of France is"  # where no task brings prompts of its own


@dataclass
class Workplace:
    """What computing cells needs to know, and what it leaves behind.

    Attributes:
        examples: Task id -> examples of the whole data set.
        merged_dirs: Id of a merged variant -> folder of its weights.
        on_result: Called with each cell's result as soon as it is known.
    """

    file: SuiteFile
    store: Store
    policy: DevicePolicy
    environment: Environment
    reporter: Reporter
    examples: dict[str, list[Example]]
    on_result: Callable[[CellResult], None]
    merged_dirs: dict[str, Path] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    position: tuple[int, int] = (0, 0)  # cells begun, cells in all


def compute_cells(work: Workplace, variants: Sequence[Variant], cells: Sequence[Cell]) -> None:
    """Compute cells, each base loaded once for all variants that stand on it.

    A failure in one cell marks that cell and leaves the others alone; an error of the user's
    (``UsageError``) ends the run, with what was finished kept.
    """
    texts_there = [cell for cell in cells if _only_to_score(work.store, cell)]
    for cell in texts_there:  # a new metric needs no model
        _compute_cell(work, cell, None, None)
    cells = [cell for cell in cells if cell not in texts_there]
    wanted = {cell.variant for cell in cells}
    for group in _by_weights([variant for variant in variants if variant.id in wanted]):
        with _loaded(work, group) as host:
            for variant in group:
                own = [cell for cell in cells if cell.variant == variant.id]
                _compute_variant(work, host, variant, own)


def _only_to_score(store: Store, cell: Cell) -> bool:
    there = cell.predictions is not None and store.has("predictions", cell.predictions.key)
    return there and cell.kind == "generation"


def _by_weights(variants: Sequence[Variant]) -> list[list[Variant]]:
    """Group variants that stand on the same loaded weights."""
    groups: dict[tuple[str, str], list[Variant]] = {}
    for variant in variants:
        shared = variant.kind in ("base", "adapter")
        key = (variant.precision, "" if shared else variant.id)
        groups.setdefault(key, []).append(variant)
    return list(groups.values())


@dataclass
class _Host:
    """A loaded base with its tokenizer and adapters, or the reason why it could not be loaded."""

    model: Any = None
    tokenizer: Any = None
    adapters: AdapterSet | None = None
    failure: str | None = None


@contextmanager
def _loaded(work: Workplace, group: Sequence[Variant]) -> Iterator[_Host]:
    """Load the weights of a group; free them afterwards."""
    host = _Host()
    first = group[0]
    work.reporter.say(f"Loading {first.base_model} for {', '.join(v.id for v in group)}")
    try:
        host = _load(work, group)
    except UsageError:
        raise
    except Exception as error:  # whatever it is, it is these cells' result and not the run's end
        host.failure = _reason(work, error)
    try:
        yield host
    finally:
        host.model = host.adapters = None
        gc.collect()
        _empty_device_cache()


def _load(work: Workplace, group: Sequence[Variant]) -> _Host:
    suite, base_dir, first = work.file.suite, work.file.base_dir, group[0]
    base = suite.base
    if first.kind == "merged":
        base = base.model_copy(update={"model": str(work.merged_dirs[first.id]), "revision": None})
    elif first.kind == "full":
        base = base.model_copy(update={"model": str(first.adapter), "revision": None})
    precision: Precision = (
        work.policy.compute_dtype if first.precision == "auto" else first.precision
    )
    model = load_base(
        base,
        precision,
        work.policy,
        base_dir=base_dir,
        purpose="quality",
        quantization=work.file.suite.quantization,
    )
    host = _Host(model, load_tokenizer(suite.base, base_dir))
    adapters = [variant for variant in group if variant.kind == "adapter"]
    if adapters:
        host.adapters = AdapterSet(model)
        for variant in adapters:
            host.adapters.add(variant.id, Path(str(variant.adapter)))
    return host


def _empty_device_cache() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _compute_variant(work: Workplace, host: _Host, variant: Variant, cells: Sequence[Cell]) -> None:
    probed: list[Finding] = []
    failure = host.failure
    if failure is None and variant.kind == "adapter":
        try:
            probed = _probe(work, host, variant)
        except UsageError:
            raise
        except Exception as error:  # likewise
            failure = _reason(work, error)
    if failure is not None:
        for cell in cells:
            _failed(work, cell, failure)
        return
    with _active(host, variant) as model:
        for cell in cells:
            _compute_cell(work, cell, model, host.tokenizer, probed)


@contextmanager
def _active(host: _Host, variant: Variant) -> Iterator[Any]:
    """The model as this variant: with its adapter, or with all adapters switched off."""
    if host.adapters is None:
        yield host.model
        return
    with host.adapters.active(variant.id if variant.kind == "adapter" else None) as model:
        yield model


def _probe(work: Workplace, host: _Host, variant: Variant) -> list[Finding]:
    """Prove that the adapter acts: one that changes no logits would score as the base."""
    if host.adapters is None:
        return []
    prompts, chat = [_PROBE_TEXT], False
    for task, examples in work.examples.items():  # training's examples where there are some
        spec = work.file.suite.prompt if task == TRAIN else work.file.suite.task_data(task)[1]
        prompts = [example.prompt for example in examples[:_PROBE_PROMPTS]]
        chat = spec is not None and spec.is_chat
        break
    effect = adapter_effect(host.adapters, variant.id, host.tokenizer, prompts, chat=chat)
    work.reporter.detail(f"  {variant.id}: largest change of a logit {effect:.3g}")
    if effect != 0:
        return []
    return [
        Finding(
            check="adapter effect",
            severity="error",
            what="it changes no logit, so it scores as the base.",
            why="Its weights are zero, or it adapts no module of this base.",
            mend="Check that the adapter was trained and that its target modules match.",
        )
    ]


def _compute_cell(
    work: Workplace, cell: Cell, model: Any, tokenizer: Any, probed: Sequence[Finding] = ()
) -> None:
    """Compute and keep one cell; a failure is its result.

    There is no model where the texts are there and only scores are missing. What was noticed
    about the variant itself (``probed``) is kept with each of its cells.
    """
    done, total = work.position
    work.position = (done + 1, total)
    work.reporter.say(f"[{done + 1}/{total}] {cell.id}")
    started = time.perf_counter()
    try:
        _store_cell(work, cell, model, tokenizer, probed)
    except UsageError:
        raise
    except Exception as error:  # one failed cell must not end a long run
        _failed(work, cell, _reason(work, error), time.perf_counter() - started)
        return
    work.on_result(cell.done(seconds=time.perf_counter() - started, computed=True))


def _store_cell(
    work: Workplace, cell: Cell, model: Any, tokenizer: Any, probed: Sequence[Finding]
) -> None:
    suite, store = work.file.suite, work.store
    task = suite.tasks[cell.task]
    with work.reporter.task(cell.id) as advance:
        if isinstance(task, GenerationTask):
            outcome = _generation(work, cell, task, model, tokenizer, advance)
        elif isinstance(task, PerplexityTask):
            _, prompt = suite.task_data(cell.task)
            outcome = run_perplexity(
                cell.task,
                task,
                prompt,
                select_examples(work.examples[cell.task], task.splits, task.limit),
                model,
                tokenizer,
                progress=advance,
            )
        else:
            outcome = _lm_eval(work, cell, task, model, tokenizer, advance)
    outcome.findings += probed
    work.findings += named(cell.variant, outcome.findings)
    _write_scores(store, cell, outcome, work.environment)


def _generation(
    work: Workplace,
    cell: Cell,
    task: GenerationTask,
    model: Any,
    tokenizer: Any,
    advance: Callable[..., None],
) -> TaskOutcome:
    """Predictions from the store, or generated; then scores."""
    _, prompt = work.file.suite.task_data(cell.task)
    examples = select_examples(work.examples[cell.task], task.splits, task.limit)
    keyed = cell.predictions
    if keyed is None:
        raise TypeError(f"{cell.id} has no predictions key")
    if not work.store.has("predictions", keyed.key):
        predictions = predict(
            task,
            prompt,
            examples,
            model,
            tokenizer,
            seed=work.file.suite.seed,
            progress=advance,
        )
        with work.store.writing("predictions", keyed.key, keyed.identity) as folder:
            work.store.write_records(folder, "predictions", predictions)
            work.store.write_record(folder, "environment", work.environment)
    stored = work.store.read_records("predictions", keyed.key, "predictions", Prediction)
    return score(cell.task, task, examples, stored, base_dir=work.file.base_dir)


def _lm_eval(
    work: Workplace,
    cell: Cell,
    task: LmEvalTask,
    model: Any,
    tokenizer: Any,
    advance: Callable[..., None],
) -> TaskOutcome:
    outcome = run_lm_eval(
        task,
        cell.task,
        model=model,
        tokenizer=tokenizer,
        suite_dir=work.file.base_dir,
        seed=work.file.suite.seed,
        device=work.policy.device,
        progress=advance,
    )
    keyed = cell.predictions
    if keyed is not None and not work.store.has("predictions", keyed.key):
        with work.store.writing("predictions", keyed.key, keyed.identity) as folder:
            lines = "".join(json.dumps(sample) + "\n" for sample in outcome.samples)
            (folder / "samples.jsonl").write_text(lines, "utf-8")
            work.store.write_record(folder, "environment", work.environment)
    return outcome


def _write_scores(store: Store, cell: Cell, outcome: TaskOutcome, environment: Environment) -> None:
    if cell.scores is None:
        raise TypeError(f"{cell.id} has no scores key")
    with store.writing("scores", cell.scores.key, cell.scores.identity) as folder:
        store.write_records(folder, "scores", outcome.scores)
        store.write_records(folder, "findings", outcome.findings)
        store.write_record(folder, "environment", environment)
        with (folder / "stats.npz").open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **outcome.arrays)


def _failed(work: Workplace, cell: Cell, reason: str, seconds: float = 0.0) -> None:
    work.reporter.warn(f"{cell.id} failed: {reason}")
    work.on_result(cell.failed(reason, seconds))


def _reason(work: Workplace, error: Exception) -> str:
    work.reporter.detail("".join(traceback.format_exception(error)))
    text = str(error).strip() or "no message"
    return f"{type(error).__name__}: {text}"
