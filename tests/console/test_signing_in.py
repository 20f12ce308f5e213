"""Ways in, with a real authenticator and a real OpenID provider: passkeys, invitations, three words, printed codes, groups."""

from __future__ import annotations

import html
import re
import warnings
from collections.abc import AsyncGenerator, Generator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from loopkeeper.security import organizations
from loopkeeper.security.organizations import SignIn
from tests.builders.organizations import CLINIC, HARBOR
from tests.console.stage import Stage

AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


async def with_authenticator(context: BrowserContext) -> Page:
    """A page of a device that checks its person."""
    page = await context.new_page()
    devtools = await context.new_cdp_session(page)
    await devtools.send("WebAuthn.enable")
    await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    return page


async def invited(at: Stage, name: str, by: str = "Rosa Diaz") -> tuple[Page, str]:
    """The admin invites; their page, and the link shown this once."""
    admin = await at.be(by)
    await admin.goto(f"{at.url}/people")
    await admin.get_by_label("Name", exact=True).fill(name)
    await admin.get_by_label("Work e-mail").fill(f"{name.split()[0].lower()}@eastside.example")
    await admin.get_by_role("checkbox", name=re.compile("^provider")).check()
    await admin.get_by_role("button", name="Invite").click()
    return admin, await admin.locator(".handon code").inner_text()


async def enrolled(at: Stage, link: str) -> tuple[Page, list[str], str]:
    """The invited person makes a passkey: their page, the ten codes, the three words."""
    page = await with_authenticator(await at.context())
    await page.goto(link)
    await page.get_by_role("button", name="Make my passkey").click()
    await page.wait_for_url(re.compile("/enrolled"))
    codes = await page.locator(".codes code").all_inner_texts()
    return page, codes, await page.locator(".threewords").inner_text()


async def test_an_invited_person_counts_once_the_inviter_heard_three_words(at: Stage) -> None:
    admin, link = await invited(at, "Amara Okoye")
    page, codes, said = await enrolled(at, link)
    assert len(codes) == len(set(codes)) == 10
    await page.goto(f"{at.url}/care")
    await page.wait_for_url(re.compile("/signin"))
    await admin.goto(f"{at.url}/people")
    await admin.get_by_role("link", name="Change Amara Okoye").click()
    await admin.get_by_label("The three words").fill("wrong wrong wrong")
    await admin.get_by_role("button", name="Confirm").click()
    await expect(admin.get_by_role("alert")).to_contain_text("not the three words")
    await admin.get_by_label("The three words").fill(said)
    await admin.get_by_role("button", name="Confirm").click()
    await page.get_by_role("button", name="Use a passkey").click()
    await expect(page.locator("h1")).to_contain_text("Nothing waits")


async def test_an_invitation_works_once_and_for_72_hours(at: Stage) -> None:
    _, link = await invited(at, "Bea Lund")
    at.clock.shift = timedelta(hours=73)
    try:
        page = await (await at.context()).new_page()
        await page.goto(link)
        await expect(page.get_by_role("alert")).to_contain_text("not good any more")
    finally:
        at.clock.shift = timedelta()
    await enrolled(at, link)
    again = await (await at.context()).new_page()
    await again.goto(link)
    await expect(again.get_by_role("alert")).to_contain_text("not good any more")


async def test_a_printed_code_lets_in_once_and_wrong_ones_are_counted(at: Stage) -> None:
    admin, link = await invited(at, "Cleo Marsh")
    _, codes, said = await enrolled(at, link)
    await admin.goto(f"{at.url}/people")
    await admin.get_by_role("link", name="Change Cleo Marsh").click()
    await admin.get_by_label("The three words").fill(said)
    await admin.get_by_role("button", name="Confirm").click()

    async def tried(code: str) -> Page:
        page = await (await at.context()).new_page()
        await page.goto(f"{at.url}/signin")
        await page.get_by_text("With a printed recovery code").click()
        await page.locator("#of").fill(CLINIC)
        await page.locator("#email").fill("cleo@eastside.example")
        await page.locator("#code").fill(code)
        await page.locator("form[action='/signin/recovery'] button").click()
        return page

    await expect((await tried(codes[0])).locator("h1")).to_contain_text("Cleo Marsh")
    await expect((await tried(codes[0])).get_by_role("alert")).to_contain_text("does not let you in")
    for _ in range(4):
        await tried("aaaa-aaaa-aaaa-aaaa")
    await expect((await tried(codes[1])).get_by_role("alert")).to_contain_text("Too many wrong codes")


async def test_who_leaves_is_out_at_once_and_the_admin_reads_what_happened(at: Stage) -> None:
    admin, link = await invited(at, "Dora Finch")
    page, _, said = await enrolled(at, link)
    await admin.goto(f"{at.url}/people")
    await admin.get_by_role("link", name="Change Dora Finch").click()
    await admin.get_by_label("The three words").fill(said)
    await admin.get_by_role("button", name="Confirm").click()
    await page.goto(f"{at.url}/signin")
    await page.get_by_role("button", name="Use a passkey").click()
    await page.wait_for_url(re.compile("/care"))
    await admin.get_by_role("link", name="Change Dora Finch").click()
    happened = admin.locator(".card", has_text="What happened to their account")
    await expect(happened.get_by_text("with a passkey")).to_be_visible()
    await expect(happened.get_by_text("by Rosa Diaz").first).to_be_visible()
    await admin.get_by_role("button", name="End", exact=True).click()
    await admin.get_by_role("link", name="Look at Dora Finch").click()
    await expect(happened.get_by_text("Ended")).to_be_visible()
    await expect(admin.get_by_role("button", name="End", exact=True)).to_have_count(0)
    await page.goto(f"{at.url}/care")
    await page.wait_for_url(re.compile("/signin"))
    await expect(page.get_by_role("button", name="Use a passkey")).to_be_visible()


# ── the organization's own sign-in ────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def provider() -> Generator[Any]:
    """A real OpenID provider in this process. What its libraries complain about is theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pytest_iam

        port = pytest_iam.portpicker.pick_unused_port()
        factory = type("Factory", (), {"mktemp": staticmethod(lambda name: None)})()
        configuration = pytest_iam.iam_configuration.__wrapped__(factory, port)
        server = pytest_iam.iam_server.__wrapped__(configuration, port)
        yield next(server)
        next(server, None)


@pytest_asyncio.fixture
async def own(at: Stage, provider: Any) -> AsyncGenerator[Any]:
    """Harbor signs its people in by it: UM nurses decide, admins invite."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with provider.app.app_context():
            client = provider.models.Client(
                client_id="loopkeeper",
                client_secret="",
                client_name="Loopkeeper",
                client_uri=at.url,
                redirect_uris=[f"{at.url}/signin/{HARBOR}/callback"],
                grant_types=["authorization_code"],
                response_types=["code"],
                token_endpoint_auth_method="none",
                scope=["openid", "email", "profile", "groups"],
            )
            provider.backend.save(client)
            client.audience = [client]
            provider.backend.save(client)
    groups = {"um-nurses": ("plan",), "admins": ("plan", "admin")}
    issuer = provider.url.rstrip("/")
    organizations.set_sign_in(
        at.resources.settings.config_folder, HARBOR, SignIn(issuer, "loopkeeper", groups)
    )
    yield provider, client
    organizations.set_sign_in(at.resources.settings.config_folder, HARBOR, None)
    with provider.app.app_context():
        provider.backend.delete(client)


def a_user(provider: Any, client: Any, name: str, *groups: str) -> Any:
    """Somebody the provider knows, signed in there, who lets us know them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        user = provider.random_user(
            user_name=name, formatted_name=f"{name.title()} Vance", emails=[f"{name}@harbor.example"]
        )
        for group in groups:
            made = provider.random_group(display_name=group, members=[user])
            assert made is not None
        provider.login(user)
        provider.consent(user, client)
        return user


async def by_own_sign_in(at: Stage) -> Page:
    context = await at.context()
    context.remove_listener("request", at._asked)  # pyright: ignore[reportPrivateUsage]
    page = await context.new_page()
    await page.goto(f"{at.url}/signin/{HARBOR}")
    await page.get_by_role("link", name="Go on to Harbor Health Plan").click()
    await page.wait_for_load_state()
    return page


async def test_a_group_of_the_organizations_own_provider_says_what_a_person_may_do(
    at: Stage, own: Any
) -> None:
    a_user(*own, "nadia", "um-nurses")
    page = await by_own_sign_in(at)
    await page.wait_for_url(re.compile("/plan/queue"))
    assert await at.asks("SELECT roles FROM person WHERE email = 'nadia@harbor.example'") == ["plan"]


async def test_whom_no_group_names_is_told_whom_to_ask(at: Stage, own: Any) -> None:
    a_user(*own, "oscar", "kitchen")
    page = await by_own_sign_in(at)
    await expect(page.locator("h1")).to_contain_text("gave you nothing to do here")
    assert await at.asks("SELECT count(*) FROM person WHERE email = 'oscar@harbor.example'") == 0


async def test_what_the_provider_refuses_is_named_with_what_its_admin_sets(at: Stage, own: Any) -> None:
    async with httpx.AsyncClient(base_url=at.url) as http:
        asked = await http.get(f"/signin/{HARBOR}/go")
        state = parse_qs(urlsplit(asked.headers["location"]).query)["state"][0]
        back = {"error": "invalid_scope", "error_description": "<b>Invalid scopes</b>", "state": state}
        answer = await http.get(f"/signin/{HARBOR}/callback", params=back)
    assert answer.status_code == 403
    text = html.unescape(answer.text)
    assert "Your organization's sign-in refused: invalid_scope" in text
    assert "a client scope of the name groups" in text
    assert "Invalid scopes" not in text, "what else it says is anybody's"


async def test_an_answer_that_nobody_asked_for_signs_nobody_in(at: Stage, own: Any) -> None:
    page = await (await at.context()).new_page()
    answer = await page.goto(f"{at.url}/signin/{HARBOR}/callback?code=stolen&state=guessed")
    assert answer is not None
    assert answer.status == 403


async def test_an_unknown_organization_answers_like_one_without_its_own_sign_in(at: Stage) -> None:
    page = await (await at.context()).new_page()
    texts: list[str] = []
    for slug in (CLINIC, "nobody-of-that-name"):
        await page.goto(f"{at.url}/signin/{slug}")
        texts.append((await page.content()).replace(slug, ""))
    assert texts[0] == texts[1]
