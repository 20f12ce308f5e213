"""Every date somebody can send, at both ends of the calendar: refused with its pointer, or computed with; never a 500,
never a fact that parks."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from loopkeeper.runtime.service import installed
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, OPERATIONS, STREET
from tests.databases import Databases
from tests.loop.house import House, house, put_roster

DOCUMENTS = Path(__file__).parents[2] / "docs" / "reference" / "openapi"
NUMBERS = count(500)
FAR = ("0001-01-01", "0026-11-20", "1066-10-14", "1899-12-31", "2100-01-01", "2262-04-12", "9999-12-31")
LEAP = "2024-02-29"
NOBODY = {"acted_by": {"person": "ana-reyes", "title": "RN"}}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def town(databases: Databases, tmp_path_factory: Any) -> AsyncGenerator[House]:
    folder: Path = tmp_path_factory.mktemp("dates")
    async with house(databases, folder, roster=False) as opened:
        # Room for a member of its own for every date that is tried.
        await opened.ask(STREET, "PUT", f"/v1/providers/{STREET}", {"capacity": 1000})
        yield opened
    await databases.drop()


def somebody(**changes: Any) -> dict[str, Any]:
    member = david()["member"] | {"cin": f"9{next(NUMBERS):07d}S"} | changes.pop("member", {})
    return david(member=member, **changes)


@dataclass
class Story:
    """A member whose loop is where the field can be sent."""

    referral: str
    review: str = ""


async def referred(town: House) -> Story:
    referral = await town.refer(CLINIC, somebody())
    await town.quiet()
    return Story(referral, (await town.referral(HARBOR, referral))["authorization"]["id"])


async def approved(town: House) -> Story:
    story = await referred(town)
    await town.ask(HARBOR, "POST", f"/v1/authorizations/{story.review}:approve", NOBODY)
    await town.quiet()
    return story


async def denied(town: House) -> Story:
    story = await referred(town)
    why = {"reason": "no_active_medi_cal", "citation": "42 CFR 435.916"}
    await town.ask(HARBOR, "POST", f"/v1/authorizations/{story.review}:deny", NOBODY | why)
    await town.quiet()
    return story


async def served(town: House) -> Story:
    story = await approved(town)
    offer = (await town.ask(STREET, "GET", "/v1/assignments?status=offered&limit=200"))["items"][-1]
    lead = {"lead": {"person": "luis-ortega", "name": "Luis Ortega"}}
    await town.ask(STREET, "POST", f"/v1/assignments/{offer['id']}:accept", lead)
    await town.quiet()
    return story


async def nobody(town: House) -> Story:
    return Story("")


@dataclass(frozen=True)
class Field:
    """One date of one request: who sends it, in which story, where it is, and the request with a date in it."""

    who: str
    method: str
    path: str
    pointer: str
    body: Callable[[str], dict[str, Any] | None]
    story: Callable[[House], Any] = nobody
    moment: bool = False


def at_noon(day: str) -> str:
    return f"{day}T12:00:00-08:00"


def attempt(day: str) -> dict[str, Any]:
    return {
        "at": at_noon(day),
        "actor_kind": "street_outreach_worker",
        "modality": "phone",
        "outcome": "no_answer",
    }


def consent(**changes: str) -> dict[str, Any]:
    return {"consent": {"scope": "tpo", "on": "2026-01-05", **changes}}


def contract(**changes: str) -> dict[str, Any]:
    return {"contracts": [{"plan": HARBOR, "populations": ["homelessness"], "from": "2025-01-01", **changes}]}


def start(day: str) -> dict[str, Any]:
    return somebody(presumptive={"population": "homelessness", "from": day})


REFERRALS, OUTREACH, REVIEW = "/v1/referrals", "/v1/outreach/{referral}", "/v1/authorizations/{review}"
FIELDS: Mapping[str, Field] = {
    "intake ReferralBody birth_date": Field(
        CLINIC, "POST", REFERRALS, "/member/birth_date", lambda d: somebody(member={"birth_date": d})),
    "intake ReferralBody referral_date": Field(
        CLINIC, "POST", REFERRALS, "/referral_date", lambda d: somebody(referral_date=d)),
    "intake ReferralBody treating_until": Field(
        CLINIC, "POST", REFERRALS, "/referrer/treating_until",
        lambda d: somebody(referrer={"treating_until": d})),
    "intake ReferralBody release_on": Field(
        CLINIC, "POST", REFERRALS, "/release_on",
        lambda d: somebody(release_on=d, answers={"leaving_incarceration": True, "pre_release_services": True})),
    "intake ReferralBody from": Field(STREET, "POST", REFERRALS, "/presumptive/from", start),
    "intake ReferralBody on": Field(
        CLINIC, "POST", REFERRALS, "/attestation/on",
        lambda d: somebody(attestation={"attested": True, "name": "Dr. Lin", "on": d})),
    "intake ReferralBody last_service_on": Field(
        CLINIC, "POST", REFERRALS, "/plan_change/last_service_on",
        lambda d: somebody(plan_change={"how": "member", "last_service_on": d})),
    "intake ReferralBody enrolled_through": Field(
        CLINIC, "POST", REFERRALS, "/plan_change/enrolled_through",
        lambda d: somebody(plan_change={"how": "member", "enrolled_through": d})),
    "intake CloseBody on": Field(
        HARBOR, "POST", REFERRALS + "/{referral}:close", "/on",
        lambda d: {"outcome": "declined_by_member", "on": d, "how": "by telephone", **NOBODY}, referred),
    "intake ReleaseBody release_on": Field(
        HARBOR, "POST", REFERRALS + "/{referral}:record-release-date", "/release_on",
        lambda d: {"release_on": d, **NOBODY}, referred),
    "intake DeathBody on": Field(
        HARBOR, "POST", REFERRALS + "/{referral}:tell-death", "/on", lambda d: {"on": d, **NOBODY}, referred),
    "intake CustodyBody on": Field(
        HARBOR, "POST", REFERRALS + "/{referral}:record-custody", "/on", lambda d: {"on": d, **NOBODY}, referred),
    "authorization AppealBody on": Field(
        HARBOR, "POST", REVIEW + ":appeal", "/on", lambda d: {"on": d, **NOBODY}, approved),
    "authorization ApproveBody enrolled_on": Field(
        HARBOR, "POST", REVIEW + ":approve", "/enrolled_on", lambda d: {"enrolled_on": d, **NOBODY}, referred),
    "authorization EndTermBody on": Field(
        HARBOR, "POST", REVIEW + ":end", "/on", lambda d: {"code": 9, "on": d, **NOBODY}, approved),
    "authorization OverturnBody on": Field(
        HARBOR, "POST", REVIEW + ":overturn", "/on", lambda d: {"on": d, **NOBODY}, denied),
    "authorization LookUpBody birth_date": Field(
        STREET, "POST", "/v1/authorizations:look-up", "/birth_date",
        lambda d: {"plan": HARBOR, "cin": "90000001S", "birth_date": d}),
    "notification AttemptBody at": Field(
        STREET, "POST", OUTREACH + "/attempts", "/at", attempt, served, moment=True),
    "notification StartBody on": Field(
        STREET, "POST", OUTREACH + ":start-services", "/on", lambda d: {"on": d}, served),
    "notification MemberDeclinedBody on": Field(
        STREET, "POST", OUTREACH + ":member-declined", "/on", lambda d: {"on": d, "how": "phone"}, served),
    "notification UnreachedBody on": Field(
        STREET, "POST", OUTREACH + ":unable-to-reach", "/on", lambda d: {"on": d}, served),
    "notification EndServiceBody on": Field(
        STREET, "POST", OUTREACH + ":end-service", "/on", lambda d: {"code": 3, "on": d}, served),
    "notification ContactBody on": Field(
        STREET, "POST", OUTREACH + ":change-contact", "/consent/on", lambda d: consent(on=d), served),
    "notification ContactBody through": Field(
        STREET, "POST", OUTREACH + ":change-contact", "/consent/through", lambda d: consent(through=d), served),
    "assignment ProviderBody from": Field(
        HARBOR, "PUT", f"/v1/providers/{CLINIC}", "/contracts/0/from", lambda d: contract(**{"from": d})),
    "assignment ProviderBody through": Field(
        HARBOR, "PUT", f"/v1/providers/{CLINIC}", "/contracts/0/through", lambda d: contract(through=d)),
}  # fmt: skip
# Sent as they are elsewhere: a query's day and moments, and moments of bodies that look back only.
QUERIES: Mapping[str, tuple[str, str]] = {
    "intake on": (HARBOR, "/v1/policy/intake?on={}"),
    "authorization on": (HARBOR, "/v1/policy/authorization?on={}"),
    "assignment on": (HARBOR, "/v1/policy/assignment?on={}"),
    "notification on": (HARBOR, "/v1/partners/eastside-clinic/explanation?on={}"),
    "assignment updated_since": (HARBOR, "/v1/assignments?updated_since={}T00:00:00Z"),
    "authorization updated_since": (HARBOR, "/v1/authorizations?updated_since={}T00:00:00Z"),
    "intake updated_since": (HARBOR, "/v1/referrals?updated_since={}T00:00:00Z"),
    "notification updated_since": (HARBOR, "/v1/mailbox?updated_since={}T00:00:00Z"),
}
LOOK_BACK = {
    "notification HandOverBody at", "notification RecoverBody since", "notification RecoverBody until",
    "notification before", "notification after",
}  # fmt: skip


# ── every field is known here, and has a range ────────────────────────────────────────────────────────────


def dates(
    node: Any, schemas: Mapping[str, Any], seen: frozenset[str] = frozenset()
) -> Iterator[tuple[str, Any]]:
    """The properties of a schema that are days or moments, by name, with what the document says of each."""
    if isinstance(node, list):
        for entry in node:
            yield from dates(entry, schemas, seen)
        return
    if not isinstance(node, dict):
        return
    name = str(node.get("$ref", "")).rpartition("/")[2]
    if name and name not in seen:
        yield from dates(schemas[name], schemas, seen | {name})
    for key, part in node.get("properties", {}).items():
        for inner, found in dates(part, schemas, seen):
            yield inner or key, found
    if node.get("format") in ("date", "date-time"):
        yield "", node
    for key in ("anyOf", "allOf", "oneOf", "items", "additionalProperties", "prefixItems"):
        yield from dates(node.get(key), schemas, seen)


def sent_dates() -> dict[str, Any]:
    """Every date of the requests of the OpenAPI documents: service, body (nothing for a query) and field."""
    found: dict[str, Any] = {}
    for service in installed():
        document = json.loads((DOCUMENTS / f"{service}.json").read_text())
        schemas = document["components"]["schemas"]
        for operation in (each for path in document["paths"].values() for each in path.values()):
            for media in operation.get("requestBody", {}).get("content", {}).values():
                body = str(media.get("schema", {}).get("$ref", "")).rpartition("/")[2]
                for name, field in dates(media.get("schema"), schemas):
                    found[f"{service} {body} {name}"] = field
            for parameter in operation.get("parameters", ()):
                for _, field in dates(parameter.get("schema"), schemas):
                    found[f"{service} {parameter['name']}"] = field
    return found


def test_every_date_of_every_request_is_tried_here() -> None:
    assert set(sent_dates()) == {*FIELDS, *QUERIES, *LOOK_BACK}


@pytest.mark.parametrize("name", sorted(sent_dates()))
def test_every_date_says_in_the_document_from_when_to_when_it_may_lie(name: str) -> None:
    field = sent_dates()[name]
    assert date.fromisoformat(field["x-minimum"][:10]) < date.fromisoformat(field["x-maximum"][:10])


# ── over HTTP ─────────────────────────────────────────────────────────────────────────────────────────────


async def send(town: House, field: Field, story: Story, day: str) -> Any:
    path = field.path.format(referral=story.referral, review=story.review)
    return await town.as_(field.who).request(field.method, path, json=field.body(day))


async def parked(town: House) -> list[Any]:
    answers = [
        await town.ask(OPERATIONS, "GET", f"/v1/operations/{name}/parked") for name in town.running.services
    ]
    return [item for answer in answers for item in answer["items"]]


@pytest.mark.parametrize("name", sorted(FIELDS))
async def test_a_date_beyond_its_range_is_refused_with_its_pointer(town: House, name: str) -> None:
    field = FIELDS[name]
    story = await field.story(town)
    known = sent_dates()[name]
    for day in FAR:
        if known["x-minimum"][:10] <= day <= known["x-maximum"][:10]:
            continue
        if day == "9999-12-31" and name.endswith("through"):
            # What plans' files write for a span without an end.
            continue
        answer = await send(town, field, story, day)
        assert answer.status_code == 422, (day, answer.text)
        assert field.pointer in [each["pointer"] for each in answer.json()["errors"]]


@pytest.mark.parametrize("name", sorted(FIELDS))
async def test_a_date_within_its_range_never_breaks_what_is_computed_from_it(town: House, name: str) -> None:
    field, known = FIELDS[name], sent_dates()[name]
    today = date.fromisoformat(town.today())
    first = date.fromisoformat(known["x-minimum"][:10])
    last = date.fromisoformat(known["x-maximum"][:10]) - timedelta(days=field.moment)
    near = (today - timedelta(days=1), today + timedelta(days=1))
    for day in (first, last, date.fromisoformat(LEAP), *near):
        answer = await send(town, field, await field.story(town), day.isoformat())
        assert answer.status_code < 500, (day, answer.text)
    await town.quiet()
    assert await parked(town) == []


@pytest.mark.parametrize("name", sorted(QUERIES))
async def test_a_date_of_a_query_is_answered_or_refused(town: House, name: str) -> None:
    who, path = QUERIES[name]
    for day in (*FAR, "1970-01-01", "2022-01-01", LEAP, town.today(), "2099-12-31"):
        answer = await town.as_(who).get(path.format(day))
        assert answer.status_code in (200, 404, 422), (day, answer.text)


async def test_a_roster_line_with_a_date_beyond_its_range_is_refused_by_number(town: House) -> None:
    good = {"cin": "90000901S", "birth_date": "1964-05-17"}
    lines = [
        good,
        {"cin": "90000902S", "birth_date": "0064-05-17"},
        {"cin": "90000903S", "birth_date": "1964-05-17", "covered_from": "9999-01-01"},
        {"cin": "90000904S", "birth_date": "1964-05-17", "covered_through": "9999-12-31"},
    ]
    taken = await put_roster(town, HARBOR, lines)
    assert (taken["accepted"], taken["refused"]) == (2, 2)
    assert [(each["line"], each["pointer"]) for each in taken["errors"]] == [
        (2, "/birth_date"), (3, "/covered_from"),
    ]  # fmt: skip
