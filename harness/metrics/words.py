"""Words of texts in any script, where a metric's own tokenizer knows those of English only."""

import re
import unicodedata

# Scripts that put no spaces between words, so that each letter stands for itself: Thai and Lao,
# Tibetan, Myanmar, Khmer, kana, and Chinese characters. (Unicode Standard Annex #14, line breaking
# classes SA, ID and CJ; Hangul has spaces.)
_SPACELESS = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_LETTER = re.compile(f"[{_SPACELESS}]")


def unicode_words(text: str) -> list[str]:
    r"""Runs of letters, marks and digits, in lower case; one letter each where no spaces are put.

    Of ASCII texts these are the words that rouge_score's own tokenizer gives before it stems.

    >>> unicode_words("It's 3.5 km to the Café: \u5317\u4eac!")
    ['it', 's', '3', '5', 'km', 'to', 'the', 'caf\xe9', '\u5317', '\u4eac']
    """
    words = [""]
    for char in unicodedata.normalize("NFC", text).lower():
        kind = unicodedata.category(char)[0]
        if kind == "M":  # a mark belongs to its letter; without one it is part of a sign
            words[-1] += char if words[-1] else ""
        elif kind not in "LN":
            words.append("")
        elif is_spaceless(char) or is_spaceless(words[-1][:1]):
            words.append(char)
        else:
            words[-1] += char
    return [word for word in words if word]


def is_spaceless(char: str) -> bool:
    """Whether a letter is of a script that puts no spaces between words."""
    return _LETTER.match(char) is not None
