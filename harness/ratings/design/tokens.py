"""Names of rows and sheets that say nothing, and that no spreadsheet changes."""

import hashlib

LETTERS = "bcdfghjklmnpqrstvwxz"
"""Consonants: no word, number, date, boolean or formula can be spelt with them alone."""

_ROW, _SHEET = 8, 6  # letters; 20**8 names are 25 thousand million


def sheet_id(key: str) -> str:
    """Name of an export, from its key."""
    return _word(f"{key}:sheet", _SHEET)


def row_token(key: str, rater: str, index: int, taken: set[str]) -> str:
    """Name of a row, from the export's key, its rater and its place; added to ``taken``."""
    attempt = 0
    while (token := _word(f"{key}:{rater}:{index}:{attempt}", _ROW)) in taken:
        attempt += 1
    taken.add(token)
    return token


def _word(text: str, letters: int) -> str:
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    word = ""
    for _ in range(letters):
        number, place = divmod(number, len(LETTERS))
        word += LETTERS[place]
    return word
