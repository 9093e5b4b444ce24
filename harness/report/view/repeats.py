"""What holds for several variants, said once."""

from collections.abc import Sequence

from harness.render.numbers import count
from harness.report.view.records import View
from harness.schema import Finding

MOST_NAMES = 4  # beyond, variants are counted, and named where there is room


def grouped_findings(view: View) -> list[tuple[Finding, tuple[str, ...]]]:
    """Findings, those that are equal but for the variant as one.

    Returns:
        Each finding with the variants that it is of; none where it is of the whole run. Where it is
        of variants, its text begins without their names. Errors come first, then warnings.
    """
    alike: dict[tuple[str, ...], tuple[Finding, list[str]]] = {}
    for finding in view.findings:
        name, _, rest = finding.what.partition(": ")
        own = name if rest and view.variant(name) is not None else ""
        plain = finding.model_copy(update={"what": rest}) if own else finding
        key = (plain.check, plain.severity, plain.what, plain.why, plain.hint, "of" * bool(own))
        _, names = alike.setdefault(key, (plain, []))
        if own and own not in names:
            names.append(own)
    order = ("error", "warning", "info")
    groups = [(finding, tuple(names)) for finding, names in alike.values()]
    return sorted(groups, key=lambda group: order.index(group[0].severity))


def grouped_notes(view: View) -> list[tuple[tuple[str, ...], str]]:
    """Notes on measurements, each once, with the variants whose measurement it is of."""
    by_note: dict[str, list[str]] = {}
    for column, names in enumerate(view.measurements.columns):
        for row in view.measurements.rows:
            reading = row.readings[column]
            if reading is not None and reading.note:
                held = by_note.setdefault(reading.note, [])
                held += [name for name in names if name not in held]
    return [(tuple(names), note) for note, names in by_note.items()]


def of_variants(names: Sequence[str], total: int) -> str:
    """Variants in a few words: by name where they are few, else counted.

    Args:
        names: Those meant.
        total: How many there are.
    """
    if total > 1 and len(names) == total:
        return f"all {count(total, 'variant')}"
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:2])} and {count(len(names) - 2, 'other variant')}"
