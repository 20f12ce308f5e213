"""What anybody can read and use, looked at on every page of a town at work: axe, widths, zoom, print, colours of one's own.

LOOPKEEPER_PICTURES=FOLDER keeps a picture of each page there, at both widths and in both themes.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import axe_playwright_python
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.console.places import places
from tests.console.stage import Stage
from tests.console.town import Town, town

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()


@pytest_asyncio.fixture(scope="module")
async def here(opened: Stage) -> AsyncGenerator[Town]:
    """The town that every test of this module looks at."""
    yield await town(opened)


async def violations(page: Page) -> list[str]:
    """What axe finds, as rule and element."""
    await page.evaluate(AXE)
    return await page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],"
        # What it found in order is long, and takes twice as long to come here as to find.
        "resultTypes: ['violations']}).then(found => found.violations.flatMap("
        "rule => rule.nodes.map(node => `${rule.id}: ${node.target}`)))"
    )


async def taken(page: Page, name: str, number: int, path: str, look: str) -> None:
    """Keep a picture, where that is asked for."""
    folder = os.environ.get("LOOPKEEPER_PICTURES")
    if folder:
        what = re.sub(r"_[0-9a-f]{32}", "", path.partition("?")[0].strip("/").replace("/", "."))
        file = f"{name.split()[0].lower()}-{number}-{what}-{look}.png"
        await page.screenshot(path=Path(folder) / file, full_page=True)


@pytest.mark.journey
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
async def test_axe_finds_nothing_and_no_page_is_wider_than_its_screen(
    at: Stage, here: Town, width: int, dark: bool
) -> None:
    wrong: dict[str, object] = {}
    for name, paths in places(here.ids):
        page = await at.be(name, width=width, dark=dark)
        for number, path in enumerate(paths):
            answer = await page.goto(at.url + path)
            assert answer is not None
            assert answer.status == 200, path
            wide = await page.evaluate("document.documentElement.scrollWidth")
            found = await violations(page)
            if found or wide > width:
                wrong[path] = (found, wide)
            await taken(page, name, number, path, f"{width}{'-dark' if dark else ''}")
        await page.context.close()
    door = await (await at.context(width=width, dark=dark)).new_page()
    await door.goto(f"{at.url}/signin")
    if found := await violations(door):
        wrong["/signin"] = found
    await taken(door, "door", 0, "signin", f"{width}{'-dark' if dark else ''}")
    assert wrong == {}


FIRST = {
    "Noor Haddad": ("/ops",), "Maria Chen": ("/plan/queue", "/plan/decide/{case}", "/referrals/{told}"), "{provider}": ("/care/people/{reached}",),
    "Rosa Diaz": ("/refer/new/adult",),
}  # fmt: skip


@pytest.mark.parametrize(("width", "dark"), [(1280, True), (360, False)])
async def test_the_first_page_of_each_user_is_whole_in_the_other_two_cells(
    at: Stage, here: Town, width: int, dark: bool
) -> None:
    wrong: dict[str, object] = {}
    for name, paths in FIRST.items():
        page = await at.be(name.format(**here.ids), width=width, dark=dark)
        for path in paths:
            await page.goto(at.url + path.format(**here.ids))
            if found := await violations(page):
                wrong[path] = found
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
        await page.context.close()
    assert wrong == {}


NOTHING_YET = (
    "/plan/queue", "/plan/loops", "/plan/asked", "/plan/asked?which=twice", "/plan/terms", "/mailbox", "/files", "/people", "/nowhere",
)  # fmt: skip


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
async def test_a_page_with_nothing_on_it_and_one_that_refuses_are_as_whole(
    at: Stage, here: Town, width: int, dark: bool
) -> None:
    """Grace's plan has no loop. What she may not see, and a form that is refused, are pages as well."""
    wrong: dict[str, object] = {}
    grace = await at.be("Grace Lindqvist", width=width, dark=dark)
    for path in NOTHING_YET:
        await grace.goto(at.url + path)
        if found := await violations(grace):
            wrong[path] = found
    imani = await at.be("Imani Brooks", width=width, dark=dark)
    await imani.goto(f"{at.url}/refer/new/adult")
    await imani.locator("form.refer").evaluate("form => { form.noValidate = true; }")
    await imani.get_by_role("button", name="Send the referral").click()
    await expect(imani.get_by_role("alert")).to_be_focused()
    if found := await violations(imani):
        wrong["refused"] = found
    assert wrong == {}


async def test_nothing_moves_for_who_wants_less_motion(at: Stage, here: Town) -> None:
    context = await at.context()
    page = await at.be("Noor Haddad", context)
    await page.emulate_media(reduced_motion="reduce")
    await page.goto(f"{at.url}/ops")
    moving = await page.evaluate(
        "[...document.querySelectorAll('*')].filter(each => { const style = getComputedStyle(each);"
        "return [style.animationDuration, style.transitionDuration].some(time => parseFloat(time) > 0.01) }).length"
    )
    assert moving == 0


async def test_a_page_is_whole_at_320_and_in_print(at: Stage, here: Town) -> None:
    page = await at.be("Maria Chen", width=320)
    for path in ("/plan/queue", "/plan/decide/{case}", "/referrals/{told}", "/me"):
        await page.goto(at.url + path.format(**here.ids))
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320, path
    await page.emulate_media(media="print")
    assert await page.locator(".side").is_hidden()
    assert await page.locator(".paper-only").is_visible()


async def test_the_readme_shows_this_towns_board_and_a_story(at: Stage, here: Town, tmp_path: Path) -> None:
    """LOOPKEEPER_README_PICTURES=FOLDER keeps them there: `make pictures`."""
    folder = Path(os.environ.get("LOOPKEEPER_README_PICTURES") or tmp_path)
    for name, path, picture in (
        ("Noor Haddad", "/ops", "board.png"),
        ("Maria Chen", f"/referrals/{here.told}", "story.png"),
    ):
        context = await at.context(width=1280)
        page = await at.be(name, context)
        await page.set_viewport_size({"width": 1280, "height": 1180})
        await page.goto(at.url + path)
        await page.evaluate("document.fonts.ready.then(() => true)")
        await page.emulate_media(reduced_motion="reduce")
        taken = await page.screenshot(path=folder / picture)
        assert int.from_bytes(taken[16:20], "big") == 1280, "a picture as wide as its page"
