"""What returned files add to what is known; nothing is lost, and nothing is counted twice.

Every mistake is reported with file and cell, all at once, and nothing is taken from any file while
there is one, unless the caller asks for the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.ratings.layout import COMMENT, MINUTES
from harness.ratings.records import Rating, ReturnedFile, SheetPlan, SheetRow
from harness.ratings.returns.answers import shown
from harness.ratings.returns.entries import Entries, Given, Questions, as_shown
from harness.ratings.returns.mistakes import Mistake
from harness.ratings.returns.returned import Returned, ReturnedRow
from harness.ratings.store import Kept
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
        left_out: Entries that were not taken; each is among the mistakes.
    """

    ratings: tuple[Rating, ...]
    files: tuple[ReturnedFile, ...]
    blobs: Mapping[str, bytes] = field(repr=False)
    mistakes: tuple[Mistake, ...]
    notes: tuple[str, ...]
    counts: Mapping[str, RaterCounts]
    left_out: int = 0

    @property
    def problems(self) -> tuple[str, ...]:
        """Every mistake in words."""
        return tuple(mistake.words for mistake in self.mistakes)


def check_returns(
    returned: Sequence[Returned],
    plan: SheetPlan,
    rows: Sequence[SheetRow],
    known: Kept,
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
    desk = _Desk(questions, known, replace=replace, now=now)
    desk.again = replace and all(file.digest in desk.names for file in returned)
    desk.mistakes.extend(map(Mistake, unreadable))
    for file in returned:
        desk.take(file)
    return desk.checked(known, taken=skip_invalid or not desk.mistakes)


@dataclass(slots=True)
class _Held:
    """What is known of a row, and the file and row that it came from last."""

    given: Given
    file: str
    row: ReturnedRow | None = None  # where it came in this call
    rating: Rating | None = None  # None where it has to be made anew


class _Desk:
    """Takes one file after the other."""

    def __init__(self, questions: Questions, known: Kept, *, replace: bool, now: str) -> None:
        self.questions = questions
        self.replace = replace
        self.now = now
        self.held = {r.token: _Held(_given(r), r.file, rating=r) for r in known.ratings}
        self.names = {file.digest: file.name for file in known.files}
        self.files = {file.digest: file for file in known.files}
        self.seen: dict[str, str] = {}  # digest -> path, in this call
        self.blobs: dict[str, bytes] = {}
        self.sent: set[str] = set()  # tokens with an answer in this call
        self.mistakes: list[Mistake] = []
        self.notes: list[str] = []
        self.left_out = 0
        self.merged: set[str] = set()  # digests of files that this call has merged
        self.again = False  # whether files that were imported before are named to count again

    def take(self, file: Returned) -> None:
        """Check one file and add what it says."""
        if file.digest in self.seen:
            self.notes.append(f"{file.path}: the same file as {self.seen[file.digest]}.")
            return
        self.seen[file.digest] = str(file.path)
        if file.digest in self.names and not self.again:
            earlier = self.names[file.digest]
            self.notes.append(f"{file.path}: already imported, as {earlier}; nothing new.")
            return
        entries = Entries(file, self.questions)
        self.notes += entries.notes
        self.mistakes += entries.mistakes
        self.left_out += entries.left_out
        if not entries.refused and not self._clashes(entries):
            self._merge(entries)
            self.merged.add(file.digest)

    def _clashes(self, entries: Entries) -> bool:
        """Whether other answers are known of the same rows, and no correction was announced."""
        clashes: dict[str, list[str]] = {}
        for token, (said, row) in entries.given.items():
            held = self.held.get(token)
            if held is None or said == held.given:
                continue
            for name, answer in said.items():
                earlier = held.given.get(name, answer)
                if name in self.questions.answers and earlier != answer:
                    there = ""
                    if held.row is not None and name in held.row.cells:
                        there = f"{held.row.address(name)} "
                    there += shown(as_shown(earlier, self.questions.rows[token]))
                    place = f"{row.address(name)} ({shown(row.cells[name])}, there {there})"
                    clashes.setdefault(held.file, []).append(place)
        path = entries.file.path
        if self.replace and clashes.keys() & self.merged:
            other = self.names[next(iter(clashes.keys() & self.merged))]
            self._wrong(
                f"{path}: found other answers than in {other}, which is imported by the same "
                "command; needed is one of the two; name only the file that counts."
            )
            return True
        if self.replace and clashes:
            count = sum(map(len, clashes.values()))
            self.notes.append(f"{path}: replaced {count} earlier answers.")
            return False
        for digest, places in clashes.items():
            more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
            self.left_out += len(places)
            self._wrong(
                f"{path}: found other answers than in {self.names[digest]} to the same rows: "
                f"{', '.join(places[:_NAMED])}{more}; needed is one file per rater, from the "
                "rater's own sheet; if this is the rater's correction, add --replace."
            )
        return bool(clashes)

    def _wrong(self, words: str) -> None:
        self.mistakes.append(Mistake(words))

    def _merge(self, entries: Entries) -> None:
        file = entries.file
        answered = added = idle = 0
        rater = ""
        for token, (said, row) in entries.given.items():
            held = self.held.get(token)
            if not self.questions.answers.isdisjoint(said):
                answered += 1
                self.sent.add(token)
            elif held is None:
                idle += bool(said)
                continue
            given = {**held.given, **said} if held else said
            if held is None or given != held.given:
                added += 1
                rater = self.questions.rows[token].rater
                self.held[token] = _Held(given, file.digest, row)
        if idle:
            self.notes.append(
                f"{file.path}: left out {idle} rows with a comment or minutes, but no answer."
            )
        if not answered:
            self.notes.append(f"{file.path}: holds no answers.")
        elif not added:
            self.notes.append(f"{file.path}: all of its answers were already imported.")
        if added and file.digest not in self.files:
            self.names[file.digest] = str(file.path)
            self.blobs[file.digest] = file.data
            self.files[file.digest] = ReturnedFile(
                name=file.name,
                digest=file.digest,
                rater=rater,
                format=file.format,
                rows=answered,
                imported=self.now,
            )

    def checked(self, known: Kept, *, taken: bool) -> Checked:
        """All that is known now, or what was known before where nothing is to be taken."""
        ratings = known.ratings
        if taken:
            made = [held.rating or self._rating(token, held) for token, held in self.held.items()]
            ratings = tuple(sorted(made, key=lambda r: (r.rater, r.kind, r.position)))
        counts, notes = self._counted(known.ratings, ratings)
        return Checked(
            ratings=ratings,
            files=tuple(self.files.values()) if taken else known.files,
            blobs=self.blobs if taken else {},
            mistakes=tuple(self.mistakes),
            notes=(*self.notes, *(notes if taken else ())),
            counts=counts,
            left_out=self.left_out,
        )

    def _counted(
        self, before: Sequence[Rating], after: Sequence[Rating]
    ) -> tuple[dict[str, RaterCounts], list[str]]:
        """Rows per rater, and in words how far those are who sent something."""
        earlier = {rating.token: rating for rating in before}
        total = Counter(row.rater for row in self.questions.rows.values())
        tally: Counter[tuple[str, str]] = Counter()
        for rating in after:
            known = earlier.get(rating.token)
            if known is None:
                state = "new"
            elif known is not rating and known != rating:
                state = "changed"
            else:
                state = "same" if rating.token in self.sent else "kept"
            tally[rating.rater, state] += 1
            partial = rating.kind == "scale" and len(rating.scores) < len(self.questions.criteria)
            tally[rating.rater, "partly"] += partial
        counts = {}
        notes = []
        senders = {self.questions.rows[token].rater for token in self.sent}
        for rater in self.questions.plan.raters:
            new, changed, same, kept, partly = (
                tally[rater, state] for state in ("new", "changed", "same", "kept", "partly")
            )
            answered = new + changed + same + kept
            counts[rater] = RaterCounts(new, changed, same, total[rater] - answered)
            if rater in senders:
                part = f", {partly} of them in part" if partly else ""
                notes.append(f"{rater}: {answered} of {total[rater]} rows are answered{part}.")
        return counts, notes

    def _rating(self, token: str, held: _Held) -> Rating:
        row, given = self.questions.rows[token], held.given
        return Rating(
            token=token,
            rater=row.rater,
            kind=row.kind,
            purpose=row.purpose,
            item=row.item,
            variants=row.variants,
            swapped=row.swapped,
            position=row.position,
            scores={name: given[name] for name in self.questions.criteria if name in given},
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
