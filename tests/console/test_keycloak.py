"""An organization's people come in by its own Keycloak, and leave when they sign out here or there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from loopkeeper.security import organizations
from loopkeeper.security.organizations import SignIn
from tests.builders.organizations import HARBOR
from tests.console.keycloak import Keycloak, realm_of
from tests.console.stage import Stage

PASSWORD = "three invented words"
NADIA = {
    "username": "nadia", "enabled": True, "email": "nadia@harbor.example", "firstName": "Nadia", "lastName": "Vance",
    "groups": ["/um-nurses"], "credentials": [{"type": "password", "value": PASSWORD}],
}  # fmt: skip


@pytest_asyncio.fixture(scope="module")
async def keycloak(opened: Stage, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Keycloak]:
    """Harbor signs its people in by it: its UM nurses decide."""
    realm = realm_of("harbor", opened.url, HARBOR, ["um-nurses"], [NADIA])
    server = Keycloak(tmp_path_factory.mktemp("keycloak"), realm)
    folder = opened.resources.settings.config_folder
    try:
        await asyncio.to_thread(server.start)
        groups = {"um-nurses": ("plan",), "admins": ("plan", "admin")}
        organizations.set_sign_in(folder, HARBOR, SignIn(server.issuer, "loopkeeper", groups))
        yield server
    finally:
        organizations.set_sign_in(folder, HARBOR, None)
        await asyncio.to_thread(server.stop)


async def by_keycloak(at: Stage) -> Page:
    """Nadia, signed in by her password there."""
    context = await at.context()
    context.remove_listener("request", at._asked)  # pyright: ignore[reportPrivateUsage]
    page = await context.new_page()
    await to_keycloak(at, page)
    await page.get_by_label("Username").fill("nadia")
    await page.locator("#password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign In").click()
    await page.wait_for_url(f"{at.url}/plan/queue")
    return page


async def to_keycloak(at: Stage, page: Page) -> None:
    await page.goto(f"{at.url}/signin/{HARBOR}")
    await page.get_by_role("link", name="Go on to Harbor Health Plan").click()


async def is_out(at: Stage, page: Page, why: str) -> None:
    """Pages ask to sign in, and the session that began last ended for this reason."""
    await page.goto(f"{at.url}/plan/queue")
    await page.wait_for_url(re.compile("/signin"))
    ended = await at.asks("SELECT ended_why FROM session ORDER BY started_at DESC LIMIT 1")
    assert ended == why


@pytest.mark.usefixtures("keycloak")
async def test_a_group_in_keycloak_says_what_a_person_may_do_until_they_sign_out(at: Stage) -> None:
    page = await by_keycloak(at)
    nadia = "FROM person WHERE email = 'nadia@harbor.example' AND organization = $1 AND NOT admin"
    assert await at.asks(f"SELECT name {nadia}", HARBOR) == "Nadia Vance"
    assert await at.asks(f"SELECT roles {nadia}", HARBOR) == ["plan"]
    await page.locator(".me summary").click()
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url(f"{at.url}/signed-out")
    await is_out(at, page, "by the person")
    # Keycloak's own session goes on, as other programs of the organization use it: it asks nothing.
    await to_keycloak(at, page)
    await page.wait_for_url(f"{at.url}/plan/queue")


async def test_who_signs_out_of_keycloak_is_out_of_the_console(at: Stage, keycloak: Keycloak) -> None:
    page = await by_keycloak(at)
    there = await page.context.new_page()
    await there.goto(f"{keycloak.issuer}/protocol/openid-connect/logout")
    await there.get_by_role("button", name="Logout").click()
    await expect(there.get_by_role("heading", name="You are logged out")).to_be_visible()
    # Keycloak waits some seconds for our answer and no longer: the page that is open leaves when its word has arrived.
    await page.wait_for_url(re.compile("/signin"))
    await is_out(at, page, "organization")
    await to_keycloak(at, page)
    await expect(page.get_by_label("Username")).to_be_visible()
