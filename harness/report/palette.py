"""Which colour a variant has, everywhere on the page.

The choice has the accent colour and the baseline is grey; the others have six more in the order of
the matrix. Colours are CSS classes (``v0`` to ``v7``): the style says what they look like in light,
dark and print. Beyond eight variants colours come again on hollow marks, and names tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.schema import Variant

BASELINE, CHOICE = "v0", "v1"
OTHERS = ("v2", "v3", "v4", "v5", "v6", "v7")


def shades(variants: Sequence[Variant], baseline: str, chosen: str | None) -> dict[str, str]:
    """Variant -> the classes of its colour.

    Args:
        variants: All of the run, in the order of the matrix.
        baseline: The one that the others are compared with.
        chosen: The choice, if one was made.
    """
    found = {baseline: BASELINE} | ({chosen: CHOICE} if chosen else {})
    others = [variant.id for variant in variants if variant.id not in found]
    for place, name in enumerate(others):
        turn, colour = divmod(place, len(OTHERS))
        found[name] = OTHERS[colour] + (" hollow" if turn % 2 else "")
    return found
