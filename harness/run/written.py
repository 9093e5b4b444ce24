"""Output stage: what variants wrote, looked at as a whole and against the baseline."""

from functools import cache

from harness.checks.base import findings_about
from harness.checks.written import WrittenFacts
from harness.run.state import Run, named
from harness.schema import CellResult, Example, Prediction


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
    first = {cell.task: outputs(cell) for cell in texts if cell.variant == baseline}
    for cell in texts:
        facts = WrittenFacts(
            task=cell.task,
            variant=cell.variant,
            baseline=baseline,
            outputs=outputs(cell),
            baseline_outputs=first.get(cell.task, {}),
            examples=examples(cell.task),
        )
        run.findings += named(cell.variant, findings_about(facts))
