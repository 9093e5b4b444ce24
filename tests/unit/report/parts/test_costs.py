"""What the report says of measurements that are in doubt or older than the run."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest

from harness.release.card.data import card_of
from harness.release.card.sections import cost
from harness.report.build import build_view
from harness.report.html import render_html
from harness.report.markdown import render_markdown
from harness.report.view.records import Figure, TradeOff, TradeOffPoint, View
from harness.report.words.forms import form_words
from harness.schema import Equivalence, Measurement, Taken
from harness.select.checkpoint import select_checkpoint
from harness.store.runs import Store
from harness.suite.record import suite_of
from tests.stores import marked_anew
from tests.unit.conftest import ENVIRONMENT
from tests.unit.report.test_build import SMALL

VARIANTS = ("base@nf4", "checkpoint-40", "merged-40")


def rewritten(store: Store, load: tuple[float, float], taken: str) -> None:
    """Give every measurement a machine of two cores, its load, and a time."""
    for key in store.keys("measurements"):
        folder = store.path("measurements", key)
        items = store.read_records("measurements", key, "measurements", Measurement)
        busy = Measurement(name="load_average", unit="processes", values=load)
        store.write_records(folder, "measurements", [*items, busy])
        store.write_record(folder, "environment", ENVIRONMENT)
        store.write_record(folder, "taken", Taken(at=taken))
        marked_anew(store, "measurements", key)


@pytest.fixture
def viewed(make_run: Callable[..., Any]) -> Callable[..., View]:
    """A run's report, from its measurements' load and time; the run began 2025-03-01 09:30."""

    def view(load: tuple[float, float], taken: str) -> View:
        run = make_run(spec=SMALL | {"measure": {}}, variants=VARIANTS)
        manifest = run.build()
        rewritten(run.store, load, taken)
        return build_view(run.store, manifest)

    return view


def test_speeds_of_an_overloaded_machine_are_no_facts(viewed: Callable[..., View]) -> None:
    """A warning, a caution by the verdict, and the reason in the section of the figures."""
    view = viewed((6.9, 8.5), "2025-03-01T09:40:00+00:00")
    words = (
        "The times and speeds of base@nf4 are in doubt: the machine was overloaded, with a load "
        "average of 6.9 before measuring and 8.5 at the end on 2 cores."
    )
    assert words in [found.what for found in view.findings if found.severity == "warning"]
    caution = "The speeds of all 3 variants are in doubt: other programs ran"
    assert any(line.startswith(caution) for line in view.verdict.cautions)
    page = unescape(render_html(view))
    assert page.count(words) == 2  # with the figures and among the findings
    section = render_markdown(view).split("## Memory and speed")[1]
    assert "in doubt: the machine was overloaded, with" in section.split("\n## ")[0]
    assert all(point.speed_in_doubt for point in view.trade_off.points)


def test_doubtful_speeds_do_not_compare_the_forms() -> None:
    """Memory still does."""
    points = [
        TradeOffPoint(
            variant=name,
            quality=Figure(value=1),
            memory_bytes=memory,
            decode_tokens_per_s=speed,
            speed_in_doubt=name == "cp",
        )
        for name, memory, speed in (("cp", 2e9, 101.0), ("merged", 1e9, 12.9))
    ]
    found = Equivalence(
        task="t", metric="m", split="report", first="cp", second="merged", n=96, delta=0.001,
        margin=0.02, equivalent=True,
    )  # fmt: skip
    words = form_words(found, TradeOff(points=tuple(points)))
    assert "needs less memory" in words
    assert "decodes" not in words


def test_a_quiet_machine_gives_no_caution(viewed: Callable[..., View]) -> None:
    """Two threads of its own on two cores are no overload."""
    view = viewed((1.9, 2.0), "2025-03-01T09:40:00+00:00")
    assert view.measurements.doubts == view.trade_off.cautions == view.measurements.taken == ()
    assert "in doubt" not in render_markdown(view)


def test_a_measurement_from_the_store_says_when_and_where_it_was_made(
    viewed: Callable[..., View],
) -> None:
    """Where it is older than the run; one that the run made says nothing."""
    view = viewed((1.0, 1.0), "2024-11-20T10:12:13+00:00")
    words = (
        f"measured 2024-11-20 10:12 UTC on {ENVIRONMENT.device_name}, torch 2.13.0, "
        "transformers 5.23.0, before this run; from the store"
    )
    assert view.measurements.taken[0] == f"base@nf4: {words}"
    assert words in unescape(render_html(view))
    assert words.split(",", maxsplit=1)[0] in render_markdown(view)


def test_doubtful_speeds_do_not_make_a_variant_efficient(make_run: Callable[..., Any]) -> None:
    """Neither in the report nor among the checkpoints; the card has the caution, too."""
    run = make_run(spec=SMALL | {"measure": {}}, variants=VARIANTS)
    manifest = run.build()

    def axes() -> tuple[str, ...]:
        found = select_checkpoint(
            run.store, manifest.variants, manifest.cells, suite_of(manifest), manifest.baseline
        )
        return found.axes

    assert "decode_tokens_per_s" in axes()
    before = build_view(run.store, manifest).trade_off
    rewritten(run.store, (6.9, 8.5), "2025-03-01T09:40:00+00:00")
    assert "decode_tokens_per_s" not in axes()
    view = build_view(run.store, manifest)
    efficient = [
        {point.variant for point in found.points if point.efficient}
        for found in (before, view.trade_off)
    ]
    # merged-40 is the fastest, but has less quality than checkpoint-40 and needs more memory
    assert efficient == [set(VARIANTS), {"base@nf4", "checkpoint-40"}]
    card = card_of(run.store, manifest, view, manifest.variants[1])
    assert "the machine was overloaded" in "\n".join(cost(card))
