from __future__ import annotations

import doctest
from collections.abc import Callable
from typing import Any

from harness.report.build import build_view
from harness.report.words import facts
from harness.report.words.facts import lead_facts
from harness.schema import Finding
from tests.unit.report.test_build import SMALL, TWO


def test_the_examples_in_the_docstrings_hold() -> None:
    """Docstring examples are run."""
    assert doctest.testmod(facts).failed == 0


def test_gain_value_and_cost_of_what_is_shipped(sample: Any) -> None:
    """Each figure is that of the form in the headline; the baseline's stands beside it."""
    view = sample.view
    found = {fact.name: fact for fact in lead_facts(view)}
    shipped = view.verdict.shipped
    assert list(found) == [
        "ROUGE-L against base@nf4",
        f"ROUGE-L of {shipped}",
        "peak resident memory",
        "decode speed",
        "examples behind it",
    ]
    gain = found["ROUGE-L against base@nf4"]
    assert gain.side == "better"
    assert gain.value.startswith("+")
    assert found["peak resident memory"].notes == ("base@nf4 610 MB",)
    assert found["decode speed"].value.startswith("17.5")
    assert found["examples behind it"].value == "40"


def test_a_price_has_its_currency_and_its_terms(make_run: Callable[..., Any]) -> None:
    """Price per hour 3.6 at 17.5 tok/s: 3.6 / (17.5 × 3600) × 1e6 = 57.1 per million tokens."""
    spec = SMALL | {"measure": {"price_per_hour": 3.6, "currency": "EUR"}}
    run = make_run(spec=spec, variants=TWO)
    found = {fact.name: fact for fact in lead_facts(build_view(run.store, run.build()))}
    price = found["per million new tokens"]
    assert price.value.split()[1] == "EUR"
    assert 50 < float(price.value.split()[0]) < 65
    assert price.notes[-1].endswith("always busy")


def test_what_was_not_measured_says_so(make_run: Callable[..., Any]) -> None:
    """Without a measure section, and where measuring failed."""
    run = make_run(spec=SMALL, variants=TWO)
    found = {fact.name: fact for fact in lead_facts(build_view(run.store, run.build()))}
    assert found["memory, speed and price"].notes == ("the suite has no measure section",)


def test_a_failed_measurement_says_so(make_run: Callable[..., Any]) -> None:
    """The place of the cost names what became of it."""
    failed = {("checkpoint-40", "measure"): "killed"}
    run = make_run(spec=SMALL | {"measure": {}}, variants=TWO, failed=failed)
    found = {fact.name: fact for fact in lead_facts(build_view(run.store, run.build()))}
    assert found["memory, speed and price"].notes == ("measuring failed",)


def test_only_a_base_has_its_own_figures(make_run: Callable[..., Any]) -> None:
    """There is no gain, and nothing to compare with."""
    run = make_run(spec=SMALL, variants=TWO[:1], training=False)
    names = [fact.name for fact in lead_facts(build_view(run.store, run.build()))]
    assert names == ["ROUGE-L of base@nf4", "memory, speed and price", "examples behind it"]


def test_nothing_scored_has_no_figures(make_run: Callable[..., Any]) -> None:
    """The headline says why."""
    failed = {(name, "summary"): "boom" for name in TWO}
    run = make_run(spec=SMALL, variants=TWO, failed=failed, training=False)
    finding = Finding(check="c", severity="info", what="w")
    assert lead_facts(build_view(run.store, run.build(findings=(finding,)))) == []
