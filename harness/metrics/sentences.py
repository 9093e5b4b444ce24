"""Sentence boundaries that are the same on every machine, without downloaded data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nltk.tokenize.punkt import PunktSentenceTokenizer

# Abbreviations that end in a period without ending a sentence; Punkt learns such a list from
# text, and its learned ones are a download. Lower case, without the last period.
# fmt: off
ABBREVIATIONS = frozenset((
    "a.m", "al", "approx", "ca", "cf", "co", "corp", "dept", "dr", "e.g", "ed", "eds", "eq",
    "fig", "i.e", "inc", "jr", "ltd", "mr", "mrs", "ms", "p.m", "ph.d", "pp", "prof", "rev",
    "sr", "st", "u.k", "u.s", "u.s.a", "viz", "vol", "vs",
))
# fmt: on
SPLITTER = "punkt+abbr"  # what signatures call it


def split_sentences(text: str) -> Sequence[str]:
    """Sentences of a text, in order, without the white space between them.

    Source:
        Kiss and Strunk (2006), Unsupervised Multilingual Sentence Boundary Detection, as in
        nltk's ``PunktSentenceTokenizer``, with a fixed list of English abbreviations in place
        of parameters learned from a corpus.
    """
    sentences: list[str] = _splitter().tokenize(text)
    return sentences


@cache
def _splitter() -> PunktSentenceTokenizer:
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    parameters = PunktParameters()
    parameters.abbrev_types = set(ABBREVIATIONS)
    return PunktSentenceTokenizer(parameters)
