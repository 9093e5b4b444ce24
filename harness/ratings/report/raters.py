"""Tables of the raters: how far they agree, what they answer, and how steady they are."""

from __future__ import annotations

from dataclasses import replace

from markupsafe import Markup

from harness.ratings.layout import CANNOT_JUDGE
from harness.ratings.records import Agreement, HumanResults, RaterSummary
from harness.ratings.report.words import alpha_word, share_words, value_words
from harness.ratings.stats.alpha import TENTATIVE
from harness.ratings.stats.raters import concerns
from harness.render.numbers import NONE, duration, number, p_words
from harness.render.svg import Canvas
from harness.render.table import Cell, Head, Table

_BAR, _GAP, _HEAD, _HEIGHT, _FOOT = 22.0, 4.0, 13.0, 32.0, 14.0
_SHORT = {"first": "1st", "second": "2nd", CANNOT_JUDGE: "?"}


def agreement_table(results: HumanResults) -> Table | None:
    """Krippendorff's alpha of each question."""
    if not results.agreement:
        return None
    header = (
        Head("Question", numeric=False),
        Head("Alpha", "Krippendorff's, 95 % interval"),
        Head("Agreement", numeric=False),
        Head("Judged by two or more"),
        Head("Their ratings"),
    )
    rows = []
    for item in results.agreement:
        value, bounds = value_words(item.alpha)
        known = item.alpha.value is not None
        word = alpha_word(item.alpha.value) if item.alpha.value is not None else "not known"
        why = item.alpha.reason or ""
        rows.append(
            (
                Cell(item.name, (item.level,)),
                Cell(value, (bounds,) if bounds else ()),
                Cell(word, (why,) if why and (not known or not bounds) else ()),
                Cell(f"{item.units:,}"),
                Cell(f"{item.ratings:,}"),
            )
        )
    return Table("How far raters agree", header, tuple(rows))


def pairs_table(results: HumanResults) -> Table | None:
    """Agreement of every two raters."""
    rows = [
        (
            Cell(item.name),
            Cell(pair.first),
            Cell(pair.second),
            Cell(f"{pair.n:,}"),
            Cell(number(pair.kappa, 2), (pair.reason,) if pair.reason else ()),
            Cell(f"{number(100 * pair.exact, 0)} %"),
        )
        for item in results.agreement
        for pair in item.pairs
    ]
    names = ("Question", "Rater", "and rater")
    header = (
        *(Head(name, numeric=False) for name in names),
        Head("Judged by both"),
        Head("Kappa", "quadratic weights for scales"),
        Head("Equal answers"),
    )
    return Table("Agreement of every two raters", header, tuple(rows)) if rows else None


def low_agreement(results: HumanResults, at_least: float = TENTATIVE) -> list[Agreement]:
    """Questions on which raters agree less than that."""
    return [a for a in results.agreement if a.alpha.value is not None and a.alpha.value < at_least]


def distribution_table(results: HumanResults) -> Table | None:
    """How often each rater gave each answer, drawn; the numbers are in each drawing's text."""
    if not results.agreement:
        return None
    header = (Head("Rater", numeric=False), *(Head(a.name) for a in results.agreement))
    rows = []
    for place, rater in enumerate(results.plan.raters):
        cells = [Cell(rater)]
        for which, item in enumerate(results.agreement):
            counts = item.distribution.get(rater, {})
            words = ", ".join(f"{answer}: {n:,}" for answer, n in counts.items()) or "no answer"
            drawing = _bars(f"answers-{place}-{which}", f"{rater}, {item.name}", words, counts)
            cells.append(Cell(words, drawing=drawing))
        rows.append(tuple(cells))
    return Table("Answers of each rater", header, tuple(rows))


def _bars(ident: str, title: str, words: str, counts: dict[str, int]) -> Markup | None:
    most = max(counts.values(), default=0)
    if not most:
        return None
    width = len(counts) * (_BAR + _GAP)
    foot = _HEAD + _HEIGHT
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
        Head("Rater", numeric=False),
        Head("Answered"),
        Head("Cannot judge"),
        Head("Repeats", "same answer again"),
        Head("Spoilt texts", "noticed"),
        Head("A text beside itself", "called a tie"),
        Head("Chose A", "of decisive"),
        *(Head(c.name, "above or below the others") for c in results.plan.criteria),
        Head("Median time", "per row"),
    )
    rows = [_rater_row(results, found) for found in results.raters]
    return Table("Raters", header, tuple(rows))


def _rater_row(results: HumanResults, found: RaterSummary) -> tuple[Cell, ...]:
    near = (f"{found.repeats_near:,} at most a point apart",) if found.repeats else ()
    severity = []
    for criterion in results.plan.criteria:
        own = found.severity.get(criterion.name)
        value, bounds = value_words(own, signed=True) if own is not None else (NONE, "")
        severity.append(Cell(value, (bounds,) if bounds else ()))
    return (
        Cell(found.rater),
        Cell(f"{found.answered:,} of {found.rows:,}"),
        Cell(f"{found.cannot_judge:,}"),
        replace(_of(found.repeats_equal, found.repeats), more=near),
        _of(found.attention - found.attention_failed, found.attention),
        _of(found.same_tied, found.same),
        _sides(found),
        *severity,
        Cell(duration(60 * found.minutes) if found.minutes is not None else NONE),
    )


def doubts(results: HumanResults) -> list[str]:
    """What should make one look at a rater's answers, a sentence for each such rater."""
    found = [(item.rater, concerns(item)) for item in results.raters]
    return [f"{rater} {'; '.join(clauses)}." for rater, clauses in found if clauses]


def _of(part: int, whole: int) -> Cell:
    return Cell(f"{part:,} of {whole:,}") if whole else Cell(NONE)


def _sides(found: RaterSummary) -> Cell:
    if found.position_bias is None or not found.decisive:
        return Cell(NONE)
    value, bounds = share_words(found.position_bias)
    p = f"p {p_words(found.position_p)}" if found.position_p is not None else ""
    return Cell(value, tuple(text for text in (bounds, p) if text))
