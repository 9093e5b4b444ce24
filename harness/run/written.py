"""Output stage: what variants wrote, looked at as a whole and against the baseline."""

from functools import cache

from harness.checks.base import findings_about
from harness.checks.drift import Runs, taught_runs
from harness.checks.forgetting import NeutralFacts
from harness.checks.written import WrittenFacts
from harness.run.state import Run, named
from harness.schema import TRAIN, CellResult, Example, Prediction, Score


def look_at_outputs(run: Run) -> None:
    """Tell what is noticed of the texts of each variant."""
    baseline = run.plan.baseline

    @cache
    def examples(task: str) -> dict[str, Example]:
        key = run.plan.examples[task].key
        read = run.store.read_records("examples", key, "examples", Example)
        return {example.id: example for example in read}

    def outputs(cell: CellResult) -> dict[str, Prediction]:
        key = cell.predictions_key
        read = run.store.read_records("predictions", key, "predictions", Prediction) if key else []
        return {item.example_id: item for item in read}

    texts = [
        cell
        for cell in run.results.values()
        if cell.status == "done"
        and cell.task in run.plan.examples
        and run.file.suite.tasks[cell.task].writes_texts
    ]
    taught = _taught(run) if texts else frozenset()
    first = {cell.task: outputs(cell) for cell in texts if cell.variant == baseline}
    for cell in texts:
        facts = WrittenFacts(
            task=cell.task,
            variant=cell.variant,
            baseline=baseline,
            outputs=outputs(cell),
            baseline_outputs=first.get(cell.task, {}),
            examples=examples(cell.task),
            taught=taught,
        )
        run.findings += named(cell.variant, findings_about(facts))
    _look_at_neutral_texts(run)


def _taught(run: Run) -> Runs:
    """Runs of words in the training rows, where these are known."""
    if TRAIN not in run.plan.examples:
        return frozenset()
    key = run.plan.examples[TRAIN].key
    rows = run.store.read_records("examples", key, "examples", Example)
    return taught_runs([row.completion for row in rows if row.split == "train"])


def _look_at_neutral_texts(run: Run) -> None:
    """Tell which variants lost on texts that are not those of the training."""
    baseline, suite = run.plan.baseline, run.file.suite
    for name, task in suite.tasks.items():
        data = getattr(task, "data", None)
        if task.per_token and data is not None and data != suite.data:
            losses = {
                cell.variant: loss
                for cell in run.results.values()
                if cell.task == name and (loss := _loss(run, cell)) is not None
            }
            for variant, loss in losses.items() if baseline in losses else ():
                facts = NeutralFacts(name, baseline, loss, losses[baseline])
                run.findings += named(variant, findings_about(facts))


def _loss(run: Run, cell: CellResult) -> float | None:
    """The loss of a cell on the first of its splits; None where it has none."""
    if cell.status != "done" or cell.scores_key is None:
        return None
    scores = run.store.read_records("scores", cell.scores_key, "scores", Score)
    losses = [score.value for score in scores if score.metric == "eval_loss"]
    return next((loss for loss in losses if loss is not None), None)
