"""Whose outputs are rated: the task and the variants that ``human:`` names, in a run."""

from collections.abc import Sequence

from harness.errors import UsageError
from harness.hints import choices, near_names
from harness.schema import Manifest
from harness.suite.deciding import CANDIDATES, primary_metric
from harness.suite.ratings import CHECKPOINTS, REFERENCES, HumanSpec
from harness.suite.record import suite_of
from harness.suite.spec import task_facts

BASELINE, CHOSEN, MERGED = "baseline", "chosen", "merged"  # in human.variants


def rated_task(manifest: Manifest, spec: HumanSpec) -> str:
    """The task that is named, else the one that decides, else the first that generates text."""
    suite = suite_of(manifest)
    tasks = suite.tasks
    generating = [name for name, task in tasks.items() if task.writes_texts]
    if spec.task is not None:
        if spec.task in generating:
            return spec.task
        known = "which generates no text that could be rated" if spec.task in tasks else "unknown"
        raise UsageError(
            f"human.task names {spec.task!r}, {known}.",
            where=manifest.name,
            hint=choices(spec.task, generating, "Tasks that generate text"),
        )
    if not generating:
        raise UsageError(
            "Raters judge generated texts, but the run has no generation task; it has "
            f"{', '.join(tasks) or 'no task'}.",
            where=manifest.name,
            hint="Add a task of type generation to the suite and run the eval again.",
        )
    primary = primary_metric(suite)
    return primary[0] if primary and primary[0] in generating else generating[0]


def rated_variants(manifest: Manifest, spec: HumanSpec) -> tuple[str, ...]:
    """Ids of all that ``human.variants`` names, once each, in the run's order."""
    named = {variant for name in spec.variants for variant in _resolve(manifest, name)}
    ordered = [variant.id for variant in manifest.variants if variant.id in named]
    return (*ordered, *([REFERENCES] if REFERENCES in named else []))


def _resolve(manifest: Manifest, name: str) -> list[str]:
    """Ids of what one entry of ``human.variants`` stands for; its own words go before ids."""
    ids = [variant.id for variant in manifest.variants]
    if name == REFERENCES:
        return [REFERENCES]
    if name == CHECKPOINTS:
        checkpoints = [variant.id for variant in manifest.variants if variant.kind in CANDIDATES]
        if not checkpoints:
            raise _no_variant(manifest, name, "the run has no checkpoints")
        return checkpoints
    if name in (CHOSEN, MERGED):
        choice = manifest.selection
        if choice is None or choice.chosen not in ids:
            why = choice.reason.rstrip(".") if choice else "the run has nothing to choose from"
            raise _no_variant(manifest, name, f"no checkpoint was chosen: {why}")
        merged = [variant.id for variant in manifest.merged_forms(choice.chosen)]
        if name == MERGED and not merged:
            raise _no_variant(manifest, name, f"{choice.chosen} was not merged (matrix.merged)")
        return [choice.chosen] if name == CHOSEN else merged
    if name == BASELINE:
        if manifest.baseline not in ids:
            raise _no_variant(manifest, name, f"the run lacks its baseline {manifest.baseline}")
        return [manifest.baseline]
    if name not in ids:
        words = (*ids, BASELINE, CHOSEN, MERGED, CHECKPOINTS, REFERENCES)
        near = " or ".join(near_names(name, words))
        why = f"the run has no such variant{f'; did you mean {near}' if near else ''}"
        raise _no_variant(manifest, name, why)
    return [name]


def check_comparable(spec: HumanSpec, variants: Sequence[str], baseline: str | None) -> None:
    """Refuse what would leave raters nothing to do, or not what was meant."""
    if len(variants) == 1 and not spec.criteria:
        raise UsageError(
            f"Raters are asked for preferences only, but there is one variant, {variants[0]}.",
            where="human.variants",
            hint="Name a second one, or criteria to judge each output by.",
        )
    if len(variants) > 1 and spec.preference == BASELINE and baseline is None:
        raise UsageError(
            "Each variant is to be compared with the baseline, which is not among them: "
            f"{', '.join(variants)}.",
            where="human.preference",
            hint="Add baseline to human.variants, or write preference: all.",
        )


def predictions_key(manifest: Manifest, variant: str, task: str) -> str:
    """Key of a variant's outputs."""
    state = "is not among the run's cells"
    for cell in manifest.cells:
        if (cell.variant, cell.task) == (variant, task) and task_facts(cell.kind).writes_texts:
            if cell.status == "done" and cell.predictions_key is not None:
                return cell.predictions_key
            state = f"is {cell.status}{f': {cell.reason}' if cell.reason else ''}"
            state = "holds no outputs" if cell.status == "done" else state
            break
    raise UsageError(
        f"There are no outputs to rate: the cell {variant}/{task} {state}.",
        where=manifest.name,
        hint="Run the eval again to finish it, or leave the variant out of human.variants.",
    )


def _no_variant(manifest: Manifest, name: str, why: str) -> UsageError:
    ids = ", ".join(variant.id for variant in manifest.variants) or "none"
    return UsageError(
        f"human.variants names {name!r}, but {why}.",
        where=manifest.name,
        hint=f"Name variants of the run in human.variants; it has: {ids}.",
    )
