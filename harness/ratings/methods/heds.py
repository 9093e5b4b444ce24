"""The Human Evaluation Datasheet (HEDS 3.0), drafted from the suite and the plan of the sheets.

It names the variants, so it must not reach a rater.
"""

from __future__ import annotations

from collections.abc import Sequence

import jinja2

from harness import __version__
from harness.ratings.design.advice import ICC, SD, power_lines
from harness.ratings.layout import CANNOT_JUDGE, PREFERENCE_ANSWERS, PREFERENCE_QUESTION
from harness.ratings.methods.facts import (
    Facts,
    alpha,
    came_back,
    checks,
    facts,
    listed,
    sampling,
    variants_in_words,
)
from harness.ratings.records import HumanResults, Item, SheetPlan, SheetRow
from harness.resources import resource_dir
from harness.suite.ratings import CRITERIA, PREFERENCE, REFERENCES, CriterionSpec
from harness.suite.spec import Suite

TO_FILL_IN = "TO FILL IN:"
"""Marks what the harness cannot know; the datasheet counts it at its top."""

_PLACES = {  # of the criteria known by name: HEDS 4.1.1, 4.1.2, 4.1.3
    "fluency": ("Goodness", "Form", "In its own right."),
    "relevance": ("Goodness", "Content", "Relative to the input: the prompt is shown."),
    "correctness": ("Correctness", "Content", "Relative to the input: the prompt is shown."),
    PREFERENCE: ("Goodness", "Form and content", "Relative to the input: the prompt is shown."),
}


def heds_draft(
    plan: SheetPlan,
    items: Sequence[Item],
    rows: Sequence[SheetRow],
    suite: Suite,
    *,
    results: HumanResults | None = None,
) -> str:
    """Draft the Human Evaluation Datasheet 3.0 as Markdown, one answer per question number.

    Args:
        plan: The export's plan.
        items: Its items.
        rows: Rows of all raters.
        suite: The run's suite.
        results: What the ratings say, once they are back: fills in the agreement.

    Returns:
        Markdown with a warning not to send it, and the number of places still to fill in, on top.

    Source:
        Belz and Thomson (2024), HEDS 3.0: The Human Evaluation Data Sheet Version 3.0,
        arXiv:2412.07940: the numbers of its questions. Titles are our own short ones.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource_dir("reports") / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  # Markdown for the team's own eyes
        trim_blocks=True,
    )
    found = facts(plan, items, rows)
    template = environment.get_template("heds.md.j2")
    body = template.render(
        fill=fill,
        plan=plan,
        variants=plan.variants,
        references=REFERENCES in plan.variants,
        task=plan.task,
        suite=_line(suite.name),
        description=_line(suite.description),
        systems=_systems(plan, suite),
        items=len(items),
        sampling=f"Automatically at random from a larger set: {sampling(plan, items, found)}",
        power_method=_power_method(plan),
        power=" ".join(power_lines(plan, items, rows)),
        version=__version__,
        raters=" ".join([f"{len(plan.raters)}.", *came_back(results)]),
        instructions=_line(plan.instructions),
        quality_types=_quality(found),
        checks=checks(found),
        shown=_shown(plan),
        criteria=[*(_scale(c, plan, results) for c in plan.criteria), *_pairs(plan, results)],
    )
    return f"{_heading(body.count(TO_FILL_IN))}\n{body.rstrip()}\n"


def fill(what: str) -> str:
    """A place that only the team can fill in, so marked that nobody overlooks it."""
    return f"**{TO_FILL_IN} {what}.**"


def _heading(open_places: int) -> str:
    return (
        "# Human Evaluation Datasheet (HEDS 3.0), a draft\n\n"
        "> **Do not send this to raters: it names the variants.** Keep it with the key.\n\n"
        f"**{open_places} places are still to fill in;** search for “{TO_FILL_IN.rstrip(':')}”. "
        "The rest comes from the suite and the plan of the sheets; check it. Numbers are those of "
        "[HEDS 3.0](https://arxiv.org/abs/2412.07940) (Belz and Thomson 2024), titles are "
        "shortened; [the form](https://nlp-heds.github.io) has every question in full.\n"
    )


def _systems(plan: SheetPlan, suite: Suite) -> str:
    model = _line(suite.base.model) or fill("base model")
    revision = f" (revision {suite.base.revision})" if suite.base.revision else ""
    method = suite.train.method if suite.train else None
    source = suite.data.source if suite.data else None
    tuned = f", fine-tuned by {method}" if method else ""
    data = f" on {_line(source)}" if method and source else ""
    return f"Base model: {model}{revision}{tuned}{data}. Rated: {variants_in_words(plan)}."


def _power_method(plan: SheetPlan) -> str:
    methods = [
        *(["a test of one proportion against one half (normal)"] if plan.pairs else []),
        *(["a paired t-test of means over items"] if plan.criteria else []),
    ]
    assumed = [
        f"a correlation of {ICC:g} between raters of one item",
        *([f"a standard deviation of differences of {SD:.1f} points"] if plan.criteria else []),
    ]
    return (
        f"Power of {listed(methods)}, two-sided at 5 %; assumed: {listed(assumed)}, for want of "
        "data."
    )


def _quality(found: Facts) -> str:
    if not any(found.of(purpose) for purpose in ("repeat", "attention", "same")):
        return "None in the sheets. " + fill("any other, such as native speakers only")
    return "Automatic checks after the evaluation. " + fill("any other")


def _shown(plan: SheetPlan) -> str:
    return (
        f"The prompt, {'the reference, ' if plan.show_reference else ''}"
        + " or ".join(
            [
                *(["one output with its scales in words"] if plan.criteria else []),
                *(["two outputs marked A and B"] if plan.pairs else []),
            ]
        )
        + ", the instructions, and room for a comment and the minutes taken. Nothing names a "
        "variant."
    )


def _scale(
    criterion: CriterionSpec, plan: SheetPlan, results: HumanResults | None
) -> dict[str, str]:
    points = [f"{point} = {words}" for point, words in criterion.scale.items()]
    known = CRITERIA.get(criterion.name) == criterion
    effect = "Difference from the baseline, paired by item and rater," if plan.baseline else "Mean"
    return {
        **_places(criterion.name if known else None),
        "name": criterion.name,
        "terms": "Absolute.",
        "definition": f"“{_line(criterion.question)}”, and the words of the scale.",
        "size": f"{len(points)}, and “{CANNOT_JUDGE}”.",
        "values": "; ".join([*points, CANNOT_JUDGE]) + ".",
        "question": _line(criterion.question),
        "form": "Direct quality estimation.",
        "aggregation": "Mean over the raters who judged the item for all variants, then over "
        "items, each counting once.",
        "significance": f"{effect} with a 95 % interval over clusters of items.",
        **_agreement(criterion.name, "ordinal", results),
    }


def _pairs(plan: SheetPlan, results: HumanResults | None) -> list[dict[str, str]]:
    if not plan.pairs:
        return []
    preference = {
        **_places(PREFERENCE),
        "name": PREFERENCE,
        "terms": "Relative: two outputs side by side.",
        "definition": "None beyond the question.",
        "size": f"3, and “{CANNOT_JUDGE}”.",
        "values": "; ".join(f"{key} = {words}" for key, words in PREFERENCE_ANSWERS.items()) + ".",
        "question": PREFERENCE_QUESTION,
        "form": "Relative quality estimation.",
        "aggregation": "Share of wins and half the ties of each pair over items; strengths of a "
        "Bradley-Terry model with ties (Davidson 1970).",
        "significance": "95 % intervals of shares and strengths over clusters of items.",
        **_agreement(PREFERENCE, "nominal", results),
    }
    return [preference]


def _places(name: str | None) -> dict[str, str]:
    if name is None:
        return {
            "quality": fill("correctness, goodness or feature"),
            "aspect": fill("form, content or both"),
            "frame": fill("in its own right, relative to the input, or to something outside"),
        }
    quality, aspect, frame = _PLACES[name]
    return {"quality": f"{quality}.", "aspect": f"{aspect}.", "frame": frame}


def _agreement(name: str, level: str, results: HumanResults | None) -> dict[str, str]:
    kappa = ", and pairwise kappa with quadratic weights" if level == "ordinal" else ""
    later = fill("once the ratings are back; the report gives it")
    inter, intra = later, later
    if results is not None:
        inter = next((alpha(a) + "." for a in results.agreement if a.name == name), "Not computed.")
        twice = sum(rater.repeats for rater in results.raters)
        equal = sum(rater.repeats_equal for rater in results.raters)
        intra = f"{equal} of {twice} answers given twice are equal, over all questions."
    return {
        "inter": f"Krippendorff's alpha ({level}) with a 95 % interval{kappa}.",
        "inter_score": inter,
        "intra": "Share of equal answers on rows shown twice.",
        "intra_score": intra,
    }


def _line(text: object) -> str:
    """On one line: a datasheet's answer is a paragraph."""
    return " ".join(str(text).split())
