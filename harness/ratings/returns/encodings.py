"""Text of a file that does not say in what encoding it is."""

import codecs
import re
import unicodedata
from collections.abc import Set as AbstractSet

from harness.errors import DataError
from harness.ratings.returns.formats import AS_TABLE

_MARKS = (  # UTF-16 as Excel's "Unicode text" has it; its byte order marks
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
UNICODE = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")
# What spreadsheets save CSV in: codec, what people call it, and for those of East Asia the codec of
# the characters in common use. Those come first: other text is seldom valid in them.
_EAST_ASIAN = (
    ("cp932", "Shift-JIS (cp932)", "shift_jis"),
    ("gbk", "GBK", "gb2312"),
    ("cp949", "Korean (cp949)", "euc_kr"),
    ("big5", "Big5", "big5"),
)
_LATIN = (("cp1252", "Windows-1252"), ("cp850", "DOS (cp850)"), ("mac_roman", "Mac Roman"))
_NAMES = {codec: name for codec, name, *_ in (*_EAST_ASIAN, *_LATIN)}
_COMMON = {codec: common for codec, _, common in _EAST_ASIAN}
_RUN = re.compile(r"[^\x00-\x7f]+")
# where no writer puts characters of East Asia, and no Latin ones but small letters and apostrophes,
# or four in a row that are not all small
_WIDE_TORN = re.compile(r"(?<=[A-Za-z])[^\x00-\x7f]|(?<=[^\x00-\xff]) (?=[^\x00-\xff])")
_INSIDE = re.compile(r"(?<=[A-Za-z])[^\x00-\x7f]+(?=[a-z])")
_TYPED = frozenset("’‘‚“”„«»‹›–—…•€£§°·×±¿¡²³½©®™\u00a0、。「」・ー：，！？（）")


def decode(data: bytes, where: str, words: AbstractSet[str] = frozenset()) -> tuple[str, str]:
    """Text of a file, and the codec that it was read with.

    That is UTF-8 or UTF-16 by the mark at its start or by its zeros, else UTF-8, else the encoding
    of a country's programs in which most of the sheet's own words are found again, and where there
    are none, in which letters stand where letters belong.

    Args:
        data: All of the file.
        where: What messages call it.
        words: Runs of characters outside ASCII that the sheet was sent with (:func:`runs`).

    Raises:
        DataError: It is no text, or text in an encoding that cannot be told.
    """
    for codec in _unicode(data):
        if (text := _text(data, codec)) is not None:
            return text, codec
    texts = {codec: text for codec in _NAMES if (text := _text(data, codec)) is not None}
    if texts:
        worth = {codec: _worth(text, codec, words) for codec, text in texts.items()}
        best = max(worth, key=worth.__getitem__)  # the first of equals
        if worth[best] > (0, 0):
            return texts[best], best
    raise DataError(
        "A spreadsheet (.xlsx, .ods, .csv) or a rating page's file (.json) was needed, but this "
        "is neither, nor text in UTF-8, UTF-16 or an encoding that can be told.",
        where=where,
        hint="If it is a CSV file, save it as “CSV UTF-8” or .xlsx. " + AS_TABLE,
    )


def names_its_encoding(data: bytes) -> bool:
    """Whether a file is no text, or one that nothing else has to tell the encoding of."""
    if data.startswith((b"PK", b"\xd0\xcf\x11\xe0")):
        return True
    return any(_text(data, codec) is not None for codec in _unicode(data))


def encoding_name(codec: str) -> str:
    """What people call an encoding that is not Unicode."""
    return _NAMES[codec]


def runs(text: str) -> set[str]:
    """Its runs of characters outside ASCII: what tells one encoding from another."""
    return set() if text.isascii() else set(_RUN.findall(text))


def _unicode(data: bytes) -> tuple[str, ...]:
    if marked := tuple(codec for mark, codec in _MARKS if data.startswith(mark)):
        return marked
    start = data[:200]  # headings are ASCII: every other byte of UTF-16 is zero
    if start[1:2] == b"\0":
        return ("utf-16-le",)
    return ("utf-16-be",) if start[:1] == b"\0" else ("utf-8",)


def _text(data: bytes, codec: str) -> str | None:
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _worth(text: str, codec: str, words: AbstractSet[str]) -> tuple[int, int]:
    """How likely a text was written in an encoding: words known again, then letters in place."""
    pieces = _RUN.findall(text)
    again = sum(piece in words for piece in pieces)
    common = _COMMON.get(codec)
    worth = sum(_letters(piece, common) for piece in pieces)
    if common is None:
        inside = (run for run in _INSIDE.findall(text) if run != "’")
        torn = sum(not all(map(str.islower, run)) for run in inside)
        mixed = sum(len(run) for run in pieces if len(run) > 3 and not run.islower())
        return again, worth - 3 * torn - 2 * mixed
    torn = 0 if codec == "cp949" else len(_WIDE_TORN.findall(text))  # Korean has words
    return again, 2 * worth - 3 * torn  # a character of two bytes says as much as two of one


def _letters(piece: str, common: str | None) -> int:
    """Characters that people write, less those that they do not."""
    typed = sum(letter in _TYPED or _is_typed(letter, common) for letter in piece)
    return 2 * typed - len(piece)


def _is_typed(letter: str, common: str | None) -> bool:
    if unicodedata.normalize("NFKC", letter) != letter:  # a ligature, a letter of half a width
        return False
    if common is None:
        return letter.isalpha()
    if common == "euc_kr" and "\u4e00" <= letter <= "\u9fff":
        return False  # what Chinese text looks like in Korean
    return _encodes(letter, common)


def _encodes(letter: str, codec: str) -> bool:
    try:
        return len(letter.encode(codec)) == 2  # Korean has ways round of eight bytes
    except UnicodeEncodeError:
        return False
