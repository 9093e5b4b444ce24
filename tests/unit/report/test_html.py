from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest

from harness.report.build import build_view
from harness.report.html import render_html
from tests.unit.report.page_parser import Page

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<img src=x onerror=alert(3)>",
    '"><svg onload=alert(4)>',
    "{{ 7 * 7 }} {% include 'x' %}",
    "javascript:alert(5)",
    "a\u2028b\u2029c",
    "\u202egnp.exe",
    "\x00\x07\x1b[31mred\x1b[0m",
    "\u200binvisible\ufeff",
    "<!-- <style>*{display:none}</style>",
    "&lt;b&gt; &amp; ]]>",
    "x" * 50_000,
)


@pytest.fixture(scope="module")
def page(sample: Any) -> str:
    return render_html(sample.view)


@pytest.fixture(scope="module")
def hostile_page(sample: Any) -> str:
    """The sample with hostile outputs, references, prompts and reasons in place of tame ones."""
    items = tuple(
        item.model_copy(
            update={
                "id": text[:80],
                "prompt": text,
                "references": (text, text),
                "outputs": tuple(o.model_copy(update={"text": text}) for o in item.outputs),
            }
        )
        for item, text in zip(sample.view.examples.items * 2, HOSTILE, strict=False)
    )
    cells = tuple(
        cell.model_copy(update={"status": "failed", "reason": HOSTILE[place % 12]})
        for place, cell in enumerate(sample.view.cells)
    )
    verdict = sample.view.verdict.model_copy(update={"support": HOSTILE[:12]})
    changed = {"cells": cells, "verdict": verdict, "description": HOSTILE[1]}
    changed["examples"] = sample.view.examples.model_copy(update={"items": items})
    return render_html(sample.view.model_copy(update=changed))


def test_it_is_well_formed(page: str) -> None:
    """Every element is closed in order, ids are unique, and links lead to one of them."""
    found = Page(page)
    assert found.errors == []
    assert found.open == []
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {str(a["href"])[1:] for tag, a in found.tags if tag == "a"}
    assert targets <= set(ids)


def test_it_loads_nothing(page: str) -> None:
    """No element names anything outside the page, and no style does."""
    for tag, attributes in Page(page).tags:
        assert tag not in {"link", "img", "iframe", "object", "embed", "audio", "video", "base"}
        for name in ("src", "srcset", "action", "data", "poster", "xlink:href", "style"):
            assert name not in attributes, (tag, name)
        assert str(attributes.get("href") or "#").startswith("#")
    assert "url(" not in page
    assert "@import" not in page
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import)\s*\(", page)


def test_the_policy_names_exactly_its_own_style_and_script(page: str) -> None:
    """The hashes in the content security policy are those of what is in the page."""
    policy = next(a["content"] for tag, a in Page(page).tags if "http-equiv" in a)
    assert str(policy).startswith("default-src 'none'; ")
    assert "unsafe" not in str(policy)
    for tag in ("style", "script"):
        [body] = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in str(policy)


def test_it_is_readable_without_javascript(page: str) -> None:
    """The one script comes last, and only a theme button waits for it."""
    body = page[: page.index("<script>")]
    assert "Ship " in body
    assert body.count("<table") > 10
    assert re.findall(r"<(\w+)[^>]* hidden>", body) == ["button"]


def test_sections_are_in_order(page: str) -> None:
    """Verdict first, then choice, results, charts, cost, losses, examples, and the rest."""
    assert re.findall(r'<section id="(\w+)"', page) == [
        "verdict",
        "choice",
        "matrix",
        "charts",
        "cost",
        "losses",
        "examples",
        "data",
        "unfinished",
        "provenance",
        "glossary",
    ]


def test_the_same_records_give_the_same_bytes(sample: Any, page: str) -> None:
    """Nothing in the page depends on the time or on chance."""
    assert render_html(build_view(sample.store, sample.manifest)) == page


def test_it_is_small(page: str) -> None:
    """A run of the demo's size stays below 600 KB."""
    assert len(page.encode()) < 600_000


def test_charts_are_described_and_have_their_data(page: str) -> None:
    """Each drawing has a title, a description and a table of its data."""
    drawings = re.findall(r"<svg .*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) > 8
    for drawing in drawings:
        assert 'role="img"' in drawing
        assert re.search(r"<title [^>]*>[^<]+</title><desc [^>]*>[^<]+</desc>", drawing)
    in_tables = page.count('<td class="bars">')  # beside the figures they draw
    assert page.count("Data of this chart") == len(drawings) - in_tables
    assert "nan" not in "".join(drawings).lower().replace("nance", "")


def test_tables_are_accessible(page: str) -> None:
    """Every table has a caption, every header cell a scope."""
    found = Page(page)
    tags = [tag for tag, _ in found.tags]
    assert tags.count("table") == tags.count("caption")
    assert all("scope" in attributes for tag, attributes in found.tags if tag == "th")


def test_what_a_model_wrote_is_text(hostile_page: str) -> None:
    """Hostile outputs add no element, no attribute and no script, and are there to read."""
    found = Page(hostile_page)
    assert found.errors == []
    tags = {tag for tag, _ in found.tags}
    assert not tags & {"img", "iframe", "b onload"}
    assert sum(tag == "script" for tag, _ in found.tags) == 1
    assert sum(tag == "style" for tag, _ in found.tags) == 1
    for _, attributes in found.tags:
        assert not any(name.startswith("on") for name in attributes)
    assert "<script>alert" in "".join(found.words)


def test_unseen_characters_become_visible(hostile_page: str) -> None:
    """Controls, separators and direction marks appear as escapes, nowhere as themselves."""
    for character in "\x00\x07\x1b\u2028\u2029\u202e\u200b\ufeff":
        assert character not in hostile_page
    assert '<span class="unseen">\\u202e</span>gnp.exe' in hostile_page
    assert '<span class="unseen">\\x1b</span>[31mred' in hostile_page


def test_huge_outputs_are_cut_with_a_note(hostile_page: str) -> None:
    """Of 50,000 characters 2,000 are shown (3,000 of a prompt), and it is said how many are not."""
    assert "… 48,000 more characters" in hostile_page
    assert "… 47,000 more characters" in hostile_page
    assert "x" * 3_001 not in hostile_page


def test_notes_and_data_are_not_repeated(page: str) -> None:
    """A note of several measurements stands once; tasks of the same data share a line."""
    assert page.count("2 threads, sdpa, float32") == 1
    assert "all 6 variants: 2 threads" in page
    assert '<th scope="row">summary, qa</th>' in page


def test_failures_are_shown_and_escaped(page: str) -> None:
    """A failed cell is listed with its reason, as text."""
    assert "RuntimeError: &lt;b&gt;bad&lt;/b&gt;" in page


def test_empty_states(make_run: Callable[..., Any]) -> None:
    """With only a base and no training each section says that there is nothing, and why."""
    spec = {
        "name": "small",
        "base": {"model": "tiny:llama"},
        "tasks": {"smoke_hellaswag": {"type": "lm_eval", "task": "smoke_hellaswag"}},
    }
    run = make_run(spec=spec, variants=("base@nf4",), training=False)
    found = Page(render_html(build_view(run.store, run.build(findings=()))))
    assert found.errors == []
    words = " ".join("".join(found.words).split())
    for sentence in (
        "Only the base was evaluated",
        "Nothing to draw",
        "Nothing was measured",
        "The suite has no task that decides",
        "The tasks of this run bring their own data",
        "None: every cell of this run finished",
    ):
        assert sentence in words
    assert "None," not in words


def test_training_rows_are_all_accounted_for(sample: Any) -> None:
    """Rows used, truncated and dropped, packed sequences, eval rows, and the libraries' notes."""
    page = render_html(sample.view)
    assert "480 used, 7 truncated, 3 dropped (3 longer than max_length), packed into 120" in page
    assert "24 used, 0 truncated, 1 dropped (1 longer than max_length)" in page
    assert "paged_adamw_8bit is not paged on a CPU" in page


def test_the_glossary_says_which_test_finds_a_difference(page: str) -> None:
    """The report's smallest difference is of a two-sided test, a gate's of a one-sided one."""
    glossary = page[page.index('id="glossary"') :]
    entry = glossary[glossary.index("Found in 80 of 100 such runs") :][:400]
    assert "two-sided test at 5 %" in entry.replace("\u00a0", " ")
    assert "one-sided test of a loss" in entry
