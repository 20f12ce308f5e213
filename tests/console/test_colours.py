"""Every colour is told from its ground, in both themes: computed from the style sheet's tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from console.web.files import style

TEXT, CONTROL = 4.5, 3.0
PAIRS = (
    ("ink", "paper", TEXT), ("ink", "surface", TEXT), ("ink2", "paper", TEXT), ("ink2", "surface", TEXT), ("ink2", "sunken", TEXT),
    ("brand", "surface", TEXT), ("brand", "paper", TEXT), ("brand", "brand-soft", TEXT), ("on-brand", "brand", TEXT),
    ("ink", "brand-soft", TEXT), ("late", "surface", TEXT), ("late", "paper", TEXT), ("late", "late-soft", TEXT),
    ("soon", "surface", TEXT), ("soon", "paper", TEXT), ("soon", "soon-soft", TEXT), ("good", "surface", TEXT),
    ("good", "good-soft", TEXT), ("info", "surface", TEXT), ("info", "info-soft", TEXT), ("wait", "wait-soft", TEXT),
    ("intake", "paper", TEXT), ("authorization", "paper", TEXT), ("assignment", "paper", TEXT), ("notification", "paper", TEXT),
    ("control", "surface", CONTROL), ("control", "paper", CONTROL),
)  # fmt: skip


def tokens(theme: str) -> Mapping[str, str]:
    sheet = style()
    block = re.search(
        r":root\{color-scheme:light;(.*?)\}" if theme == "light" else r"\.dark\{(.*?)\}", sheet, re.S
    )
    assert block is not None
    return dict(re.findall(r"--([a-z0-9-]+):(#[0-9a-f]{3,6})", block[1]))


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(each * 2 for each in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_is_told_from_its_ground(theme: str) -> None:
    found = tokens(theme)
    low: dict[str, float] = {}
    for text, ground, least in PAIRS:
        bright, dim = sorted((luminance(found[text]), luminance(found[ground])), reverse=True)
        if (ratio := (bright + 0.05) / (dim + 0.05)) < least:
            low[f"{text} on {ground}"] = round(ratio, 2)
    assert low == {}


def test_both_dark_themes_are_one() -> None:
    sheet = style()
    chosen = re.search(r"\.dark\{(.*?)\}", sheet, re.S)
    preferred = re.search(r":root:not\(\.light\)\{(.*?)\}", sheet, re.S)
    assert chosen is not None
    assert preferred is not None
    assert chosen[1] == preferred[1]
