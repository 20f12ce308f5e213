"""People who signed in, through HTTP only: their token says who acts, in every service, and is proved in what is kept."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import pytest_asyncio

from loopkeeper.security import issuer, tokens
from loopkeeper.security.tokens import ProvedPerson
from tests.builders.forms import UNMET, david
from tests.builders.organizations import CLINIC, HARBOR, STREET, VALLEY
from tests.databases import Databases
from tests.loop.house import House, house

# Random per person and organization; the console alone knows whose they are.
LIN = ProvedPerson(f"per_{'1' * 32}", "Physician")
MARIA = ProvedPerson(f"per_{'2' * 32}", "Medical director", "A12345")
LUIS = ProvedPerson(f"per_{'3' * 32}", "Lead care manager")
ANA = ProvedPerson(f"per_{'4' * 32}", "Care coordinator")


class Signed:
    """The house, asked by people."""

    def __init__(self, opened: House) -> None:
        self.house = opened
        issuer.first_key(opened.home / "config", opened.home / "issuer", "http://loop.test")
        self.signer = issuer.Signer(opened.home / "issuer")

    async def ask(
        self,
        person: ProvedPerson,
        organization: str,
        role: str,
        method: str,
        path: str,
        body: Any = None,
        status: int = 200,
        **headers: str,
    ) -> Any:
        token = tokens.sign(self.signer.key(datetime.now(UTC)), organization, [role], person, now=time.time())
        sent = {"Authorization": f"Bearer {token}", **{n.replace("_", "-"): v for n, v in headers.items()}}
        answer = await self.house.as_("").request(method, path, json=body, headers=sent)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def rows(self, service: str, query: str, *values: object) -> list[Mapping[str, Any]]:
        return await self.house.running.contexts[service].pool.fetch(query, *values)

    async def acted(self, service: str, referral: str, kind: str) -> Mapping[str, Any]:
        """Who acted in this service's newest own event of this kind."""
        rows = await self.rows(
            service,
            "SELECT payload FROM journal WHERE stream = $1 AND type = $2 AND own ORDER BY n DESC LIMIT 1",
            referral,
            f"ecm.{kind}.v1",
        )
        return orjson.loads(rows[0]["payload"])["acted_by"]


@pytest_asyncio.fixture(scope="module")
async def people(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Signed]:
    """One house for all: each test has a member of its own."""
    async with house(databases, tmp_path_factory.mktemp("people")) as opened:
        yield Signed(opened)
    await databases.drop()


def someone(number: int) -> dict[str, Any]:
    return david(member={**david()["member"], "cin": f"9000{number:04}S"})


async def waiting(people: Signed, number: int) -> tuple[str, str]:
    """A referral that a person of the clinic sent and a person of the plan must decide: its id and the request's."""
    made = await people.ask(LIN, CLINIC, "provider", "POST", "/v1/referrals", someone(number), 201)
    await people.house.quiet()
    found = await people.ask(MARIA, HARBOR, "plan", "GET", "/v1/authorizations?limit=200")
    return made["id"], next(each["id"] for each in found["items"] if each["referral"] == made["id"])


def proved(person: ProvedPerson, organization: str) -> dict[str, Any]:
    return {"organization": organization, "person": person.id, "proved": True}


async def test_a_loop_closed_by_people_names_each_of_them_1_4(people: Signed) -> None:
    referral, request = await waiting(people, 4001)
    assert await people.acted("intake", referral, "referral.received") == proved(LIN, CLINIC)
    await people.ask(MARIA, HARBOR, "plan", "POST", f"/v1/authorizations/{request}:approve", {})
    await people.house.quiet()
    assert await people.acted("authorization", referral, "authorization.approved") == proved(MARIA, HARBOR)
    offer = await people.ask(LUIS, STREET, "provider", "GET", f"/v1/assignments/{referral}")
    lead = {"lead": {"person": LUIS.id, "name": "Luis Ortega"}}
    accept = f"/v1/assignments/{offer['id']}:accept"
    await people.ask(ANA, STREET, "provider", "POST", accept, lead)
    await people.house.quiet()
    assert await people.acted("assignment", referral, "assignment.accepted") == proved(ANA, STREET)
    attempt = {
        "at": people.house.clock.now().isoformat(), "actor_kind": "street_outreach_worker", "modality": "in_person",
        "outcome": "reached",
    }  # fmt: skip
    await people.ask(LUIS, STREET, "provider", "POST", f"/v1/outreach/{referral}/attempts", attempt, 201)
    start = {"on": people.house.today()}
    await people.ask(LUIS, STREET, "provider", "POST", f"/v1/outreach/{referral}:start-services", start)
    for kind in ("outreach.attempted", "outreach.services_started"):
        assert await people.acted("notification", referral, kind) == proved(LUIS, STREET)


async def test_a_key_states_who_acts_and_is_recorded_as_stated(people: Signed) -> None:
    referral, request = await waiting(people, 4002)
    refused = await people.house.ask(HARBOR, "POST", f"/v1/authorizations/{request}:approve", {}, 422)
    assert refused["slug"] == "field-invalid"
    stated = {"acted_by": {"person": "maria-chen", "title": "UM nurse"}}
    await people.house.ask(HARBOR, "POST", f"/v1/authorizations/{request}:approve", stated)
    assert await people.acted("authorization", referral, "authorization.approved") == {
        "organization": HARBOR,
        "person": "maria-chen",
    }


async def test_a_person_who_names_another_is_refused_and_nothing_happens(people: Signed) -> None:
    _, request = await waiting(people, 4003)
    for named in ({"person": "somebody-else"}, {"person": MARIA.id}, None):
        problem = await people.ask(
            MARIA, HARBOR, "plan", "POST", f"/v1/authorizations/{request}:approve", {"acted_by": named}, 422
        )
        assert problem["slug"] == "acted-by-is-the-tokens"
        assert problem["errors"][0]["pointer"] == "/acted_by"
    found = await people.ask(MARIA, HARBOR, "plan", "GET", f"/v1/authorizations/{request}")
    assert found["status"] == "pending"


async def test_the_tokens_licence_decides_what_may_be_denied_4_1(people: Signed) -> None:
    referral, request = await waiting(people, 4004)
    deny = {"reason": "criteria_not_met", "unmet": UNMET, "citation": "ECM Policy Guide, p. 12"}
    path = f"/v1/authorizations/{request}:deny"
    refused = await people.ask(ANA, HARBOR, "plan", "POST", path, deny, 409)
    assert refused["slug"] == "person-required"
    await people.ask(MARIA, HARBOR, "plan", "POST", path, deny)
    row = (await people.rows("authorization", "SELECT * FROM audit WHERE stream = $1", referral))[-1]
    assert (row["person"], row["proved"], row["client"]) == (MARIA.id, True, "console")
    assert row["why"] == f"Deny by {MARIA.id} (Medical director, licence A12345)"


async def test_an_opening_is_written_down_under_the_person(people: Signed) -> None:
    referral, request = await waiting(people, 4005)
    opened = await people.ask(MARIA, HARBOR, "plan", "GET", f"/v1/authorizations/{request}/member")
    assert opened["first_name"] == "David"
    row = (await people.rows("authorization", "SELECT * FROM audit WHERE stream = $1", referral))[-1]
    assert (row["organization"], row["person"], row["proved"]) == (HARBOR, MARIA.id, True)
    await people.house.ask(HARBOR, "GET", f"/v1/authorizations/{request}/member")
    row = (
        await people.rows(
            "authorization", "SELECT * FROM audit WHERE stream = $1 ORDER BY position", referral
        )
    )[-1]
    assert (row["person"], row["proved"]) == ("", False)


async def test_a_role_the_token_was_not_given_is_missing_and_another_tenant_sees_nothing_1_5(
    people: Signed,
) -> None:
    _, request = await waiting(people, 4006)
    path = f"/v1/authorizations/{request}"
    missing = await people.ask(MARIA, HARBOR, "referrer", "GET", path, status=403)
    assert missing["slug"] == "role-missing"
    await people.ask(MARIA, VALLEY, "plan", "GET", path, status=404)
    # A clinic's people hold no plan's role, whatever their token asks for.
    await people.ask(LIN, CLINIC, "plan", "GET", path, status=403)


async def test_a_form_sent_twice_by_two_colleagues_is_one_referral(people: Signed) -> None:
    body = someone(4007)
    first, again = [
        await people.ask(
            who, CLINIC, "provider", "POST", "/v1/referrals", body, 201, Idempotency_Key="form-4007"
        )
        for who in (LIN, ANA)
    ]
    other = await people.ask(
        LUIS, STREET, "provider", "POST", "/v1/referrals", body, 201, Idempotency_Key="form-4007"
    )
    assert first["id"] == again["id"] != other["id"]
