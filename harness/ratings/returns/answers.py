"""What a rater entered in one cell: tolerant of spelling, strict where it could mean two things."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from harness.ratings.layout import (
    CANNOT_JUDGE,
    MOST_MINUTES,
    PREFERENCE_ANSWERS,
    PREFERENCE_LINES,
    TIE,
    A,
    B,
    answers,
)
from harness.suite.ratings import CriterionSpec

Preferred = Literal["A", "B", "tie"]

_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")  # soft hyphens, marks without width
_DASH = "\\-\u2010-\u2015\u2212"  # hyphens, dashes and the minus sign, inside a character class
_WHOLE = re.compile(rf"(?P<sign>[+{_DASH}]?)(?P<whole>\d{{1,9}})(?:[.,](?P<rest>\d*))?")
_LABELLED = re.compile(
    rf"(?P<point>\d{{1,9}})(?P<mark>\s*[:=.)({_DASH}]+)\s*(?P<words>[^\d\s].*?)\)?"
)
_MARK = re.compile(rf"\s*[:{_DASH}]+\s*")  # between an answer and what it means
_DATE = re.compile(rf"[.{_DASH}]")  # right behind a number, as in 05-Apr or 5. Mai
_TWO_NUMBERS = re.compile(rf"\d+(?:\s*[/.{_DASH}]\s*\d+){{1,2}}")
_DURATION = re.compile(r"(?P<value>\d{1,9}(?:[.,]\d{1,20})?|[.,]\d{1,20})\s*(?P<unit>[a-z]+)?")
_THOUSANDS = re.compile(r"[1-9]\d{0,2},\d{3}\b.*")
_UNITS = {
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 1.0),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1 / 60),
}
_CHOOSE = "write one of these, or leave it empty if it is not done yet"


@dataclass(frozen=True)
class Problem:
    """Why an entry is not taken."""

    entry: str  # what stands there
    needed: str  # what may stand there
    hint: str = _CHOOSE  # what the rater can do

    def __str__(self) -> str:
        return f"found {self.entry}; needed is {self.needed}; {self.hint}."


def tidy(text: str) -> str:
    """A cell's text without what spreadsheets and keyboards add.

    Leading apostrophes, blanks of every kind and marks without width go; full-width characters
    become plain ones (Unicode NFKC).
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _UNSEEN.sub("", text))
    return " ".join(text.split()).lstrip("' ")


def shown(text: str) -> str:
    """An entry as messages quote it: short, on one line, fit for a terminal, look-alikes named."""
    line = " ".join(text.split())
    line = "".join(letter if letter.isprintable() else "\ufffd" for letter in line[:61])
    quoted = f"“{line[:57]}…”" if len(line) > 60 else f"“{line}”"
    if len(line) == 1 and not line.isascii():
        return f"{quoted} ({unicodedata.name(line, 'a character without a name')})"
    return quoted


def parse_point(text: str, criterion: CriterionSpec) -> int | Problem | None:
    """The point of a scale that an entry means.

    Taken: a point (``5``, ``5.0``, ``5,0``, ``+5``), a point with words (``5 - excellent``, with
    any dash, colon or bracket), a point's words alone where they are one point's only, and
    ``cannot judge``. Refused, for they could mean two things: numbers between points, ranges
    (``4-5``), ``4/5`` (of five, four or five, a date), ``05-Apr``, a point with the words of
    another one, and ``n/a``, ``-`` or ``?`` (cannot judge, or not done yet).

    Args:
        text: What stands in the cell; not blank.
        criterion: Whose scale it is.

    Returns:
        The point, None for "cannot judge", or what is wrong.
    """
    key = _key(text)
    lines = dict(zip(map(_key, answers(criterion)), (*criterion.points, None), strict=True))
    if key in lines:  # as it was shown, whatever else the words could mean
        return lines[key]
    number = _WHOLE.fullmatch(key)
    if number:
        if (number["rest"] or "").strip("0"):
            return point_problem(f"{shown(text)}, which is not a whole number", criterion)
        return _on_scale(text, int(number["whole"]), number["sign"] in ("", "+"), criterion)
    meanings = _words(criterion).get(key, ())
    if len(meanings) == 1:
        return meanings[0]
    labelled = _LABELLED.fullmatch(key)
    if labelled and not meanings:
        return _labelled(text, labelled, criterion)
    if meanings:
        reason = "is said of " + " and ".join(str(point) for point in meanings) + " alike"
    elif _TWO_NUMBERS.fullmatch(key):
        reason = "may be a share, a range or a date"
    else:
        reason = "is not an answer"
    return point_problem(f"{shown(text)}, which {reason}", criterion)


def parse_preference(text: str) -> Preferred | Problem | None:
    """The side that an entry prefers.

    Taken, in any case: ``A``, ``B``, ``output A``, ``A is better``, ``tie``, ``=``, ``equal``,
    ``neither is better``, ``cannot judge`` and these as the sheet's list shows them. Refused:
    everything else, such as ``both``, ``A?``, or a Cyrillic letter that looks like A or B.

    Returns:
        The side as it was shown, ``tie``, None for "cannot judge", or what is wrong.
    """
    key = _side_key(text)
    if key in _SIDES:
        return _SIDES[key]
    return preference_problem(f"{shown(text)}, which is not an answer")


def parse_minutes(text: str) -> float | Problem:
    """Minutes that a row took.

    Taken: a number of 0 to 600 with a decimal point or comma, also with ``min`` or ``s`` behind it
    (``1.5``, ``1,5``, ``2 min``, ``90 s``). Refused: ``1:30`` (minutes and seconds, or hours and
    minutes, as spreadsheets read it) and ``1,500`` (a comma of thousands, or of decimals).

    Returns:
        Minutes, or what is wrong.
    """
    key = _key(text)
    match = _DURATION.fullmatch(key)
    unit = _UNITS.get((match["unit"] or "min") if match else "")
    if match is None or unit is None or _THOUSANDS.fullmatch(key):
        return minutes_problem(shown(text))
    minutes = float(match["value"].replace(",", ".")) * unit
    if minutes > MOST_MINUTES:
        return minutes_problem(f"{shown(text)}, which is more than ten hours for one row")
    return minutes


def minutes_problem(entry: str) -> Problem:
    """What is said of an entry that is no number of minutes."""
    return Problem(
        entry, f"a number of minutes, 0 to {MOST_MINUTES}, such as 1.5", "mend it, or leave it out"
    )


def point_problem(entry: str, criterion: CriterionSpec) -> Problem:
    """What is said of an entry that is no point of the scale."""
    first, last = criterion.points[0], criterion.points[-1]
    return Problem(entry, f"a whole number from {first} to {last}, or “{CANNOT_JUDGE}”")


def preference_problem(entry: str) -> Problem:
    """What is said of an entry that is no preference."""
    return Problem(entry, f"{A}, {B}, {TIE} or “{CANNOT_JUDGE}”")


def _key(text: str) -> str:
    return tidy(text).casefold().rstrip(". ")


def _words(criterion: CriterionSpec) -> dict[str, list[int | None]]:
    """Everything in words that means a point, or several."""
    meanings: dict[str, list[int | None]] = {_key(CANNOT_JUDGE): [None], "can't judge": [None]}
    for point, words in criterion.scale.items():
        meanings.setdefault(_key(words), []).append(point)
    return meanings


def _on_scale(text: str, point: int, positive: bool, criterion: CriterionSpec) -> int | Problem:
    if positive and point in criterion.scale:
        return point
    return point_problem(f"{shown(text)}, which is not on the scale of {criterion.name}", criterion)


def _labelled(text: str, match: re.Match[str], criterion: CriterionSpec) -> int | Problem:
    """A point with words, which may be cut short or be the rater's own, but not another point's."""
    point, words = int(match["point"]), match["words"]
    if point not in criterion.scale:
        return _on_scale(text, point, True, criterion)
    start = words.rstrip(".… ")
    meant = [other for other, said in criterion.scale.items() if _key(said).startswith(start)]
    if point in meant:
        return point
    if meant:
        others = " and ".join(str(other) for other in meant)
        return point_problem(f"{shown(text)}, whose words belong to {others}", criterion)
    if CANNOT_JUDGE.startswith(start) or re.search(r"\d", words):
        return point_problem(f"{shown(text)}, which says two things", criterion)
    if _DATE.match(match["mark"]):
        return point_problem(f"{shown(text)}, which may be a date", criterion)
    return point


def _side_key(text: str) -> str:
    return _MARK.sub(": ", _key(text))


def _sides() -> dict[str, Preferred | None]:
    sides: dict[str, Preferred | None] = {"=": "tie", "equal": "tie", "can't judge": None}
    meant: dict[str, Preferred | None] = {A: "A", B: "B", TIE: "tie", CANNOT_JUDGE: None}
    for answer, words in PREFERENCE_ANSWERS.items():
        for spelling in (answer, words, PREFERENCE_LINES[answer]):
            sides[_side_key(spelling)] = meant[answer]
    for side in (A, B):
        sides[_key(f"output {side}")] = meant[side]
    return sides


_SIDES = _sides()
