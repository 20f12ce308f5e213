"""Who is told what, through all four services: the member by a person, the second referrer, the one nobody told."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, HOSPITAL, NAVIGATORS, STREET
from tests.databases import Databases, NewLog
from tests.loop.house import House, house, put_roster

LUIS = {"person": "luis-ortega", "title": "Lead care manager"}


BORN = "1964-02-17"
# Each test has a member of its own; a rule approves them all.
DAVID, BELA, CORA, ELI = "90000001S", "90000002S", "90000003S", "90000004S"


@pytest_asyncio.fixture(scope="module")
async def open_house(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory, new_log: NewLog
) -> AsyncGenerator[House]:
    """In which the clinic never has an endpoint."""
    async with house(databases, tmp_path_factory.mktemp("telling"), event_log=await new_log()) as opened:
        roster = [{"cin": cin, "birth_date": BORN} for cin in (DAVID, BELA, CORA, ELI)]
        await put_roster(opened, HARBOR, roster)
        yield opened
    await databases.drop()


def member(cin: str, **changes: Any) -> dict[str, Any]:
    return david(member={**david()["member"], "cin": cin, "birth_date": BORN}, **changes)


async def mailbox(opened: House, organization: str, referral: str) -> dict[str, Any]:
    """What lies there about this referral, by code."""
    found = await opened.ask(organization, "GET", "/v1/mailbox?limit=200")
    return {each["code"]: each for each in found["items"] if each["referral"] == referral}


async def test_without_any_webhook_everybody_is_told_by_mailbox_and_by_hand(open_house: House) -> None:
    """loop.md 7.4: told is one of three; N1, N2, N5, N8."""
    referral = await open_house.refer(CLINIC, member(DAVID))
    await open_house.quiet()
    await open_house.accept(STREET)
    await open_house.quiet()
    letters = await mailbox(open_house, HARBOR, referral)
    assert {"authorized", "assigned"} <= set(letters)
    # David's lead care manager tells him in person, from the provider's own mailbox.
    own = await mailbox(open_house, STREET, referral)
    assert {"offer", "yours", "assigned"} <= set(own)
    said = {"acted_by": LUIS, "how": "in_person", "to": "member", "language": "en", "own_words": True}
    await open_house.ask(STREET, "POST", f"/v1/notices/{own['assigned']['id']}:hand-over", said)
    today = open_house.today()
    await open_house.ask(STREET, "POST", f"/v1/outreach/{referral}:start-services", {"on": today})
    await open_house.quiet()
    assert (await open_house.referral(CLINIC, referral))["closing"]["told_at"] is None
    item = (await mailbox(open_house, CLINIC, referral))["closed"]
    opened = await open_house.ask(CLINIC, "GET", f"/v1/mailbox/{item['id']}")
    assert "Services received" in opened["text"]
    await open_house.quiet()
    assert (await open_house.referral(CLINIC, referral))["closing"]["told_at"] is not None
    assert "notice.delivered" in await open_house.timeline(referral)


async def test_what_nobody_told_in_time_is_said_to_the_plan_and_the_loop_goes_on(open_house: House) -> None:
    """loop.md 7.4, 7.6: waiting is not told; a deadline ends nothing."""
    for organization in (HARBOR, STREET):
        await open_house.subscribe(organization)
    referral = await open_house.refer(CLINIC, member(BELA))
    await open_house.quiet()
    await open_house.accept(STREET)
    await open_house.pass_time(timedelta(days=10))

    def heard(kind: str) -> list[dict[str, Any]]:
        bodies = [taken.json()["data"] for taken in open_house.heard(HARBOR, kind)]
        return [each for each in bodies if each["referral"] == referral]

    late = heard("notice.overdue")
    assert {("authorized", "member"), ("assigned", "member"), ("assigned", "referrer")} <= {
        (each["code"], each["recipient_kind"]) for each in late
    }
    # The provider's endpoint took its own; nothing of it is late.
    assert "provider" not in {each["recipient_kind"] for each in late}
    assert {each["state"] for each in heard("outreach.overdue")} == {"at_risk", "breached"}
    assert (await open_house.referral(CLINIC, referral))["status"] == "accepted"


async def test_a_second_referrer_hears_all_that_follows_under_its_own_number(open_house: House) -> None:
    """loop.md 2.9: and learns nothing of the first."""
    for organization in (NAVIGATORS, HOSPITAL):
        await open_house.subscribe(organization)
    first = await open_house.refer(NAVIGATORS, member(CORA))
    await open_house.quiet()
    second = await open_house.refer(HOSPITAL, member(CORA))
    await open_house.quiet()
    assert (await open_house.referral(HOSPITAL, second))["status"] == "closed"
    await open_house.accept(STREET)
    await open_house.quiet()
    heard = [taken.json() for taken in open_house.heard(HOSPITAL)]
    types = [each["type"].removeprefix("ecm.notice.").removesuffix(".v1") for each in heard]
    assert types == ["closed", "authorized", "assigned"]
    text = str(heard)
    assert second in text
    assert first not in text
    assert NAVIGATORS not in text
    assert (await open_house.referral(HOSPITAL, second))["closing"]["told_at"] is not None


async def test_who_referred_themselves_is_told_of_the_closing_by_a_person_and_that_counts(
    open_house: House,
) -> None:
    """domain.md 5.3: a self-referral's N2, N3 and N5 merge into the member's notices."""
    body = member(ELI, referrer={"name": "David Okafor", "phone": "555-0144", "relationship": "self"})
    referral = await open_house.refer(CLINIC, body)
    await open_house.quiet()
    await open_house.ask(
        CLINIC, "POST", f"/v1/referrals/{referral}:withdraw", {"by": "member", "acted_by": LUIS}
    )
    await open_house.quiet()
    assert "closed" not in await mailbox(open_house, CLINIC, referral)
    letter = (await mailbox(open_house, HARBOR, referral))["closed_self"]
    said = {"acted_by": LUIS, "how": "in_person", "to": "member", "language": "en", "own_words": True}
    await open_house.ask(HARBOR, "POST", f"/v1/notices/{letter['id']}:hand-over", said)
    await open_house.quiet()
    assert (await open_house.referral(CLINIC, referral))["closing"]["told_at"] is not None
