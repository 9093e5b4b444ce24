"""The spine: examples, training, cells, measurements, choice, merging, manifest.

Each step takes what the one before it left and looks in the store first, so running again is
resuming, and a finished run computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.console import Reporter
from harness.errors import DataError, DiskError, PromptError, SuiteError
from harness.metrics.registry import is_evaluate_module
from harness.models.source import locate
from harness.plan.keys import Keyed
from harness.plan.plan import Cell, make_plan
from harness.run.merge import merged_weights, plan_merged
from harness.run.state import Options, Run, check_matches, check_patterns, needs_training, start
from harness.schema import QUANTIZED, TRAIN, DataReport, Example, Finding, Manifest
from harness.select.checkpoint import select_checkpoint
from harness.store.runs import Store
from harness.suite.file import SuiteFile
from harness.suite.spec import GenerationTask, LmEvalTask, MetricSpec
from harness.validate.parts import data_of, placed

if TYPE_CHECKING:
    from harness.run.context import Workplace

__all__ = ["Options", "run_suite"]

_REASONS = 3  # for dropping rows that a line names
_FEW = 4  # examples on which a module of the user's is tried


def run_suite(file: SuiteFile, store: Store, options: Options, reporter: Reporter) -> Manifest:
    """Train if needed, compute and measure what is missing, choose, merge; write the manifest.

    Raises:
        UsageError: The suite, its data or its models are wrong; what was finished is kept.
    """
    with store.locked():
        _pin_base(file)
        run = start(file, store, options, reporter)
        check_patterns(run)
        run.findings += _precision_findings(file)
        examples = _examples(run)
        _check_modules(run, examples)
        with store.running(file.suite.name, run.plan.run_id):
            return _run(run, examples)


def _run(run: Run, examples: dict[str, list[Example]]) -> Manifest:
    """All that takes long."""
    _train(run, examples)
    run.ended = run.options.train_only
    manifest = run.save()  # it names the training, which prune might take for garbage else
    if run.options.train_only:
        return manifest
    with _workplace(run, examples) as work:
        _compute(run, work, _first_phase(run))
        failures = _measure(run, merged=False)  # memory and speed may constrain the choice
        run.selection = select_checkpoint(
            run.store, run.plan.variants, run.results.values(), run.file.suite, run.plan.baseline
        )
        _merge_and_compute(run, work)
    _measure(run, merged=True, failures=failures)
    return _finish(run)


def _pin_base(file: SuiteFile) -> None:
    """Resolve a Hub model's revision to a commit first, for that is part of every key."""
    base = file.suite.base
    if locate(base, file.base_dir).kind == "hub":
        from harness.models.builtin import resolve_model

        resolve_model(base, file.base_dir)


def _precision_findings(file: SuiteFile) -> list[Finding]:
    """A note where checkpoints are judged on a base of other precision than they were trained on.

    The matrix is nf4 unless the suite says otherwise; `lora` and `full` train unquantized weights.
    """
    train, adapters = file.suite.train, file.suite.matrix.adapters
    if train is None:
        return []
    trained = train.quantization.bnb_4bit_quant_type if train.method == "qlora" else "unquantized"
    judged = adapters if adapters in QUANTIZED else "unquantized"
    if trained == judged:
        return []
    base = "an unquantized base" if train.method != "qlora" else f"a base at {trained}"
    return [
        Finding(
            check="precision",
            severity="warning",
            what=f"The checkpoints were trained on {base} and are judged at {adapters}.",
            why="Their weights make up for the rounding of the base they were trained on.",
            hint="Set matrix.adapters to the precision they are to be shipped at.",
        )
    ]


def _finish(run: Run) -> Manifest:
    """Write the manifest of what was planned, without what is not part of the run any more."""
    planned = [(cell.variant, cell.task) for cell in run.plan.cells]
    run.results = {place: run.results[place] for place in planned if place in run.results}
    run.ended = True
    manifest = run.save()
    check_matches(run)
    return manifest


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
    from harness.data.examples import load_examples

    data, prompt = data_of(run.file.suite, task)
    run.reporter.say(f"Reading data of {task}: {data.source or ', '.join(data.files.values())}")
    render: Callable[[list[dict[str, str]], bool], str] | None = None
    if prompt.is_chat:
        from harness.models.tokens import load_tokenizer, render_chat

        render = render_chat(load_tokenizer(run.file.suite.base, run.file.base_dir))
    try:
        examples, report = load_examples(
            data, prompt, seed=run.file.suite.seed, base_dir=run.file.base_dir, render_chat=render
        )
    except (DataError, PromptError) as error:
        raise placed(error, run.file, task) from error
    run.reporter.say(f"  {_rows_in_words(report)}")
    with run.store.writing("examples", item.key, item.identity) as folder:
        run.store.write_records(folder, "examples", examples)
        run.store.write_record(folder, "report", report)


def _rows_in_words(report: DataReport) -> str:
    """What became of the rows in a line, which has room for the commonest reasons."""
    reasons = sorted(report.dropped.items(), key=lambda reason: -reason[1])
    parts = [f"{count:,} dropped: {why}" for why, count in reasons[:_REASONS]]
    rest = [count for _, count in reasons[_REASONS:]]
    if rest:
        more = f"{len(rest)} more reason{'s' if len(rest) > 1 else ''}"
        parts.append(f"and {more} ({sum(rest):,} rows), see the report")
    kept = f"{report.rows_read:,} rows read, {report.rows_kept:,} kept"
    return ", ".join([kept, *parts])


def _check_splits(run: Run, examples: dict[str, list[Example]]) -> None:
    """Refuse splits without examples before anything expensive starts."""
    wanted = [(TRAIN, "train")] if run.plan.training is not None else []
    for task, spec in run.file.suite.tasks.items():
        wanted += [(task, split) for split in getattr(spec, "splits", ())]
    for task, split in wanted:
        if not any(example.split == split for example in examples[task]):
            sizes = run.data[task].split_sizes
            raise SuiteError(
                f"The {split} split of {task} is empty; the splits hold {dict(sizes)}.",
                where=run.file.at(f"tasks.{task}.splits" if task != TRAIN else "data.splits"),
                hint="Give it a share in data.splits, map a split of the source to it, or leave "
                "it out of the task's splits.",
            )


# -- training -------------------------------------------------------------------------------------


def _train(run: Run, examples: dict[str, list[Example]]) -> None:
    """Train if something waits for it; then plan again, now with its checkpoints."""
    item = run.plan.training
    if item is None or not needs_training(run):
        return
    if not run.options.train_only:
        _check_lm_eval_tasks(run)
    run.save()  # a training that is cut off leaves a run to see
    from harness.train.session import train_once

    train_once(run.file, run.store, item.key, item.identity, examples[TRAIN], run.reporter)
    run.plan = make_plan(run.file, run.store)


def _check_lm_eval_tasks(run: Run) -> None:
    """Load lm-eval tasks once before a training: a mistake in one must not show hours later."""
    tasks = run.file.suite.tasks.values()
    lm_eval_tasks = [task for task in tasks if isinstance(task, LmEvalTask)]
    if lm_eval_tasks:
        from harness.tasks.lm_eval.load import check_lm_eval

        for task in lm_eval_tasks:
            check_lm_eval(task, run.file.base_dir)


def _check_modules(run: Run, examples: dict[str, list[Example]]) -> None:
    """Run modules of Hugging Face evaluate once, before anything long is made for them to score."""
    if run.options.train_only:
        return
    for name, task in run.file.suite.tasks.items():
        entries = task.metrics if isinstance(task, GenerationTask) else ()
        specs = [MetricSpec.of(entry) for entry in entries]
        modules = [spec for spec in specs if is_evaluate_module(spec.name)]
        cells = [cell for cell in run.plan.cells if cell.task == name and cell.state != "done"]
        if not modules or not any(run.wants(cell) for cell in cells):
            continue
        from harness.tasks.evaluate_module import EvaluateModule

        splits = getattr(task, "splits", ())
        few = [e.references for e in examples[name] if e.split in splits][:_FEW]
        for spec in modules:
            EvaluateModule(spec, base_dir=run.file.base_dir).check(few)


# -- cells ----------------------------------------------------------------------------------------


@contextmanager
def _workplace(run: Run, examples: dict[str, list[Example]]) -> Iterator[Callable[[], Workplace]]:
    """The workplace for computing cells, made when the first cell needs it (it loads torch)."""
    made: list[Workplace] = []

    def workplace() -> Workplace:
        if not made:
            from harness.run.context import Workplace

            made.append(
                Workplace(
                    file=run.file,
                    store=run.store,
                    policy=run.policy,
                    environment=run.machine,
                    reporter=run.reporter,
                    examples=examples,
                    on_result=run.record,
                    findings=run.findings,
                )
            )
        return made[0]

    try:
        yield workplace
    finally:
        for work in made:
            work.close()


def _compute(run: Run, workplace: Callable[[], Workplace], cells: Sequence[Cell]) -> None:
    """Take note of the cells that are there, and compute those that are missing and wanted."""
    for cell in cells:
        if cell.state == "done":
            run.found(cell)
    missing = [cell for cell in cells if cell.state == "missing" and run.wants(cell)]
    if not missing:
        return
    from harness.run.cells import compute_cells

    work = workplace()
    tasks = dict.fromkeys(cell.task for cell in missing)
    if len(tasks) > 1 and run.plan.training is None:  # before a training they were checked already
        work.prepare(tasks)  # a mistake in the last of them must not show hours later
    done, total = work.position
    work.position = (done, total + len(missing))
    compute_cells(work, run.plan.variants, missing)


def _first_phase(run: Run) -> list[Cell]:
    """All cells but measurements and those of merged models, which wait for the choice."""
    merged = _merged(run)
    return [c for c in run.plan.cells if c.kind != "measure" and c.variant not in merged]


def _merged(run: Run) -> set[str]:
    return {variant.id for variant in run.plan.variants if variant.kind == "merged"}


def _merge_and_compute(run: Run, workplace: Callable[[], Workplace]) -> None:
    """Phase two: merge what ``matrix.merged`` asks for, and evaluate it."""
    for variant in plan_merged(run):
        cells = [c for c in run.plan.cells if c.variant == variant.id and c.kind != "measure"]
        missing = [cell for cell in cells if cell.state == "missing" and run.wants(cell)]
        if missing:
            try:
                workplace().merged_dirs[variant.id] = merged_weights(run, variant)
            except DiskError:
                raise
            except Exception as error:  # it is these cells' result and not the run's end
                reason = f"it cannot be merged: {str(error).strip() or type(error).__name__}"
                run.reporter.warn(f"{variant.id} failed: {reason}")
                for cell in missing:
                    run.record(cell.failed(reason))
                cells = [cell for cell in cells if cell not in missing]
        _compute(run, workplace, cells)


def _measure(run: Run, *, merged: bool, failures: dict[str, str] | None = None) -> dict[str, str]:
    """Measure merged variants, or all others; returns what failed, for equal shapes fail alike."""
    failures = {} if failures is None else failures
    if run.file.suite.measure is not None:
        from harness.run.measure import measure_cells

        of_merged = _merged(run)
        cells = [cell for cell in run.plan.cells if (cell.variant in of_merged) == merged]
        measure_cells(run, cells, failures)
    return failures
