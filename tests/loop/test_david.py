"""David's first scenario (S1), whole, through HTTP only and on both logs: referred, authorized, assigned, reached,
served, told."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest_asyncio

from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, NAVIGATORS, OPERATIONS, STREET
from tests.databases import Databases, NewLog
from tests.loop.david import davids_story
from tests.loop.house import House, house


@pytest_asyncio.fixture
async def open_house(databases: Databases, tmp_path: Path, new_log: NewLog) -> AsyncGenerator[House]:
    async with house(databases, tmp_path, event_log=await new_log()) as opened:
        yield opened
    await databases.drop()


async def test_david_is_found_served_and_his_clinic_hears_of_it(open_house: House) -> None:
    await davids_story(open_house)


async def test_variant_1b_the_clinic_serves_at_once_under_avoidable_use(open_house: House) -> None:
    contract = {"plan": HARBOR, "populations": ["avoidable_utilization"], "from": "2025-01-01"}
    await open_house.ask(HARBOR, "PUT", f"/v1/providers/{CLINIC}", {"contracts": [contract]})
    await open_house.quiet()
    today = open_house.today()
    body = david(
        populations=["homelessness", "avoidable_utilization"],
        answers={**david()["answers"], "avoidable_stays_6m": 3},
        presumptive={"population": "avoidable_utilization", "from": today},
    )
    receipt = await open_house.ask(CLINIC, "POST", "/v1/referrals", body, 201)
    assert receipt["presumptive"]["covered"]
    await open_house.quiet()
    types = await open_house.timeline(receipt["id"])
    assert types[:3] == [
        "referral.received", "authorization.review_opened", "authorization.presumptive_granted",
    ]  # fmt: skip
    offer = await open_house.offer(CLINIC)
    assert offer["plan"] == HARBOR


async def test_variant_1c_the_street_team_may_serve_before_the_plan_decides(open_house: House) -> None:
    today = open_house.today()
    body = david(
        attestation={"attested": True},
        member={**david()["member"], "cin": "90000002S"},
        presumptive={"population": "homelessness", "from": today},
    )
    referral = await open_house.refer(STREET, body)
    await open_house.quiet()
    # Not on the roster: a person decides, but the grant goes on.
    assert await open_house.timeline(referral) == [
        "referral.received", "authorization.review_opened", "authorization.presumptive_granted", "assignment.made",
    ]  # fmt: skip
    await open_house.accept(STREET)
    queue = await open_house.ask(HARBOR, "GET", "/v1/authorizations?status=pending")
    (pending,) = queue["items"]
    assert pending["needs_person"] == ["eligibility_unconfirmed"]
    person = {"acted_by": {"person": "maria-chen", "title": "UM nurse"}}
    decided = await open_house.ask(HARBOR, "POST", f"/v1/authorizations/{pending['id']}:approve", person)
    assert decided["decision"]["from_"] == today
    await open_house.quiet()
    assert (await open_house.timeline(referral))[-2:] == [
        "authorization.approved", "authorization.presumptive_ended",
    ]  # fmt: skip
    assert (await open_house.referral(HARBOR, referral))["status"] == "accepted"


async def test_a_declined_referral_goes_to_the_next_provider_and_stays_open(open_house: House) -> None:
    referral = await open_house.refer(CLINIC, david())
    await open_house.quiet()
    offer = await open_house.offer(STREET)
    await open_house.ask(STREET, "POST", f"/v1/assignments/{offer['id']}:decline", {"reason": "no_capacity"})
    await open_house.quiet()
    assert (await open_house.referral(CLINIC, referral))["status"] == "assigned"
    next_offer = await open_house.offer(NAVIGATORS)
    why = await open_house.ask(HARBOR, "GET", f"/v1/assignments/{next_offer['id']}/explanation")
    assert any(skip == {"provider": STREET, "reason": "declined"} for skip in why["skipped"])
    await open_house.ask(
        NAVIGATORS, "POST", f"/v1/assignments/{next_offer['id']}:decline", {"reason": "outside_area"}
    )
    await open_house.quiet()
    asked = await open_house.referral(OPERATIONS, referral)
    assert (asked["status"], asked["next_step"]["actor"]) == ("authorized", "plan")
