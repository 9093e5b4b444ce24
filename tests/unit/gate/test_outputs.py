"""What a gate writes: the files, the terminal's text and the page."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness.gate import outputs as gate
from harness.gate.html import render_gate_html
from harness.gate.markdown import render_gate_comment
from harness.gate.outputs import gate_text, write_gate
from harness.schema import GateResult
from tests.unit.gate.gate_records import (
    HOSTILE,
    check,
    hostile,
    identical,
    incompatible,
    listed,
    mixed,
    passing,
    regression,
    result,
    slower,
)

FILES = {"gate.json", "gate.md", "gate-comment.md", "gate.junit.xml", "gate.html"}


class Page(HTMLParser):
    """Tags with their attributes, and the text outside style and script."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("style", "script"):
            self.text += data


@pytest.mark.parametrize("found", [mixed(), incompatible(), hostile(), result()])
def test_all_files_are_written(found: GateResult, tmp_path: Path) -> None:
    """Whatever the result; none is left in between."""
    paths = write_gate(found, tmp_path / "new")
    assert {path.name for path in paths} == FILES
    assert set((tmp_path / "new").iterdir()) == set(paths)
    assert GateResult.model_validate_json((tmp_path / "new" / "gate.json").read_bytes()) == found


def test_a_failure_to_render_leaves_the_old_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are rendered before the first is written, so they always belong together."""
    write_gate(mixed(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def broken(_: GateResult) -> str:
        raise RuntimeError

    monkeypatch.setattr(gate, "render_gate_html", broken)
    with pytest.raises(RuntimeError):
        write_gate(incompatible(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_equal_results_give_equal_bytes(tmp_path: Path) -> None:
    """So that outputs can be compared."""
    first, second = (write_gate(mixed(), tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_terminal_shows_headline_then_the_worst_with_its_evidence() -> None:
    """Points of 100, bounds, margin and detectable effect on the check's own line."""
    lines = gate_text(mixed()).splitlines()
    assert lines[0].startswith("Regression: chrF")
    assert "chosen is checkpoint-80" in lines[1]
    assert lines[4].split() == [
        *("\u2717", "regression", "chosen", "summaries:", "chrF", "report", "96"),
        *("31.2", "24.3", "\u22126.9", "[\u22129.1,", "\u22124.2]", "2", "3.1"),
    ]
    assert any("about 1,240 examples would decide" in line for line in lines)
    assert "  torch 2.12.0 -> 2.13.0" in lines
    assert lines[-1].startswith("Alpha = 5 %: where nothing is really worse")


def test_a_terminal_shows_the_first_changes_and_counts_the_rest() -> None:
    """gate.json has all of them."""
    text = gate_text(result(passing(), changes=tuple(f"change {i}" for i in range(200))))
    assert [f"  change {i}" in text.splitlines() for i in (0, 19, 20)] == [True, True, False]
    assert "  and 180 lines more, in gate.json" in text
    assert "lines more" not in gate_text(result(changes=tuple(f"change {i}" for i in range(20))))


def test_the_command_that_mends_is_whole_everywhere() -> None:
    """However long, and on a line of its own, so that it can be copied."""
    hint = f'harness gate accept tiny/r-1 --baseline {"x" * 2_000}/b.json --reason "..."'
    found = incompatible().model_copy(update={"advice": "Accept it:", "hint": hint})
    assert f"  {hint}" in gate_text(found).splitlines()
    assert hint in Page(render_gate_html(found)).text
    assert hint in render_gate_comment(found).splitlines()
    fenced = found.model_copy(update={"hint": "harness ``` x"})
    assert "````sh\nharness ``` x\n````" in render_gate_comment(fenced)


def test_alpha_is_explained_only_where_something_was_tested() -> None:
    """Equal outputs are compared without a chance of error."""
    assert "Alpha" in gate_text(result(passing()))
    for text in (gate_text(result(identical())), render_gate_comment(result(identical()))):
        assert "Alpha" not in text


def test_the_page_counts_what_decides_and_folds_the_rest() -> None:
    """A list of speeds is no list of checks; the menu has the words of the headings."""
    text = render_gate_html(result(regression(), listed(), listed(metric="load_s")))
    assert "<dd>1<small>1 regression; 2 listed</small>" in text
    assert "<summary>2 listed or not compared</summary>" in text
    for heading in re.findall(r"<h2>(.*?)</h2>", text):
        assert f">{heading}</a>" in text


def test_columns_line_up() -> None:
    """The margin stands under its heading."""
    lines = gate_text(result(regression(), passing())).splitlines()
    head, first, second = lines[3:6]
    end = head.index("margin") + len("margin")
    assert first[end - 1] == second[end - 1] == "2"


def test_many_passes_are_counted_and_every_failure_is_shown() -> None:
    """A group with hundreds of members must not push the verdict off the screen."""
    checks = [passing(task=f"mmlu/{i}") for i in range(300)]
    text = gate_text(result(*checks, *[regression(task=f"bad/{i}") for i in range(30)]))
    assert text.count("\u2717 regression") == 30
    assert text.count("\u2713 pass") == 10
    assert "and 290 checks more (290 pass), in gate.html" in text
    loud = gate_text(result(passing(), *[regression(task=f"bad/{i}") for i in range(50)]))
    assert loud.count("\u2717 regression") == 50
    assert "and 1 check more (1 pass)" in loud


def test_what_has_no_margin_is_counted_not_shown() -> None:
    """Speeds that vary from run to run would hide the scores that decide; the page has them."""
    text = gate_text(result(regression(), listed(), listed(metric="load_s")))
    assert "2 measurements without a say, in gate.html" in text
    assert "End to end" not in text
    page = Page(render_gate_html(result(listed())))
    assert "+37.0 [+17.0, +48.0] %" in page.text.replace("\u00a0", " ")
    assert "1 listed" in page.text


def test_exact_differences_have_no_bounds() -> None:
    """Identical scores, and readings of which there is one."""
    assert "0.0 [" not in gate_text(result(identical()))
    single = slower(n=1, gain=0.084, low=0.084, high=0.084)
    assert "+8.4 %" in gate_text(result(single))


def test_the_terminal_gets_no_control_characters() -> None:
    """Escapes of a terminal show as text; lines of texts do not become lines of the output."""
    text = gate_text(hostile())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e\u2028]", text)
    assert "\n# heading" not in text


def test_a_figure_is_rounded_by_its_own_uncertainty() -> None:
    """A metric without a best value keeps its unit; a measurement is in percent."""
    loss = check(metric="eval_loss", scale=None, baseline_value=2.43124, value=2.44664)
    found = loss.model_copy(update={"gain": -0.0154, "low": -0.044, "high": 0.013})
    text = gate_text(result(found))
    assert "\u22120.015 [\u22120.044, +0.013]" in text
    assert "\u221221.0 [\u221228.0, \u221214.0] %" in gate_text(mixed())


def test_the_page_allows_nothing_but_its_own_style_and_script() -> None:
    """Hashes of both, no address of anything, no style attribute."""
    page = Page(text := render_gate_html(hostile()))
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv"))
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in str(policy)
    assert str(policy).startswith("default-src 'none'")
    for tag, attributes in page.tags:
        assert tag not in ("img", "iframe", "link", "object")
        assert not {"src", "style", "srcset"} & set(attributes)
        assert all(not name.startswith("on") for name in attributes)
        assert str(attributes.get("href") or "#").startswith("#")


def test_hostile_texts_are_text_on_the_page() -> None:
    """Complete, and with what would hide or reorder made visible."""
    page = Page(render_gate_html(hostile()))
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert HOSTILE[0] in page.text
    assert HOSTILE[6] in page.text
    assert "\\u202egnp.exe\\u2028" in page.text
    assert not set(page.text) & {"\x00", "\x1b", "\u202e", "\u2028"}


@pytest.mark.parametrize("found", [mixed(), incompatible(), result()])
def test_the_elements_of_the_page_nest(found: GateResult) -> None:
    """Every element is closed where it should be."""
    stack: list[str] = []
    text = re.sub(r"<(style|script)>.*?</\1>", "", render_gate_html(found), flags=re.DOTALL)
    for closing, tag, inside in re.findall(r"<(/?)([a-z][a-z0-9]*)([^>]*)>", text):
        if closing:
            assert stack.pop() == tag
        elif not inside.endswith("/") and tag != "meta":
            stack.append(tag)
    assert stack == []


def test_the_page_says_what_was_not_compared_and_why() -> None:
    """It is not among the checks."""
    page = Page(render_gate_html(mixed()))
    assert "Without a say in the verdict" in page.text
    assert "Other hardware; does not decide" in page.text
    assert sum((tag, a.get("class")) == ("td", "spark") for tag, a in page.tags) == 7


def test_charts_have_both_lines_at_the_same_place_in_every_row() -> None:
    """Zero and -margin, whatever the metric's unit; only what is compared has a chart."""
    page = Page(render_gate_html(mixed()))
    places = {
        name: {a["x1"] for _, a in page.tags if a.get("class") == name and a.get("y1") == "2"}
        for name in ("zero", "margin")
    }
    assert {name: len(found) for name, found in places.items()} == {"zero": 1, "margin": 1}


def test_a_chart_clips_what_is_far_away() -> None:
    """An arrow stands for it, inside the drawing."""
    far = Page(render_gate_html(result(regression(gain=-60.0, low=-70.0, high=-50.0))))
    near = Page(render_gate_html(result(identical())))
    arrows = [a for tag, a in far.tags if tag == "polygon"]
    assert len(arrows) == 3  # and the one of the legend
    assert all(float(str(a["points"]).split(",")[0]) >= 0 for a in arrows)
    assert not [a for tag, a in near.tags if tag == "polygon"]


def test_a_margin_of_zero_still_has_a_chart() -> None:
    """Nothing may get worse: the scale is then the interval's own."""
    page = Page(render_gate_html(result(passing(margin=0.0, low=0.001, gain=0.01, high=0.02))))
    assert any(tag == "circle" and a.get("r") == "4" for tag, a in page.tags)
