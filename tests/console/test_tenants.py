"""Two plans side by side: what is one's is nothing to the other; and no name is anywhere it should not be."""

from __future__ import annotations

import logging
import re

import pytest
from playwright.async_api import Page, expect

from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR
from tests.console.stage import Stage

CANARY = "Zsazsabelle"

# `make test` runs these too.
pytestmark = pytest.mark.journey


def canary() -> dict[str, object]:
    body = david()
    return body | {"member": {**body["member"], "first_name": CANARY, "cin": "90000777S"}}


async def test_anothers_referral_and_case_are_the_same_nothing(at: Stage) -> None:
    referral = await at.house.refer(CLINIC, canary())
    await at.house.quiet()
    case = (await at.house.referral(HARBOR, referral))["authorization"]["id"]
    grace = await at.be("Grace Lindqvist")
    for path in (
        f"/referrals/{referral}",
        f"/plan/decide/{case}",
        f"/plan/terms/{case}",
        f"/plan/asked/{referral}",
    ):
        answer = await grace.goto(f"{at.url}{path}")
        assert answer is not None
        assert answer.status == 404, path
        assert CANARY not in await grace.content()


async def test_a_name_is_on_the_page_that_opened_it_and_nowhere_else(
    at: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    referral = await at.house.refer(CLINIC, canary())
    await at.house.quiet()
    page: Page = await at.be("Maria Chen")
    addresses: list[str] = []
    page.context.on("request", lambda request: addresses.append(request.url))
    await page.goto(f"{at.url}/referrals/{referral}")
    assert CANARY not in await page.content()
    await page.get_by_label("Why do you open it?").select_option("review")
    await page.get_by_role("button", name="Open for ten minutes").click()
    await expect(page.get_by_text(CANARY)).to_be_visible()
    kept = await page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, document.title])"
    )
    assert CANARY not in kept
    assert not any(CANARY in address for address in addresses)
    await page.goto(f"{at.url}/me")
    assert CANARY not in await page.content()
    assert "to review how the referral was handled" in await page.content()
    assert CANARY not in caplog.text
    stored = await at.asks("SELECT string_agg(o::text, ' ') FROM opening o")
    assert referral in stored
    assert CANARY not in stored


async def test_after_sign_out_the_way_back_shows_nothing(at: Stage) -> None:
    referral = await at.house.refer(CLINIC, canary())
    await at.house.quiet()
    page = await at.be("Maria Chen")
    await page.goto(f"{at.url}/referrals/{referral}")
    await page.get_by_label("Why do you open it?").select_option("review")
    await page.get_by_role("button", name="Open for ten minutes").click()
    await expect(page.get_by_text(CANARY)).to_be_visible()
    await page.locator(".me summary").click()
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url(re.compile("signed-out"))
    await page.go_back()
    await page.wait_for_load_state()
    assert CANARY not in await page.content()


async def test_an_opening_ends_when_it_is_shut(at: Stage) -> None:
    referral = await at.house.refer(CLINIC, canary())
    await at.house.quiet()
    page = await at.be("Maria Chen")
    await page.goto(f"{at.url}/referrals/{referral}")
    await page.get_by_label("Why do you open it?").select_option("review")
    await page.get_by_role("button", name="Open for ten minutes").click()
    await page.get_by_role("button", name="Shut it").click()
    await expect(page.get_by_role("button", name="Open for ten minutes")).to_be_visible()
    assert CANARY not in await page.content()
