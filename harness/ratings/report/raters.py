"""Tables of the raters: how far they agree, what they answer, and how steady they are."""

from dataclasses import replace

from markupsafe import Markup

from harness.ratings.layout import CANNOT_JUDGE
from harness.ratings.records import Agreement, HumanResults, RaterSummary
from harness.ratings.report.words import alpha_word, estimate_cell, share_words, value_words
from harness.ratings.stats.alpha import TENTATIVE
from harness.ratings.stats.raters import concerns
from harness.render.numbers import NONE, duration, number, p_words
from harness.render.svg import Canvas
from harness.render.table import Cell, Head, Table, make_table, numbers, texts

_BAR, _GAP, _HEAD, _HEIGHT, _FOOT = 22.0, 4.0, 13.0, 32.0, 14.0
_SHORT = {"first": "1st", "second": "2nd", CANNOT_JUDGE: "?"}


def agreement_table(results: HumanResults) -> Table | None:
    """Krippendorff's alpha of each question."""
    header = (
        *(*texts("Question"), Head("Alpha", "Krippendorff's, 95 % interval")),
        *(*texts("Agreement"), *numbers("Judged by two or more", "Their ratings")),
    )
    rows = [
        (
            Cell(item.name, (item.level,)),
            estimate_cell(value_words(item.alpha)),
            estimate_cell((alpha_word(item.alpha.value), item.alpha.reason or "")),
            f"{item.units:,}",
            f"{item.ratings:,}",
        )
        for item in results.agreement
    ]
    return make_table("How far raters agree", header, rows) if rows else None


def pairs_table(results: HumanResults) -> Table | None:
    """Agreement of every two raters."""
    header = (
        *texts("Question", "Rater", "and rater"),
        *numbers("Judged by both"),
        Head("Kappa", "quadratic weights for scales"),
        *numbers("Equal answers"),
    )
    rows = [
        (
            *(item.name, pair.first, pair.second, f"{pair.n:,}"),
            estimate_cell((number(pair.kappa, 2), pair.reason or "")),
            f"{number(100 * pair.exact, 0)} %",
        )
        for item in results.agreement
        for pair in item.pairs
    ]
    return make_table("Agreement of every two raters", header, rows) if rows else None


def low_agreement(results: HumanResults, at_least: float = TENTATIVE) -> list[Agreement]:
    """Questions on which raters agree less than that."""
    return [a for a in results.agreement if a.alpha.value is not None and a.alpha.value < at_least]


def distribution_table(results: HumanResults) -> Table | None:
    """How often each rater gave each answer, drawn; the numbers are in each drawing's text."""
    rows = []
    for place, rater in enumerate(results.plan.raters):
        cells = [Cell(rater)]
        for which, item in enumerate(results.agreement):
            counts = item.distribution.get(rater, {})
            words = ", ".join(f"{answer}: {n:,}" for answer, n in counts.items()) or "no answer"
            drawing = _bars(f"answers-{place}-{which}", f"{rater}, {item.name}", words, counts)
            cells.append(Cell(words, drawing=drawing))
        rows.append(cells)
    header = (*texts("Rater"), *numbers(*(a.name for a in results.agreement)))
    return make_table("Answers of each rater", header, rows) if results.agreement else None


def _bars(ident: str, title: str, words: str, counts: dict[str, int]) -> Markup | None:
    most = max(counts.values(), default=0)
    if not most:
        return None
    foot = _HEAD + _HEIGHT
    width = len(counts) * (_BAR + _GAP)
    canvas = Canvas(ident, width, foot + _FOOT, title, words)
    for place, (answer, n) in enumerate(counts.items()):
        left, height = place * (_BAR + _GAP) + _GAP / 2, _HEIGHT * n / most
        kind = "column unable" if answer == CANNOT_JUDGE else "column"
        canvas.add("rect", x=left, y=foot - height, width=_BAR, height=height, class_=kind)
        middle = left + _BAR / 2
        canvas.text(middle, foot - height - 3, f"{n:,}", "tick", "middle")
        canvas.text(middle, foot + _FOOT - 2, _SHORT.get(answer, answer), "tick", "middle")
    canvas.line(0, foot, width, foot, "zero")
    return canvas.render()


def raters_table(results: HumanResults) -> Table:
    """One line per rater: how much came back, and how far its answers can be relied on."""
    header = (
        *(*texts("Rater"), *numbers("Answered", "Cannot judge")),
        *(Head("Repeats", "same answer again"), Head("Spoilt texts", "noticed")),
        *(Head("A text beside itself", "called a tie"), Head("Chose A", "of decisive")),
        *(Head(c.name, "above or below the others") for c in results.plan.criteria),
        Head("Median time", "per row"),
    )
    return make_table("Raters", header, [_rater_row(results, item) for item in results.raters])


def _rater_row(results: HumanResults, rater: RaterSummary) -> tuple[Cell | str, ...]:
    near = (f"{rater.repeats_near:,} at most a point apart",) if rater.repeats else ()
    severity = [
        estimate_cell(value_words(own, signed=True) if own is not None else (NONE, ""))
        for own in (rater.severity.get(c.name) for c in results.plan.criteria)
    ]
    sides = Cell(NONE)
    if rater.position_bias is not None and rater.decisive:
        p = f"p {p_words(rater.position_p)}" if rater.position_p is not None else ""
        sides = estimate_cell(share_words(rater.position_bias), p)
    return (
        rater.rater,
        f"{rater.answered:,} of {rater.rows:,}",
        f"{rater.cannot_judge:,}",
        replace(_of(rater.repeats_equal, rater.repeats), more=near),
        _of(rater.attention - rater.attention_failed, rater.attention),
        _of(rater.same_tied, rater.same),
        sides,
        *severity,
        duration(60 * rater.minutes) if rater.minutes is not None else NONE,
    )


def doubts(results: HumanResults) -> list[str]:
    """What should make one look at a rater's answers, a sentence for each such rater."""
    clauses = {item.rater: concerns(item) for item in results.raters}
    return [f"{rater} {'; '.join(words)}." for rater, words in clauses.items() if words]


def _of(part: int, whole: int) -> Cell:
    return Cell(f"{part:,} of {whole:,}") if whole else Cell(NONE)
