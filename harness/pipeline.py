"""The spine: examples, training, cells, choice, merging, measurements, manifest.

Each step takes what the one before it left and looks in the store first, so running again is
resuming, and a finished run computes nothing.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.analysis.select import select_checkpoint
from harness.errors import HarnessError, SuiteError, UsageError
from harness.plan import MEASURE, TRAIN, Cell, Keyed, Plan, keyed, make_plan, merged_steps
from harness.progress import Reporter
from harness.schema import (
    CellResult,
    DataReport,
    Environment,
    Example,
    Finding,
    Manifest,
    Selection,
    Variant,
)
from harness.spec import DataSpec, LmEvalTask, PromptSpec, QuantizationSpec
from harness.store import Store
from harness.suite import SuiteFile

if TYPE_CHECKING:
    from harness.cells import Workplace
    from harness.measure import MeasureJob
    from harness.models.device import DevicePolicy


@dataclass(frozen=True)
class Options:
    """How to run a suite.

    Attributes:
        only: ``variant/task`` patterns (shell wildcards); empty means everything.
        command: The command line, for the record.
        train_only: Stop after training.
    """

    only: tuple[str, ...] = ()
    command: str = ""
    train_only: bool = False


@dataclass
class Run:
    """One invocation on one suite: what is known so far, and the manifest made of it."""

    file: SuiteFile
    store: Store
    reporter: Reporter
    options: Options
    plan: Plan
    created: str
    results: dict[tuple[str, str], CellResult] = field(default_factory=dict)
    data: dict[str, DataReport] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    selection: Selection | None = None
    environment: Environment | None = None
    _policy: DevicePolicy | None = None

    @property
    def policy(self) -> DevicePolicy:
        """The device policy; deciding it loads torch, so it is asked for only when needed."""
        from harness.models.device import decide, environment

        if self._policy is None:
            self._policy = decide(self.file.suite.base)
            self.environment = environment(self._policy)
            for decision in self._policy.decisions:
                self.reporter.detail(f"  {decision}")
        return self._policy

    def wants(self, cell: Cell) -> bool:
        """Whether ``--only`` lets this cell through."""
        patterns = self.options.only
        return not patterns or any(fnmatch.fnmatchcase(cell.id, p) for p in patterns)

    def record(self, result: CellResult) -> None:
        """Keep a cell's result, and write the manifest at once: a run may end at any moment."""
        self.results[(result.variant, result.task)] = result
        self.save(complete=False)

    def save(self, *, complete: bool) -> Manifest:
        """Write the manifest of what is known so far."""
        plan, suite = self.plan, self.file.suite
        manifest = Manifest(
            run_id=plan.run_id,
            suite=suite.name,
            suite_digest=plan.suite_digest,
            spec=suite.model_dump(mode="json"),
            command=self.options.command,
            created=self.created,
            updated=now(),
            complete=complete,
            variants=tuple(self._decided(variant) for variant in plan.variants),
            baseline=plan.baseline,
            cells=tuple(self.results.values()),
            training_key=plan.training.key if plan.training and plan.training_run else None,
            data=self.data,
            examples={task: item.key for task, item in plan.examples.items()},
            selection=self.selection,
            findings=tuple(dict.fromkeys(self.findings)),
            environment=self.environment,
        )
        self.store.write_manifest(manifest)
        return manifest

    def _decided(self, variant: Variant) -> Variant:
        if variant.precision != "auto" or self.environment is None:
            return variant
        dtype: Any = self.environment.compute_dtype
        return variant.model_copy(update={"precision": dtype})


def now() -> str:
    """The time as records keep it: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def run_suite(file: SuiteFile, store: Store, options: Options, reporter: Reporter) -> Manifest:
    """Train if needed, compute what is missing, choose, merge, measure; write the manifest.

    Raises:
        UsageError: The suite, its data or its models are wrong; what was finished is kept.
    """
    plan = make_plan(file, store)
    run = _start(file, store, options, reporter, plan)
    examples = _examples(run)
    _train(run, examples)
    if options.train_only:
        return run.save(complete=False)
    work = _workplace(run, examples)
    _compute(run, work, run.plan.cells)
    run.selection = select_checkpoint(
        store, run.plan.variants, run.results.values(), file.suite, run.plan.baseline
    )
    _merge_and_compute(run, work)
    _measure(run)
    planned = {(cell.variant, cell.task) for cell in run.plan.cells}
    done = {key for key, result in run.results.items() if result.status == "done"}
    return run.save(complete=planned <= done)


def _start(file: SuiteFile, store: Store, options: Options, reporter: Reporter, plan: Plan) -> Run:
    """Begin a run, or go on with it: what only an earlier invocation knew is carried over."""
    run = Run(file, store, reporter, options, plan, created=now())
    path = store.run_dir(file.suite.name, plan.run_id) / "manifest.json"
    if path.is_file():
        earlier = store.read_manifest(path)
        run.created = earlier.created
        run.environment = earlier.environment
        run.findings = list(earlier.findings)
        run.options = options if options.command else run.options
        if options.only:  # a part was asked for: the rest stays as it was
            run.results = {(c.variant, c.task): c for c in earlier.cells}
            run.selection = earlier.selection
    return run


# -- examples -------------------------------------------------------------------------------------


def _examples(run: Run) -> dict[str, list[Example]]:
    """Rendered examples of training and tasks, made once and kept in the store."""
    loaded: dict[str, list[Example]] = {}
    by_task: dict[str, list[Example]] = {}
    for task, item in run.plan.examples.items():
        if item.key not in loaded:
            if not run.store.has("examples", item.key):
                _render_examples(run, task, item)
            loaded[item.key] = run.store.read_records("examples", item.key, "examples", Example)
        run.data[task] = run.store.read_record("examples", item.key, "report", DataReport)
        by_task[task] = loaded[item.key]
    _check_splits(run, by_task)
    return by_task


def _render_examples(run: Run, task: str, item: Keyed) -> None:
    from harness.data import load_examples

    data, prompt = _data_of(run.file, task)
    run.reporter.say(f"Reading data of {task}: {data.source or ', '.join(data.files.values())}")
    render: Callable[[list[dict[str, str]], bool], str] | None = None
    if prompt.is_chat:
        from harness.models.tokens import load_tokenizer, render_chat

        render = render_chat(load_tokenizer(run.file.suite.base, run.file.base_dir))
    examples, report = load_examples(
        data, prompt, seed=run.file.suite.seed, base_dir=run.file.base_dir, render_chat=render
    )
    dropped = "".join(f", {count} dropped: {why}" for why, count in report.dropped.items())
    run.reporter.say(f"  {report.rows_read:,} rows read, {report.rows_kept:,} kept{dropped}")
    with run.store.writing("examples", item.key, item.identity) as folder:
        run.store.write_records(folder, "examples", examples)
        run.store.write_record(folder, "report", report)


def _data_of(file: SuiteFile, task: str) -> tuple[DataSpec, PromptSpec]:
    suite = file.suite
    if task != TRAIN:
        return suite.task_data(task)
    if suite.data is None or suite.prompt is None:
        raise TypeError("a training has data and prompt")  # excluded by Suite
    return suite.data, suite.prompt


def _check_splits(run: Run, examples: dict[str, list[Example]]) -> None:
    """Refuse splits without examples before anything expensive starts."""
    wanted: list[tuple[str, str]] = []
    if TRAIN in examples and run.plan.training is not None:
        wanted.append((TRAIN, "train"))
    for task, spec in run.file.suite.tasks.items():
        wanted += [(task, split) for split in getattr(spec, "splits", ())]
    for task, split in wanted:
        sizes = run.data[task].split_sizes
        if not any(example.split == split for example in examples[task]):
            raise SuiteError(
                f"The {split} split of {task} is empty; the splits hold {dict(sizes)}.",
                where=str(run.file.path),
                mend="Give it a share in data.splits, map a split of the source to it, or leave "
                "it out of the task's splits.",
            )


# -- training -------------------------------------------------------------------------------------


def _train(run: Run, examples: dict[str, list[Example]]) -> None:
    """Train unless the store has this training; then plan again, now with its checkpoints."""
    plan = run.plan
    if plan.training is None or plan.training_run is not None:
        return
    if not run.options.train_only:
        _check_lm_eval_tasks(run)
    from harness.train.session import train_once

    item = plan.training
    train_once(run.file, run.store, item.key, item.identity, examples[TRAIN], run.reporter)
    run.plan = make_plan(run.file, run.store)


def _check_lm_eval_tasks(run: Run) -> None:
    """Load the lm-eval tasks once before training: a mistake in one must not show hours later."""
    tasks = [task for task in run.file.suite.tasks.values() if isinstance(task, LmEvalTask)]
    if tasks:
        from harness.tasks.lm_eval import check_lm_eval

        for task in tasks:
            check_lm_eval(task, run.file.base_dir)


# -- cells ----------------------------------------------------------------------------------------


def _workplace(run: Run, examples: dict[str, list[Example]]) -> Callable[[], Workplace]:
    """The workplace for computing cells, made when the first cell needs it (it loads torch)."""
    made: list[Workplace] = []

    def workplace() -> Workplace:
        if not made:
            from harness.cells import Workplace

            policy = run.policy
            if run.environment is None:
                raise TypeError("the policy brings an environment")
            made.append(
                Workplace(
                    file=run.file,
                    store=run.store,
                    policy=policy,
                    environment=run.environment,
                    reporter=run.reporter,
                    examples=examples,
                    on_result=run.record,
                    findings=run.findings,
                )
            )
        return made[0]

    return workplace


def _compute(run: Run, workplace: Callable[[], Workplace], cells: Sequence[Cell]) -> None:
    """Compute the cells that are missing, and take note of those that are there."""
    evaluations = [cell for cell in cells if cell.kind != "measure" and run.wants(cell)]
    for cell in evaluations:
        if cell.state == "done":
            _found(run, cell)
    missing = [cell for cell in evaluations if cell.state == "missing"]
    if not missing:
        return
    from harness.cells import compute_cells

    work = workplace()
    done, total = work.position
    work.position = (done, total + len(missing))
    compute_cells(work, run.plan.variants, missing)


def _found(run: Run, cell: Cell) -> None:
    """A cell whose result the store already has, with the findings kept beside it."""
    run.results[(cell.variant, cell.task)] = CellResult(
        variant=cell.variant,
        task=cell.task,
        kind=cell.kind,
        status="done",
        predictions_key=cell.predictions.key if cell.predictions else None,
        scores_key=cell.scores.key if cell.scores else None,
    )
    if cell.scores is not None:
        kept = run.store.read_records("scores", cell.scores.key, "findings", Finding)
        run.findings += [f.model_copy(update={"what": f"{cell.variant}: {f.what}"}) for f in kept]


def _merge_and_compute(run: Run, workplace: Callable[[], Workplace]) -> None:
    """Phase two: merge what ``matrix.merged`` asks for, and evaluate it."""
    suite, plan = run.file.suite, run.plan
    adapters = [variant for variant in plan.variants if variant.kind == "adapter"]
    best = _best_step(run.selection, adapters)
    steps = merged_steps(suite, [variant.step or 0 for variant in adapters], best)
    run.plan = make_plan(run.file, run.store, merged_steps=steps)
    merged = {variant.id: variant for variant in run.plan.variants if variant.kind == "merged"}
    cells = [cell for cell in run.plan.cells if cell.variant in merged]
    for cell in cells:
        if cell.state == "missing" and cell.kind != "measure" and run.wants(cell):
            workplace().merged_dirs[cell.variant] = _merge(run, merged[cell.variant])
    _compute(run, workplace, cells)


def _best_step(selection: Selection | None, adapters: Sequence[Variant]) -> int | None:
    """Step of the chosen checkpoint; where none was chosen, of the last one."""
    steps = {variant.id: variant.step for variant in adapters}
    if selection is not None and selection.chosen in steps:
        return steps[selection.chosen]
    return next(reversed(steps.values()), None)


def _merged(run: Run, variant: Variant) -> Keyed:
    """Key of a merged model: what was merged into what, and how precisely."""
    return keyed(
        {
            "base": variant.digests["base"],
            "adapter": variant.digests["adapter"],
            "precision": variant.precision,
            "compute_dtype": run.policy.compute_dtype,
        }
    )


def _merge(run: Run, variant: Variant) -> Path:
    """Folder of a merged model, merged now unless the store has it."""
    item = _merged(run, variant)
    path = run.store.path("merged", item.key)
    if not run.store.has("merged", item.key):
        from harness.train.merge import merge_adapter

        run.reporter.say(f"Merging {Path(str(variant.adapter)).name} into the base")
        with run.store.writing("merged", item.key, item.identity) as folder:
            merge_adapter(
                run.file.suite.base,
                Path(str(variant.adapter)),
                folder,
                run.policy,
                base_dir=run.file.base_dir,
            )
    return path


# -- memory and speed -----------------------------------------------------------------------------


def _measure(run: Run) -> None:
    """Measure each distinct shape of model once, in a process of its own."""
    cells = [cell for cell in run.plan.cells if cell.kind == "measure" and run.wants(cell)]
    if not cells:
        return
    from harness.measure import measurement_identity

    variants = {variant.id: variant for variant in run.plan.variants}
    from harness.models.load import architecture_of

    architecture = architecture_of(run.file.suite.base, run.file.base_dir)
    for cell in cells:
        job = _measure_job(run, variants[cell.variant])
        item = keyed(measurement_identity(job, architecture))
        found = run.store.has("measurements", item.key)
        failure = None if found else _measure_one(run, variants[cell.variant], job, item)
        run.record(
            CellResult(
                variant=cell.variant,
                task=MEASURE,
                kind="measure",
                status="done" if failure is None else "failed",
                reason=failure,
                measurements_key=item.key if failure is None else None,
                computed=not found,
            )
        )


def _measure_one(run: Run, variant: Variant, job: MeasureJob, item: Keyed) -> str | None:
    """Measure and keep it; returns the reason if the measuring process failed."""
    from harness.measure import measure

    run.reporter.say(f"Measuring memory and speed of {variant.id}")
    if variant.kind == "merged":
        _merge(run, variant)
    try:
        measured = measure(job, progress=run.reporter.detail)
    except UsageError:
        raise
    except HarnessError as error:
        run.reporter.warn(f"{variant.id}/{MEASURE} failed: {error}")
        return str(error)
    if run.environment is None:
        raise TypeError("the policy brings an environment")
    with run.store.writing("measurements", item.key, item.identity) as folder:
        run.store.write_records(folder, "measurements", measured)
        run.store.write_record(folder, "environment", run.environment)
    return None


def _measure_job(run: Run, variant: Variant) -> MeasureJob:
    from harness.measure import MeasureJob

    suite = run.file.suite
    if suite.measure is None:
        raise TypeError("there is nothing to measure")  # excluded by the plan
    folder = None
    if variant.kind == "merged":
        folder = str(run.store.path("merged", _merged(run, variant).key))
    elif variant.kind == "full":
        folder = variant.adapter
    return MeasureJob(
        base=suite.base,
        base_dir=str(run.file.base_dir),
        precision=run.policy.compute_dtype if variant.precision == "auto" else variant.precision,
        adapter=variant.adapter if variant.kind == "adapter" else None,
        merged_dir=folder,
        grid=suite.measure,
        seed=suite.seed,
        quantization=suite.train.quantization if suite.train else QuantizationSpec(),
    )
