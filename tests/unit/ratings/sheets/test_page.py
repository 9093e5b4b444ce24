from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.ratings.layout import (
    CANNOT_JUDGE,
    EMPTY,
    PREFERENCE_ANSWERS,
    RaterSheet,
    ShownRow,
    general_instructions,
)
from harness.ratings.sheets.page import page_data, point_keys, render_page
from harness.suite.ratings import CRITERIA, CriterionSpec

HOSTILE = (
    "</script><script>window.bad = 1</script>",
    "<img src=x onerror=window.bad=1>",
    '"><svg onload=window.bad=1>',
    "<!-- <script> --!> <style>*{display:none}</style>",
    "{{ 7 * 7 }} {% include 'x' %}",
    "a\u2028b\u2029c",
    "\u202egnp.exe",
    "\x00\x07\x1b[31mred",
    "\u200binvisible\ufeff",
    "\ud800 alone",
    "&lt;b&gt; &amp; ]]>",
    "\\u003c/script>",
)
# where the page holds what belongs to one sheet
TOLD = ("texts", "sheet", "rater", "sections", "format", "version", "empty", "idle", "overview")


def sheet(*texts: str, **changes: Any) -> RaterSheet:
    """A sheet that shows each text as prompt, reference and output, alone and beside itself."""
    values: dict[str, Any] = {
        "id": "kdfg",
        "rater": "ann",
        "criteria": tuple(CRITERIA.values()),
        "instructions": "",
        "scale": tuple(
            ShownRow(f"s{'bcdfghjklmnp'[place]}", text, text, (text,))
            for place, text in enumerate(texts)
        ),
        "pair": tuple(
            ShownRow(f"p{'bcdfghjklmnp'[place]}", text, None, (text, text))
            for place, text in enumerate(texts)
        ),
    }
    return RaterSheet(**(values | changes))


class Page(HTMLParser):
    """Tags, attributes and the text of each element."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.texts: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        name = "data" if dict(attrs).get("id") == "data" else tag
        if tag not in ("meta", "input", "br"):
            self.inside.append(name)

    def handle_endtag(self, tag: str) -> None:
        self.inside.pop()

    def handle_data(self, data: str) -> None:
        name = self.inside[-1] if self.inside else ""
        self.texts[name] = self.texts.get(name, "") + data


def embedded(page: str) -> Any:
    """The page's data, as a browser would read it."""
    return json.loads(Page(page).texts["data"])


def plain(text: str | list[str]) -> str:
    """A text as it is shown."""
    return text if isinstance(text, str) else "".join(text)


def test_only_its_own_style_and_script_may_run() -> None:
    """The policy names the hash of the style and script, and nothing else may load."""
    page = Page(render_page(sheet("a")))
    policy = next(
        attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    for tag in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.texts[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_nothing_is_requested() -> None:
    """No element and no style names another file, and the script has no way to ask for one."""
    text = render_page(sheet("a"))
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        assert not {"src", "href", "style", "action"} & set(attributes) or attributes == {
            "class": "skip",
            "href": "#main",
        }
        assert not [name for name in attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import", page.texts["style"])
    script = re.sub(r"//.*", "", page.texts["script"])
    assert not re.search(r"fetch|XMLHttp|import\(|innerHTML|eval|https?:|WebSocket", script)


def test_hostile_texts_stay_data() -> None:
    """No text adds an element, ends the data block, or hides a character in the page."""
    tame, hostile = render_page(sheet(*["a"] * len(HOSTILE))), render_page(sheet(*HOSTILE))
    assert Page(hostile).tags == Page(tame).tags
    hostile.encode()  # lone surrogates could not be
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e\u200b\ufeff]", hostile)
    shown = {plain(text) for text in embedded(hostile)["texts"]}
    assert {HOSTILE[0], HOSTILE[1], HOSTILE[4], "\\u202egnp.exe", "\\ud800 alone"} <= shown


def test_hostile_words_of_a_suite_are_escaped() -> None:
    """Criteria and instructions are texts too."""
    criterion = CriterionSpec(name="tone", question=HOSTILE[0], scale={1: HOSTILE[1], 2: "\u202eb"})
    page = render_page(sheet("a", criteria=(criterion,), instructions=HOSTILE[2]))
    tame = render_page(
        sheet(
            "a",
            criteria=(CriterionSpec(name="tone", question="q", scale={1: "a", 2: "b"}),),
            instructions="x",
        )
    )
    assert Page(page).tags == Page(tame).tags
    assert "\u202e" not in page


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=())), min_size=1, max_size=4))
def test_any_text_comes_through(texts: list[str]) -> None:
    """What a row names is its text, with unseen characters as escapes in every second place."""
    data = page_data(sheet(*texts))
    for section in data["sections"]:
        for text, (_, prompt, _, outputs) in zip(texts, section["rows"], strict=True):
            for place in (prompt, *outputs):
                parts = data["texts"][place]
                kept = parts if isinstance(parts, str) else "".join(parts[::2])
                hidden = 0 if isinstance(parts, str) else len(parts) // 2
                assert len(kept) + hidden == len(text)


def test_the_data_block_is_the_data() -> None:
    """What the browser reads from the page is what was put in, whatever JSON had to escape."""
    one = sheet(*HOSTILE)
    assert embedded(render_page(one)) == json.loads(json.dumps(page_data(one)))


def test_the_same_sheet_gives_the_same_bytes() -> None:
    """Nothing of the moment or the machine is in a page."""
    assert render_page(sheet("a", "b")) == render_page(sheet("a", "b"))


def test_nothing_but_the_sheet_is_in_the_page() -> None:
    """Apart from the data and the rater's name, pages of any two sheets are the same."""
    data = embedded(render_page(sheet("one", "two")))
    assert set(data) == set(TOLD)
    assert data["texts"] == ["one", "two"]
    bare = [
        re.sub(r'(id="data">)[^<]*', r"\1", render_page(one))
        for one in (sheet("one", "two"), sheet("three", "four", id="bcdf"))
    ]
    assert bare[0] == bare[1]


def test_rows_are_those_of_the_sheet_in_its_order() -> None:
    """A row is its token and the places of its texts, each of which stands in the page once."""
    data = page_data(sheet("x", "y"))
    assert [section["title"] for section in data["sections"]] == ["Ratings", "Preferences"]
    assert data["sections"][0]["rows"] == [["sb", 0, 0, [0]], ["sc", 1, 1, [1]]]
    assert data["sections"][1]["rows"] == [["pb", 0, None, [0, 0]], ["pc", 1, None, [1, 1]]]


def test_a_sheet_without_pairs_has_one_section() -> None:
    """What is not asked is not mentioned."""
    page = render_page(sheet("x", pair=()))
    assert len(embedded(page)["sections"]) == 1
    assert "A is better" not in page


def test_answers_are_those_of_the_layout() -> None:
    """Every point has its words and its key, and every question can be passed."""
    ratings, preferences = page_data(sheet("x"))["sections"]
    assert [asked["name"] for asked in ratings["questions"]] == list(CRITERIA)
    for asked in ratings["questions"]:
        *points, cannot = asked["options"]
        words = CRITERIA[asked["name"]].scale
        assert points == [[point, words[point], str(point)] for point in words]
        assert cannot == [CANNOT_JUDGE, CANNOT_JUDGE, "x"]
    options = preferences["questions"][0]["options"]
    assert [value for value, _, _ in options] == list(PREFERENCE_ANSWERS)
    assert [key for _, _, key in options] == ["a", "b", "t", "x"]


def test_instructions_are_read_without_a_script() -> None:
    """Instructions and a word for those without JavaScript stand in the page itself."""
    one = sheet("x", instructions="Mind the units.\nAll of them.")
    page = render_page(one)
    for paragraph in general_instructions(one):
        assert paragraph in page
    assert "does not count" in page
    assert "needs JavaScript" in Page(page).texts["b"]
    assert "XLSX" in page


@pytest.mark.parametrize(
    ("points", "keys"),
    [
        (range(1, 6), "12345"),
        (range(4), "0123"),
        (range(1, 11), "1234567890"),
        (range(11), "0123456789-"),
        (range(8, 13), "12345"),
    ],
)
def test_each_point_has_a_key_of_its_own(points: range, keys: str) -> None:
    """A point's key is its digit where that is possible, and never another's."""
    assert point_keys(tuple(points)) == list(keys)


def test_an_empty_output_has_words() -> None:
    """What raters see of an empty output is what the spreadsheet says too."""
    assert page_data(sheet(""))["empty"] == EMPTY
