"""The plan at its desk, through HTTP only: clocks on every read, asking, a yes in part, a no, the term, and who may ask."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from loopkeeper.contract.calendar import la_date
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, HOSPITAL, NAVIGATORS, OPERATIONS, STREET, VALLEY
from tests.databases import Databases, NewLog
from tests.loop.house import House, house, put_roster

MARIA = {"acted_by": {"person": "maria-chen", "title": "Medical director", "licence": "A12345"}}
LUIS = {"acted_by": {"person": "luis-ortega", "title": "Lead care manager"}}
DAY = timedelta(days=1)


@pytest_asyncio.fixture(scope="module")
async def desk(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory, new_log: NewLog
) -> AsyncGenerator[House]:
    """One house for all: each test has a member of its own."""
    async with house(databases, tmp_path_factory.mktemp("desk"), event_log=await new_log()) as opened:
        yield opened
    await databases.drop()


def someone(number: int, **changes: Any) -> dict[str, Any]:
    """Another member like David; nobody else shares the number."""
    return david(member={**david()["member"], "cin": f"9000{number:04}S"}, **changes)


async def waiting(desk: House, number: int, by: str = CLINIC, **changes: Any) -> tuple[str, str]:
    """A referral of a member whom no roster knows, so that a person decides: its id and the request's."""
    referral = await desk.refer(by, someone(number, **changes))
    await desk.quiet()
    return referral, await request_of(desk, referral)


async def request_of(desk: House, referral: str) -> str:
    found = await desk.ask(HARBOR, "GET", "/v1/authorizations?limit=200")
    return next(item["id"] for item in found["items"] if item["referral"] == referral)


async def act(desk: House, request: str, what: str, body: Any, status: int = 200, by: str = HARBOR) -> Any:
    return await desk.ask(by, "POST", f"/v1/authorizations/{request}:{what}", body, status)


async def accepted(desk: House, referral: str) -> str:
    """The provider that was offered the member of this referral takes them; its name."""
    offers = await desk.ask(HARBOR, "GET", "/v1/assignments?status=offered&limit=200")
    (offer,) = [item for item in offers["items"] if item["referral"] == referral]
    lead = {"lead": {"person": "luis-ortega", "name": "Luis Ortega"}}
    await desk.ask(offer["provider"], "POST", f"/v1/assignments/{offer['id']}:accept", lead)
    await desk.quiet()
    return offer["provider"]


async def read(desk: House, request: str, by: str = HARBOR, status: int = 200) -> Any:
    return await desk.ask(by, "GET", f"/v1/authorizations/{request}", status=status)


async def test_a_plan_asks_for_the_standard_and_for_nothing_else_2_15(desk: House) -> None:
    _, request = await waiting(desk, 11)
    for ask in ("icd-10", "tar", "homelessness-proof", "attachment"):
        refusal = await act(desk, request, "pend", {**MARIA, "asks": [ask]}, 409)
        assert refusal["slug"] == "reason-forbidden"
    paused = await act(desk, request, "pend", {**MARIA, "asks": ["answer-pregnant_or_postpartum"]})
    assert paused["pause"]["asks"] == ["answer-pregnant_or_postpartum"]
    assert (paused["status"], paused["due"]["clock"]) == ("pending", "decision_cap")
    again = await act(desk, request, "resume", MARIA)
    assert (again["pause"], again["due"]["clock"], again["due"]["state"]) == (
        None,
        "decision_routine",
        "on_track",
    )
    await desk.quiet()


async def test_a_referral_that_becomes_urgent_is_decided_within_72_hours_of_that(desk: House) -> None:
    referral, request = await waiting(desk, 42)
    await desk.pass_time(DAY)
    before = await read(desk, request)
    urgent = {"corrections": {"/urgency": "expedited"}}
    await desk.ask(CLINIC, "POST", f"/v1/referrals/{referral}:answer", urgent)
    await desk.quiet()
    now, due = desk.clock.now(), (await read(desk, request))["due"]
    assert (before["due"]["clock"], due["clock"]) == ("decision_routine", "decision_expedited")
    assert timedelta(hours=71) < datetime.fromisoformat(due["due_at"]) - now <= timedelta(hours=72)
    assert (await desk.referral(CLINIC, referral))["due"]["due_at"] == due["due_at"]
    assert (await desk.timeline(referral))[-1] == "authorization.expedited"


async def test_who_may_see_and_decide_a_request(desk: House) -> None:
    """loop.md 1.5, 1.6: the plan all of it, operations no reasons, everybody else nothing."""
    _, request = await waiting(desk, 12)
    assert (await read(desk, request))["needs_person"] == ["eligibility_unconfirmed"]
    operations = await read(desk, request, OPERATIONS)
    assert operations["needs_person"] is None
    assert operations["due"]["state"] == "on_track"
    for stranger in (VALLEY, STREET, CLINIC):
        await read(desk, request, stranger, 404)
    assert (await act(desk, request, "approve", MARIA, 404, VALLEY))["slug"] == "not-found"
    assert (await act(desk, request, "approve", MARIA, 403, HOSPITAL))["slug"] == "role-missing"


WORDS = "The hospital planned those stays."


async def test_a_yes_in_part_says_what_is_not_approved_and_why(desk: House) -> None:
    answers = {**david()["answers"], "avoidable_stays_6m": 4}
    referral, request = await waiting(
        desk, 13, populations=["homelessness", "avoidable_utilization"], answers=answers
    )
    plain = await act(desk, request, "approve", {**MARIA, "populations": ["homelessness"]}, 409)
    assert plain["slug"] == "illegal-move"
    body = {
        **MARIA,
        "populations": ["homelessness"],
        "reason": "criteria_not_met",
        "unmet": [{"population": "avoidable_utilization", "criterion": "avoidable_stays_6m", "why": WORDS}],
        "external_number": "HHP-13",
    }
    decided = (await act(desk, request, "modify", body))["decision"]
    assert decided["adverse"]["populations"] == ["avoidable_utilization"]
    assert decided["adverse"]["rights"]["hearing_days"] == 120
    assert (decided["external_number"], decided["populations"]) == ("HHP-13", ["homelessness"])
    why = await desk.ask(HARBOR, "GET", f"/v1/authorizations/{request}/explanation")
    assert any("Not approved for" in line for line in why["lines"])
    await desk.quiet()
    assert "authorization.approved" in await desk.timeline(referral)


async def test_a_no_is_told_with_its_rights_and_may_be_overturned_4_8(desk: House) -> None:
    referral, request = await waiting(desk, 14)
    denied = await act(desk, request, "deny", {**MARIA, "reason": "no_active_medi_cal"})
    assert denied["decision"]["rights"]["unanswered_days"] == 30
    assert denied["due"]["state"] == "met"
    await desk.quiet()
    assert (await act(desk, request, "overturn", MARIA))["decision"]["overturned_on"]
    assert (await act(desk, request, "overturn", MARIA, 409))["slug"] == "already-decided"
    await desk.quiet()
    assert "authorization.overturned" in await desk.timeline(referral)


async def test_a_grant_has_the_states_name_and_payment_rule_and_can_be_revoked_3(desk: House) -> None:
    today = la_date(desk.clock.now()).isoformat()
    claim = {"presumptive": {"population": "homelessness", "from": today}}
    _, request = await waiting(desk, 15, STREET, **claim)
    grant = (await read(desk, request))["grant"]
    assert grant["name"] == "streamlined authorization"
    assert "p103, 109" in grant["payment_source"]
    assert grant["referral_by"] is not None
    # Who serves under the grant sees its request, and of it no population.
    seen = await read(desk, request, STREET)
    assert (seen["status"], seen["populations"], seen["grant"]) == ("pending", None, None)
    revoked = await act(desk, request, "revoke-grant", MARIA)
    assert (revoked["grant"]["ended"], revoked["status"]) == ("revoked", "pending")
    assert (await act(desk, request, "revoke-grant", MARIA, 409))["slug"] == "no-live-grant"
    await desk.quiet()


async def test_clocks_escalate_and_the_cap_is_adverse_by_law_4_5(desk: House) -> None:
    referral, request = await waiting(desk, 16)
    due_at = (await read(desk, request))["due_at"]
    await desk.pass_time(4 * DAY)
    assert (await read(desk, request))["due"]["state"] == "at_risk"
    at_risk = await desk.ask(HARBOR, "GET", "/v1/authorizations?due=at_risk&limit=200")
    assert request in [item["id"] for item in at_risk["items"]]
    await desk.pass_time(5 * DAY)
    late = await read(desk, request)
    assert (late["due"]["state"], late["due_at"], late["status"]) == ("breached", due_at, "pending")
    assert late["deemed_adverse"]["hearing_days"] == 120
    breached = await desk.ask(HARBOR, "GET", "/v1/authorizations?due=breached&waits_for=decision&limit=200")
    assert request in [item["id"] for item in breached["items"]]
    types = await desk.timeline(referral)
    assert types.count("authorization.overdue") == 2
    assert "authorization.deemed_adverse" in types
    # A person decides all the same, and it is recorded.
    assert (await act(desk, request, "approve", MARIA))["decision"]["kind"] == "approved"
    await desk.quiet()


async def test_the_term_is_prolonged_by_who_serves_or_ended_with_its_notice_4_7(desk: House) -> None:
    referral, request = await waiting(desk, 17)
    await act(desk, request, "approve", MARIA)
    await desk.quiet()
    serves = await accepted(desk, referral)
    other = STREET if serves == NAVIGATORS else NAVIGATORS
    held = await desk.ask(serves, "GET", "/v1/authorizations?status=approved&limit=200")
    assert request in [item["id"] for item in held["items"]]
    assert (await act(desk, request, "request-reauthorization", LUIS, 404, other))["slug"] == "not-found"
    asked = await act(desk, request, "request-reauthorization", LUIS, 200, serves)
    assert (asked["waits_for"], asked["term"]["state"]) == ("reauthorization", "running")
    again = await act(desk, request, "request-reauthorization", LUIS, 409, serves)
    assert again["slug"] == "already-requested"
    queue = await desk.ask(HARBOR, "GET", "/v1/authorizations?waits_for=reauthorization&limit=200")
    assert [item["id"] for item in queue["items"]] == [request]
    longer = await act(desk, request, "approve", MARIA)
    assert longer["term"]["renewals"] == 1
    unknown = await act(desk, request, "end", {**MARIA, "code": 16}, 409)
    assert unknown["slug"] == "code-unknown"
    over = await act(desk, request, "end", {**MARIA, "code": 1})
    assert over["term"]["ends_on"] == (la_date(desk.clock.now()) + 10 * DAY).isoformat()
    assert over["term"]["why"] == "Met the goals of the care plan"
    back = await act(desk, request, "continue", MARIA)
    assert back["term"]["ends_on"] is None
    await desk.quiet()
    types = await desk.timeline(referral)
    assert [each for each in types if each.startswith("authorization.")][-4:] == [
        "authorization.reauthorization_requested",
        "authorization.extended",
        "authorization.ended",
        "authorization.extended",
    ]


# ── looking up ────────────────────────────────────────────────────────────────────────────────────────────


def about(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "plan": HARBOR,
        "cin": f"9000{number:04}S",
        "birth_date": david()["member"]["birth_date"],
        **changes,
    }


async def test_who_decided_is_written_down_with_the_decision_and_never_without_it_1_4(desk: House) -> None:
    """loop.md 1.4: title and licence as stated; a refusal and a repeated key leave no trace of a decision."""
    referral, request = await waiting(desk, 41)
    nobody = {"acted_by": {"person": ""}, "reason": "no_active_medi_cal"}
    for body, slug in (
        ({**MARIA, "reason": "other"}, "reason-unknown"),
        ({**MARIA, "reason": "duplicative_program"}, "reason-forbidden"),
        (nobody, "person-required"),
    ):
        refused = await desk.as_(HARBOR).post(f"/v1/authorizations/{request}:deny", json=body)
        assert refused.json()["slug"] == slug
    for _ in range(2):
        answer = await desk.as_(HARBOR).post(
            f"/v1/authorizations/{request}:approve", json=MARIA, headers={"Idempotency-Key": "approve-41"}
        )
        assert answer.status_code == 200
    await act(desk, request, "deny", {**MARIA, "reason": "no_active_medi_cal"}, 409)
    pool = desk.running.contexts["authorization"].pool
    rows = await pool.fetch("SELECT organization, why FROM audit WHERE stream = $1", referral)
    said = "Approve by maria-chen (Medical director, licence A12345)"
    assert [(row["organization"], row["why"]) for row in rows] == [(HARBOR, said)]


async def look_up(desk: House, body: Any, status: int = 200, by: str = STREET) -> Any:
    return await desk.ask(by, "POST", "/v1/authorizations:look-up", body, status)


async def test_a_contracted_provider_looks_up_whether_an_authorization_is_open_1_10(desk: House) -> None:
    """loop.md 1.10: yes or no and the plan's number, by CIN and birth date together, each question written down."""
    _, request = await waiting(desk, 18)
    assert await look_up(desk, about(18)) == {"open": False, "plan": HARBOR, "phone": "555-0100"}
    await act(desk, request, "approve", MARIA)
    assert (await look_up(desk, about(18)))["open"]
    # As it is on the card, with blanks and in small letters.
    assert (await look_up(desk, about(18, cin="9000 0018 s")))["open"]
    assert not (await look_up(desk, about(18, birth_date="1964-02-18")))["open"]
    assert not (await look_up(desk, about(99)))["open"]
    assert not (await look_up(desk, about(18, cin="no number")))["open"]
    pool = desk.running.contexts["authorization"].pool
    rows = await pool.fetch("SELECT * FROM audit WHERE why LIKE 'to look up%'")
    assert len(rows) == 6
    assert {(row["organization"], row["plan"]) for row in rows} == {(STREET, HARBOR)}
    assert not any("90000018" in str(dict(row)) for row in rows)


async def test_nobody_else_looks_up_1_10(desk: House) -> None:
    for by, body in (
        (CLINIC, about(18)),
        (STREET, about(18, plan=VALLEY)),
        (STREET, about(18, plan="no-plan")),
    ):
        assert (await look_up(desk, body, 403, by))["slug"] == "not-contracted"
    for by in (HARBOR, HOSPITAL, OPERATIONS):
        assert (await look_up(desk, about(18), 403, by))["slug"] == "role-missing"


async def test_a_live_grant_is_an_open_authorization_too(desk: House) -> None:
    today = la_date(desk.clock.now()).isoformat()
    await waiting(desk, 19, STREET, presumptive={"population": "homelessness", "from": today})
    assert (await look_up(desk, about(19), by=NAVIGATORS))["open"]


async def test_so_many_look_ups_an_hour_and_no_more_1_10(desk: House) -> None:
    most = desk.running.contexts["authorization"].policy.row("look_up", on=la_date(desk.clock.now()))["most"]
    await desk.pass_time(timedelta(hours=2))
    for _ in range(most):
        await look_up(desk, about(77), by=NAVIGATORS)
    refusal = await look_up(desk, about(77), 429, NAVIGATORS)
    assert refusal["slug"] == "rate-limited"
    # Another organization is not held up by it, and an hour later neither is this one.
    await look_up(desk, about(77))
    await desk.pass_time(timedelta(minutes=61))
    await look_up(desk, about(77), by=NAVIGATORS)


async def test_a_clear_case_of_the_roster_needs_nobody(desk: House) -> None:
    member = someone(20)["member"]
    await put_roster(desk, HARBOR, [{"cin": member["cin"], "birth_date": member["birth_date"]}])
    _, request = await waiting(desk, 20)
    decided = await read(desk, request)
    assert (decided["decision"]["by"], decided["due"]["state"]) == ("rule", "met")


# ── at once ───────────────────────────────────────────────────────────────────────────────────────────────


async def known(desk: House, *numbers: int, plan: str = HARBOR) -> None:
    """These members are on the plan's roster."""
    members = [someone(number)["member"] for number in numbers]
    await put_roster(desk, plan, [{"cin": m["cin"], "birth_date": m["birth_date"]} for m in members])


async def test_a_start_sent_alone_is_granted_and_its_form_opens_the_review_3_1(desk: House) -> None:
    """loop.md 3.1: the formal referral joins the same loop."""
    today = la_date(desk.clock.now()).isoformat()
    start = someone(31, presumptive={"population": "homelessness", "from": today})
    referral = await desk.refer(STREET, {**start, "kind": "presumptive_start", "answers": {}})
    await desk.quiet()
    request = await request_of(desk, referral)
    alone = await read(desk, request)
    assert (alone["status"], alone["due"]["clock"], alone["due_at"]) == (
        "started",
        "presumptive_referral",
        None,
    )
    assert alone["grant"]["ended"] == ""
    assert (await act(desk, request, "approve", MARIA, 409))["allowed"] == ["revoke-grant"]
    await desk.pass_time(20 * DAY)
    assert "authorization.presumptive_reminded" in await desk.timeline(referral)

    await desk.refer(STREET, someone(31))
    await desk.quiet()
    joined = await read(desk, request)
    assert (joined["id"], joined["status"], joined["due"]["clock"]) == (
        request,
        "pending",
        "decision_routine",
    )
    assert joined["grant"]["ended"] == ""
    await act(desk, request, "approve", MARIA)
    await desk.quiet()


async def test_who_changes_plans_while_in_ecm_is_authorized_without_more_4_9(desk: House) -> None:
    """loop.md 4.9: Valley lets no rule approve, and its new member is authorized all the same."""
    await known(desk, 32, 33, 34, plan=VALLEY)
    said = {
        "how": "member",
        "member_wishes": True,
        "last_service_on": "2026-02-20",
        "enrolled_through": "2026-02-28",
    }
    bare = {"answers": {}, "populations": [], "attestation": {}, "programs": {}}
    moved = someone(32, plan=VALLEY, plan_change=said, **bare)
    referral = await desk.refer(HOSPITAL, moved)
    rent = await desk.refer(HOSPITAL, someone(33, plan=VALLEY, answers={"transitional_rent": True}))
    usual = await desk.refer(HOSPITAL, someone(34, plan=VALLEY))
    await desk.quiet()
    found = await desk.ask(VALLEY, "GET", "/v1/authorizations?limit=200")
    stands = {item["referral"]: item for item in found["items"]}
    assert stands[referral]["decision"]["must"] == "plan_change"
    assert (await desk.referral(HOSPITAL, referral))["questions"] == []
    assert stands[rent]["decision"]["must"] == "transitional_rent"
    assert (stands[usual]["status"], stands[usual]["needs_person"]) == ("pending", ["switch_off"])


async def overturned(desk: House) -> list[Any]:
    found = await desk.ask(HARBOR, "GET", "/v1/authorizations?status=approved&limit=200")
    return [item for item in found["items"] if item["decision"]["must"] == "overturned"]


async def test_an_overturned_denial_becomes_an_authorized_referral_4_8(desk: House) -> None:
    referral, request = await waiting(desk, 35)
    await act(desk, request, "deny", {**MARIA, "reason": "no_active_medi_cal"})
    await desk.quiet()
    before = {item["id"] for item in await overturned(desk)}
    await act(desk, request, "overturn", MARIA)
    await desk.quiet()
    (linked,) = [item for item in await overturned(desk) if item["id"] not in before]
    assert linked["referral"] != referral
    assert (await desk.referral(HARBOR, linked["referral"]))["status"] in ("authorized", "assigned")


async def test_who_leaves_custody_is_authorized_from_the_day_of_release_3_7(desk: House) -> None:
    """loop.md 3.7: with pre-release services, from that day, though it lies ahead."""
    await known(desk, 36)
    release = la_date(desk.clock.now()) + 12 * DAY
    leaving = someone(
        36,
        populations=["incarceration"],
        answers={"pre_release_services": True},
        release_on=release.isoformat(),
    )
    referral = await desk.refer(HOSPITAL, leaving)
    await desk.quiet()
    decided = await read(desk, await request_of(desk, referral))
    assert decided["decision"]["must"] == "release_day"
    assert (decided["term"]["from_"], decided["term"]["state"]) == (release.isoformat(), "not_yet")
    sooner = (release - 5 * DAY).isoformat()
    body = {"release_on": sooner, "acted_by": {"person": "maria-chen"}}
    await desk.ask(HARBOR, "POST", f"/v1/referrals/{referral}:record-release-date", body)
    await desk.quiet()
    assert (await read(desk, decided["id"]))["term"]["from_"] == sooner


async def test_a_grant_runs_until_its_provider_has_been_told_of_the_denial_3_4(desk: House) -> None:
    """loop.md 3.4: an organization with an endpoint hears it at once; one without is covered until told, or to day 30."""
    today = la_date(desk.clock.now())
    claim = {"presumptive": {"population": "homelessness", "from": today.isoformat()}}
    untold, unheard = await waiting(desk, 37, STREET, **claim)
    await act(desk, unheard, "deny", {**MARIA, "reason": "no_active_medi_cal"})
    await desk.quiet()
    assert (await read(desk, unheard))["grant"]["ended"] == ""
    await desk.subscribe(STREET)
    told, heard = await waiting(desk, 38, STREET, **claim)
    await act(desk, heard, "deny", {**MARIA, "reason": "no_active_medi_cal"})
    await desk.quiet()
    ended = (await read(desk, heard))["grant"]
    assert (ended["ended"], ended["through"]) == ("denied", today.isoformat())
    assert (await desk.timeline(told)).count("authorization.presumptive_ended") == 1
    await desk.pass_time(31 * DAY)
    late = (await read(desk, unheard))["grant"]
    assert (late["ended"], late["through"]) == ("expired", (today + 29 * DAY).isoformat())
    assert "authorization.presumptive_ended" in await desk.timeline(untold)
