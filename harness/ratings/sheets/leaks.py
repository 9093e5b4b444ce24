"""What in the outputs themselves tells raters which variant wrote them, though no sheet says so."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.printable import visible
from harness.ratings.records import Item, SheetPlan
from harness.ratings.sheets.habits import (
    LENGTH_RATIO,
    VariantTexts,
    layout_gaps,
    length_gaps,
    telling_phrases,
)
from harness.ratings.sheets.names import (
    SHOWN,
    by_variant,
    finding,
    mentions,
    model_names,
    name_parts,
    self_descriptions,
    variant_names,
)
from harness.schema import Finding, Severity
from harness.suite.ratings import REFERENCES

_MANY_EQUAL = 0.5  # share of items
_PHRASE_CHARS = 60  # shown of a phrase; a word may be of any length


def find_leaks(
    plan: SheetPlan, items: Sequence[Item], *, names: Sequence[str] = ()
) -> tuple[Finding, ...]:
    """Look for what gives a variant away: names, phrases, lengths, layout, equal texts.

    Args:
        plan: The export's plan.
        items: Its items with all outputs.
        names: Further names that should not show, such as the base model's; their parts too.

    Returns:
        Findings with counts, why they matter and what can be done; warnings first.
    """
    if not items:
        return ()
    outputs: VariantTexts = {name: [item.outputs[name] for item in items] for name in plan.variants}
    prompts = [item.prompt.lower() for item in items]
    own = [part for name in names for part in name_parts(name)]
    findings = [
        *_asked(plan, own),
        *variant_names(outputs, prompts),
        *model_names(outputs, prompts, own),
        *self_descriptions(outputs, prompts),
        *_phrases(outputs),
        *_lengths(plan, outputs),
        *_layout(outputs),
        *_empty(outputs),
        *_equal(plan, outputs),
    ]
    order: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}
    return tuple(sorted(findings, key=lambda leak: order[leak.severity]))


@dataclass(frozen=True)
class SheetFacts:
    """Rating sheets that are to be sent; see :func:`find_leaks`."""

    plan: SheetPlan
    items: Sequence[Item]
    names: Sequence[str] = ()


class BlindSheets:
    """That raters cannot tell from the outputs which variant wrote them."""

    about = SheetFacts

    def findings(self, facts: SheetFacts) -> Iterator[Finding]:
        """What gives a variant away, warnings first."""
        yield from find_leaks(facts.plan, facts.items, names=facts.names)


CHECK = BlindSheets()


def leak_lines(leaks: Sequence[Finding]) -> list[str]:
    """Findings for a terminal; what several have in common, why and what to do, is said once."""
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for leak in leaks:
        alike.setdefault((leak.severity, leak.why, leak.hint), []).append(leak)
    lines: list[str] = []
    for (severity, why, hint), group in alike.items():
        if len(group) == 1:
            lines.append(f"{severity}: {group[0].words}")
            continue
        lines += [f"{severity}: {leak.what}" for leak in group]
        lines.append(f"  All {len(group)}: {' '.join(part for part in (why, hint) if part)}")
    return lines


def _asked(plan: SheetPlan, own: Sequence[str]) -> Iterator[Finding]:
    """Names in what the team itself says to raters."""
    asked = (line for c in plan.criteria for line in (c.name, c.question, *c.scale.values()))
    text = "\n".join([plan.instructions, *asked])
    names = [v for v in plan.variants if v != REFERENCES] + list(own)
    told = ", ".join(f"“{name}”" for name in names if mentions(text, name))
    if told:
        yield finding(
            "names in instructions",
            "warning",
            f"Instructions or criteria name {told}.",
            "Raters read them first, and learn what is compared.",
            "Say in the suite's human block what to judge, not whose texts they are.",
        )


def _phrases(outputs: VariantTexts) -> Iterator[Finding]:
    for habit in telling_phrases(outputs):
        others = f"at most {habit.elsewhere} of {habit.seen}" if habit.elsewhere else "none"
        where = "begin a line with" if habit.starts else "have the words"
        words = visible(habit.words)  # it is printed in terminals, and a model wrote it
        shown = f"{words[:_PHRASE_CHARS]}…" if len(words) > _PHRASE_CHARS else words
        yield finding(
            "telling phrases",
            "warning",
            f"{habit.count} of {habit.seen} outputs of {habit.variant} {where} “{shown}”, "
            f"and {others} of any other variant.",
            "After a few rows a rater knows this variant by it.",
            "Where it carries no meaning, have the prompt ask for another form, or end it with a "
            "stop string; else say in the report that raters could tell.",
        )


def _lengths(plan: SheetPlan, outputs: VariantTexts) -> Iterator[Finding]:
    medians, gaps = length_gaps(outputs)
    parts = [
        f"{gap.longer} against {gap.shorter} ("
        + (f"{gap.ratio:.1f} times; " if gap.ratio > LENGTH_RATIO and medians[gap.shorter] else "")
        + f"longer on {100 * gap.share:.0f} % of the items)"
        for gap in gaps
    ]
    if parts:
        lengths = ", ".join(f"{name} {value:.0f}" for name, value in medians.items())
        leaning = " Preferences also lean to the longer text, whatever it says."
        yield finding(
            "telling lengths",
            "warning",
            f"Median characters: {lengths}. Clear gaps: {_first(parts)}.",
            f"Raters can guess the variant from the length.{leaning if plan.pairs else ''}",
            "Have the prompt ask for a length, or raise max_new_tokens where texts are cut off; "
            "else give the lengths beside the ratings.",
        )


def _layout(outputs: VariantTexts) -> Iterator[Finding]:
    for feature, counts in layout_gaps(outputs).items():
        yield finding(
            "telling layout",
            "warning",
            f"Outputs with {feature}: {by_variant(counts, outputs)}.",
            "The layout shows at a glance, and tells which text is whose.",
            "Raise max_new_tokens, or look for a missing stop string."
            if "cut off" in feature
            else "Have the prompt ask for plain text, or for one layout; else say in the report "
            "that raters could tell.",
        )


def _empty(outputs: VariantTexts) -> Iterator[Finding]:
    counts = {name: sum(not text.strip() for text in texts) for name, texts in outputs.items()}
    if any(counts.values()):
        yield finding(
            "empty outputs",
            "warning" if len(set(counts.values())) > 1 else "info",
            f"Outputs without any text: {by_variant(counts, outputs)}.",
            "Raters see “(no text)” and can judge little of it.",
            "Look at the prompts that they come from, and at stop strings that end a text at once.",
        )


def _equal(plan: SheetPlan, outputs: VariantTexts) -> Iterator[Finding]:
    n = len(next(iter(outputs.values())))
    shares = []
    for first, second in plan.pairs:
        both = zip(outputs[first], outputs[second], strict=True)
        if equal := sum(a.strip() == b.strip() for a, b in both):
            shares.append((equal, f"{first} and {second} on {equal} of {n}"))
    if shares:
        shares.sort(key=lambda share: -share[0])
        many = shares[0][0] >= _MANY_EQUAL * n
        yield finding(
            "equal outputs",
            "warning" if many else "info",
            f"Variants wrote the same text: {_first([words for _, words in shares], ' items')}.",
            "Each is a tie without asking anybody, so fewer votes tell the variants apart.",
            "Rate more items, or variants that differ more." if many else "",
        )


def _first(parts: Sequence[str], of: str = "") -> str:
    more = f", and {len(parts) - SHOWN} further pairs" if len(parts) > SHOWN else ""
    return f"{', '.join(parts[:SHOWN])}{of}{more}"
