from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from harness.ratings.records import Estimate, HumanResults, Preference, Strength
from harness.ratings.report.lead import preferred_words
from harness.ratings.report.metrics import trust_words
from harness.ratings.report.view import Section
from harness.ratings.report.view import human_section as section_in_words
from harness.ratings.report.words import share_words, side_of, turned
from harness.ratings.stats.alpha import alpha_estimate
from harness.render.table import to_markdown
from harness.report.build import build_view
from harness.report.html import render_html
from harness.report.markdown import render_markdown
from harness.report.tables import render_csv, render_json
from harness.report.view.records import View
from harness.report.words.cautions import Evidence
from harness.report.words.verdict import build_verdict
from harness.schema import HumanKeys
from tests.unit.ratings.human_records import (
    BASE,
    CHOSEN,
    RATERS,
    agreement_of,
    correlation_of,
    estimate,
    means_of,
    plan_of,
    rater_of,
    results,
    wins_of,
)

HOSTILE = '<script>alert(1)</script>\u202e"><img src=x onerror=alert(2)>'
UNKNOWN = Estimate(value=None, reason="only one rater judged")


class Tags(HTMLParser):
    """Tags with their attributes, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.open += [] if tag in ("meta", "wbr", "br") else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def names(self) -> list[str]:
        return [tag for tag, _ in self.found]


def human_section(view: View) -> Section | None:
    return section_in_words(
        view.human, note=view.human_note, chosen=view.verdict.chosen, primary=view.primary
    )


@pytest.fixture
def view(sample: Any) -> View:
    return with_results(sample.view, results())


def with_results(view: View, found: HumanResults | None, note: str = "") -> View:
    return view.model_copy(update={"human": found, "human_note": note})


def section_of(view: View, **changes: Any) -> Section:
    found = human_section(with_results(view, results(**changes)))
    assert found is not None
    return found


def part(page: str) -> str:
    """The section of a page."""
    [found] = re.findall(r'<section id="human">.*?</section>', page, flags=re.DOTALL)
    return str(found)


def three_variants() -> dict[str, Any]:
    """Two checkpoints and the baseline: the first beats it and is not told from the second."""
    other = "checkpoint-60"
    return {
        "plan": plan_of(
            variants=(BASE, CHOSEN, other),
            pairs=((BASE, CHOSEN), (BASE, other), (CHOSEN, other)),
        ),
        "preference": Preference(
            wins=(
                wins_of(BASE, CHOSEN, estimate(0.64, 0.08)),
                wins_of(BASE, other, estimate(0.58, 0.09)),
                wins_of(CHOSEN, other, estimate(0.45, 0.1)),
            ),
            strengths=tuple(
                Strength(variant=name, strength=estimate(value, 0.2))
                for name, value in ((CHOSEN, 0.3), (other, 0.2), (BASE, -0.5))
            ),
        ),
        "means": tuple(
            means_of("fluency", (BASE, 3.4, None), (CHOSEN, 3.9, 0.5), (other, 3.0, -0.4))
        ),
    }


# -- words ----------------------------------------------------------------------------------------


def test_it_begins_with_who_wins_and_how_far_raters_agree(view: View) -> None:
    """Preference, ratings against the baseline, and agreement, each in a sentence."""
    section = human_section(view)
    assert section is not None
    assert section.lead == (
        "Raters prefer checkpoint-40 to base@nf4: it wins 64 % [55, 74] of comparisons "
        "(n = 50 items; a tie is half a win). This holds for other raters too.",
        "Against base@nf4, checkpoint-40 is rated better in fluency (+0.54 [+0.34, +0.74]), not "
        "distinguishably different in correctness. The difference in fluency is shown for other "
        "raters too.",
        "Agreement of the raters is good on fluency (alpha 0.84), tentative on preference "
        "(alpha 0.71), low on correctness (alpha 0.41).",
    )


def test_low_agreement_is_the_first_caution(view: View) -> None:
    """It is said before everything else that weakens the result."""
    raters = (rater_of("ada"), rater_of("bob", attention_failed=4), rater_of("cyd", answered=0))
    section = section_of(view, raters=raters)
    assert section.cautions == (
        "Raters agree little on correctness (alpha below 0.667): other raters may well judge it "
        "otherwise.",
        "Nothing has come back from cyd.",
        "The answers of bob call for a look (see Raters); all of them count.",
    )


def test_the_thresholds_of_alpha(view: View) -> None:
    """From 0.80 agreement is good, from 0.667 tentative (Krippendorff 2004), else low."""
    for alpha, word in ((0.8, "good"), (0.799, "tentative"), (0.667, "tentative"), (0.66, "low")):
        section = section_of(view, agreement=(agreement_of("fluency", estimate(alpha, 0.01)),))
        assert section.lead[-1].startswith(f"Agreement of the raters is {word} on fluency")
        assert bool(section.cautions) == (word == "low")


def test_unknown_agreement_says_why(view: View) -> None:
    """Without an alpha there is its reason, and no caution of low agreement."""
    section = section_of(view, agreement=(agreement_of("fluency", UNKNOWN),))
    assert "not known on fluency (only one rater judged)" in section.lead[-1]
    assert section.cautions == ()


def test_raters_who_do_not_tell_them_apart(view: View) -> None:
    """An interval that includes 50 % names no winner."""
    even = Preference(wins=(wins_of(BASE, CHOSEN, estimate(0.52, 0.09)),))
    lead = section_of(view, preference=even).lead
    assert lead[0].startswith("Raters do not tell checkpoint-40 and base@nf4 apart")
    assert "the interval includes 50 %" in lead[0]


def test_a_win_of_these_raters_is_not_one_of_others(view: View) -> None:
    """Where the interval for other raters holds 50 %, the headline is about these raters alone."""
    wide = wins_of(BASE, CHOSEN, estimate(0.64, 0.085), other_raters=estimate(0.64, 0.2))
    found = results(preference=Preference(wins=(wide,)))
    section = section_of(view, preference=found.preference)
    assert section.lead[0] == (
        "These 3 raters prefer checkpoint-40 to base@nf4: it wins 64 % [56, 72] of comparisons "
        "(n = 50 items; a tie is half a win). For other raters it is not shown: [44, 84]."
    )
    side, line = preferred_words(found, CHOSEN, BASE)
    assert side == "better"
    assert line == (
        "checkpoint-40 is preferred by these 3 raters in 64 % [56, 72] of comparisons with "
        "base@nf4 (n = 50 items, alpha 0.71); for other raters it is not shown: [44, 84]."
    )
    assert section.preference is not None
    assert section.preference.rows[1][1].words == "preferred, by these raters"


@pytest.mark.parametrize(
    ("raters", "who"), [(1, "The one rater prefers"), (2, "These 2 raters prefer")]
)
def test_few_raters_say_nothing_of_others(view: View, raters: int, who: str) -> None:
    """With fewer than three raters a win is theirs, and the headline says why."""
    few = wins_of(BASE, CHOSEN, estimate(0.64, 0.085), other_raters=None, raters=raters)
    lead = section_of(view, preference=Preference(wins=(few,))).lead
    assert lead[0].startswith(f"{who} checkpoint-40 to base@nf4: it wins 64 % [56, 72]")
    assert lead[0].endswith("For other raters nothing is shown, as fewer than 3 judged both.")


def test_of_several_wins_those_are_named_that_hold_for_others(view: View) -> None:
    """The strongest wins against two, of which one is shown for other raters."""
    changes = three_variants()
    wins = (
        wins_of(BASE, CHOSEN, estimate(0.7, 0.08)),
        wins_of(BASE, "checkpoint-60", estimate(0.58, 0.09)),
        wins_of(CHOSEN, "checkpoint-60", estimate(0.4, 0.08), other_raters=estimate(0.4, 0.2)),
    )
    preference = changes["preference"].model_copy(update={"wins": wins})
    lead = section_of(view, **{**changes, "preference": preference}).lead
    assert lead[0].startswith("These 3 raters prefer checkpoint-40 most: it wins against ")
    assert lead[0].endswith(
        "For other raters a win is shown only against base@nf4 (70 % [61, 79])."
    )
    none = tuple(w.model_copy(update={"other_raters": estimate(0.5, 0.3)}) for w in wins)
    preference = changes["preference"].model_copy(update={"wins": none})
    lead = section_of(view, **{**changes, "preference": preference}).lead
    assert "For other raters no win is shown: " in lead[0]


def test_a_criterion_says_for_whom_it_is_better(view: View) -> None:
    """Points, too, are these raters' where the wider interval holds zero."""
    means = means_of("fluency", (BASE, 3.42, None), (CHOSEN, 3.96, 0.54))
    means[1] = means[1].model_copy(update={"other_raters": estimate(0.54, 0.9)})
    section = section_of(view, means=tuple(means))
    assert section.lead[1].endswith("For other raters it is not shown.")
    assert section.means is not None
    assert section.means.rows[0][2].words == "better, by these raters"
    means[1] = means[1].model_copy(update={"other_raters": None})
    lead = section_of(view, means=tuple(means)).lead
    assert lead[1].endswith("For other raters nothing is shown, as fewer than 3 judged both.")


def test_all_ties_are_no_identical_texts(view: View) -> None:
    """Raters who saw no difference looked at different texts; only equal texts are identical."""
    counts = {"first_wins": 0, "second_wins": 0, "ties": 150}
    tied = wins_of(BASE, CHOSEN, estimate(0.5, 0.03), **counts, automatic=6)
    found = results(preference=Preference(wins=(tied,)))
    section = section_of(view, preference=found.preference)
    assert section.lead[0] == (
        "Raters saw no difference between checkpoint-40 and base@nf4 in 144 comparisons (all "
        "ties, n = 50 items; 6 further ties of identical texts were counted without asking)."
    )
    assert preferred_words(found, CHOSEN, BASE)[1].startswith("Raters saw no difference between")
    assert section.preference is not None
    assert section.preference.rows[0][2].words == "no difference seen"
    equal = wins_of(BASE, CHOSEN, estimate(0.5, 0.03), **counts, automatic=150)
    lead = section_of(view, preference=Preference(wins=(equal,))).lead
    assert lead[0] == (
        "The outputs of checkpoint-40 and base@nf4 are identical (n = 50 items), so nobody was "
        "asked which is better."
    )


def test_the_baseline_may_win(view: View) -> None:
    """Where raters prefer the baseline, the sentence is about the baseline."""
    worse = Preference(wins=(wins_of(BASE, CHOSEN, estimate(0.36, 0.08)),))
    lead = section_of(view, preference=worse).lead
    assert lead[0].startswith("Raters prefer base@nf4 to checkpoint-40: it wins 64 % [55, 73]")


def test_several_variants(view: View) -> None:
    """The strongest is named, with those it wins against and those it is not told from."""
    lead = section_of(view, **three_variants()).lead
    assert lead[0] == (
        "Raters prefer checkpoint-40 most: it wins against base@nf4 (64 % [56, 72]); it is not "
        "distinguishable from checkpoint-60 (55 % [45, 65]). This holds for other raters too: "
        "base@nf4 (64 % [55, 73])."
    )


def test_references_are_beside_the_variants(view: View) -> None:
    """References are no variant to ship: they are named after the strongest of those."""
    other, names = "references", (BASE, CHOSEN, "references")
    wins = (
        wins_of(BASE, CHOSEN, estimate(0.64, 0.08)),
        wins_of(BASE, other, estimate(0.9, 0.05)),
        wins_of(CHOSEN, other, estimate(0.75, 0.08)),
    )
    strengths = tuple(Strength(variant=name, strength=UNKNOWN) for name in reversed(names))
    plan = plan_of(variants=names, pairs=tuple((found.first, found.second) for found in wins))
    found = Preference(wins=wins, strengths=strengths)
    assert section_of(view, plan=plan, preference=found).lead[0] == (
        "Raters prefer checkpoint-40 most: it wins against base@nf4 (64 % [56, 72]). This holds "
        "for other raters too: base@nf4 (64 % [55, 73]). checkpoint-40 falls short of the "
        "references (25 % [16, 34] of comparisons); this holds for other raters too."
    )


def test_without_strengths_there_is_a_reason(view: View) -> None:
    """Votes that give no order say so."""
    changes = three_variants()
    changes["preference"] = changes["preference"].model_copy(
        update={"strengths": (), "reason": "no comparison connects them"}
    )
    section = section_of(view, **changes)
    assert "give no order of the variants: no comparison connects them." in section.lead[0]
    table = section.preference
    assert table is not None
    assert "Strength" not in [head.text for head in table.header]


def test_only_criteria_or_only_preferences(view: View) -> None:
    """What was not asked has no table and no sentence."""
    section = section_of(view, preference=None, plan=plan_of(pairs=()), accuracies=())
    assert section.preference is None
    assert section.lead[0].startswith("Against base@nf4")
    section = section_of(view, means=(), plan=plan_of(criteria=()), correlations=())
    assert section.means is None
    assert section.lead[0].startswith("Raters prefer checkpoint-40")
    assert render_html(with_results(view, results(means=(), plan=plan_of(criteria=()))))


def test_which_metric_may_be_trusted() -> None:
    """A metric follows the raters where its interval is above chance."""
    assert trust_words(results()) == (
        "On this task ROUGE-L (71 % [63, 79]) follows the raters. BLEU (53 % [44, 62]) is not "
        "shown to: do not decide by it alone. In brackets: in how many comparisons with a winner "
        "the metric prefers what raters prefer; 50 % is chance."
    )


def test_trust_by_criteria_where_nothing_was_compared() -> None:
    """Without preferences the rank correlations say which metric follows, and with what."""
    found = results(accuracies=(), correlations=(correlation_of("chrf", "fluency", 0.3),))
    assert trust_words(found) == (
        "On this task chrF (tau-b with fluency 0.30 [0.16, 0.44]) follows the raters."
    )
    against = results(accuracies=(), correlations=(correlation_of("chrf", "fluency", -0.3),))
    assert trust_words(against) == (
        "No automatic metric is shown to follow the raters on this task. "
        "chrF (tau-b with fluency −0.30 [−0.44, −0.16]) goes against the raters."
    )
    assert trust_words(results(accuracies=(), correlations=())) == ""


def test_a_deciding_metric_that_does_not_follow_is_a_caution(view: View) -> None:
    """The metric that the choice was made by is held against the raters."""
    own = view.primary
    assert own == ("summary", "rougeL")
    accuracy = results().accuracies[1].model_copy(update={"metric": "rougeL"})
    section = section_of(view, accuracies=(accuracy,))
    assert (
        "ROUGE-L, by which the checkpoint is chosen, is not shown to follow them."
        in section.cautions
    )


def test_shares_in_words() -> None:
    """Per cent without decimals; with one where the interval is narrower than four points."""
    assert share_words(estimate(0.64, 0.085)) == ("64 %", "[56, 72]")
    assert share_words(estimate(0.64, 0.01)) == ("64.0 %", "[63.0, 65.0]")
    assert share_words(Estimate(value=0.5)) == ("50 %", "")
    assert share_words(UNKNOWN) == ("—", "")


def test_sides() -> None:
    """A side is taken only where the whole interval lies on it."""
    assert side_of(estimate(0.6, 0.05), 0.5) == "better"
    assert side_of(estimate(0.4, 0.05), 0.5) == "worse"
    assert side_of(estimate(0.6, 0.1), 0.5) == "open"
    assert side_of(estimate(0.0, 0.0)) == "same"
    assert side_of(Estimate(value=0.6), 0.5) == ""
    other = turned(estimate(0.64, 0.04))
    assert (other.value, other.low, other.high) == pytest.approx((0.36, 0.32, 0.40))


# -- tables ---------------------------------------------------------------------------------------


def test_the_win_matrix_turns_shares(view: View) -> None:
    """Each cell is the row's share against the column, best variant first."""
    table = section_of(view, **three_variants()).preference
    assert table is not None
    assert [row[0].text for row in table.rows] == [CHOSEN, "checkpoint-60", BASE]
    best, _, base = table.rows
    assert [cell.text for cell in best[1:4]] == ["", "55 %", "64 %"]
    assert [cell.side for cell in best[1:4]] == ["", "open", "better"]
    assert [cell.side for cell in base[1:4]] == ["worse", "open", ""]
    assert base[1].more == ("[28, 44]", "other raters [27, 45]", "43 won, 22 tied, 85 lost")


def test_means_carry_their_difference(view: View) -> None:
    """Mean and interval, then the paired difference with its side; none for the baseline."""
    section = human_section(view)
    assert section is not None
    assert section.means is not None
    fluency = section.means.rows[0]
    assert (fluency[0].text, fluency[0].more) == ("fluency", ("1 to 5, 50 items",))
    assert (fluency[1].text, fluency[1].change) == ("3.42", "")
    assert (fluency[2].text, fluency[2].side) == ("3.96", "better")
    assert fluency[2].change == "+0.54 [+0.34, +0.74]"
    assert fluency[2].beyond == "other raters [+0.24, +0.84]"
    same = means_of("fluency", (BASE, 3.0, None), (CHOSEN, 3.0, None))
    same[1] = same[1].model_copy(update={"difference": estimate(0.0, 0.0)})
    table = section_of(view, means=tuple(same)).means
    assert table is not None
    assert table.rows[0][2].change == "the same points on every item"


def test_raters_have_their_checks_and_concerns(view: View) -> None:
    """Answered of asked, repeats, spoilt outputs, side, severity, time, and what to look at."""
    bob = rater_of("bob", attention_failed=4)
    section = section_of(view, raters=(rater_of("ada"), bob))
    assert section.raters is not None
    texts = [[cell.text for cell in row] for row in section.raters.rows]
    assert texts[0] == [
        *("ada", "174 of 174", "2", "9 of 12", "6 of 6", "2 of 2", "52 %"),
        *("+0.12", "−0.31", "42.0 s"),
    ]
    assert texts[1][4] == "2 of 6"
    assert section.doubts == ("bob took 4 of 6 spoilt outputs for good.",)


# -- the page -------------------------------------------------------------------------------------


def test_the_section_stands_before_data(view: View) -> None:
    """It is where the navigation leads, before Data; without sheets there is neither."""
    page = render_html(view)
    found = re.findall(r'<section id="(\w+)"', page)
    assert found.index("human") == found.index("data") - 1
    assert '<a href="#human">Ratings</a>' in page
    assert "Krippendorff" in page[page.index('id="glossary"') :]
    bare = render_html(with_results(view, None))
    assert 'id="human"' not in bare
    assert "#human" not in bare
    assert "Krippendorff" not in bare


def test_sheets_without_returns_are_a_line(view: View, sample: Any) -> None:
    """Exported sheets that nobody sent back yet are named, and nothing else."""
    manifest = sample.manifest.model_copy(update={"human": HumanKeys(sheets="s")})
    waiting = build_view(sample.store, manifest)
    assert waiting.human is None
    page = part(render_html(waiting))
    assert "Rating sheets were exported; nothing has come back yet." in page
    assert "<table" not in page
    assert "nothing has come back yet" in render_markdown(waiting)


def test_tables_and_drawings_are_accessible(view: View) -> None:
    """Captions, scopes, scrolling regions with names, described drawings, ids once."""
    page = render_html(view)
    own = Tags(part(page))
    assert own.open == []
    names = own.names()
    assert names.count("table") == names.count("caption") >= 8
    assert all("scope" in attributes for tag, attributes in own.found if tag == "th")
    regions = [a for tag, a in own.found if tag == "div" and a.get("class") == "scroll"]
    assert len(regions) == names.count("table")
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in regions)
    assert names.count("svg") == len(RATERS) * 3
    assert "<desc" in part(page)
    assert "ada, fluency" in part(page)
    ids = [str(a["id"]) for _, a in Tags(page).found if "id" in a]
    assert len(ids) == len(set(ids))
    assert not any("style" in a for _, a in own.found)


def test_marks_are_words_too(view: View) -> None:
    """What an arrow says is said in hidden words beside it."""
    page = part(render_html(view))
    assert '<i aria-hidden="true">▲</i> 64 %<span class="hidden">, preferred</span>' in page
    assert '<span class="hidden">, not distinguishable</span>' in page


def test_hostile_names_are_text(view: View) -> None:
    """Names of raters, files and criteria, reasons and notes add no element."""
    plan = plan_of(id=HOSTILE[:60], run=HOSTILE)
    file = results().files[0].model_copy(update={"name": HOSTILE})
    changed = results(
        plan=plan,
        files=(file,),
        raters=(rater_of(HOSTILE),),
        agreement=(agreement_of("fluency", UNKNOWN, distribution={"ada": {HOSTILE: 3}}),),
        notes=(HOSTILE,),
        dropped={HOSTILE: 2},
    )
    page = render_html(with_results(view, changed))
    found = Tags(page)
    assert found.names().count("script") == 1
    assert "img" not in found.names()
    assert "\u202e" not in page
    assert "&lt;script&gt;alert" in part(page)
    text = render_markdown(with_results(view, changed))
    own = text[text.index("## Human ratings") : text.index("## Data")]
    assert not re.search(r"(?<!\\)<(?!br>)", own)


def test_the_page_is_the_same_each_time(view: View) -> None:
    """Nothing depends on chance or time, and no text says None or nan."""
    page = part(render_html(view))
    assert page == part(render_html(view))
    words = re.sub(r"<[^>]*>", " ", page)
    assert "None" not in words
    assert not re.search(r"\bnan\b", words, flags=re.IGNORECASE)


def test_nothing_but_gaps(view: View) -> None:
    """Results without any value render: reasons in place of numbers."""
    gaps = results(
        agreement=(agreement_of("fluency", UNKNOWN, pairs=(), distribution={}),),
        means=tuple(
            mean.model_copy(update={"mean": UNKNOWN, "difference": None})
            for mean in results().means
        ),
        preference=Preference(wins=(wins_of(BASE, CHOSEN, UNKNOWN),), reason="no votes"),
        raters=tuple(
            rater_of(name, answered=0, repeats=0, attention=0, same=0, decisive=0, minutes=None,
                     severity={}, position_bias=None, position_p=None)
            for name in RATERS
        ),
        correlations=(),
        accuracies=(),
        files=(),
        ratings=0,
    )  # fmt: skip
    page = part(render_html(with_results(view, gaps)))
    assert "Whether raters prefer checkpoint-40 or base@nf4 is not known: only one rater" in page
    assert "Nothing has come back from ada, bob and cyd." in page
    assert render_markdown(with_results(view, gaps))


# -- other forms ----------------------------------------------------------------------------------


def test_markdown_has_the_same_words(view: View) -> None:
    """Sentences, cautions and tables, with marks in words; numbers are markup nowhere."""
    text = render_markdown(view)
    own = text[text.index("## Human ratings") : text.index("## Data")]
    assert "Raters prefer checkpoint-40 to base\\@nf4: it wins 64 % \\[55, 74\\]" in own
    assert "> Raters agree little on correctness" in own
    assert "64 %, preferred<br>[56, 72]" in own
    assert "+0.54 [+0.34, +0.74], better" in own


def test_json_is_the_whole_view(view: View) -> None:
    """Ratings read back from JSON as they were."""
    assert View.model_validate_json(render_json(view)) == view


def test_tables_as_csv(view: View) -> None:
    """Means, wins, agreement, raters and metrics in the records' own units."""

    def lines(table: Any) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(render_csv(view, table))))

    means = lines("rating_means")
    assert [(line["criterion"], line["variant"]) for line in means][1] == ("fluency", CHOSEN)
    assert float(means[1]["difference_value"]) == 0.54
    assert (means[0]["difference_value"], means[1]["baseline"]) == ("", BASE)
    [wins] = lines("rating_wins")
    assert (wins["second"], wins["second_wins"], wins["ties"]) == (CHOSEN, "85", "22")
    assert float(wins["second_share_value"]) == 0.64
    assert float(wins["second_strength"]) == 0.34
    assert wins["raters"] == "3"
    assert float(wins["other_raters_high"]) == pytest.approx(0.64 + 0.085 + 0.01)
    assert float(means[1]["other_raters_low"]) == pytest.approx(0.54 - 0.3)
    agreement = lines("rating_agreement")
    assert [line["what"] for line in agreement] == ["krippendorff_alpha", "kappa"] * 3
    assert float(agreement[1]["exact"]) == 0.58
    raters = lines("raters")
    assert [line["rater"] for line in raters] == list(RATERS)
    assert float(raters[0]["severity_correctness"]) == -0.31
    metrics = lines("rating_metrics")
    assert len(metrics) == 2 + 2 * 4
    assert float(metrics[0]["value"]) == 0.71


@pytest.mark.parametrize(
    "table", ["rating_means", "rating_wins", "rating_agreement", "raters", "rating_metrics"]
)
def test_csv_without_ratings_is_a_header(sample: Any, table: Any) -> None:
    """A run without ratings has the tables' headers and no line."""
    assert render_csv(sample.view, table).count("\n") == 1


# -- the verdict ----------------------------------------------------------------------------------


def verdict_of(sample: Any, found: HumanResults) -> Any:
    view = sample.view
    figures = (view.rows, view.primary, view.trade_off, view.choice)
    return build_verdict(Evidence(sample.manifest, *figures, found, view.outputs))


def for_choice(sample: Any, share: Estimate) -> dict[str, Any]:
    """Changes that make the results those of the sample's own choice."""
    chosen = sample.view.verdict.chosen
    assert chosen is not None
    return {
        "plan": plan_of(variants=(BASE, chosen), pairs=((BASE, chosen),)),
        "preference": Preference(wins=(wins_of(BASE, chosen, share),)),
        "means": (),
    }


def test_raters_support_the_choice(sample: Any) -> None:
    """Where raters prefer it to the baseline, the verdict says so, with n and alpha."""
    chosen = sample.view.verdict.chosen
    found = verdict_of(sample, results(**for_choice(sample, estimate(0.64, 0.085))))
    assert (
        f"{chosen} is preferred by raters in 64 % [55, 74] of comparisons with base@nf4 "
        "(n = 50 items, alpha 0.71); this holds for other raters too."
    ) in found.support


def test_raters_against_the_choice_are_the_first_caution(sample: Any) -> None:
    """Where raters prefer the baseline, or rate the choice worse, that is a caution."""
    chosen = sample.view.verdict.chosen
    changes = for_choice(sample, estimate(0.36, 0.08))
    changes["means"] = tuple(means_of("correctness", (BASE, 3.9, None), (chosen, 3.4, -0.5)))
    found = verdict_of(sample, results(**changes))
    assert found.cautions[0] == (
        f"Raters prefer base@nf4: {chosen} wins only 36 % [27, 45] of the comparisons "
        "(n = 50 items, alpha 0.71); this holds for other raters too."
    )
    assert found.cautions[1] == (
        f"Raters find {chosen} worse than base@nf4: correctness −0.50 [−0.70, −0.30]."
    )
    assert not any("raters" in line for line in found.support)


def test_low_agreement_is_in_the_words(sample: Any) -> None:
    """A preference on which raters hardly agree is said to be one."""
    chosen = sample.view.verdict.chosen
    changes = for_choice(sample, estimate(0.64, 0.085))
    changes["agreement"] = (agreement_of("preference", estimate(0.3, 0.1)),)
    _, line = preferred_words(results(**changes), chosen, BASE)
    assert "(n = 50 items, alpha 0.30: low agreement);" in line


def test_other_variants_say_nothing_of_the_choice(sample: Any) -> None:
    """Ratings that leave the choice out do not touch the verdict."""
    found = results(
        plan=plan_of(variants=(BASE, "merged-40"), pairs=((BASE, "merged-40"),)),
        preference=Preference(wins=(wins_of(BASE, "merged-40", estimate(0.2, 0.1)),)),
        means=(),
    )
    assert verdict_of(sample, found).cautions == sample.view.verdict.cautions
    assert verdict_of(sample, found).support == sample.view.verdict.support


# -- the matrix -----------------------------------------------------------------------------------


def test_equal_ratings_are_no_identical_outputs_in_the_matrix(sample: Any) -> None:
    """A row of ratings that are equal on every item says so; other rows stay identical."""
    view = sample.view
    for kind, words in (("human", "rated alike"), ("generation", "identical")):
        rows = []
        for row in view.rows:
            cells = tuple(
                cell.model_copy(
                    update={"comparison": cell.comparison.model_copy(update={"identical": True})}
                )
                if cell.comparison is not None and cell.comparison.delta is not None
                else cell
                for cell in row.cells
            )
            rows.append(row.model_copy(update={"kind": kind, "cells": cells}))
        changed = view.model_copy(update={"rows": tuple(rows)})
        page = render_html(changed)
        assert f'<i aria-hidden="true">=</i> {words}</span>' in page
        assert (f"<br>{words}") in render_markdown(changed)
        assert ("</i> identical</span>" in page) == (kind == "generation")


def test_too_few_items_for_an_interval_are_told_in_the_table(view: View) -> None:
    """Alpha of four items stands without bounds, on the page and in Markdown, and why."""
    ratings = [[1, 2, 1], [4, 4, 5], [3, 3, 2], [5, 5, 5]]
    alpha = alpha_estimate(ratings, "ordinal")
    section = section_of(view, agreement=(agreement_of("fluency", alpha),))
    assert section.agreement is not None
    [row] = section.agreement.rows
    assert row[1].more == ()
    assert row[2].more == ("4 of the 10 unrelated items needed for an interval",)
    assert "4 of the 10 unrelated items" in to_markdown(section.agreement)
