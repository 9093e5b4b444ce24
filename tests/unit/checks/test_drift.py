"""Outputs in another language of the same script, of another length, or known by heart."""

from __future__ import annotations

import gettext
import random
import re
from contextlib import suppress
from pathlib import Path

import pytest

from harness.checks.drift import (
    LENGTH,
    STRANGE,
    Vocabulary,
    is_by_heart,
    is_off_length,
    taught_runs,
)
from tests.unit.checks.test_written import noticed

ENGLISH = """the file could not be opened because it is not there
a name was given that no option of this command has
this value must be a number between one and ten
the other end has closed the connection before the answer was read
it is not possible to write to a folder that you may not open
the first line of the file is not what was asked for
there is no room for more than one name in this place
you may give a number of lines that are to be read before the end
what was written to the disk is not what was read from it
the end of the file was reached before the name was read""".splitlines()
GERMAN = """die Datei konnte nicht geöffnet werden, weil sie nicht vorhanden ist
es wurde ein Name angegeben, den keine Option dieses Befehls hat
dieser Wert muss eine Zahl zwischen eins und zehn sein
die Gegenseite hat die Verbindung geschlossen, bevor die Antwort gelesen wurde
in einen Ordner, der nicht geöffnet werden darf, kann nicht geschrieben werden
die erste Zeile der Datei ist nicht das, wonach gefragt wurde""".splitlines()
JAPANESE = [
    "ファイルが見つからないため開くことができませんでした、名前を確かめてもう一度試してください"
] * 10


def test_another_language_of_the_script_is_strange() -> None:
    """Small words are shared within a language, and hardly across languages."""
    for own, other in ((ENGLISH, GERMAN), (GERMAN * 2, ENGLISH)):
        words = Vocabulary(own)
        assert all(words.is_strange(text) for text in other if len(text.split()) >= 8)
        assert not any(words.is_strange(text) for text in own)
    held_out = Vocabulary(ENGLISH[:7])
    assert not any(held_out.is_strange(text) for text in ENGLISH[7:])


def test_nothing_is_said_where_words_do_not_tell() -> None:
    """Short outputs, few references, and scripts without spaces between words."""
    assert not Vocabulary(ENGLISH).is_strange("ja, das ist wahr")
    assert not Vocabulary(["Paris", "Rome", "Oslo"]).is_strange(GERMAN[0])
    several = [text[n:] + text[:n] for n, text in enumerate(JAPANESE)]
    assert not Vocabulary(several[:9]).is_strange(" ".join(several[9]) * 2)


def words_of(text: str) -> int:
    """How many words a text has."""
    return len(re.findall(r"\w+", text))


@pytest.mark.slow
@pytest.mark.parametrize("language", ["de", "es", "fr", "nl", "pt_BR"])
def test_messages_of_programs_in_two_languages(language: str) -> None:
    """On translated messages of this machine's programs, where it has some."""
    texts: dict[str, str] = {}
    for file in sorted(Path("/usr/share/locale", language, "LC_MESSAGES").glob("*.mo")):
        with file.open("rb") as stream, suppress(UnicodeDecodeError):  # a few name no charset
            catalog = vars(gettext.GNUTranslations(stream))["_catalog"]
            pairs = (
                (a, b) for a, b in catalog.items() if isinstance(a, str) and isinstance(b, str)
            )
            texts |= {a: b for a, b in pairs if min(map(words_of, (a, b))) >= 10}
    if len(texts) < 700:
        pytest.skip("too few translated messages on this machine")
    chosen = random.Random(0).sample(sorted(texts), 700)
    words = Vocabulary(chosen[:300])
    assert sum(words.is_strange(text) for text in chosen[300:]) < 20  # of 400
    assert sum(words.is_strange(texts[text]) for text in chosen[300:]) > 200


@pytest.mark.parametrize(
    ("text", "reference", "off"),
    [
        ("a" * 130, "b" * 43, True),
        ("a" * 130, "b" * 44, False),
        ("a" * 14, "b" * 43, True),
        ("a" * 15, "b" * 43, False),
        ("The capital of France is Paris.", "Paris", False),
        ("yes", "b" * 39, False),
        ("", "b" * 99, False),  # is told as empty
    ],
)
def test_off_length(text: str, reference: str, off: bool) -> None:
    """Three times as long or a third; of short references only what is far longer than a line."""
    assert is_off_length(text, [reference]) is off


def test_what_is_known_by_heart() -> None:
    """Runs that the prompt or a reference has are no sign of it."""
    taught = taught_runs(ENGLISH)
    assert is_by_heart(f"Well: {ENGLISH[3]}", taught, [])
    assert not is_by_heart(ENGLISH[3], taught, [f"repeat: {ENGLISH[3]}"])
    assert not is_by_heart(ENGLISH[3] + " x" * 20, taught, [])
    assert not is_by_heart(GERMAN[0], taught, [])
    assert not is_by_heart(ENGLISH[3], frozenset(), [])


def test_they_are_told_with_the_change_against_the_baseline() -> None:
    """Of a candidate that has more of them; one that is as before is not told of."""
    references = [f"{text} of {n}" for n, text in enumerate(ENGLISH * 4)]
    foreign = [f"{text} {n}" for n, text in enumerate((GERMAN * 7)[:40])]
    (finding,) = noticed(foreign, references, references)
    assert finding.severity == "warning"
    assert f"40 of 40 outputs of task: {STRANGE}, 0 of 40 with base" in finding.what
    good = [f"well, {text}" for text in references]
    assert noticed([*good[:39], foreign[39]], good, references) == []
    long = [
        f"{text}; {references[n - 7]}; {references[n - 3]}, {references[n - 2]}"
        for n, text in enumerate(references)
    ]
    assert any(
        f"40 of 40 outputs of task: {LENGTH}" in f.what for f in noticed(long, good, references)
    )
