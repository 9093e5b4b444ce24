from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from harness.render.palette import MANY, shades
from harness.resources import resource_dir
from harness.schema import Variant

CSS = (resource_dir("reports") / "assets" / "report.css").read_text("utf-8")
NAMES = [f"v{place}" for place in range(8)]
# Machado, Oliveira and Fernandes (2009), A Physiologically-based Model for Simulation of Color
# Vision Deficiency, table 1: severity 1.0, for linear RGB.
SIGHT = {
    "full": np.eye(3),
    "protanopia": [
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ],
    "deuteranopia": [
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ],
    "tritanopia": [
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ],
}
# Ottosson (2020), A perceptual color space for image processing: linear sRGB to OKLab.
TO_LMS = [
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
]
TO_LAB = [
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
]


def theme(name: str) -> dict[str, str]:
    """The colours of a theme, as its button sets them."""
    start = ":root {" if name == "light" else ':root[data-theme="dark"] {'
    block = CSS[CSS.index(start) :].partition("}")[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))


def linear(colour: str) -> np.ndarray:
    """SRGB as light, shape (3,) (IEC 61966-2-1)."""
    parts = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    """Contrast ratio (WCAG 2.2, 1.4.3)."""
    lights = [linear(colour) @ [0.2126, 0.7152, 0.0722] + 0.05 for colour in (first, second)]
    return float(max(lights) / min(lights))


def distance(first: str, second: str, sight: str) -> float:
    """Distance of two colours as somebody sees them, in hundredths of OKLab."""
    seen = [
        TO_LAB @ np.cbrt(TO_LMS @ np.clip(SIGHT[sight] @ linear(colour), 0, 1))
        for colour in (first, second)
    ]
    return float(100 * np.linalg.norm(seen[0] - seen[1]))


def variant(name: str) -> Variant:
    kind = "base" if name.startswith("base") else "adapter"
    return Variant(id=name, kind=kind, base_model="m", precision="nf4", digests={})


@pytest.mark.parametrize("name", ["light", "dark"])
def test_variants_stand_out_from_the_page(name: str) -> None:
    """Marks and lines have a contrast of 3 to 1 (WCAG 2.2, 1.4.11) on page and card."""
    colours = theme(name)
    for shade, ground in itertools.product(NAMES, ("page", "card")):
        assert contrast(colours[shade], colours[ground]) >= 3, (shade, ground)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_texts_can_be_read(name: str) -> None:
    """Every colour of text has a contrast of 4.5 to 1 on every ground it stands on."""
    colours = theme(name)
    texts = ("ink", "quiet", "accent", "better", "worse", "merged")
    for text, ground in itertools.product(texts, ("page", "card", "accent-soft", "warn")):
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("name", ["light", "dark"])
def test_variants_can_be_told_apart(name: str, sight: str) -> None:
    """Any two of the eight colours differ by eight or more, four times what is just noticed."""
    colours = theme(name)
    for first, second in itertools.combinations(NAMES, 2):
        assert distance(colours[first], colours[second], sight) >= 8, (first, second)


def test_both_ways_to_a_dark_page_have_the_same_colours() -> None:
    """The system's setting and the button's."""
    system = CSS[CSS.index("@media (prefers-color-scheme: dark)") :]
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", system.partition("}")[0]))
    assert found == theme("dark")


def test_the_choice_and_the_baseline_have_their_own_colours() -> None:
    """The others have theirs in the order of the matrix."""
    variants = [variant(name) for name in ("base", "c-1", "c-2", "c-3")]
    assert shades(variants, "base", "c-2") == {"base": "v0", "c-2": "v1", "c-1": "v2", "c-3": "v3"}
    assert shades(variants, "base", None)["c-2"] == "v3"


def test_many_variants_have_no_colours_that_tell_nothing() -> None:
    """Beyond eight, all but the choice and the baseline share one hollow mark."""
    variants = [variant("base"), *(variant(f"c-{place}") for place in range(7))]
    assert len(set(shades(variants, "base", "c-0").values())) == 8
    variants.append(variant("c-7"))
    found = shades(variants, "base", "c-0")
    assert (found["base"], found["c-0"]) == ("v0", "v1")
    assert {found[f"c-{place}"] for place in range(1, 8)} == {MANY}
