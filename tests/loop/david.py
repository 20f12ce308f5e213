"""David's story, whole, through HTTP only."""

from __future__ import annotations

from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, STREET
from tests.loop.house import House


async def davids_story(open_house: House) -> None:
    """Referred by his clinic, approved by rule, found by the street team, served; the clinic hears of it."""
    for organization in (CLINIC, STREET, HARBOR):
        await open_house.subscribe(organization)

    receipt = await open_house.ask(CLINIC, "POST", "/v1/referrals", david(), 201)
    referral = receipt["id"]
    assert [p["code"] for p in receipt["screening"] if p["result"] == "met"] == ["homelessness"]
    assert receipt["eligibility"] == "confirmed"
    await open_house.quiet()

    # The clinic has no ECM contract: no grant, but a clear case, and the plan lets a rule approve.
    types = await open_house.timeline(referral)
    assert types == [
        "referral.received", "authorization.review_opened", "authorization.approved", "assignment.made",
    ]  # fmt: skip

    # A street medicine team is the specialist for him and comes first.
    taken = await open_house.accept(STREET)
    assert taken["status"] == "accepted"
    member = await open_house.ask(STREET, "GET", f"/v1/assignments/{taken['id']}/member")
    assert member["identity"]["first_name"] == "David"
    assert "gas station" in member["contact"]["usual_place"]

    # The acceptance reaches the service that records attempts by the log, which on Kafka takes a moment.
    await open_house.quiet()
    await open_house.attempt(STREET, referral, "phone", "no_answer")
    await open_house.attempt(STREET, referral, "phone", "voicemail")
    await open_house.attempt(STREET, referral, "in_person", "engaged")
    await open_house.quiet()
    assert (await open_house.referral(CLINIC, referral))["status"] == "outreach_initiated"

    today = open_house.today()
    await open_house.ask(STREET, "POST", f"/v1/outreach/{referral}:start-services", {"on": today})
    await open_house.quiet()

    closed = await open_house.referral(CLINIC, referral)
    assert (closed["status"], closed["closing"]["outcome"]) == ("closed", "services_received")
    assert closed["closing"]["told_at"] is not None
    assert (await open_house.timeline(referral))[-2:] == ["referral.closed", "notice.delivered"]

    told = [taken.json()["type"] for taken in open_house.heard(CLINIC)]
    assert told == [
        "ecm.notice.received.v1", "ecm.notice.authorized.v1", "ecm.notice.assigned.v1", "ecm.notice.closed.v1",
    ]  # fmt: skip
    assert all(taken.signed for taken in open_house.heard(CLINIC))
    assert len(open_house.heard(STREET, "notice.offer")) == 1
    assert len(open_house.heard(HARBOR)) == len(await open_house.timeline(referral))
