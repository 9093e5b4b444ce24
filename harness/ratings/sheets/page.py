"""One rater's rows as a page that works offline: open it, rate, save a file, send it back.

The page is one file. It loads nothing, asks no server and runs no script but its own (its content
security policy allows that by its hash); what the rater answers stays in the browser until the
rater saves the file that :mod:`harness.ratings.returns.returns` reads.
"""

import json
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from harness.printable import split_unseen, visible
from harness.ratings import layout
from harness.ratings.records import RowKind
from harness.render.pages import asset, environment, page_policy
from harness.resources import resource_dir
from harness.suite.ratings import PREFERENCE, CriterionSpec

IDLE_MINUTES = 2  # without input, after which a row's clock stands still
OVERVIEW_ROWS = 600  # up to here the overview shows a button per row

_SECTION_NOUNS: dict[RowKind, str] = {"scale": "Rating", "pair": "Preference"}
_KEYS = {layout.A: "a", layout.B: "b", layout.TIE: "t", layout.CANNOT_JUDGE: "x"}


def render_page(sheet: layout.RaterSheet) -> str:
    """Write a rater's sheet as one self-contained page.

    Args:
        sheet: All that the rater gets; nothing else is in the page.

    Returns:
        HTML, the same for the same sheet.
    """
    folder = resource_dir("reports")
    style = asset(folder / "assets" / "sheet.css")
    script = asset(folder / "assets" / "sheet.js")
    data = page_data(sheet)
    return (
        environment(str(folder / "templates"))
        .get_template("sheet.html.j2")
        .render(
            policy=page_policy(style, script),
            style=Markup(style),  # noqa: S704  # our own file
            script=Markup(script),  # noqa: S704  # our own file
            data=_embedded(data),
            rater=sheet.rater,
            sections=data["sections"],
            instructions=layout.general_instructions(sheet),
            idle=IDLE_MINUTES,
            question=layout.PREFERENCE_QUESTION,
            rows=len(sheet.scale) + len(sheet.pair),
        )
    )


def page_data(sheet: layout.RaterSheet) -> dict[str, Any]:
    """What the page's script reads.

    Each text stands once in ``texts`` and rows name it by its place, since prompts recur. A text
    with unseen characters is a list: plain text and escapes in turn.
    """
    places: dict[str, int] = {}

    def place(text: str) -> int:
        return places.setdefault(text, len(places))

    def shown(row: layout.ShownRow) -> list[Any]:
        reference = None if row.reference is None else place(row.reference)
        return [row.token, place(row.prompt), reference, [place(text) for text in row.outputs]]

    sections = [
        {
            "kind": kind,
            "title": layout.SHEET_NAMES[kind],
            "noun": _SECTION_NOUNS[kind],
            "questions": _questions(sheet.criteria, kind),
            "rows": [shown(row) for row in sheet.rows(kind)],
        }
        for kind in sheet.kinds
    ]
    return {
        "format": layout.PAGE_FORMAT,
        "version": layout.PAGE_VERSION,
        "sheet": sheet.id,
        "rater": sheet.rater,
        "empty": layout.EMPTY,
        "idle": IDLE_MINUTES,
        "overview": OVERVIEW_ROWS,
        "sections": sections,
        "texts": [_parts(text) for text in places],
    }


def _parts(text: str) -> str | list[str]:
    parts = split_unseen(text)
    return parts if len(parts) > 1 else text


def _questions(criteria: Sequence[CriterionSpec], kind: RowKind) -> list[dict[str, Any]]:
    """What is asked of each row of a kind; an option is value, words and key."""
    if kind == "pair":
        options: list[list[Any]] = [
            [
                answer,
                layout.PREFERENCE_LINES[answer]
                if answer in (layout.TIE, layout.CANNOT_JUDGE)
                else words,
                _KEYS[answer],
            ]
            for answer, words in layout.PREFERENCE_ANSWERS.items()
        ]
        return [_question(PREFERENCE, layout.PREFERENCE_QUESTION, options)]
    questions = []
    for criterion in criteria:
        keyed = zip(criterion.scale.items(), point_keys(criterion.points), strict=True)
        options = [[point, visible(words), key] for (point, words), key in keyed]
        options.append([layout.CANNOT_JUDGE, layout.CANNOT_JUDGE, _KEYS[layout.CANNOT_JUDGE]])
        questions.append(_question(criterion.name, criterion.question, options))
    return questions


def _question(name: str, words: str, options: list[list[Any]]) -> dict[str, Any]:
    title = name.replace("_", " ").capitalize()
    return {"name": name, "title": title, "words": visible(words), "options": options}


def point_keys(points: Sequence[int]) -> list[str]:
    """The key of each point of a scale: its own digit, 0 or - for 10; else by place.

    Args:
        points: At most eleven, rising by one.
    """
    if points[-1] > 10:
        return list("1234567890-"[: len(points)])
    ten = "-" if points[0] == 0 else "0"
    return [ten if point == 10 else str(point) for point in points]


def _embedded(data: dict[str, Any]) -> Markup:
    """JSON that cannot end its script element or start another, whatever the texts hold."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  # no markup is left in it
