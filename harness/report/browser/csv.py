"""Every example as one line of a CSV table, with every variant's output and values beside it."""

import json
import math
from collections.abc import Iterator

from harness.render.delimited import Raw, csv_text
from harness.report.browser.view import FINDINGS, AllExamples, TaskOutputs

_OUTPUT = ("output", "finish_reason", "prompt_tokens", "new_tokens", "truncated_prompt_tokens")


def render_examples_csv(examples: AllExamples) -> str:
    """All examples of a run's generation tasks, with a header line.

    For each variant there are its output, how it ended, what was found of it, and its value in
    each metric, in the metric's own unit. References are a JSON array.

    Raises:
        StoreError: A result of the run is missing or unreadable.
    """
    return csv_text(_lines(examples.tasks))


def _lines(tasks: tuple[TaskOutputs, ...]) -> Iterator[list[Raw]]:
    variants = tasks[0].variants if tasks else ()
    metrics = list(dict.fromkeys(item.metric for task in tasks for item in task.metrics))
    header: list[Raw] = ["task", "split", "id", "prompt", "references"]
    for name in variants:
        header += [f"{column} {name}" for column in (*_OUTPUT, "findings", *metrics)]
    yield header
    for task in tasks:
        values = {item.metric: item.values for item in task.metrics}
        for place, example in enumerate(task.examples):
            references = json.dumps(example.references, ensure_ascii=False)
            line: list[Raw] = [task.task, example.split, example.id, example.prompt, references]
            for row in range(len(variants)):
                line += _written(task, row, place)
                for metric in metrics:
                    value = float(values[metric][row, place]) if metric in values else math.nan
                    line.append(None if math.isnan(value) else value)
            yield line


def _written(task: TaskOutputs, row: int, place: int) -> list[Raw]:
    item = task.outputs[row][place]
    if item is None:
        return [None] * (len(_OUTPUT) + 1)
    flags = int(task.flags[row, place])
    findings = "; ".join(name for bit, name in enumerate(FINDINGS) if flags >> bit & 1)
    sizes = (item.prompt_tokens, item.new_tokens, item.truncated_prompt_tokens)
    return [item.text, item.finish_reason, *sizes, findings]
