"""What one more returned file adds to what is known of a study's rows."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from harness.ratings.records import ReturnedFile
from harness.ratings.returns.answers import shown
from harness.ratings.returns.entries import Entries, Given, Remark, as_shown, entries_of
from harness.ratings.returns.mistakes import Mistake
from harness.ratings.returns.questions import Questions
from harness.ratings.returns.returned import Returned, ReturnedRow

_NAMED = 5  # cells that a message about many of them names


@dataclass(frozen=True, slots=True)
class KnownRow:
    """What is known of a row, and the file and row that it came from last."""

    given: Given
    file: str
    row: ReturnedRow | None = None  # where it came in this call


@dataclass(frozen=True)
class State:
    """What is known after some of the files."""

    held: Mapping[str, KnownRow]  # token -> what is known of its row
    files: Mapping[str, ReturnedFile]  # digest -> file that ratings came from
    names: Mapping[str, str]  # digest -> what messages call it
    # digest -> path of the files of this call
    seen: Mapping[str, str] = field(default_factory=dict)
    merged: frozenset[str] = frozenset()  # digests of those that were merged
    # digest -> bytes of those that are new
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    sent: frozenset[str] = frozenset()  # tokens with an answer in this call
    remarks: tuple[Remark, ...] = ()

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """What is wrong with files."""
        return tuple(remark for remark in self.remarks if isinstance(remark, Mistake))

    @property
    def notes(self) -> tuple[str, ...]:
        """What else is to be told of them."""
        return tuple(remark for remark in self.remarks if isinstance(remark, str))

    def told(self, *remarks: Remark) -> Self:
        """The same with more to tell."""
        return dataclasses.replace(self, remarks=(*self.remarks, *remarks))


def take(
    state: State, file: Returned, questions: Questions, now: str, *, replace: bool, again: bool
) -> State:
    """Check one file and add what it says.

    Args:
        state: What is known.
        file: The file.
        questions: What was asked.
        now: Time of the import, ISO 8601.
        replace: Whether other answers than before are a rater's correction.
        again: Whether files that were imported before are named to count again.
    """
    digest, path = file.digest, file.path
    if digest in state.seen:
        return state.told(f"{path}: the same file as {state.seen[digest]}.")
    state = dataclasses.replace(state, seen={**state.seen, digest: str(path)})
    if digest in state.names and not again:
        return state.told(f"{path}: already imported, as {state.names[digest]}; nothing new.")
    entries, remarks = entries_of(file, questions)
    state = state.told(*remarks)
    if entries is None:
        return state
    clashes = _clashes(entries, state.held, questions)
    if clashes and replace and not clashes.keys() & state.merged:
        count = sum(map(len, clashes.values()))
        state = state.told(f"{path}: replaced {count} earlier answers.")
    elif clashes:
        corrected = state.merged if replace else frozenset()
        return state.told(*_clash_mistakes(path, clashes, state.names, corrected))
    return _merged(state, file, entries, questions, now)


def _merged(
    state: State, file: Returned, entries: Entries, questions: Questions, now: str
) -> State:
    """The state with a file's answers."""
    answered, added, idle = set(), {}, 0
    for token, (said, row) in entries.items():
        before = state.held.get(token)
        if not questions.answers.isdisjoint(said):
            answered.add(token)
        elif before is None:
            idle += bool(said)
            continue
        given = {**before.given, **said} if before else said
        if before is None or given != before.given:
            added[token] = KnownRow(given, file.digest, row)
    notes = []
    if idle:
        notes.append(f"{file.path}: left out {idle} rows with a comment or minutes, but no answer.")
    if not answered:
        notes.append(f"{file.path}: holds no answers.")
    elif not added:
        notes.append(f"{file.path}: all of its answers were already imported.")
    state = dataclasses.replace(
        state.told(*notes),
        held={**state.held, **added},
        sent=state.sent | answered,
        merged=state.merged | {file.digest},
    )
    if not added or file.digest in state.files:
        return state
    record = ReturnedFile(
        name=file.name,
        digest=file.digest,
        rater=questions.rows[next(iter(added))].rater,
        format=file.format,
        rows=len(answered),
        imported=now,
    )
    return dataclasses.replace(
        state,
        files={**state.files, file.digest: record},
        names={**state.names, file.digest: str(file.path)},
        blobs={**state.blobs, file.digest: file.data},
    )


def _clashes(
    entries: Entries, held: Mapping[str, KnownRow], questions: Questions
) -> dict[str, list[str]]:
    """File -> places where other answers are known of the same rows."""
    clashes: dict[str, list[str]] = {}
    for token, (said, row) in entries.items():
        before = held.get(token)
        if before is None or said == before.given:
            continue
        for name, answer in said.items():
            earlier = before.given.get(name, answer)
            if name not in questions.answers or earlier == answer:
                continue
            there = shown(as_shown(earlier, questions.rows[token]))
            if before.row is not None and name in before.row.cells:
                there = f"{before.row.address(name)} {there}"
            place = f"{row.address(name)} ({shown(row.cells[name])}, there {there})"
            clashes.setdefault(before.file, []).append(place)
    return clashes


def _clash_mistakes(
    path: Path,
    clashes: Mapping[str, Sequence[str]],
    names: Mapping[str, str],
    merged: frozenset[str],
) -> Iterator[Mistake]:
    """What is wrong with two answers to the same rows.

    Args:
        path: The file's.
        clashes: From :func:`_clashes`.
        names: Digest -> what a file is called.
        merged: Files of the same command, where they are said to be corrections.
    """
    if same := clashes.keys() & merged:
        yield Mistake(
            f"{path}: found other answers than in {names[next(iter(same))]}, which is imported by "
            "the same command; needed is one of the two; name only the file that counts."
        )
        return
    for digest, places in clashes.items():
        more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
        yield Mistake(
            f"{path}: found other answers than in {names[digest]} to the same rows: "
            f"{', '.join(places[:_NAMED])}{more}; needed is one file per rater, from the "
            "rater's own sheet; if this is the rater's correction, add --replace.",
            entries=len(places),
        )
