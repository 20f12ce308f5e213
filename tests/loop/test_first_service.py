"""Closing is not ending (loop.md 7.2): first service on day 1 closes the loop; the review is decided on day 5; the
term runs twelve months."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, NAVIGATORS, OPERATIONS, STREET
from tests.databases import Databases, NewLog
from tests.loop.house import House, house

DAY = timedelta(days=1)
MARIA = {"person": "maria-chen", "title": "UM nurse"}


CIN = "90000007S"


@pytest_asyncio.fixture
async def open_house(databases: Databases, tmp_path: Path, new_log: NewLog) -> AsyncGenerator[House]:
    """A house of a test's own, whose clock it moves."""
    async with house(databases, tmp_path, event_log=await new_log()) as opened:
        await _listening(opened)
        yield opened
    await databases.drop()


@pytest_asyncio.fixture(scope="module")
async def town(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory, new_log: NewLog
) -> AsyncGenerator[House]:
    """One house for tests of different members."""
    async with house(databases, tmp_path_factory.mktemp("town"), event_log=await new_log()) as opened:
        await _listening(opened)
        yield opened
    await databases.drop()


async def _listening(opened: House) -> None:
    for organization in (STREET, HARBOR):
        await opened.subscribe(organization)


def unknown_to_the_roster(cin: str, **changes: Any) -> dict[str, Any]:
    """Whom the plan's roster does not have: a person decides, and the grant carries the services meanwhile."""
    return david(member={**david()["member"], "cin": cin}, **changes)


def claim(opened: House) -> dict[str, Any]:
    return {"population": "homelessness", "from": opened.today()}


async def served_on_day_1(opened: House, cin: str = CIN) -> str:
    """Referred, granted, accepted, found and served, all on one day."""
    referral = await opened.refer(STREET, unknown_to_the_roster(cin, presumptive=claim(opened)))
    await opened.quiet()
    await opened.accept(STREET)
    await opened.quiet()
    await opened.attempt(STREET, referral, "in_person", "engaged")
    today = opened.today()
    await opened.ask(STREET, "POST", f"/v1/outreach/{referral}:start-services", {"on": today})
    await opened.quiet()
    return referral


async def pending(opened: House, referral: str) -> Any:
    """The request of this referral in the plan's work queue."""
    queue = (await opened.ask(HARBOR, "GET", "/v1/authorizations?status=pending"))["items"]
    (found,) = [request for request in queue if request["referral"] == referral]
    return found


async def request_of(opened: House, referral: str) -> Any:
    """The request of this referral as the plan sees it now."""
    found = (await opened.ask(HARBOR, "GET", "/v1/authorizations"))["items"]
    (request,) = [each for each in found if each["referral"] == referral]
    return request


async def later_than_the_closing(opened: House, referral: str) -> set[str]:
    types = await opened.timeline(referral)
    return set(types[types.index("referral.closed") + 1 :])


async def decide(opened: House, referral: str, action: str, **body: Any) -> Any:
    request = await pending(opened, referral)
    path = f"/v1/authorizations/{request['id']}:{action}"
    decided = await opened.ask(HARBOR, "POST", path, {"acted_by": MARIA, **body})
    await opened.quiet()
    return decided


async def held(opened: House, referral: str = "") -> list[Any]:
    """What the street team holds, all or of this referral."""
    found = (await opened.ask(STREET, "GET", "/v1/assignments?status=accepted"))["items"]
    return [each for each in found if referral in ("", each["referral"])]


async def closing(opened: House, referral: str) -> tuple[str, str, str]:
    shown = await opened.referral(HARBOR, referral)
    return shown["status"], shown["closing"]["outcome"], shown["closing"]["at"]


def told(opened: House, kind: str, referral: str) -> int:
    """How often the street team was told this of this referral."""
    return sum(taken.json()["data"]["referral"] == referral for taken in opened.heard(STREET, kind))


async def test_first_service_closes_the_loop_and_the_term_runs_twelve_months(open_house: House) -> None:
    referral = await served_on_day_1(open_house)
    closed = await closing(open_house, referral)
    assert closed[:2] == ("closed", "services_received")
    assert (await pending(open_house, referral))["grant"]["ended"] == ""
    (assignment,) = await held(open_house)

    await open_house.pass_time(4 * DAY)
    assert (await pending(open_house, referral))["grant"]["ended"] == ""
    decided = await decide(open_house, referral, "approve")
    assert (decided["decision"]["from_"], decided["decision"]["through"]) == ("2026-03-02", "2027-03-01")

    # The decision is recorded and told like any other, and the grant ends with its day; the loop stays as it closed.
    await open_house.pass_time(DAY)
    grant = (await request_of(open_house, referral))["grant"]
    assert (grant["ended"], grant["through"]) == ("approved", "2026-03-06")
    assert await later_than_the_closing(open_house, referral) >= {
        "authorization.approved", "authorization.presumptive_ended",
    }  # fmt: skip
    assert await closing(open_house, referral) == closed
    assert len(open_house.heard(HARBOR, "authorization.approved")) == 1
    assert [taken.json()["data"]["through"] for taken in open_house.heard(STREET, "notice.decided")] == [
        "2027-03-01"
    ]
    assert told(open_house, "notice.authorized", referral) == 1

    # Past the thirty days, and past every other deadline of the beginning, the assignment lives on.
    await open_house.pass_time(40 * DAY)
    assert [each["id"] for each in await held(open_house)] == [assignment["id"]]
    member = await open_house.ask(STREET, "GET", f"/v1/assignments/{assignment['id']}/member")
    assert member["identity"]["first_name"] == "David"
    assert await closing(open_house, referral) == closed


async def test_undecided_the_grant_ends_after_thirty_days_and_the_review_stays_open(
    open_house: House,
) -> None:
    referral = await served_on_day_1(open_house)
    await open_house.pass_time(29 * DAY)
    assert len(await held(open_house)) == 1
    await open_house.pass_time(1 * DAY)
    assert await later_than_the_closing(open_house, referral) >= {
        "authorization.presumptive_ended", "assignment.ended",
    }  # fmt: skip
    assert await held(open_house) == []
    request = await pending(open_house, referral)
    assert (request["grant"]["ended"], request["grant"]["through"]) == ("expired", "2026-03-31")
    # Late as it is, a person's decision is still one, and dates back to the first service.
    decided = await decide(open_house, referral, "approve")
    assert date.fromisoformat(decided["decision"]["from_"]) == date(2026, 3, 2)
    standing = await open_house.ask(OPERATIONS, "GET", f"/v1/authorizations/{request['id']}")
    assert standing["status"] == "approved"


# ── one house for different members ───────────────────────────────────────────────────────────────────────


async def test_who_serves_keeps_the_place_after_the_loop_is_closed(town: House) -> None:
    places = len(await held(town)) + 1
    await town.ask(STREET, "PUT", f"/v1/providers/{STREET}", {"capacity": places})
    await served_on_day_1(town, "90000011S")
    await town.refer(CLINIC, david())
    await town.quiet()
    offer = await town.offer(NAVIGATORS)
    why = await town.ask(HARBOR, "GET", f"/v1/assignments/{offer['id']}/explanation")
    assert {"provider": STREET, "reason": "full"} in why["skipped"]
    await town.ask(STREET, "PUT", f"/v1/providers/{STREET}", {"capacity": 20})


async def test_while_the_term_runs_nobody_else_is_granted_the_member(town: House) -> None:
    """The navigators could be granted anybody else: the directory has them as a street medicine team too."""
    types = {"types": ["community_organization", "street_medicine"]}
    await town.ask(OPERATIONS, "PUT", f"/v1/providers/{NAVIGATORS}", types)
    await decide(town, await served_on_day_1(town, "90000012S"), "approve")
    claimed = [
        await town.refer(NAVIGATORS, unknown_to_the_roster(cin, presumptive=claim(town)))
        for cin in ("90000012S", "90000014S")
    ]
    await town.quiet()
    served, fresh = [await town.timeline(referral) for referral in claimed]
    assert "authorization.presumptive_granted" in fresh
    assert not {"authorization.presumptive_granted", "assignment.made"} & set(served)


async def test_a_denial_after_first_service_ends_grant_and_assignment_and_not_the_closing(
    town: House,
) -> None:
    referral = await served_on_day_1(town, "90000013S")
    closed = await closing(town, referral)
    await town.pass_time(4 * DAY)
    decided = await decide(town, referral, "deny", reason="not_mcp_member")
    assert decided["status"] == "denied"
    # Told by then, the grant is over with its day.
    await town.pass_time(DAY)
    assert (await request_of(town, referral))["grant"]["ended"] == "denied"
    assert await later_than_the_closing(town, referral) >= {
        "authorization.denied", "authorization.presumptive_ended", "assignment.ended",
    }  # fmt: skip
    assert await held(town, referral) == []
    assert await closing(town, referral) == closed
    assert told(town, "notice.decided", referral) == told(town, "notice.not_authorized", referral) == 1
