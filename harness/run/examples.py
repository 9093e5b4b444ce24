"""Examples stage: rendered examples of training and tasks, made once and kept in the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.checks.base import findings_about
from harness.checks.data_rows import DataFacts
from harness.data.sources import resolve
from harness.errors import DataError, PromptError, SuiteError
from harness.plan.keys import Keyed
from harness.run.state import Run
from harness.schema import TRAIN, DataReport, Example
from harness.validate.parts import placed

_REASONS = 3  # for dropping rows that a line names


def read_examples(run: Run) -> dict[str, list[Example]]:
    """Examples by task (or ``train``), made now unless the store has them.

    Raises:
        UsageError: The data cannot be read or rendered, or a split that is needed is empty.
    """
    by_key: dict[str, list[Example]] = {}
    by_task: dict[str, list[Example]] = {}
    for task, item in run.plan.examples.items():
        if item.key not in by_key:
            if not run.store.has("examples", item.key):
                _render(run, task, item)
            by_key[item.key] = run.store.read_records("examples", item.key, "examples", Example)
        run.data[task] = run.store.read_record("examples", item.key, "report", DataReport)
        by_task[task] = by_key[item.key]
    first = {item.key: task for task, item in reversed(run.plan.examples.items())}
    for task in reversed(first.values()):
        data, _ = run.file.suite.task_data(task)
        if resolve(data, run.file.base_dir).kind != "builtin":  # which is made by leaving rows out
            run.findings += findings_about(DataFacts(task, run.data[task]))
    _check_splits(run, by_task)
    return by_task


def _render(run: Run, task: str, item: Keyed) -> None:
    from harness.data.examples import load_examples

    data, prompt = run.file.suite.task_data(task)
    run.reporter.say(f"Reading data of {task}: {data.source or ', '.join(data.files.values())}")
    chat: dict[str, Any] = {}
    hidden: Mapping[str, int] = {}
    if prompt.is_chat:
        from harness.models.tokens import ChatTurns, load_tokenizer, render_chat

        tokenizer = load_tokenizer(run.file.suite.base, run.file.base_dir)
        turns = ChatTurns(tokenizer)
        hidden = turns.hidden
        chat = {"render_chat": render_chat(tokenizer), "printed": turns.printed}
    try:
        examples, report = load_examples(
            data, prompt, seed=run.file.suite.seed, base_dir=run.file.base_dir, **chat
        )
    except (DataError, PromptError) as error:
        raise placed(error, run.file, task) from error
    if hidden:  # known once the rows are rendered
        tokens = ", ".join(f"{token} ({rows} rows)" for token, rows in sorted(hidden.items()))
        note = f"Special tokens inside answers are not printed, so no metric sees them: {tokens}."
        report = report.model_copy(update={"notes": (*report.notes, note)})
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
    wanted = [(TRAIN, "train")] if run.plan.trainings else []
    for name, task in run.file.suite.tasks.items():
        if not task.brings_data:
            wanted += [(name, split) for split in task.scored_splits]
    for name, split in wanted:
        if not any(example.split == split for example in examples[name]):
            sizes = run.data[name].split_sizes
            raise SuiteError(
                f"The {split} split of {name} is empty; the splits hold {dict(sizes)}.",
                where=run.file.at(f"tasks.{name}.splits" if name != TRAIN else "data.splits"),
                hint="Give it a share in data.splits, map a split of the source to it, or leave "
                "it out of the task's splits.",
            )
