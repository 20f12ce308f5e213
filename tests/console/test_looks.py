"""What anybody can read and use: axe on every page, contrast computed from the tokens, nothing sideways, no word untranslated."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.async_api import Page

from console.words import catalog
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR
from tests.console.stage import Stage

SOURCE = Path(__file__).parents[2] / "services/console/src/console"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
PLACES: Mapping[str, tuple[str, ...]] = {
    "Noor Haddad": ("/ops", "/ops/parked", "/ops/organizations", "/referrals/{referral}"),
    "Maria Chen": (
        "/plan/queue", "/plan/decide/{case}", "/plan/loops", "/plan/asked", "/plan/asked/{referral}", "/plan/terms",
        "/plan/terms/{case}", "/referrals/{referral}", "/me", "/people", "/mailbox", "/files",
    ),
    "{provider}": ("/care", "/care/people", "/care/people/{reached}", "/mailbox", "/files"),
    "Rosa Diaz": ("/refer", "/refer/new", "/refer/new/adult", "/refer/new/child_youth", "/refer/{referral}",
                  "/refer/{referral}/answers", "/refer/{referral}/receipt", "/files"),
}  # fmt: skip


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    """The ids that the pages of this module are about."""
    return {}


async def furnished(at: Stage, known: dict[str, str]) -> Mapping[str, str]:
    """A loop that waits for a decision and one that is reached out for, once."""
    if not known:
        body = david()
        waits = body | {"member": {**body["member"], "cin": "90000500S"}, "answers": {}}
        known["referral"] = await at.house.refer(CLINIC, waits)
        known["reached"] = await at.house.refer(CLINIC, david())
        await at.house.quiet()
        found = await at.house.ask(HARBOR, "GET", "/v1/assignments?status=offered")
        provider = found["items"][0]["provider"]
        known["provider"] = {"harbor-street-medicine": "Luis Ortega", "bay-housing-navigators": "Mei Tran"}[
            provider
        ]
        await at.house.accept(provider)
        await at.house.attempt(provider, known["reached"], "phone", "no_answer")
        await at.house.quiet()
        known["case"] = (await at.house.referral(HARBOR, known["referral"]))["authorization"]["id"]
    return known


async def violations(page: Page) -> list[str]:
    """What axe finds, as rule and element."""
    await page.evaluate(AXE)
    found = await page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
    )
    return [f"{rule['id']}: {node['target']}" for rule in found["violations"] for node in rule["nodes"]]


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
async def test_axe_finds_nothing_and_no_page_is_wider_than_its_screen(
    at: Stage, known: dict[str, str], width: int, dark: bool
) -> None:
    ids = await furnished(at, known)
    wrong: dict[str, object] = {}
    for name, paths in PLACES.items():
        page = await at.be(name.format(**ids), width=width, dark=dark)
        for path in paths:
            answer = await page.goto(at.url + path.format(**ids))
            assert answer is not None
            assert answer.status == 200, path
            wide = await page.evaluate("document.documentElement.scrollWidth")
            found = await violations(page)
            if found or wide > width:
                wrong[path] = (found, wide)
    door = await (await at.context(width=width, dark=dark)).new_page()
    await door.goto(f"{at.url}/signin")
    if found := await violations(door):
        wrong["/signin"] = found
    assert wrong == {}


async def test_a_page_is_whole_at_320_and_in_print(at: Stage, known: dict[str, str]) -> None:
    ids = await furnished(at, known)
    page = await at.be("Maria Chen", width=320)
    for path in ("/plan/queue", "/plan/decide/{case}", "/referrals/{referral}", "/me"):
        await page.goto(at.url + path.format(**ids))
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320, path
    await page.emulate_media(media="print")
    assert await page.locator(".side").is_hidden()
    assert await page.locator(".paper-only").is_visible()


# ── contrast ──────────────────────────────────────────────────────────────────────────────────────────────

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
    style = (SOURCE / "static/console.css").read_text()
    block = re.search(
        r":root\{color-scheme:light;(.*?)\}" if theme == "light" else r"\.dark\{(.*?)\}", style, re.S
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
    style = (SOURCE / "static/console.css").read_text()
    chosen = re.search(r"\.dark\{(.*?)\}", style, re.S)
    preferred = re.search(r":root:not\(\.light\)\{(.*?)\}", style, re.S)
    assert chosen is not None
    assert preferred is not None
    assert chosen[1] == preferred[1]


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────

ENGLISH_ONLY = ("pages/plan", "pages/ops", "parts/board.py")


def said() -> Iterator[tuple[str, str]]:
    """Every sentence that the program asks a translation of, with its file."""
    for file in sorted(SOURCE.rglob("*.py")):
        name = str(file.relative_to(SOURCE))
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if called not in ("_", "words", "many"):
                continue
            for part in node.args[: 2 if called == "many" else 1]:
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value, name


def test_no_word_of_a_provider_or_referrer_is_without_spanish() -> None:
    spanish = catalog("es")
    missing = {
        text: file for text, file in said() if not file.startswith(ENGLISH_ONLY) and text not in spanish
    }
    assert missing == {}


def test_a_translation_keeps_what_is_put_in() -> None:
    def places(text: str) -> set[str]:
        return set(re.findall(r"\{\w+\}", text))

    assert {text: found for text, found in catalog("es").items() if places(text) != places(found)} == {}
