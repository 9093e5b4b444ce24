"""Suites and settings of the command line: any text has a plan or a message."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from harness.plan.explain import describe_plan
from harness.store.runs import Store
from harness.validate import trial
from harness.validate.suite import read_suite
from tests.fuzz.guard import TEXTS, VALUES, examples, holds, knock

SUITE: dict[str, Any] = {
    "name": "mine",
    "seed": 3,
    "base": {"model": "tiny:llama", "dtype": "fp32"},
    "data": {
        "source": "rows.jsonl",
        "splits": {"train": 0.25, "eval": 0.25, "select": 0.25, "report": 0.25},
        "limits": {"train": 3},
        "cluster": "exact",
    },
    "prompt": {"prompt": "{{ q }}", "completion": "{{ a }}", "stop": ["x"]},
    "train": {
        "method": "qlora",
        "lora": {"r": 4, "target_modules": ["q_proj"]},
        "quantization": {"bnb_4bit_quant_type": "nf4"},
        "args": {"max_steps": 4, "save_steps": 2, "learning_rate": "1e-3"},
        "early_stopping": {"patience": 2},
    },
    "matrix": {"base": ["nf4", "fp32"], "merged": "best"},
    "tasks": {
        "qa": {"type": "generation", "metrics": ["f1", {"name": "rougeL", "options": {}}]},
        "loss": {"type": "perplexity", "splits": ["eval", "select"]},
    },
    "measure": {"batch_sizes": [1, 2]},
    "select": {"task": "qa", "constraints": [{"task": "qa", "metric": "f1", "max_drop": 2}]},
    "gate": {"metrics": [{"task": "qa", "metric": "f1", "margin": 2}]},
    "human": {"items": 5, "raters": 2},
}


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    inner = [(place, part) for place, part in parts]
    found = [(*above, place) for place, _ in inner]
    for place, part in inner:
        if isinstance(part, dict | list):
            found += places(part, (*above, place))
    return found


PLACES = places(SUITE)


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """The suite with one to three values, or names, that are something else."""
    content = copy.deepcopy(SUITE)
    for place in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        at: Any = content
        try:
            for part in place[:-1]:
                at = at[part]
            at[
                draw(st.one_of(st.just(place[-1]), TEXTS)) if isinstance(at, dict) else place[-1]
            ] = draw(VALUES)
        except (KeyError, IndexError, TypeError):
            continue  # another change took it away
    return content


FRAGMENTS = st.sampled_from(
    [
        "&a ", "*a", "[", "]", "{", "}", "? ", ": ", "- ", "!!timestamp ", "!!int ", "!!float ",
        "!!binary ", "!!set ", "!!omap ", "!!python/none ", "!x ", "<<: ", "|\n", ">\n", "'", '"',
        '"\\U00110000"', "2020-13-45", "9" * 5_000, "0x", "1:60:60", ".inf", ".nan", "\t",
        "\n---\n", "\n...\n", "%YAML 9.9\n", "#", "\x00", "\ufeff", "[" * 5_000, "\ud800",
        "\n" + "- " * 3_000,
    ]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """The suite's text with fragments put into it."""
    text = yaml.safe_dump(SUITE)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(FRAGMENTS) + text[at + draw(st.integers(0, 3)) :]
    return text


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Reads a suite from its text and settings, and plans it."""
    monkeypatch.setattr(trial, "_tried", lambda asked: None)
    rows = "".join(f'{{"q": "q{i}", "a": "a{i}"}}\n' for i in range(9))
    (tmp_path / "rows.jsonl").write_text(rows, "utf-8")
    path, store = tmp_path / "suite.yaml", Store(tmp_path / "runs")

    def through(text: str, *overrides: str) -> None:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        describe_plan(read_suite(str(path), overrides, rows=True), store)

    through(yaml.safe_dump(SUITE))  # fields of TRL are read once, in a process of its own
    return through


@examples(50, 400)
def test_values_of_any_kind(read: Any, tries: int) -> None:
    """In the place of any value."""
    written = changed().map(yaml.dump)
    holds(tries, written, lambda text: read(text.replace("!!python/tuple", "")))


@examples(50, 800)
def test_texts_that_are_hardly_yaml(read: Any, tries: int) -> None:
    """Aliases, tags, code points, directives in the middle of it."""
    holds(tries, damaged(), read)


@st.composite
def settings_of(draw: st.DrawFn) -> str:
    """A ``--set``: of a key that there is, or of anything, to anything."""
    parts = [str(part) for part in draw(st.sampled_from(PLACES))]
    odd = draw(st.one_of(st.none(), TEXTS, st.sampled_from(["-1", "²", "٣", "1_0", "", "9" * 30])))
    if odd is not None:
        parts[draw(st.integers(0, len(parts) - 1))] = odd
    value = draw(st.one_of(TEXTS, FRAGMENTS, VALUES.map(yaml.dump), st.just("{}")))
    return f"{'.'.join(parts)}{draw(st.sampled_from(['=', '=', '=', '']))}{value}"


@examples(20, 900)
def test_settings_of_the_command_line(read: Any, tries: int) -> None:
    """Odd indices, empty parts, values that are no YAML."""
    text = yaml.safe_dump(SUITE)
    holds(tries, st.lists(settings_of(), min_size=1, max_size=2), lambda o: read(text, *o))


@pytest.mark.parametrize(
    "start",
    [
        "".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9) if i else 1}]\n" for i in range(12)),
        "a: &a [*a]\n",
        "a: &a {<<: *a}\n",
        f"a: {'[' * 100_000}\n",
        f"a: {'{a: ' * 5_000}\n",
        "a:\n" + "".join(f"{' ' * i}- a:\n" for i in range(1_000)),
        "train: {args: {max_steps: 1000000000, save_steps: 1}}\n",
    ],
)
def test_texts_that_stand_for_more_than_a_machine_holds(read: Any, start: str) -> None:
    """They are refused before anything is made of them."""
    suite = {name: part for name, part in SUITE.items() if name != "train"}
    knock(lambda: read(start + yaml.safe_dump(suite)))
    knock(lambda: read(yaml.safe_dump(SUITE), f"description={start}"))
