"""The jinja2 side of prompts: the sandbox, the sources of a prompt, and the fields they use."""

from __future__ import annotations

import json
import re
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harness.errors import PromptError
from harness.suite.spec import PromptSpec, TurnsSpec

# Stands for the end of the prompt while a combined template is rendered. Rows are cleaned of NUL
# before they get here, so it cannot come from a row.
SPLIT = "\x00response\x00"


class NotTextError(Exception):
    """A template printed a null, a list or an object."""

    def __init__(self, value: Any) -> None:
        super().__init__(type(value).__name__)
        self.value = value


def _only_text(value: Any) -> Any:
    """Called by jinja2 with every printed value."""
    if value is None or isinstance(value, list | tuple | dict | set):
        raise NotTextError(value)
    return value


class _Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox in which nothing grows without bounds in one step."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Multiply and raise to a power, where the result has a size that texts have."""
        if operator == "*":
            sizes = [len(v) for v in (left, right) if isinstance(v, str | list | tuple)]
            times = [v for v in (left, right) if isinstance(v, int)]
            if (sizes and times and sizes[0] * times[0] > _MOST_CHARS) or _bits(left, right):
                raise OverflowError(_TOO_LARGE)
        elif isinstance(left, int) and isinstance(right, int) and _power(left, right) > _MOST_BITS:
            raise OverflowError(_TOO_LARGE)
        return super().call_binop(context, operator, left, right)


_MOST_CHARS = 10_000_000  # of a text that a template makes
_MOST_BITS = 10_000
_TOO_LARGE = "the result is too large"


def _power(left: int, right: int) -> int:
    return left.bit_length() * right


def _bits(left: Any, right: Any) -> bool:
    numbers = isinstance(left, int) and isinstance(right, int)
    return numbers and left.bit_length() + right.bit_length() > _MOST_BITS


def environment() -> ImmutableSandboxedEnvironment:
    """A sandbox in which a missing field, a null or a list in a prompt is an error."""
    result = _Sandbox(
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # prompts are plain text, not HTML
        finalize=_only_text,
    )
    # a row's field may be called dict or joiner; only what templates commonly use stays
    kept = ("range", "namespace")
    result.globals = {name: result.globals[name] for name in kept}
    return result


def sources(spec: PromptSpec) -> list[tuple[str, str]]:
    """Dotted key and jinja2 source of every template of a prompt, the completion's last."""
    if spec.text is not None:
        marker = str(spec.response_marker)
        head, separator, tail = spec.text.rpartition(marker)
        if not separator:
            raise PromptError(
                f"The response_marker {marker!r} does not occur in text.",
                where="prompt.response_marker",
                hint=_of_field(spec.text, marker),
            )
        return [("prompt.text", f"{head}{marker}{SPLIT}{tail}")]
    if spec.messages:
        return [(f"prompt.messages[{i}]", m.content) for i, m in enumerate(spec.messages)]
    pairs = [("prompt.prompt", spec.prompt), ("prompt.completion", spec.completion)]
    return [(name, source) for name, source in pairs if source is not None]


def _of_field(text: str, marker: str) -> str:
    """How to divide a field that holds prompt and answer, so that no turn of it is lost."""
    only = re.fullmatch(r"\s*\{\{\s*(\w+)\s*\}\}\s*", text)
    field = only[1] if only else "field"
    if marker.strip() == TurnsSpec.model_fields["assistant"].default:
        return (
            "If it is inside a field, that field holds whole conversations. Write "
            f"prompt: {{turns: {{field: {field}}}}}, which keeps every turn."
        )
    parts = f"{field}.rsplit({json.dumps(marker, ensure_ascii=False)}, 1)"
    return (
        "If it is inside a field, divide the field where it stands last, so that earlier turns are "
        f"part of the prompt: prompt: '{{{{ {parts}[0] }}}}{marker}' and completion: "
        f"'{{{{ {parts}[1] }}}}'; name what ends the answer there, such as </s>, in stop."
    )


def as_text(field: str, value: Any) -> str:
    """An expression that prints a list or an object of a row as text.

    Args:
        field: The field that holds it.
        value: What it holds.
    """
    name = field if field.isidentifier() else f"row[{json.dumps(field, ensure_ascii=False)}]"
    if isinstance(value, dict):
        return f"{{{{ {name}{_part(value)} }}}}"
    inner = next(iter(value), None)
    if isinstance(inner, dict):
        key = json.dumps(next(iter(inner), "text"), ensure_ascii=False)
        return f'{{{{ {name} | map(attribute={key}) | join(" ") }}}}'
    return f'{{{{ {name} | join(" ") }}}}'


def _part(value: dict[str, Any]) -> str:
    """How to reach the first text in an object."""
    key = next((k for k, v in value.items() if isinstance(v, str)), next(iter(value), "text"))
    return f".{key}" if key.isidentifier() else f"[{json.dumps(key, ensure_ascii=False)}]"


def fields_of(environment: jinja2.Environment, source: str) -> frozenset[str]:
    """Names of the row's fields that a template uses, ``row["a field"]`` and ``row.field`` too."""
    tree = environment.parse(source)
    names = meta.find_undeclared_variables(tree) - set(environment.globals)
    if "row" in names:
        names = (names - {"row"}) | set(filter(None, map(_row_access, tree.find_all(_ACCESS))))
    return frozenset(names)


def fields_before_split(environment: jinja2.Environment, source: str) -> frozenset[str]:
    """Names of the fields used before the end of the prompt, in the order of the template."""
    seen: set[str | None] = set()
    for node in environment.parse(source).find_all((nodes.Name, nodes.TemplateData, *_ACCESS)):
        if isinstance(node, nodes.TemplateData):
            if SPLIT in node.data:
                break
        else:
            seen.add(node.name if isinstance(node, nodes.Name) else _row_access(node))
    return frozenset(name for name in seen if name) & fields_of(environment, source)


_ACCESS = (nodes.Getitem, nodes.Getattr)


def _row_access(node: nodes.Node) -> str | None:
    """The field that ``row["a field"]`` or ``row.field`` names; None for any other access."""
    if not isinstance(node, _ACCESS) or not isinstance(node.node, nodes.Name):
        return None
    if node.node.name != "row":
        return None
    if isinstance(node, nodes.Getattr):
        return node.attr
    key = node.arg
    return key.value if isinstance(key, nodes.Const) and isinstance(key.value, str) else None
