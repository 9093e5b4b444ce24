"""In which encoding a text was saved, told by its bytes."""

from __future__ import annotations

import pytest

from harness.errors import DataError
from harness.ratings.returns.encodings import decode, encoding_name, runs

COMMENTS = [
    ("utf-8", "schön, 日本語"),
    ("utf-16-le", "schön, 日本語"),
    ("utf-16-be", "schön, 日本語"),
    ("cp1252", "schön – größe, “quoted” don’t; café ok; naïve"),
    ("cp1252", "it’s fine"),
    ("cp1252", "good – but"),
    ("cp1252", "ÄÖÜ Übung Größe"),
    ("cp1252", "Café à côté"),
    ("cp1252", "¿qué? señor, 5 €"),
    ("cp850", "gut, schön für größe"),
    ("cp850", "mit Umlauten äöüß"),
    ("cp850", "le café est très bon, à côté"),
    ("mac_roman", "schön größe “a”"),
    ("cp932", "日本語のコメントです。とても良い"),
    ("cp932", "良"),
    ("cp932", "testは良い"),
    ("gbk", "翻译得很好，没有错误"),
    ("gbk", "AB测试好用，OK"),
    ("gbk", "好"),
    ("cp949", "아주 좋은 번역입니다"),
    ("big5", "翻譯得很好，沒有錯誤"),
]


@pytest.mark.parametrize(("codec", "comment"), COMMENTS)
def test_a_comment_tells_the_encoding(codec: str, comment: str) -> None:
    """One comment in a sheet of plain answers is enough."""
    text = f'row;fluency;comment\r\nbcdfghjk;5;"{comment}"\r\ncdfghjkl;4 - good;\r\n'
    assert decode(text.encode(codec), "x.csv") == (text, codec)


def test_words_of_the_sheet_decide() -> None:
    """What the sheet was sent with is found again in one encoding only."""
    text = 'row,output,comment\nbcdfghjk,"좋",fine\n'
    data = text.encode("cp949")
    assert decode(data, "x.csv")[1] == "gbk"
    assert decode(data, "x.csv", runs("좋")) == (text, "cp949")


def test_runs_are_what_is_beyond_ascii() -> None:
    """Runs of other characters, each once."""
    assert runs("größe, größer: 日本語") == {"öß", "日本語"}
    assert runs("plain") == set()


def test_encodings_have_names() -> None:
    """Messages call an encoding as programs do."""
    assert encoding_name("cp932") == "Shift-JIS (cp932)"


@pytest.mark.parametrize("data", [b"row,a\nb\0c", b"\x81\x00\xfe\x00\x00", b"a\x81\xfe\xfe\xff b"])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    """Bytes that no encoding makes letters of are not guessed at."""
    with pytest.raises(DataError, match="encoding that can be told"):
        decode(data, "x.csv")
