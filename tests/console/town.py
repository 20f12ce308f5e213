"""A town in the middle of its work: two weeks of referrals by invented people, some of them late, one story that is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from demo.people import Crowd, Person, roster_row
from loopkeeper.contract.calendar import la_date
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, HOSPITAL, NAVIGATORS, OPERATIONS, STREET
from tests.console.stage import Stage
from tests.loop.house import House, put_roster

SEED = 7
# So many forms come in together, and so many days pass until the next.
BATCHES: Sequence[tuple[int, int]] = ((8, 4), (9, 3), (9, 3), (8, 2), (6, 1))
SENDERS = (HOSPITAL, CLINIC, STREET)
LEADS: Mapping[str, str] = {STREET: "Luis Ortega", NAVIGATORS: "Mei Tran"}
TRIED = (("phone", "no_answer"), ("phone", "voicemail"), ("in_person", "not_there"))


@dataclass(frozen=True)
class Town:
    """The ids that pages are about."""

    told: str
    reached: str
    served: str
    offered: str
    offer: str
    waiting: str
    case: str
    term: str
    asks: str
    provider: str
    asked: str
    colleague: str

    @property
    def ids(self) -> Mapping[str, str]:
        return vars(self)


async def town(at: Stage) -> Town:
    """Two weeks of work, always the same people."""
    house = at.house
    crowd = Crowd(SEED, la_date(house.clock.now()))
    people = [crowd.person(HARBOR) for _ in range(sum(count for count, _ in BATCHES))]
    both = ["alameda", "contra-costa"]
    await house.ask(OPERATIONS, "PUT", f"/v1/providers/{NAVIGATORS}", {"counties": both})
    known = [roster_row(person.member) for person in people[::2]]
    await put_roster(house, HARBOR, [roster_row(david()["member"]), *known])
    told = await _told(house)
    served = await _served(house)
    came = iter(people)
    for count, days in BATCHES:
        for number in range(count):
            await _refer(house, crowd, next(came), number)
        await house.quiet()
        await _answer(house)
        await house.pass_time(timedelta(days=days))
    reached, held = await _reached(house)
    offer = await _offered(house)
    cases = (await house.ask(HARBOR, "GET", "/v1/authorizations?waits_for=decision"))["items"]
    asks = (await house.ask(HARBOR, "GET", "/v1/referrals?actor=plan&limit=200"))["items"]
    named = [one for one in asks if one["next_step"]["step"] != "decide the authorization"]
    terms = (await house.ask(HARBOR, "GET", "/v1/authorizations?status=approved&limit=200"))["items"]
    sent = [one["id"] for one in (await house.ask(HOSPITAL, "GET", "/v1/referrals?limit=200"))["items"]]
    case = next(one for one in cases[::-1] if one["referral"] in sent)
    return Town(
        told=told,
        reached=reached,
        served=served,
        offered=offer["referral"],
        offer=offer["id"],
        waiting=case["referral"],
        case=case["id"],
        term=next(one["id"] for one in terms if one["referral"] == served),
        asks=named[0]["id"],
        provider=next(name for slug, name in LEADS.items() if slug == held),
        asked=next(name for slug, name in LEADS.items() if slug == offer["provider"]),
        colleague=await at.asks("SELECT id FROM person WHERE name = 'Dev Patel'"),
    )


async def _refer(house: House, crowd: Crowd, person: Person, number: int) -> str:
    form = crowd.referral(person) | {"urgency": "expedited" if number % 7 == 3 else "routine"}
    return await house.refer(SENDERS[number % 3], form)


async def _answer(house: House) -> None:
    """Providers take every other offer, and try to reach the people."""
    for provider, lead in LEADS.items():
        offers = (await house.ask(provider, "GET", "/v1/assignments?status=offered"))["items"]
        for offer in offers[::2]:
            body = {"lead": {"person": lead.casefold().replace(" ", "-"), "name": lead}}
            await house.ask(provider, "POST", f"/v1/assignments/{offer['id']}:accept", body)
        await house.quiet()
        found = (await house.ask(provider, "GET", "/v1/outreach?status=waiting"))["items"]
        for number, one in enumerate(found[::2]):
            await house.attempt(provider, one["referral"], *TRIED[number % 3])


async def _accepted(house: House, referral: str) -> str:
    """The provider that was offered it takes it."""
    await house.quiet()
    offers = (await house.ask(HARBOR, "GET", "/v1/assignments?status=offered"))["items"]
    offer = next(one for one in offers if one["referral"] == referral)
    provider: str = offer["provider"]
    lead = {"person": LEADS[provider].casefold().replace(" ", "-"), "name": LEADS[provider]}
    await house.ask(provider, "POST", f"/v1/assignments/{offer['id']}:accept", {"lead": lead})
    await house.quiet()
    return provider


async def _told(house: House) -> str:
    """David's loop, from his clinic to the word that came back."""
    referral = await house.refer(CLINIC, david())
    provider = await _accepted(house, referral)
    for days, how, came in (
        (1, "phone", "no_answer"),
        (2, "phone", "voicemail"),
        (1, "in_person", "reached"),
    ):
        await house.pass_time(timedelta(days=days))
        await house.attempt(provider, referral, how, came)
    await house.ask(provider, "POST", f"/v1/outreach/{referral}:start-services", {"on": house.today()})
    await house.quiet()
    for notice in (await house.ask(CLINIC, "GET", "/v1/mailbox?limit=50"))["items"]:
        await house.ask(CLINIC, "GET", f"/v1/mailbox/{notice['id']}")
    await house.quiet()
    return referral


async def _served(house: House) -> str:
    """A member who is served under a term that runs."""
    referral = await house.refer(HOSPITAL, _of("90000002S"))
    await house.quiet()
    await _approved(house, referral)
    provider = await _accepted(house, referral)
    await house.ask(provider, "POST", f"/v1/outreach/{referral}:start-services", {"on": house.today()})
    await house.quiet()
    return referral


async def _reached(house: House) -> tuple[str, str]:
    """A member whom the street team looks for, with rules for reaching them."""
    body = _of("90000003S")
    member = body["member"] | {"safe_contact": {"channels": ["in_person", "text"], "hours": "mornings"}}
    referral = await house.refer(HOSPITAL, body | {"member": member})
    await house.quiet()
    await _approved(house, referral)
    provider = await _accepted(house, referral)
    for how, came in TRIED[:2]:
        await house.attempt(provider, referral, how, came)
    await house.quiet()
    return referral, provider


async def _offered(house: House) -> dict[str, Any]:
    """A member whom a provider is asked to take."""
    referral = await house.refer(HOSPITAL, _of("90000004S"))
    await house.quiet()
    await _approved(house, referral)
    offers = (await house.ask(HARBOR, "GET", "/v1/assignments?status=offered"))["items"]
    return next(one for one in offers if one["referral"] == referral)


async def _approved(house: House, referral: str) -> None:
    """By a person, where no rule did."""
    shown = (await house.referral(HARBOR, referral))["authorization"]
    if not shown["number"]:
        by = {"person": "maria-chen", "title": "UM nurse"}
        await house.ask(HARBOR, "POST", f"/v1/authorizations/{shown['id']}:approve", {"acted_by": by})
        await house.quiet()


def _of(cin: str) -> dict[str, Any]:
    body = david()
    return body | {"member": body["member"] | {"cin": cin, "first_name": "Amara", "birth_date": "1971-05-03"}}
