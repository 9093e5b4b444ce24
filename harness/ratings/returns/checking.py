"""What returned files add to what is known; nothing is lost, and nothing is counted twice.

Every mistake is reported with file and cell, all at once, and nothing is taken from any file while
there is one, unless the caller asks for the rest.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.ratings.layout import COMMENT, MINUTES
from harness.ratings.records import Rating, ReturnedFile, Sheets, lean
from harness.ratings.returns.entries import Given
from harness.ratings.returns.merge import KnownRow, State, take
from harness.ratings.returns.mistakes import Mistake
from harness.ratings.returns.questions import Questions
from harness.ratings.returns.returned import Returned
from harness.ratings.store import StoredRatings
from harness.suite.ratings import PREFERENCE

# fields of a row that its rating has under the same name
_OF_ROW = {"token", "rater", "kind", "purpose", "item", "variants", "swapped", "position"}
_OF_ROW |= {"repeats"}


@dataclass(frozen=True)
class Checked:
    """What is known after some files were read."""

    # all ratings, earlier ones included, by rater, kind and position; just the earlier ones where
    # there are problems and the caller did not ask for the rest
    ratings: tuple[Rating, ...]
    files: tuple[ReturnedFile, ...]  # all files that ratings came from, likewise
    blobs: Mapping[str, bytes] = field(repr=False)  # digest -> bytes of the files that were added
    # every one: file, place, what was found, what was needed, how to mend it
    mistakes: tuple[Mistake, ...]
    # what was passed over or taken as meant, and how far each rater is, in words
    notes: tuple[str, ...]

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
    sheets: Sheets,
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
        sheets: The export.
        known: What was imported before.
        now: Time of the import, ISO 8601.
        replace: Whether other answers than before are a rater's correction. Otherwise they are a
            mistake: a second rater may have filled in a copy of the same sheet.
        skip_invalid: Whether what is right of files with mistakes is taken. Files of another
            export, of two raters, or at odds with what is known are left out whole.
        elsewhere: Tells which run a token belongs to that is not of this export.
        unreadable: Problems of files that could not be read at all.
    """
    questions = Questions(sheets, elsewhere)
    state = State(
        held={rating.token: KnownRow(_given(rating), rating.file) for rating in known.ratings},
        files={file.digest: file for file in known.files},
        names={file.digest: file.name for file in known.files},
        remarks=tuple(map(Mistake, unreadable)),
    )
    again = replace and all(file.digest in state.names for file in returned)  # to count again
    for file in returned:
        state = take(state, file, questions, now, replace=replace, again=again)
    if state.mistakes and not skip_invalid:
        return Checked(known.ratings, known.files, {}, state.mistakes, state.notes)
    earlier = {rating.token: rating for rating in known.ratings}
    made = (
        earlier[token] if held.row is None else _rating(questions, token, held)
        for token, held in state.held.items()
    )
    ratings = tuple(sorted(lean(made), key=lambda r: (r.rater, r.kind, r.position)))
    notes = (*state.notes, *_progress(questions, ratings, state))
    return Checked(ratings, tuple(state.files.values()), state.blobs, state.mistakes, notes)


def _progress(questions: Questions, ratings: Sequence[Rating], state: State) -> Iterator[str]:
    """How far those are who sent something, in words."""
    total = Counter(row.rater for row in questions.rows.values())
    answered = Counter(rating.rater for rating in ratings)
    scales = (rating for rating in ratings if rating.kind == "scale")
    partly = Counter(r.rater for r in scales if len(r.scores) < len(questions.criteria))
    senders = {questions.rows[token].rater for token in state.sent}
    for rater in questions.plan.raters:
        if rater in senders:
            part = f", {partly[rater]} of them in part" if partly[rater] else ""
            yield f"{rater}: {answered[rater]} of {total[rater]} rows are answered{part}."


def _rating(questions: Questions, token: str, held: KnownRow) -> Rating:
    row, given = questions.rows[token], held.given
    return Rating(
        **row.model_dump(include=_OF_ROW),
        scores={name: given[name] for name in questions.criteria if name in given},
        preferred=given.get(PREFERENCE),
        judged=row.kind == "scale" or given[PREFERENCE] is not None,
        comment=given.get(COMMENT, ""),
        minutes=given.get(MINUTES),
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
