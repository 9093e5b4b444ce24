"""Data rows and templates: any file and any template gives examples or a message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from harness.data.examples import check_first_rows, load_examples
from harness.data.prompts import Template
from harness.data.sources import resolve
from harness.models.tokens import ChatTurns, render_chat
from harness.suite.spec import DataSpec, PromptSpec, TurnsSpec
from tests.fuzz.guard import TEXTS, VALUES, deep, examples, holds, knock

SPLITS = {"train": 0.5, "report": 0.5}
PROMPTS = st.sampled_from(
    [
        PromptSpec(prompt="{{ q }}", completion="{{ a }}"),
        PromptSpec(prompt='{{ row["q"] }}', completion="{{ a | upper }}", references="a"),
        PromptSpec(text="{{ q }} => {{ a }}", response_marker="=>"),
        PromptSpec(messages_field="q"),
        PromptSpec(turns=TurnsSpec(field="q")),
    ]
)


def plain_chat(messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
    return "".join(message["content"] for message in messages)


def read(path: Path, prompt: PromptSpec, **data: Any) -> None:
    spec = DataSpec(source=path.name, splits=SPLITS, **data)
    check_first_rows(resolve(spec, path.parent), spec, prompt)
    chat = plain_chat if prompt.is_chat else None
    load_examples(spec, prompt, seed=1, base_dir=path.parent, render_chat=chat)


JSON = VALUES.map(lambda value: json.dumps(value, default=str, skipkeys=True))
ROWS = st.fixed_dictionaries({"q": VALUES, "a": VALUES}, optional={"b": VALUES})
LINES = st.one_of(
    ROWS.map(lambda row: json.dumps(row, default=str, skipkeys=True)),
    JSON,
    TEXTS,
    st.sampled_from(
        [
            '{"q": NaN, "a": -Infinity}',
            '{"q": ' + "9" * 5_000 + ', "a": "x"}',
            '{"q": ' + "[" * 900 + "]" * 900 + ', "a": "x"}',
            '{"q": ' + "[" * 90_000,
            '{"q": "\\ud800", "a": "\\u0000"}',
            '{"q": 1e999, "a": 1e-999}',
            '{"q": "[INST] a [/INST] b", "a": "x"}',
        ]
    ),
)


@examples(60, 1_500)
def test_rows_of_any_kind(tmp_path: Path, tries: int) -> None:
    """Of JSONL and of JSON."""

    def door(drawn: tuple[list[str], str, PromptSpec, str]) -> None:
        lines, ending, prompt, cluster = drawn
        path = tmp_path / f"rows{ending}"
        text = "\n".join(lines) if ending == ".jsonl" else f"[{','.join(lines)}]"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        read(path, prompt, cluster=cluster)

    clusters = st.sampled_from(["near", "exact", "field:q", "field:b"])
    endings = st.sampled_from([".jsonl", ".json"])
    holds(tries, st.tuples(st.lists(LINES, max_size=6), endings, PROMPTS, clusters), door)


@examples(40, 700)
def test_bytes_that_are_hardly_a_table(tmp_path: Path, tries: int) -> None:
    """CSV with quotes, NUL, delimiters and lines in odd places."""
    pieces = st.sampled_from([b"q,a\n", b"1,2\n", b'"', b"\r", b"\x00", b"\xff", b","])
    bodies = st.one_of(st.binary(max_size=60), st.lists(pieces, max_size=9).map(b"".join))

    def door(drawn: tuple[bytes, str, PromptSpec]) -> None:
        path = tmp_path / f"rows{drawn[1]}"
        path.write_bytes(drawn[0])
        read(path, drawn[2])

    holds(tries, st.tuples(bodies, st.sampled_from([".csv", ".tsv"]), PROMPTS), door)


PIECES = st.sampled_from(
    [
        "{{", "}}", "{%", "%}", "{#", "#}", " q ", " row ", "| join", "| upper", "| tojson", "|map",
        "for x in q", "endfor", "if q", "endif", "set y = q", "block b", "endblock", "macro m()",
        "endmacro", "import 'x' as y", "include 'x'", "extends 'x'", "q.__class__", "q[0]", "()",
        "9 ** (9 ** 9)", "'a' * 10 ** 11", "range(99999)", "1 / 0", "q | center(9999999)",
        "'%s' % q",
        "raise_exception('x')", "namespace(a=1)", "-", "+", "~", "(" * 200, "x" * 3_000, "\x00",
        "\ud800", "loop(q)", "recursive", "call m()", "endcall", "filter upper", "endfilter",
    ]
)  # fmt: skip
TEMPLATES = st.lists(st.one_of(PIECES, TEXTS), max_size=8).map("".join)
ROW = {"q": "a text", "a": [1, {"b": None}], "n": 3}


@examples(60, 1_800)
def test_templates_of_any_kind(tries: int) -> None:
    """Prompts of a suite, rendered on a row."""

    def door(source: str) -> None:
        Template(PromptSpec(prompt=source, completion="x")).render(ROW)

    holds(tries, TEMPLATES, door)


ENDLESS = [
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% for i in range(99999) %}{{ 'a' * 999999 }}{% endfor %}",
    "{% set s = namespace(t='a') %}{% for i in range(99) %}{% set s.t = s.t ~ s.t %}{% endfor %}",
]
LARGE = [
    "{{ 9 ** (9 ** 9) }}",
    "{{ 'a' * 10 ** 12 }}",
    "{{ 'a' * 10 ** 10 }}",
    "{{ [1] * 10 ** 12 }}",
]


@pytest.mark.parametrize("source", [*ENDLESS, *LARGE, "{{ " + "(" * 9_000])
def test_endless_and_large_templates_end(source: str) -> None:
    """In a message, within seconds."""
    knock(lambda: Template(PromptSpec(prompt=source, completion="x")).render(ROW))


@pytest.fixture
def chat(tiny_tokenizer: Any) -> Any:
    """Renders a conversation by a chat template."""
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    own = tiny_tokenizer.chat_template

    def through(source: str) -> None:
        tiny_tokenizer.chat_template = source
        ChatTurns(tiny_tokenizer).end(["b"])
        render_chat(tiny_tokenizer)(messages, False)

    yield through
    tiny_tokenizer.chat_template = own


@examples(60, 1_200)
def test_chat_templates_of_any_kind(chat: Any, tries: int) -> None:
    """Whatever they raise."""
    holds(tries, TEMPLATES, chat)


@pytest.mark.parametrize("source", [*ENDLESS, *LARGE, f"{{{{ {'9' * 5_000} }}}}"])
def test_endless_chat_templates_end(chat: Any, source: str) -> None:
    """The tokenizer's sandbox knows no bounds of its own."""
    knock(lambda: chat(source))


def test_rows_that_are_nested_too_deeply_are_named(tmp_path: Path) -> None:
    """By file and line, where Python could still read them."""
    path = tmp_path / "rows.jsonl"
    for depth in (200, 500, 900):
        path.write_text(json.dumps({"q": deep(depth), "a": deep(depth, "{}")}), "utf-8")
        knock(lambda: read(path, PromptSpec(prompt="{{ n }}", completion="{{ a }}")))
