"""Templates are compiled once, and random generators go back to where they were."""

from __future__ import annotations

import random

import jinja2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from harness.tasks.lm_eval.requests import (  # noqa: E402
    generators_now,
    seed_generators,
    templates_compiled_once,
)


def test_a_template_is_compiled_once_and_rendered_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Equal texts are one template, whatever they are filled with; afterwards nothing is kept."""
    compiled: list[str] = []
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)  # noqa: S701
    compiling = jinja2.Environment.compile

    def counted(self: jinja2.Environment, source: str, *args: object, **options: object) -> object:
        compiled.append(source)
        return compiling(self, source, *args, **options)

    monkeypatch.setattr(jinja2.Environment, "compile", counted)
    text = "{% set n = n + 1 %}{{ n }}"
    with templates_compiled_once(environment):
        rendered = [environment.from_string(text).render(n=number) for number in range(4)]
        with pytest.raises(jinja2.UndefinedError):  # nothing is left of the document before
            environment.from_string(text).render()
    assert rendered == ["1", "2", "3", "4"]
    assert compiled == [text]
    environment.from_string(text)
    assert len(compiled) == 2


def _draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def test_generators_go_back() -> None:
    """Python's, numpy's and torch's give the same numbers again."""
    seed_generators(2**40 + 1)  # numpy takes no more than 32 bits
    first = _draw()
    restore = generators_now()
    second = _draw()
    restore()
    assert _draw() == second != first
    seed_generators(2**40 + 1)
    assert _draw() == first
