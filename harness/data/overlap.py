"""What evaluation examples share with training rows: equal inputs, near copies, runs of words.

Each example has the first level that holds:

* ``exact``: the inputs are equal but for case, white space and punctuation;
* ``near``: the Jaccard similarity of the sets of three-word shingles is at least 0.8;
* ``contained``: 13 words in a row stand in one training row (Brown et al. 2020, Language Models
  are Few-Shot Learners, appendix C), or 70 % of the runs of eight words stand in training rows
  (Chowdhery et al. 2022, PaLM, section 8).

Runs are found by 64-bit hashes, all of them. A near copy has most of its shingles among those of
the examples, which few rows have, so similarities are counted and not estimated. Phrases that many
training rows have are the template's, and are left out. A run of words may be a quotation or common
knowledge, so nothing is dropped for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.data.clusters import JACCARD, SHINGLE_WORDS, words_of
from harness.digests import text_digest
from harness.schema import Example, Overlap

RUN_WORDS, LONG_RUN_WORDS = 8, 13
CONTAINED = 0.7
_FEWEST = 5  # runs or shingles below which a share says little
_SAMPLE = 1000  # training rows by which the template's phrases are told
_TEMPLATE, _TEMPLATE_ROWS = 0.1, 2  # in more than this share of them, and than so many
_CHUNK = 2000  # training rows at a time
_SOURCES = 8  # training rows that are remembered of a run
_SHOWN = 40  # words of an overlap that are shown
_WORTH_COUNTING = 0.7  # share of known shingles below which a row is no near copy of anything
_FACTORS = np.random.default_rng(1).integers(1, 2**63, RUN_WORDS, dtype=np.uint64) * 2 + 1

Ints = NDArray[np.int64]


def overlaps(trained: Sequence[Example], scored: Sequence[Example]) -> list[Overlap]:
    """Find what examples have in common with rows that were trained on.

    Args:
        trained: Training rows.
        scored: Examples on which scores are claimed.

    Returns:
        One for each example that overlaps, in their order.
    """
    if not trained or not scored:
        return []
    inputs: dict[str, int] = {}
    search = _Search([_words(example) for example in scored])
    search.leave_out_template([_words(e) for e in trained[:: -(-len(trained) // _SAMPLE)]])
    for start in range(0, len(trained), _CHUNK):
        rows = [_words(example) for example in trained[start : start + _CHUNK]]
        for place, row in enumerate(rows):
            inputs.setdefault(row.digest, start + place)
        search.read(rows, start)
    return [
        Overlap(
            example_id=example.id,
            split=example.split,
            level=match.level,
            train_id=trained[match.row].id,
            share=round(match.share, 4),
            span=" ".join(match.span[:_SHOWN]),
        )
        for index, example in enumerate(scored)
        if (match := search.match(index, inputs)) is not None
    ]


@dataclass(frozen=True)
class _Words:
    """Words of an example: of its prompt, and of all of it."""

    prompt: list[str]
    all: list[str]

    @property
    def digest(self) -> str:
        return text_digest(" ".join(self.prompt))


def _words(example: Example) -> _Words:
    prompt = words_of(example.prompt)
    return _Words(prompt, prompt + words_of(example.completion))


@dataclass(frozen=True)
class _Match:
    level: Literal["exact", "near", "contained"]
    row: int
    share: float
    span: Sequence[str]


class _Search:
    """Looks for the words of examples in training rows, which are read once, a chunk at a time."""

    def __init__(self, examples: Sequence[_Words]) -> None:
        self._examples = examples
        self._numbers: dict[str, int] = {}
        for example in examples:
            for word in example.all:
                self._numbers.setdefault(word, len(self._numbers) + 1)
        self._runs = _Grams(self._numbered([e.all for e in examples]), len(examples), RUN_WORDS)
        prompts = self._numbered([e.prompt for e in examples])
        self._shingles = _Grams(prompts, len(examples), SHINGLE_WORDS)
        self._sources = np.full((self._runs.count, _SOURCES), -1, dtype=np.int32)
        self._known = np.zeros(self._runs.count, dtype=np.int64)  # sources, at most _SOURCES
        self._near: dict[int, tuple[float, int]] = {}  # example -> similarity, row

    def _numbered(self, rows: Sequence[Sequence[str]]) -> tuple[Ints, Ints]:
        """Numbers of words, 0 for words of no example, and the row of each; both shape (words,)."""
        number = self._numbers.get
        lengths = [len(row) for row in rows]
        numbers = (number(word, 0) for word in chain.from_iterable(rows))
        ids = np.fromiter(numbers, dtype=np.int64, count=sum(lengths))
        return ids, np.repeat(np.arange(len(rows)), lengths)

    def leave_out_template(self, sample: Sequence[_Words]) -> None:
        """Leave out what stands in many training rows."""
        rows = self._numbered([row.all for row in sample])
        most = max(_TEMPLATE_ROWS, _TEMPLATE * len(sample))
        for grams in (self._runs, self._shingles):
            gram, _ = _distinct(*grams.hits(*rows))
            grams.leave_out(np.bincount(gram, minlength=grams.count) > most)

    def read(self, rows: Sequence[_Words], start: int) -> None:
        """Look for runs and near copies in training rows, of which the first is number start."""
        runs = self._runs.hits(*self._numbered([row.all for row in rows]))
        self._remember(*_distinct(*runs), start)
        numbered = self._numbered([row.prompt for row in rows])
        gram, row = _distinct(*self._shingles.hits(*numbered))
        lengths = np.bincount(numbered[1], minlength=len(rows))
        left_out = self._shingles.left_out_in(*numbered, len(rows))
        sizes = lengths - SHINGLE_WORDS + 1 - left_out
        known = np.bincount(row, minlength=len(rows))
        likely = (sizes >= _FEWEST) & (known >= _WORTH_COUNTING * sizes)
        ends = np.searchsorted(row, np.arange(len(rows) + 1))  # pairs are sorted by row
        for place in np.flatnonzero(likely):
            grams = gram[ends[place] : ends[place + 1]]
            self._compare(grams, int(sizes[place]), start + int(place))

    def _remember(self, gram: Ints, row: Ints, start: int) -> None:
        """Keep the first training rows of each run."""
        order = np.argsort(gram, kind="stable")
        gram, row = gram[order], row[order]
        first = np.searchsorted(gram, gram)
        slot = self._known[gram] + np.arange(len(gram)) - first
        kept = slot < _SOURCES
        self._sources[gram[kept], slot[kept]] = start + row[kept]
        found = np.bincount(gram, minlength=self._runs.count)
        self._known = np.minimum(self._known + found, _SOURCES)

    def _compare(self, grams: Ints, size: int, row: int) -> None:
        """Keep a training row as a near copy of each example that it is one of."""
        example = self._shingles.rows_with(grams)
        shared = np.bincount(example, minlength=len(self._examples))
        similarity = shared / (size + self._shingles.sizes - shared)
        for index in np.flatnonzero((similarity >= JACCARD) & (self._shingles.sizes >= _FEWEST)):
            best = self._near.get(int(index), (0.0, row))
            if similarity[index] > best[0]:
                self._near[int(index)] = (float(similarity[index]), row)

    def match(self, index: int, inputs: dict[str, int]) -> _Match | None:
        """What an example has in common with training, at the strictest level."""
        example = self._examples[index]
        same = inputs.get(example.digest)
        if same is not None:
            return _Match("exact", same, 1.0, self._content(index))
        if index in self._near:
            similarity, row = self._near[index]
            return _Match("near", row, similarity, self._content(index))
        return self._contained(index)

    def _content(self, index: int) -> Sequence[str]:
        """Words of a prompt from where the template ends."""
        places = np.flatnonzero(self._runs.of_row(index) >= 0)
        return self._examples[index].prompt[int(places[0]) if len(places) else 0 :]

    def _contained(self, index: int) -> _Match | None:
        grams = self._runs.of_row(index)
        places = np.flatnonzero(grams >= 0)
        known = self._known[grams[places]] > 0
        if not known.any():
            return None
        longest, end, row = 0, 0, 0
        lengths: dict[int, int] = {}  # training row -> runs of it that end here, one after another
        for place, gram in enumerate(grams):
            here = self._sources[gram] if gram >= 0 else ()
            lengths = {int(s): lengths.get(int(s), 0) + 1 for s in here if s >= 0}
            for source, length in lengths.items():
                if length > longest:
                    longest, end, row = length, place, source
        share = float(known.mean())
        words = longest + RUN_WORDS - 1
        if words < LONG_RUN_WORDS and (share < CONTAINED or len(places) < _FEWEST):
            return None
        span = self._examples[index].all[end - longest + 1 : end + RUN_WORDS]
        return _Match("contained", row, share, span)


class _Grams:
    """All runs of n words of the examples, each known by a number.

    Args:
        rows: Numbers of words and the row of each, as ``_Search`` numbers them.
        n_rows: Number of examples.
        n: Words of a run.
    """

    def __init__(self, rows: tuple[Ints, Ints], n_rows: int, n: int) -> None:
        self._n = n
        hashes, place = _hashes(*rows, n)
        self._hashes, gram = np.unique(hashes, return_inverse=True)
        self.count = len(self._hashes)
        self._left_out = np.zeros(self.count + 1, dtype=bool)  # the last: of no run at all
        self._gram = np.full(len(rows[0]), -1, dtype=np.int64)  # that begins at each word
        self._gram[place] = gram
        self._ends = np.searchsorted(rows[1], np.arange(n_rows + 1))
        pairs = _distinct(gram, rows[1][place])
        order = np.argsort(pairs[0], kind="stable")
        self._pair_gram, self._pair_row = pairs[0][order], pairs[1][order]
        self.sizes = self._sizes()

    def _sizes(self) -> Ints:
        """Distinct runs of each row, those left out apart."""
        kept = ~self._left_out[self._pair_gram]
        return np.bincount(self._pair_row[kept], minlength=len(self._ends) - 1)

    def leave_out(self, which: NDArray[np.bool_]) -> None:
        """Take runs out of all that follows; ``which`` has shape (count,)."""
        self._left_out = np.append(which, False)
        self.sizes = self._sizes()

    def of_row(self, index: int) -> Ints:
        """Runs that begin at the words of an example, -1 where none does that counts."""
        grams = self._gram[self._ends[index] : self._ends[index + 1]]
        return np.where((grams >= 0) & ~self._left_out[grams], grams, -1)

    def hits(self, ids: Ints, rows: Ints) -> tuple[Ints, Ints]:
        """Runs of other rows that are among these, with their rows."""
        gram, row = self._looked_up(ids, rows)
        kept = ~self._left_out[gram]
        return gram[kept], row[kept]

    def left_out_in(self, ids: Ints, rows: Ints, n_rows: int) -> Ints:
        """How many runs of each of other rows are left out."""
        gram, row = self._looked_up(ids, rows)
        return np.bincount(row[self._left_out[gram]], minlength=n_rows)

    def _looked_up(self, ids: Ints, rows: Ints) -> tuple[Ints, Ints]:
        hashes, place = _hashes(ids, rows, self._n)
        gram = np.searchsorted(self._hashes, hashes)
        same = gram < self.count
        same[same] = self._hashes[gram[same]] == hashes[same]
        return gram[same], rows[place[same]]

    def rows_with(self, grams: Ints) -> Ints:
        """Rows that have runs, once for each run that they have."""
        low = np.searchsorted(self._pair_gram, grams)
        high = np.searchsorted(self._pair_gram, grams, side="right")
        parts = [self._pair_row[a:b] for a, b in zip(low, high, strict=True)]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _hashes(ids: Ints, rows: Ints, n: int) -> tuple[NDArray[np.uint64], Ints]:
    """Hashes of all runs of n known words within a row, and the word that each begins at."""
    count = max(0, len(ids) - n + 1)
    mixed = ids.astype(np.uint64)  # neighbouring numbers must not give neighbouring hashes
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    hashes = np.zeros(count, dtype=np.uint64)
    for place in range(n):
        hashes += mixed[place : place + count] * _FACTORS[place]
    unknown = np.concatenate([[0], np.cumsum(ids == 0)])
    whole = (rows[:count] == rows[n - 1 : n - 1 + count]) & (
        unknown[n : n + count] == unknown[:count]
    )
    places = np.flatnonzero(whole)
    return hashes[places], places


def _distinct(gram: Ints, row: Ints) -> tuple[Ints, Ints]:
    """Distinct pairs, sorted by row."""
    if not len(gram):
        return gram, row
    width = int(gram.max()) + 1
    pairs = np.unique(row * width + gram)
    return pairs % width, pairs // width
