"""Conversations that a data set holds as one text with marks in it, such as Llama 2's."""

from __future__ import annotations

import re

from harness.suite.spec import TurnsSpec

_SYSTEM = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>(.*)", re.DOTALL)  # inside Llama 2's first turn


class TurnsError(ValueError):
    """A text is no conversation that ends with an answer; says why, to go after "the text"."""


def messages_of(text: str, marks: TurnsSpec) -> list[dict[str, str]]:
    """The messages of a conversation, without marks and without whitespace around them.

    What stands before the first turn, or in Llama 2's system mark, is the system's.

    Raises:
        TurnsError: A turn has no answer, or more than one; or there is no turn.
    """
    lead, turns = _turns(text, marks)
    system = _SYSTEM.fullmatch(turns[0][0])
    if system is not None:
        lead, turns[0] = f"{lead}\n{system[1]}", (system[2], turns[0][1])
    roles = [("system", lead)] if lead.strip() else []
    for question, answer in turns:
        roles += [("user", question), ("assistant", answer)]
    return [{"role": role, "content": content.strip()} for role, content in roles]


def last_answer(text: str, marks: TurnsSpec) -> tuple[str, str]:
    """The text as it is up to its last answer, earlier turns included, and that answer.

    What stands for BOS at the beginning and for EOS at the end is left out: the tokenizer of the
    base adds its own.

    Raises:
        TurnsError: As `messages_of`.
    """
    _, turns = _turns(text, marks)
    head = text.rpartition(marks.assistant)[0].lstrip()
    return f"{head.removeprefix(marks.start).lstrip()}{marks.assistant}", turns[-1][1]


def _turns(text: str, marks: TurnsSpec) -> tuple[str, list[tuple[str, str]]]:
    """What stands before the first turn, and question and answer of each."""
    lead, *parts = text.split(marks.user)
    if not parts:
        raise TurnsError(f"has no {marks.user}")
    turns = []
    for part in parts:
        question, *answers = part.split(marks.assistant)
        if len(answers) != 1:
            many = "more than one" if answers else "no"
            raise TurnsError(f"has a turn with {many} {marks.assistant}")
        turns.append((question, _without(answers[0], marks)))
    return lead.strip().removeprefix(marks.start), turns


def _without(answer: str, marks: TurnsSpec) -> str:
    """An answer without the marks after it."""
    for mark in (marks.start, marks.end):  # the start is that of the next turn
        if mark and answer.rstrip().endswith(mark):
            answer = answer.rstrip().removesuffix(mark)
    return answer
