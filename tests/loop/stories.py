"""Two stories played whole, for their records: David's own, and the broader one of his neighbours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from loopkeeper.contract.calendar import la_date
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, HOSPITAL, NAVIGATORS, STREET, VALLEY
from tests.loop.house import House, put_roster

DAY = timedelta(days=1)
MARIA = {"acted_by": {"person": "maria-chen", "title": "Medical director", "licence": "A12345"}}
LUIS = {"acted_by": {"person": "luis-ortega"}}
ANA = {"acted_by": {"person": "ana-reyes"}}
LEAD = {"lead": {"person": "luis-ortega", "name": "Luis Ortega"}}

# No plan of the story lets a rule approve this population: nothing is drawn for a sample.
SMI_SUD = {"smhs_dmc_access": True, "lacks_food": True, "high_risk": True}


async def davids(opened: House) -> Mapping[str, str]:
    """S1: referred by his clinic, approved by rule, assigned, reached, served; everybody told."""
    for organization in (CLINIC, STREET, HARBOR):
        await opened.subscribe(organization)
    referral = await opened.refer(CLINIC, david())
    await opened.quiet()
    await opened.accept(STREET)
    await opened.attempt(STREET, referral, "phone", "no_answer")
    await opened.attempt(STREET, referral, "phone", "voicemail")
    await opened.attempt(STREET, referral, "in_person", "engaged")
    await opened.quiet()
    start = {"on": opened.today()}
    await opened.ask(STREET, "POST", f"/v1/outreach/{referral}:start-services", start)
    await opened.quiet()
    return {referral: "david"}


def neighbour(number: int, **changes: Any) -> dict[str, Any]:
    """A member like David, under a number and a name of their own."""
    member = david()["member"] | {"cin": f"9001{number:04}S", "last_name": f"Number{number}"}
    return david(member=member | changes.pop("member", {}), **changes)


class Town:
    """The broader story: each chapter refers somebody, and settles before the next one begins."""

    def __init__(self, opened: House) -> None:
        self.opened = opened
        self.names: dict[str, str] = {}

    async def refer(self, name: str, by: str, body: dict[str, Any]) -> str:
        referral = await self.opened.refer(by, body)
        self.names[referral] = name
        await self.opened.quiet()
        return referral

    async def act(self, by: str, path: str, body: Any, status: int = 200) -> Any:
        answer = await self.opened.ask(by, "POST", path, body, status)
        await self.opened.quiet()
        return answer

    async def request(self, referral: str, plan: str = HARBOR) -> str:
        found = await self.opened.ask(plan, "GET", "/v1/authorizations?limit=200")
        return next(item["id"] for item in found["items"] if item["referral"] == referral)

    async def decide(self, referral: str, what: str, **body: Any) -> Any:
        request = await self.request(referral)
        return await self.act(HARBOR, f"/v1/authorizations/{request}:{what}", {**MARIA, **body})

    async def offer(self, referral: str) -> Any:
        offers = await self.opened.ask(HARBOR, "GET", "/v1/assignments?status=offered&limit=200")
        return next(item for item in offers["items"] if item["referral"] == referral)

    async def accept(self, referral: str) -> Any:
        offer = await self.offer(referral)
        await self.act(offer["provider"], f"/v1/assignments/{offer['id']}:accept", LEAD)
        return offer

    async def serve(self, referral: str) -> str:
        """From the offer to the first service; who serves."""
        provider = (await self.accept(referral))["provider"]
        await self.opened.attempt(provider, referral, "in_person", "engaged")
        await self.opened.quiet()
        start = {"on": self.opened.today()}
        await self.act(provider, f"/v1/outreach/{referral}:start-services", start)
        return provider


async def broad(opened: House) -> Mapping[str, str]:
    """What befalls a town: forms that lack something, two referrals of one member, grants, denials, terms, changes of
    provider, silence, and everybody told by endpoint, mailbox and hand."""
    town = Town(opened)
    for organization in (HOSPITAL, HARBOR):
        await opened.subscribe(organization)
    for chapter in (asked, doubled, granted, decided, started, changed, prolonged, reached, moved, silent):
        await chapter(town)
    return town.names


async def asked(town: Town) -> None:
    open_form = await town.refer("asked", CLINIC, neighbour(1, populations=[], answers={}))
    said = {"answers": {"populations": ["homelessness"]}, "corrections": {"/answers": david()["answers"]}}
    await town.act(CLINIC, f"/v1/referrals/{open_form}:answer", said)
    await town.decide(open_form, "pend", asks=["answer-pregnant_or_postpartum"])
    await town.decide(open_form, "resume")
    urgent = {"corrections": {"/urgency": "expedited"}}
    await town.act(CLINIC, f"/v1/referrals/{open_form}:answer", urgent)
    await town.refer("unanswered", CLINIC, neighbour(2, populations=[], answers={}))
    gone = {"by": "member", **ANA}
    withdrawn = await town.refer("withdrawn", CLINIC, neighbour(3))
    await town.act(HARBOR, f"/v1/referrals/{withdrawn}:withdraw", gone)


async def doubled(town: Town) -> None:
    body = neighbour(11)
    await town.refer("first", CLINIC, body)
    more = {"populations": ["smi_sud"], "answers": SMI_SUD}
    second = await town.refer("second", HOSPITAL, body | more)
    apart = await town.act(HARBOR, f"/v1/referrals/{second}:split", ANA, 201)
    town.names[apart["id"]] = "split"
    # Decided in time: what is told at the very moment it is due races with its deadline.
    await town.decide(apart["id"], "approve")
    unsure = neighbour(12)
    one = await town.refer("one", CLINIC, unsure)
    late = await town.refer("late", HOSPITAL, unsure | {"member": unsure["member"] | {"cin": ""}})
    number = {"corrections": {"/member/cin": unsure["member"]["cin"]}}
    await town.act(HOSPITAL, f"/v1/referrals/{late}:answer", number)
    await town.act(HARBOR, f"/v1/referrals/{late}:merge", {"into": one, **ANA})
    closed = await town.refer("closed", CLINIC, neighbour(13))
    ended = {"outcome": "no_longer_eligible", **ANA}
    await town.act(HARBOR, f"/v1/referrals/{closed}:close", ended)
    again = await town.act(CLINIC, f"/v1/referrals/{closed}:contest", {"reason": "he was there"}, 201)
    town.names[again["id"]] = "contested"


async def granted(town: Town) -> None:
    claim = {"presumptive": {"population": "homelessness", "from": town.opened.today()}}
    denied = await town.refer("denied", STREET, neighbour(21, **claim))
    await town.decide(denied, "deny", reason="no_active_medi_cal")
    revoked = await town.refer("revoked", STREET, neighbour(22, **claim))
    await town.decide(revoked, "revoke-grant")
    await town.refer("uncovered", CLINIC, neighbour(23, **claim))
    await town.refer("running", STREET, neighbour(24, **claim))


async def decided(town: Town) -> None:
    answers = {**david()["answers"], **SMI_SUD}
    both = neighbour(31, populations=["homelessness", "smi_sud"], answers=answers)
    in_part = await town.refer("in part", CLINIC, both)
    said = [
        {"population": "smi_sud", "criterion": "smhs_dmc_access", "why": "No such services are known of."}
    ]
    await town.decide(in_part, "modify", populations=["homelessness"], reason="criteria_not_met", unmet=said)
    no = await town.refer("no", CLINIC, neighbour(32))
    await town.decide(no, "deny", reason="no_active_medi_cal")
    await town.decide(no, "overturn")
    listed = await town.opened.ask(CLINIC, "GET", "/v1/referrals?limit=200")
    for each in listed["items"]:
        if each["linked"] == {"to": no, "why": "overturned"}:
            town.names[each["id"]] = "overturned"
    yes = await town.refer("yes", CLINIC, neighbour(33))
    await town.decide(yes, "approve")


async def started(town: Town) -> None:
    claim = {"presumptive": {"population": "homelessness", "from": town.opened.today()}}
    alone = neighbour(41, **claim)
    first = await town.refer("start", STREET, alone | {"kind": "presumptive_start", "answers": {}})
    await town.refer("form", STREET, neighbour(41))
    await town.decide(first, "approve")
    await town.accept(first)
    told = await town.opened.ask(STREET, "GET", "/v1/mailbox?limit=200")
    for each in sorted(told["items"], key=lambda item: item["code"]):
        if each["referral"] == first and each["recipient_kind"] == "member":
            said = {**LUIS, "how": "in_person", "to": "member", "language": "en", "own_words": True}
            await town.act(STREET, f"/v1/notices/{each['id']}:hand-over", said)


async def changed(town: Town) -> None:
    served = await town.refer("changed", HOSPITAL, neighbour(51))
    await town.decide(served, "approve")
    first = await town.accept(served)
    body = {"lead": {"person": "ana-reyes", "name": "Ana Reyes"}, **LUIS}
    await town.act(first["provider"], f"/v1/assignments/{first['id']}:change-lead", body)
    wish = {"provider": NAVIGATORS, "acted_by": {"person": "rosa-diaz"}}
    await town.act(HOSPITAL, f"/v1/assignments/{served}:request-change", wish)
    chosen = {"referral": served, "provider": NAVIGATORS, **ANA}
    await town.act(HARBOR, "/v1/assignments", chosen, 201)
    own = await town.refer("own clinic", HOSPITAL, neighbour(52, pcp=NAVIGATORS))
    await town.decide(own, "approve")
    by_hand = {"referral": own, "provider": STREET, **ANA, "because": "fits_better"}
    await town.act(HARBOR, "/v1/assignments", by_hand, 201)
    none_left = await town.refer("none left", HOSPITAL, neighbour(53))
    await town.decide(none_left, "approve")
    offer = await town.offer(none_left)
    await town.act(STREET, f"/v1/assignments/{offer['id']}:decline", {"reason": "no_capacity"})
    offer = await town.offer(none_left)
    await town.act(HARBOR, f"/v1/assignments/{offer['id']}:withdraw", ANA)


async def prolonged(town: Town) -> None:
    referral = await town.refer("prolonged", CLINIC, neighbour(61))
    await town.decide(referral, "approve")
    serves = (await town.accept(referral))["provider"]
    request = await town.request(referral)
    await town.act(serves, f"/v1/authorizations/{request}:request-reauthorization", LUIS)
    await town.decide(referral, "approve")
    await town.decide(referral, "end", code=1)
    await town.decide(referral, "continue")
    ended = await town.refer("ended", CLINIC, neighbour(62))
    await town.decide(ended, "approve")
    taken = await town.accept(ended)
    await town.act(taken["provider"], f"/v1/assignments/{taken['id']}:end", LUIS)


async def reached(town: Town) -> None:
    referral = await town.refer("served", CLINIC, neighbour(71))
    await town.decide(referral, "approve")
    serves = await town.serve(referral)
    asking = {"code": "medically_tailored_meals", **LUIS}
    meals = await town.act(serves, f"/v1/referrals/{referral}/supports", asking, 201)
    await town.act(serves, f"/v1/supports/{meals['id']}:accept", {})
    await town.refer("again", HOSPITAL, neighbour(71))
    offers = neighbour(71) | {"referrer": david()["referrer"] | {"wants_to_serve": True}}
    second = await town.refer("offers", NAVIGATORS, offers)
    said = {"answers": {"provider-change": True}}
    await town.act(NAVIGATORS, f"/v1/referrals/{second}:answer", said)
    refused = await town.refer("member declined", CLINIC, neighbour(72))
    await town.decide(refused, "approve")
    provider = (await town.accept(refused))["provider"]
    no = {"on": town.opened.today(), "how": "phone"}
    await town.act(provider, f"/v1/outreach/{refused}:member-declined", no)
    wishes = neighbour(73, member={"language_spoken": "es"})
    letter = await town.refer("in spanish", CLINIC, wishes)
    await town.decide(letter, "approve")


async def moved(town: Town) -> None:
    body = neighbour(81)
    member = {name: body["member"][name] for name in ("cin", "birth_date")}
    await put_roster(town.opened, VALLEY, [member])
    wrong = await town.refer("wrong plan", CLINIC, body)
    said = {"answers": {f"redirect-{VALLEY}": True}}
    await town.act(CLINIC, f"/v1/referrals/{wrong}:answer", said)
    listed = await town.opened.ask(CLINIC, "GET", f"/v1/referrals?plan={VALLEY}")
    for each in listed["items"]:
        if each["linked"] and each["linked"]["to"] == wrong:
            town.names[each["id"]] = "right plan"
    await put_roster(town.opened, VALLEY, [])
    leaving = neighbour(
        82,
        answers={**david()["answers"], "pre_release_services": True},
        release_on=(la_date(town.opened.clock.now()) + 12 * DAY).isoformat(),
    )
    released = await town.refer("released", HOSPITAL, leaving)
    await town.decide(released, "approve")
    await town.accept(released)
    sooner = {"release_on": (la_date(town.opened.clock.now()) + 7 * DAY).isoformat()}
    path = f"/v1/referrals/{released}:record-release-date"
    await town.act(HARBOR, path, sooner | {"acted_by": {"person": "maria-chen"}})


async def silent(town: Town) -> None:
    quiet = await town.refer("unreached", CLINIC, neighbour(91))
    await town.decide(quiet, "approve")
    provider = (await town.accept(quiet))["provider"]
    await town.opened.attempt(provider, quiet, "phone", "no_answer")
    await town.opened.quiet()
    unasked = await town.refer("silent", CLINIC, neighbour(92))
    await town.decide(unasked, "approve")
    await town.opened.pass_time(35 * DAY)
    for modality in ("in_person", "text", "phone", "in_person"):
        await town.opened.attempt(provider, quiet, modality, "no_answer")
    await town.opened.quiet()
    over = {"on": town.opened.today()}
    await town.act(provider, f"/v1/outreach/{quiet}:unable-to-reach", over)


STORIES: Mapping[str, Callable[[House], Awaitable[Mapping[str, str]]]] = {"david": davids, "broad": broad}
