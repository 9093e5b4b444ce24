"""What a variant wrote as a whole: references that are its own words, outputs that degenerate."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb

from harness.checks.drift import (
    BY_HEART,
    LENGTH,
    STRANGE,
    Runs,
    Vocabulary,
    is_by_heart,
    is_off_length,
)
from harness.checks.outputs import COPY, CUT, EMPTY, LOOP, SAME, TRUNCATED, findings_of
from harness.schema import Example, Finding, Prediction

DRIFT = "output is in another script than its reference"
_CHECK = "outputs"
_DEGENERATE = (EMPTY, LOOP, COPY, CUT, DRIFT, STRANGE, LENGTH, BY_HEART)
_WORDS = 4  # of a reference, from which equal texts are no chance
_OWN = 0.9  # share of such references
_FEWEST = 3  # references, or outputs, below which nothing is said of them all
_SHARE, _MOST, _ALPHA = 0.05, 0.5, 0.01


@dataclass(frozen=True)
class WrittenFacts:
    """What one variant wrote for one task.

    Attributes:
        taught: Runs of words in the training rows, where these are known.
    """

    task: str
    variant: str
    baseline: str
    outputs: Mapping[str, Prediction]  # by example
    baseline_outputs: Mapping[str, Prediction]  # the same where the variant is the baseline
    examples: Mapping[str, Example]
    taught: Runs = frozenset()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Words of the references."""
        return Vocabulary([e.references[0] for e in self.examples.values() if e.references])


class Written:
    """That outputs are texts of the variant's own, and that references are not."""

    about = WrittenFacts

    def findings(self, facts: WrittenFacts) -> Iterator[Finding]:
        """Errors of self-reference, warnings of outputs that changed for the worse, or not at all.

        Of the baseline, degenerate outputs are a note: it is what is to be improved.
        """
        places = [name for name in facts.outputs if name in facts.examples]
        yield from _self_reference(facts, places)
        own = {name: _noticed(facts, facts.outputs[name]) for name in places}
        if facts.variant == facts.baseline:
            yield from _degenerate(facts, own, {})
            return
        common = [name for name in places if name in facts.baseline_outputs]
        before = {name: _noticed(facts, facts.baseline_outputs[name]) for name in common}
        yield from _degenerate(facts, own, before)
        yield from _unequal_cuts(facts, own, before)
        same = [
            facts.outputs[name].text.strip() == facts.baseline_outputs[name].text.strip()
            for name in common
        ]
        if len(same) >= _FEWEST and all(same):
            yield Finding(
                check=_CHECK,
                severity="warning",
                what=f"all {len(same)} outputs of {facts.task} are those of {facts.baseline}.",
                why="An adapter that was not applied would write just that.",
                hint="Compare logits: the report's proofs tell whether it changes any.",
            )


def _noticed(facts: WrittenFacts, output: Prediction) -> frozenset[str]:
    example = facts.examples[output.example_id]
    text, references = output.text, example.references
    drift = drifts(text, references)
    held = {
        DRIFT: drift,
        STRANGE: not drift and facts.vocabulary.is_strange(text),
        LENGTH: is_off_length(text, references),
        BY_HEART: is_by_heart(text, facts.taught, (example.prompt, *references)),
    }
    own = (name for name, found in held.items() if found)
    return frozenset((*findings_of(output, example.prompt), *own)) - {SAME}


def drifts(text: str, references: Sequence[str]) -> bool:
    """Whether most letters of a text are of scripts that none of its references has.

    >>> drifts("Это хорошо", ["It is good"])
    True
    """
    wanted = {script for reference in references for script in _scripts(reference)}
    own = _scripts(text)
    strange = sum(count for script, count in own.items() if script not in wanted)
    return bool(wanted) and strange > sum(own.values()) / 2


def _scripts(text: str) -> dict[str, int]:
    """How many letters of a text are of which script, by the first word of their names."""
    if text.isascii():
        letters = sum(map(str.isalpha, text))
        return {"LATIN": letters} if letters else {}
    counts: dict[str, int] = {}
    for letter in filter(str.isalpha, unicodedata.normalize("NFKC", text)):
        name = unicodedata.name(letter, "UNKNOWN").partition(" ")[0]
        name = "CJK" if name in ("HIRAGANA", "KATAKANA") else name  # Japanese mixes them
        counts[name] = counts.get(name, 0) + 1
    return counts


def _self_reference(facts: WrittenFacts, places: Sequence[str]) -> Iterator[Finding]:
    equal = []
    for name in places:
        references = facts.examples[name].references
        if references and min(len(reference.split()) for reference in references) >= _WORDS:
            text = facts.outputs[name].text.split()
            equal.append(any(text == reference.split() for reference in references))
    if len(equal) < _FEWEST or sum(equal) < _OWN * len(equal):
        return
    is_baseline = facts.variant == facts.baseline
    yield Finding(
        check="self-reference",
        severity="error" if is_baseline else "info",
        what=f"{sum(equal)} of {len(equal)} references of {facts.task} are word for word what it "
        "wrote.",
        why="References that were taken from a model's outputs give that model full marks, and "
        "measure how far others are from it."
        if is_baseline
        else "If they were not made with this model, it knows them by heart or the task is easy.",
        hint="Take references that people wrote, or that were checked.",
    )


def _degenerate(
    facts: WrittenFacts, own: Mapping[str, frozenset[str]], before: Mapping[str, frozenset[str]]
) -> Iterator[Finding]:
    """Kinds of output that are many; of a candidate, those that are more than the baseline's."""
    for kind in _DEGENERATE:
        places = [name for name, kinds in own.items() if kind in kinds]
        if len(places) < max(1, _SHARE * len(own)):
            continue
        compared = facts.variant != facts.baseline
        earlier = sum(kind in kinds for kinds in before.values())
        gained = sum(kind in own[name] and kind not in kinds for name, kinds in before.items())
        lost = sum(kind not in own[name] and kind in kinds for name, kinds in before.items())
        many = len(places) >= _MOST * len(own) and gained > lost
        if compared and not (many or _sign_test(gained, lost) < _ALPHA):
            continue
        shares = f"{len(places)} of {len(own)} outputs of {facts.task}"
        change = f", {earlier} of {len(before)} with {facts.baseline}" if compared else ""
        example = facts.outputs[places[0]].text
        yield Finding(
            check=_CHECK,
            severity="warning" if compared else "info",
            what=f"{shares}: {kind}{change}; for example {places[0]}: “{_short(example)}”.",
            why="Scores of such outputs say little of what was learnt." if compared else "",
            hint="Look at them in the report, and at stop strings, max_new_tokens and the prompt."
            if compared
            else "",
        )


def _unequal_cuts(
    facts: WrittenFacts, own: Mapping[str, frozenset[str]], before: Mapping[str, frozenset[str]]
) -> Iterator[Finding]:
    cut = [sum(TRUNCATED in kinds for kinds in side.values()) for side in (own, before)]
    if before and cut[0] != cut[1]:
        yield Finding(
            check=_CHECK,
            severity="warning",
            what=f"{cut[0]} prompts of {facts.task} were cut, and {cut[1]} with {facts.baseline}.",
            why="The two were not asked the same.",
            hint="Give both the same tokenizer, template and max_prompt_tokens.",
        )


def _sign_test(more: int, fewer: int) -> float:
    """One-sided exact p-value of as many gains among discordant pairs, by chance."""
    n = more + fewer
    return float(sum(comb(n, k) for k in range(more, n + 1)) / 2**n)


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 80 else f"{plain[:80]}…"


CHECK = Written()
