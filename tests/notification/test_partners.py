"""A partner hears what a plan granted it by population and county, and nothing without a grant (loop.md 1.6)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import orjson
import pytest_asyncio

from loopkeeper.contract import ids
from loopkeeper.contract.events import Consent, ReferralReceived, ScreenedPopulation
from loopkeeper.testing.rules import MONDAY
from notification.domain.notices.visibility import REDISCLOSURE, Grant, consented, granting, part2, why_not
from tests.builders.every_event import CANARY, life
from tests.builders.facts import closed
from tests.builders.notification import accepted, approved, made, received
from tests.builders.organizations import HARBOR, OTHER, PARTNER, REFERRER
from tests.builders.policy_rows import GRANTED
from tests.databases import Migrated
from tests.notification.house import House, house

HOMELESS = [{"code": "homelessness", "result": "met", "claimed": True}]
HOMELESS_MET = ScreenedPopulation(code="homelessness", result="met", claimed=True)
SMI = [{"code": "smi_sud", "result": "met", "claimed": True}]


@pytest_asyncio.fixture
async def opened(migrated: Migrated, tmp_path: Path) -> AsyncGenerator[House]:
    async with house(await migrated("notification"), tmp_path, policy_rows=GRANTED) as found:
        yield found


async def feed_of(opened: House, organization: str) -> list[Any]:
    rows = await opened.rows(
        """SELECT f.body FROM feed f JOIN subscription s ON s.id = f.subscription WHERE s.organization = $1
           ORDER BY f.sequence""",
        organization,
    )
    return [orjson.loads(row["body"]) for row in rows]


async def listen(opened: House, *organizations: str) -> None:
    for organization in organizations:
        async with opened.caller(organization) as caller:
            assert (await caller.post("/v1/subscriptions", json={})).status_code == 201


async def explain(
    opened: House, query: str = "", who: str = HARBOR, partner: str = PARTNER, status: int = 200
) -> Any:
    async with opened.caller(who) as caller:
        answer = await caller.get(f"/v1/partners/{partner}/explanation{query}")
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_partner_hears_of_the_granted_population_in_the_granted_county_and_of_nothing_else(
    opened: House,
) -> None:
    await listen(opened, PARTNER, HARBOR)
    granted, elsewhere, other = (ids.new("ref") for _ in range(3))
    await opened.hear(received(populations=HOMELESS, county="alameda"), approved(), stream=granted)
    await opened.hear(received(populations=HOMELESS, county="san-francisco"), approved(), stream=elsewhere)
    await opened.hear(received(populations=SMI, county="alameda"), approved(), stream=other)
    heard = await feed_of(opened, PARTNER)
    assert [each["type"] for each in heard] == ["ecm.referral.received.v1", "ecm.authorization.approved.v1"]
    assert {each["data"]["referral"] for each in heard} == {granted}
    assert [each["data"]["sequence"] for each in heard] == [1, 2]
    text = orjson.dumps(heard).decode()
    assert not [word for word in ("homelessness", REFERRER, "mem_", "language") if word in text]
    assert len(await feed_of(opened, HARBOR)) == 6


async def test_without_a_row_of_the_plan_a_partner_hears_nothing(opened: House) -> None:
    await listen(opened, PARTNER)
    await opened.hear(
        received(plan="another-plan", populations=HOMELESS, county="alameda"), approved(), closed()
    )
    assert await feed_of(opened, PARTNER) == []


async def test_what_would_this_partner_see_and_why(opened: House) -> None:
    await opened.hear(received(populations=HOMELESS, county="alameda"))
    found = await explain(opened, "?referral=ref_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b")
    row = f"{HARBOR}/partner_grants/county-homelessness@2025-01-01"
    assert [each["row"] for each in found["grants"]] == [row]
    assert (found["referral"]["seen"], found["referral"]["because"]) == (True, [row])
    assert found["referral"]["events"]["ecm.assignment.made.v1"] == [
        "answer_due_at",
        "assignment",
        "occurred_at",
    ]
    assert "ecm.outreach.contact_changed.v1" not in found["referral"]["events"]


async def test_what_it_does_not_see_is_explained_too(opened: House) -> None:
    first, second = ids.new("ref"), ids.new("ref")
    await opened.hear(received(populations=SMI, county="alameda"), stream=first)
    await opened.hear(received(populations=HOMELESS, county="fresno"), stream=second)
    assert (await explain(opened, f"?referral={first}"))["referral"]["because"] == [
        "None of the referral's populations was granted."
    ]
    assert (await explain(opened, f"?referral={second}"))["referral"]["because"] == [
        "The referral's county was not granted."
    ]
    nobody = await explain(opened, f"?referral={first}", partner="somebody-else")
    assert nobody["referral"]["because"] == ["The plan granted this partner nothing."]


async def test_a_partner_reads_its_own_grants_and_no_referral(opened: House) -> None:
    (grant,) = (await explain(opened, who=PARTNER))["grants"]
    assert (grant["plan"], grant["population"], grant["county"]) == (HARBOR, "homelessness", "alameda")
    await opened.hear(received(populations=HOMELESS, county="alameda"))
    await explain(opened, "?referral=ref_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b", who=PARTNER, status=404)
    await explain(opened, who=PARTNER, partner="somebody-else", status=404)
    await explain(opened, who=REFERRER, status=403)


async def test_no_feed_of_anybody_has_a_sealed_word_and_a_partners_has_no_words_at_all(opened: House) -> None:
    await listen(opened, PARTNER, HARBOR, REFERRER, OTHER)
    for event in life(OTHER, populations=(), county="alameda"):
        changes = {"populations": (HOMELESS_MET,)} if isinstance(event, ReferralReceived) else {}
        own = event.wire.startswith(("outreach", "notice"))
        if not own:
            await opened.hear(event.model_copy(update=changes))
    told = {
        who: orjson.dumps(await feed_of(opened, who)).decode() for who in (PARTNER, HARBOR, REFERRER, OTHER)
    }
    assert all(told.values())
    for who in (PARTNER, REFERRER, OTHER):
        assert CANARY not in told[who], who
    assert "sealed" not in told[HARBOR]
    for word in (OTHER, REFERRER, "homelessness", "Lopez", "criteria_not_met"):
        assert word not in told[PARTNER]


# ── Part 2 ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_a_part_2_program_says_travels_with_its_notice_whatever_the_population(
    opened: House,
) -> None:
    """loop.md 6.5: by source, not by population."""
    await listen(opened, HARBOR, REFERRER, OTHER)
    plain, protected = ids.new("ref"), ids.new("ref")
    await opened.hear(received(populations=SMI), stream=plain)
    facts = (received(populations=HOMELESS), approved(), made(OTHER, "asg_1"), accepted(OTHER, "asg_1"))
    await opened.hear(*facts, stream=protected)
    for each in await feed_of(opened, HARBOR):
        expected = each["type"].startswith("ecm.assignment")
        assert ("part2" in each["data"]) is expected, each["type"]
    assigned = [each for each in await feed_of(opened, REFERRER) if each["type"] == "ecm.notice.assigned.v1"]
    assert [each["data"]["part2"] for each in assigned] == [
        {"notice": REDISCLOSURE, "consent": {"scope": "none"}}
    ]
    # Without a consent its name is not told.
    assert "Bayview" not in assigned[0]["data"]["text"]
    assert all("part2" not in each["data"] for each in await feed_of(opened, OTHER))


def test_a_consent_lets_those_read_whom_it_names_and_as_long_as_it_runs() -> None:
    day = MONDAY.date()
    named = Consent(scope="named", to=(REFERRER,), on=day, through=day.replace(month=6))
    assert consented(named, REFERRER, day)
    assert not consented(named, HARBOR, day)
    assert not consented(named, REFERRER, day.replace(month=7))
    assert not consented(named, REFERRER, day.replace(month=2))
    assert consented(Consent(scope="tpo", on=day), HARBOR, day)
    assert not consented(Consent(scope="revoked", on=day), HARBOR, day)
    assert not consented(None, HARBOR, day)
    scope = part2([OTHER], [OTHER], REFERRER, named, day)
    assert scope is not None
    assert scope["consent"] == {"scope": "named", "on": "2026-03-02", "through": "2026-06-02"}
    assert part2([OTHER], [OTHER], OTHER, None, day) is None


def test_a_grant_without_a_county_holds_for_all_and_two_half_grants_are_none() -> None:
    everywhere = Grant("r1", PARTNER, "homelessness", "")
    assert granting([everywhere], PARTNER, ["homelessness"], "fresno") == (everywhere,)
    halves = [Grant("r2", PARTNER, "homelessness", "fresno"), Grant("r3", PARTNER, "smi_sud", "alameda")]
    assert granting(halves, PARTNER, ["homelessness"], "alameda") == ()
    assert why_not(halves, PARTNER, ["homelessness"], "alameda") == (
        "No one row grants both the population and the county.",
    )
