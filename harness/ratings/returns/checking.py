"""What returned files add to what is known; nothing is lost, and nothing is counted twice.

Every mistake is reported with file and cell, all at once, and nothing is taken from any file while
there is one, unless the caller asks for the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.ratings.layout import COMMENT, MINUTES
from harness.ratings.records import Rating, ReturnedFile, SheetPlan, SheetRow
from harness.ratings.returns.answers import shown
from harness.ratings.returns.entries import Given, Questions, as_shown, entries_of
from harness.ratings.returns.mistakes import Mistake
from harness.ratings.returns.returned import Returned, ReturnedRow
from harness.ratings.store import StoredRatings
from harness.suite.ratings import PREFERENCE

_NAMED = 5  # cells that a message about many of them names


@dataclass(frozen=True)
class RaterCounts:
    """Rows of one rater.

    Attributes:
        new: Answered for the first time.
        changed: Answered before, with something added or changed now.
        same: Answered before, and sent again as they were.
        unanswered: Still without an answer.
    """

    new: int
    changed: int
    same: int
    unanswered: int


@dataclass(frozen=True)
class Checked:
    """What is known after some files were read.

    Attributes:
        ratings: All ratings, earlier ones included, by rater, kind and position; just the earlier
            ones where there are problems and the caller did not ask for the rest.
        files: All files that ratings came from, likewise.
        blobs: Digest -> bytes of the files that were added.
        mistakes: Every one: file, place, what was found, what was needed, how to mend it.
        notes: What was passed over or taken as meant, and how far each rater is, in words.
        counts: Rater -> rows.
    """

    ratings: tuple[Rating, ...]
    files: tuple[ReturnedFile, ...]
    blobs: Mapping[str, bytes] = field(repr=False)
    mistakes: tuple[Mistake, ...]
    notes: tuple[str, ...]
    counts: Mapping[str, RaterCounts]

    @property
    def problems(self) -> tuple[str, ...]:
        """Every mistake in words."""
        return tuple(mistake.words for mistake in self.mistakes)

    @property
    def left_out(self) -> int:
        """Entries that were not taken; each is among the mistakes."""
        return sum(mistake.entries for mistake in self.mistakes)


def check_returns(
    returned: Sequence[Returned],
    plan: SheetPlan,
    rows: Sequence[SheetRow],
    known: StoredRatings,
    now: str,
    *,
    replace: bool = False,
    skip_invalid: bool = False,
    elsewhere: Callable[[str], str | None] | None = None,
    unreadable: Sequence[str] = (),
) -> Checked:
    """Check files against the export, and merge them with what came back before.

    Rows are matched by their tokens only. A file may be partly filled: a fuller one adds to it, and
    empty cells take nothing away. The same answers again change nothing. Comments and minutes of a
    later file replace earlier ones.

    Args:
        returned: Files as they were read, later ones last.
        plan: The export.
        rows: All rows that were asked for.
        known: What was imported before.
        now: Time of the import, ISO 8601.
        replace: Whether other answers than before are a rater's correction. Otherwise they are a
            mistake: a second rater may have filled in a copy of the same sheet.
        skip_invalid: Whether what is right of files with mistakes is taken. Files of another
            export, of two raters, or at odds with what is known are left out whole.
        elsewhere: Tells which run a token belongs to that is not of this export.
        unreadable: Problems of files that could not be read at all.
    """
    questions = Questions(plan, rows, elsewhere)
    held = {rating.token: _Held(_given(rating), rating.file) for rating in known.ratings}
    names = {file.digest: file.name for file in known.files}
    again = replace and all(file.digest in names for file in returned)  # named to count again
    files = {file.digest: file for file in known.files}
    blobs: dict[str, bytes] = {}
    merged: set[str] = set()  # digests of files that this call has merged
    sent: set[str] = set()  # tokens with an answer in this call
    seen: dict[str, str] = {}  # digest -> path, in this call
    mistakes, notes = [*map(Mistake, unreadable)], []
    for file in returned:
        digest, path = file.digest, file.path
        if digest in seen:
            notes.append(f"{path}: the same file as {seen[digest]}.")
            continue
        seen[digest] = str(path)
        if digest in names and not again:
            notes.append(f"{path}: already imported, as {names[digest]}; nothing new.")
            continue
        entries = entries_of(file, questions)
        mistakes += entries.mistakes
        notes += entries.notes
        if entries.given is None:
            continue
        clashes = _clashes(entries.given, held, questions)
        if clashes and replace and not clashes.keys() & merged:
            notes.append(f"{path}: replaced {sum(map(len, clashes.values()))} earlier answers.")
        elif clashes:
            mistakes += _clash_mistakes(path, clashes, names, merged if replace else set())
            continue
        merge = _merge(entries.given, held, file, questions)
        held |= merge.added
        sent |= merge.answered
        merged.add(digest)
        notes += merge.notes(path)
        if merge.added and digest not in files:
            names[digest], blobs[digest] = str(path), file.data
            files[digest] = ReturnedFile(
                name=file.name,
                digest=digest,
                rater=questions.rows[next(reversed(merge.added))].rater,
                format=file.format,
                rows=len(merge.answered),
                imported=now,
            )
    if mistakes and not skip_invalid:
        counts, _ = _counted(questions, known.ratings, known.ratings, sent)
        return Checked(known.ratings, known.files, {}, tuple(mistakes), tuple(notes), counts)
    earlier = {rating.token: rating for rating in known.ratings}
    made = [
        earlier[token] if of.row is None else _rating(questions, token, of)
        for token, of in held.items()
    ]
    ratings = tuple(sorted(made, key=lambda r: (r.rater, r.kind, r.position)))
    counts, progress = _counted(questions, known.ratings, ratings, sent)
    words = (*notes, *progress)
    return Checked(ratings, tuple(files.values()), blobs, tuple(mistakes), words, counts)


@dataclass(frozen=True, slots=True)
class _Held:
    """What is known of a row, and the file and row that it came from last."""

    given: Given
    file: str
    row: ReturnedRow | None = None  # where it came in this call


@dataclass(frozen=True)
class _Merge:
    """What a file brings: rows with an answer, those that are new or changed, and idle ones."""

    answered: frozenset[str]
    added: dict[str, _Held]
    idle: int

    def notes(self, path: Path) -> list[str]:
        notes = []
        if self.idle:
            notes.append(
                f"{path}: left out {self.idle} rows with a comment or minutes, but no answer."
            )
        if not self.answered:
            notes.append(f"{path}: holds no answers.")
        elif not self.added:
            notes.append(f"{path}: all of its answers were already imported.")
        return notes


def _merge(
    entries: Mapping[str, tuple[Given, ReturnedRow]],
    held: Mapping[str, _Held],
    file: Returned,
    questions: Questions,
) -> _Merge:
    answered, added, idle = set(), {}, 0
    for token, (said, row) in entries.items():
        before = held.get(token)
        if not questions.answers.isdisjoint(said):
            answered.add(token)
        elif before is None:
            idle += bool(said)
            continue
        given = {**before.given, **said} if before else said
        if before is None or given != before.given:
            added[token] = _Held(given, file.digest, row)
    return _Merge(frozenset(answered), added, idle)


def _clashes(
    entries: Mapping[str, tuple[Given, ReturnedRow]],
    held: Mapping[str, _Held],
    questions: Questions,
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
    path: Path, clashes: Mapping[str, Sequence[str]], names: Mapping[str, str], merged: set[str]
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


def _counted(
    questions: Questions, before: Sequence[Rating], after: Sequence[Rating], sent: set[str]
) -> tuple[dict[str, RaterCounts], list[str]]:
    """Rows per rater, and in words how far those are who sent something."""
    earlier = {rating.token: rating for rating in before}
    total = Counter(row.rater for row in questions.rows.values())
    tally: Counter[tuple[str, str]] = Counter()
    for rating in after:
        known = earlier.get(rating.token)
        if known is None:
            state = "new"
        elif known != rating:
            state = "changed"
        else:
            state = "same" if rating.token in sent else "kept"
        tally[rating.rater, state] += 1
        partial = rating.kind == "scale" and len(rating.scores) < len(questions.criteria)
        tally[rating.rater, "partly"] += partial
    counts, notes = {}, []
    senders = {questions.rows[token].rater for token in sent}
    for rater in questions.plan.raters:
        new, changed, same, kept, partly = (
            tally[rater, state] for state in ("new", "changed", "same", "kept", "partly")
        )
        answered = new + changed + same + kept
        counts[rater] = RaterCounts(new, changed, same, total[rater] - answered)
        if rater in senders:
            part = f", {partly} of them in part" if partly else ""
            notes.append(f"{rater}: {answered} of {total[rater]} rows are answered{part}.")
    return counts, notes


def _rating(questions: Questions, token: str, held: _Held) -> Rating:
    row, given = questions.rows[token], held.given
    return Rating(
        token=token,
        rater=row.rater,
        kind=row.kind,
        purpose=row.purpose,
        item=row.item,
        variants=row.variants,
        swapped=row.swapped,
        position=row.position,
        scores={name: given[name] for name in questions.criteria if name in given},
        preferred=given.get(PREFERENCE),
        judged=row.kind == "scale" or given[PREFERENCE] is not None,
        comment=given.get(COMMENT, ""),
        minutes=given.get(MINUTES),
        repeats=row.repeats,
        file=held.file,
    )


def _given(rating: Rating) -> Given:
    """What a rating says, as :data:`Given`."""
    given: Given = dict(rating.scores)
    if rating.kind == "pair":
        given[PREFERENCE] = rating.preferred if rating.judged else None
    if rating.comment:
        given[COMMENT] = rating.comment
    if rating.minutes is not None:
        given[MINUTES] = rating.minutes
    return given
