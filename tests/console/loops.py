"""Loops that people of the console meet: who is referred, to whom it is offered, and what a page says."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.builders.forms import david
from tests.builders.organizations import HARBOR, NAVIGATORS, STREET
from tests.console.stage import Stage

PROVIDERS = {STREET: "Luis Ortega", NAVIGATORS: "Mei Tran"}


def half_answered(number: int, **changes: object) -> dict[str, object]:
    """A member about whom only a person can decide: the criteria are not all answered."""
    body = david(**changes)
    member = {
        **body["member"],
        "first_name": "Elias",
        "last_name": "Quillfeather",
        "cin": f"9000010{number}S",
    }
    return body | {"member": member, "answers": {"place_not_for_sleeping": True}}


async def the_loop_is(page: Page, text: str) -> None:
    await expect(page.locator("h1")).to_contain_text(text)


async def approved(at: Stage, referral: str) -> None:
    """A person of the plan approves it, by a program."""
    await at.house.quiet()
    case = (await at.house.referral(HARBOR, referral))["authorization"]["id"]
    by = {"person": "maria-chen", "title": "UM nurse"}
    await at.house.ask(HARBOR, "POST", f"/v1/authorizations/{case}:approve", {"acted_by": by})


async def who_is_offered(at: Stage, referral: str) -> str:
    """The provider with the open offer of this referral."""
    await at.house.quiet()
    found = await at.house.ask(HARBOR, "GET", "/v1/assignments?status=offered")
    return next(each["provider"] for each in found["items"] if each["referral"] == referral)


async def accepted_by(at: Stage, referral: str) -> str:
    """The provider that was offered this referral, and has accepted it."""
    await at.house.quiet()
    offers = (await at.house.ask(HARBOR, "GET", "/v1/assignments?status=offered"))["items"]
    offer = next(each for each in offers if each["referral"] == referral)
    lead = {"lead": {"person": "luis-ortega", "name": "Luis Ortega"}}
    await at.house.ask(offer["provider"], "POST", f"/v1/assignments/{offer['id']}:accept", lead)
    await at.house.quiet()
    return offer["provider"]
