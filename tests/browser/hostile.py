"""Reports in which every text that comes from outside means harm.

Whatever names, describes or was written by somebody — a model, a rater, whoever wrote the suite or
the data — ends in one of ``PAYLOADS``; equal texts stay equal, so that everything still belongs
together. Texts of prompts, references and outputs end in all of them.
"""

from __future__ import annotations

import dataclasses
import zlib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from harness.report.browser.view import AllExamples
from harness.report.build import build_view
from harness.report.view.records import View
from harness.store.runs import Store
from tests.unit.conftest import RunFactory
from tests.unit.ratings.human_records import results

PAYLOADS = (
    "</script><script>window.bad = 1</script>",
    "</style><style>main{display:none}</style>",
    "<img src=x onerror='window.bad = 2'>",
    "<svg onload='window.bad = 3'><script>window.bad = 4</script></svg>",
    "\" autofocus onfocus='window.bad = 5' x='",
    "' onmouseover=\"alert(6)\" style='position:fixed;inset:0",
    "*/}main{display:none}/*",
    "[go](javascript:window.bad=7) javascript:window.bad=8",
    "{{7*7}} {% raw %} ${window.bad=9} <%= 1 %>",
    "<!-- --> ]]> <![CDATA[ &lt;b&gt; &#x3c;b>",
    "\u202egnp.exe\u2066 \u2028 \u2029 \u200b\ufeff",
    "\x1b[31mred\x1b[0m \x00 \x07 \x85",
    "</textarea></title></svg></math><iframe srcdoc='<script>top.bad=1</script>'></iframe>",
    "<a href='javascript:window.bad=10'>x</a><base href='https://example.org/'>",
    "<form action='https://example.org'><input name=x></form>",
    "http://169.254.169.254/ //example.org/x.png url(https://example.org/x.css)",
)
LONG_LINE = "x" * 1_000_000

_TEXTS = {"text", "prompt", "references", "completion"}
_OURS = {"split", "kind"}  # words of the harness, by which a page decides what to show

T = TypeVar("T")


def poisoned(value: T, *, field: str = "", literal: bool = False) -> T:
    """Put a payload behind every text of a record, and of what it holds.

    Args:
        value: A record, a dataclass, a collection of such, or a text.
        field: The field that holds it.
        literal: Whether that field's words are the harness's own.
    """
    found: Any = value
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        found = value.model_copy(
            update={
                name: poisoned(
                    getattr(value, name), field=name, literal="Literal" in str(own.annotation)
                )
                for name, own in fields.items()
            }
        )
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [own.name for own in dataclasses.fields(value)]
        changed = {name: poisoned(getattr(value, name), field=name) for name in names}
        found = dataclasses.replace(value, **changed)
    elif isinstance(value, dict):
        found = {
            poisoned(key, field=field, literal=literal): poisoned(item, field=field)
            for key, item in value.items()
        }
    elif isinstance(value, (tuple, list)):
        items = [poisoned(item, field=field, literal=literal) for item in value]
        found = type(value)(items)
    elif isinstance(value, str) and not literal and field not in _OURS:
        found = f"{value} {' '.join(PAYLOADS) if field in _TEXTS else payload_of(value)}"
    return found  # type: ignore[no-any-return]


def payload_of(text: str) -> str:
    """The payload that a text always gets."""
    return PAYLOADS[zlib.crc32(text.encode()) % len(PAYLOADS)]


def hostile_report(folder: Path) -> tuple[View, AllExamples]:
    """A report with everything in it, all of it hostile, and one output of a million characters."""
    store = Store(folder)
    run = RunFactory(store, failed={("base@fp32", "mmlu"): "RuntimeError"})
    manifest = run.build()
    view = build_view(store, manifest).model_copy(update={"human": results()})
    view = poisoned(view)
    examples = AllExamples(store, manifest)
    examples.tasks = poisoned(examples.tasks)
    task = examples.tasks[0]
    long = task.outputs[0][0]
    assert long is not None
    first = (long.model_copy(update={"text": LONG_LINE}), *task.outputs[0][1:])
    task = dataclasses.replace(task, outputs=(first, *task.outputs[1:]))
    examples.tasks = (task, *examples.tasks[1:])
    return view, examples
