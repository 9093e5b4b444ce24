"""Which colour a variant has, everywhere on the page.

The choice has the accent colour and the baseline is grey; up to six others have one each, in the
order of the matrix. Of more, colours would tell nothing: they share a hollow grey mark, and names
and places tell them apart. Colours are CSS classes: the style says what they look like in light,
dark and print.
"""

from collections.abc import Sequence

from harness.schema import Variant

BASELINE, CHOICE = "v0", "v1"
OTHERS = ("v2", "v3", "v4", "v5", "v6", "v7")
COLOURS = (BASELINE, CHOICE, *OTHERS)
MANY = "v8 hollow"


def shades(variants: Sequence[Variant], baseline: str, chosen: str | None) -> dict[str, str]:
    """Variant -> the classes of its colour.

    Args:
        variants: All of the run, in the order of the matrix.
        baseline: The one that the others are compared with.
        chosen: The choice, if one was made.
    """
    known = {baseline: BASELINE} | ({chosen: CHOICE} if chosen else {})
    others = [variant.id for variant in variants if variant.id not in known]
    few = len(others) <= len(OTHERS)
    return known | {name: OTHERS[i] if few else MANY for i, name in enumerate(others)}


def swatches(variants: Sequence[Variant], baseline: str, chosen: str | None) -> dict[str, str]:
    """Variant -> the classes of the swatch beside its name: its shape and its colour."""
    own = shades(variants, baseline, chosen)
    return {variant.id: f"{variant.kind} {own[variant.id]}" for variant in variants}
