"""One member, two referrals; questions answered over HTTP; closings by hand and contested; denials overturned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, HOSPITAL, NAVIGATORS, OPERATIONS, STREET, VALLEY
from tests.databases import Databases, NewLog
from tests.loop.house import House, house, put_roster

NUMBERS = count(100)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def town(databases: Databases, tmp_path_factory: Any, new_log: NewLog) -> AsyncGenerator[House]:
    folder: Path = tmp_path_factory.mktemp("members")
    async with house(databases, folder, roster=False, event_log=await new_log()) as opened:
        yield opened
    await databases.drop()


def somebody(**changes: Any) -> dict[str, Any]:
    """A referral of a person nobody here has met: David's form with another CIN and a name."""
    number = next(NUMBERS)
    member = david()["member"] | {"cin": f"9{number:07d}S", "last_name": f"Number{number}"}
    member |= changes.pop("member", {})
    return david(member=member, **changes)


async def closing(town: House, who: str, referral: str) -> Mapping[str, Any]:
    return (await town.referral(who, referral))["closing"]


async def asked(town: House, who: str, referral: str) -> set[str]:
    return {each["id"] for each in (await town.referral(who, referral))["questions"]}


# ── answers (loop.md 2.2, 2.5, 2.7) ───────────────────────────────────────────────────────────────────────


async def test_an_answer_changes_only_what_it_says_and_the_loop_goes_on(town: House) -> None:
    body = somebody(populations=[], answers={})
    receipt = await town.ask(CLINIC, "POST", "/v1/referrals", body, 201)
    assert receipt["status"] == "needs_information"
    referral = receipt["id"]
    before = await town.referral(CLINIC, referral)
    assert before["next_step"]["actor"] == "referrer"
    assert before["next_step"]["due_at"] is not None
    assert (before["due"]["clock"], before["due"]["state"]) == ("information", "on_track")
    assert [each["clock"] for each in receipt["due"]] == ["information", "decision_routine"]

    said = {"answers": {"populations": ["homelessness"]}, "corrections": {"/answers": david()["answers"]}}
    after = await town.ask(CLINIC, "POST", f"/v1/referrals/{referral}:answer", said)
    assert after["status"] != "needs_information"
    met = {each["code"] for each in after["populations"] if each["result"] == "met"}
    assert met == {"homelessness"}
    await town.quiet()
    types = await town.timeline(referral)
    assert types.count("referral.amended") == 1
    assert types.count("referral.received") == 1


# loop.md 2.5, 2.7
async def test_late_identity_gives_the_member_its_id_and_asks_the_roster_again(town: House) -> None:
    body = somebody()
    number = body["member"]["cin"]
    await put_roster(town, HARBOR, [{"cin": number, "birth_date": body["member"]["birth_date"]}])
    late = body | {"member": body["member"] | {"cin": ""}}
    receipt = await town.ask(CLINIC, "POST", "/v1/referrals", late, 201)
    assert receipt["eligibility"] == "unknown"
    referral = receipt["id"]
    assert "cin" in await asked(town, CLINIC, referral)
    await town.ask(CLINIC, "POST", f"/v1/referrals/{referral}:answer", {"answers": {"cin": number}})
    assert (await town.referral(HARBOR, referral))["eligibility"] == "confirmed"
    assert "cin" not in await asked(town, CLINIC, referral)
    opened = await town.ask(HARBOR, "GET", f"/v1/referrals/{referral}/member")
    assert opened["identity"]["cin"] == number
    # The same member's next referral finds this loop.
    second = await town.ask(HOSPITAL, "POST", "/v1/referrals", body, 201)
    assert second["status"] == "closed"
    gone = {"by": "member", "acted_by": {"person": "ana-reyes"}}
    await town.ask(HARBOR, "POST", f"/v1/referrals/{referral}:withdraw", gone)
    await put_roster(town, HARBOR, [])
    await town.quiet()


async def test_what_is_not_asked_cannot_be_answered_and_a_wrong_value_names_its_place(town: House) -> None:
    referral = await town.refer(CLINIC, somebody(member={"county": None}))
    path = f"/v1/referrals/{referral}:answer"
    refused = await town.ask(CLINIC, "POST", path, {"answers": {"shoe-size": 44}}, 409)
    assert (refused["slug"], "county" in refused["allowed"]) == ("no-such-question", True)
    wrong = await town.ask(CLINIC, "POST", path, {"answers": {"county": "atlantis"}}, 422)
    assert wrong["errors"][0]["pointer"] == "/member/county"
    plan = await town.ask(CLINIC, "POST", path, {"corrections": {"/plan": VALLEY}}, 422)
    assert plan["errors"][0]["pointer"] == "/plan"
    odd = await town.ask(CLINIC, "POST", path, {"corrections": {"/David Okafor/phone": "555-0142"}}, 422)
    assert (odd["errors"][0]["pointer"], "Okafor" in str(odd)) == ("/corrections", False)
    await town.ask(HOSPITAL, "POST", path, {"answers": {"county": "alameda"}}, 404)


async def test_two_answers_at_once_are_both_in_the_form(town: House) -> None:
    referral = await town.refer(CLINIC, somebody(member={"county": None, "language_spoken": None}))
    path = f"/v1/referrals/{referral}:answer"
    await asyncio.gather(
        town.ask(CLINIC, "POST", path, {"answers": {"county": "alameda"}}),
        town.ask(HARBOR, "POST", path, {"answers": {"language": "es"}}),
    )
    shown = await town.referral(CLINIC, referral)
    assert (shown["county"], shown["language"]) == ("alameda", "es")
    opened = await town.ask(HARBOR, "GET", f"/v1/referrals/{referral}/member")
    assert (opened["contact"]["county"], opened["contact"]["language_spoken"]) == ("alameda", "es")


async def test_a_program_that_excludes_ecm_is_asked_about_and_denies_nothing_by_itself(town: House) -> None:
    """loop.md 4.4"""
    body = somebody(programs={"hospice": "yes", "county_tcm": "yes", "alw": "yes", "cbas": "yes"})
    receipt = await town.ask(CLINIC, "POST", "/v1/referrals", body, 201)
    about = {each["id"] for each in receipt["questions"] if each["id"].startswith(("confirm-", "choice-"))}
    assert about == {"confirm-hospice", "choice-alw"}
    assert not any(each["blocking"] for each in receipt["questions"])
    await town.quiet()
    assert (await town.referral(CLINIC, receipt["id"]))["status"] != "closed"
    said = {"answers": {"confirm-hospice": False, "choice-alw": "ecm"}}
    after = await town.ask(CLINIC, "POST", f"/v1/referrals/{receipt['id']}:answer", said)
    assert not {"confirm-hospice", "choice-alw"} & {each["id"] for each in after["questions"]}

    # Only what is confirmed counts, for a person of the plan too.
    no = {"acted_by": {"person": "ana-reyes"}, "reason": "duplicative_program"}
    path = f"/v1/authorizations/{await request_of(town, receipt['id'])}:deny"
    assert (await town.ask(HARBOR, "POST", path, no, 409))["slug"] == "reason-forbidden"
    other = await town.refer(CLINIC, somebody(programs={"hospice": "yes"}))
    await town.ask(CLINIC, "POST", f"/v1/referrals/{other}:answer", {"answers": {"confirm-hospice": True}})
    path = f"/v1/authorizations/{await request_of(town, other)}:deny"
    assert (await town.ask(HARBOR, "POST", path, no))["status"] == "denied"


async def request_of(town: House, referral: str) -> str:
    """The id of this referral's request, once everything said of it has arrived."""
    await town.quiet()
    found = (await town.ask(HARBOR, "GET", "/v1/authorizations?limit=200"))["items"]
    (request,) = [each["id"] for each in found if each["referral"] == referral]
    return request


# ── the same member (loop.md 2.8 to 2.11) ─────────────────────────────────────────────────────────────────


async def test_a_true_duplicate_is_merged_as_it_arrives_and_nobody_acts_on_it(town: House) -> None:
    body = somebody()
    first = await town.refer(CLINIC, body)
    again = body | {"populations": ["avoidable_utilization"], "answers": {"avoidable_ed_visits_6m": 6}}
    second = await town.ask(HOSPITAL, "POST", "/v1/referrals", again, 201)
    assert (second["id"] != first, second["status"]) == (True, "closed")
    await town.quiet()
    ended = await closing(town, HOSPITAL, second["id"])
    assert ended["outcome"] == "merged"
    assert first not in str(await town.referral(HOSPITAL, second["id"]))
    assert await town.timeline(second["id"]) == ["referral.set_aside", "referral.closed"]
    # What is new carries over; the second referrer learns nothing of the first.
    populations = {each["code"]: each for each in (await town.referral(HARBOR, first))["populations"]}
    assert populations["avoidable_utilization"]["result"] == "met"
    assert populations["homelessness"]["result"] == "met"
    assert (await town.timeline(first)).count("referral.amended") == 1
    await town.ask(HOSPITAL, "GET", f"/v1/referrals/{first}", status=404)


async def test_two_posts_of_one_member_at_once_leave_one_surviving_loop(town: House) -> None:
    """loop.md 2.10"""
    for _ in range(10):
        body = somebody()
        receipts = await asyncio.gather(
            *(town.ask(who, "POST", "/v1/referrals", body, 201) for who in (CLINIC, HOSPITAL, STREET))
        )
        open_ones = [each for each in receipts if each["status"] != "closed"]
        assert len(open_ones) == 1


# loop.md 2.8
async def test_cin_alone_is_a_possible_duplicate_that_a_person_judges(town: House) -> None:
    body = somebody()
    first = await town.refer(CLINIC, body)
    unsure = body | {"member": body["member"] | {"birth_date": "1964-02-18"}}
    second = await town.refer(HOSPITAL, unsure)
    assert (await town.referral(HARBOR, second))["possible_duplicate_of"] == first
    assert "possible_duplicate_of" not in {
        name for name, value in (await town.referral(HOSPITAL, second)).items() if value
    }
    assert [each["id"] for each in await twice(town)] == [second]
    for who in (HOSPITAL, STREET, OPERATIONS):
        refused = await town.ask(who, "GET", "/v1/referrals?possible_duplicate=true", None, 422)
        assert refused["errors"][0]["rule"] == "plans-only"
    await town.ask(HOSPITAL, "POST", f"/v1/referrals/{second}:merge", merging(first), 403)
    merged = await town.ask(HARBOR, "POST", f"/v1/referrals/{second}:merge", merging(first))
    assert merged["closing"]["outcome"] == "merged"
    await town.ask(HARBOR, "POST", f"/v1/referrals/{second}:merge", merging(first), 409)
    assert await twice(town) == []
    await town.quiet()


async def twice(town: House) -> list[dict[str, Any]]:
    """What the plan is asked whether it is another's member."""
    return (await town.ask(HARBOR, "GET", "/v1/referrals?possible_duplicate=true"))["items"]


async def test_twins_under_the_mothers_number_are_two_members_possibly_one_2_7(town: House) -> None:
    lucia = somebody(member={"first_name": "Lucía-Ana"})
    mateo = lucia | {"member": lucia["member"] | {"first_name": "Mateo"}}
    again = lucia | {"member": lucia["member"] | {"first_name": "LUCÍA–ANA"}}
    first, second = await town.refer(CLINIC, lucia), await town.refer(HOSPITAL, mateo)
    assert (await town.referral(HARBOR, second))["possible_duplicate_of"] == first
    assert (await closing(town, HARBOR, second)) is None
    third = await town.refer(STREET, again)
    assert (await closing(town, HARBOR, third))["outcome"] == "merged"
    await town.quiet()


async def test_a_first_name_that_is_corrected_makes_nobody_else_of_the_member_2_7(town: House) -> None:
    body = somebody(member={"first_name": "Dvid"})
    referral = await town.refer(CLINIC, body)
    right = {"corrections": {"/member/first_name": "David"}}
    await town.ask(CLINIC, "POST", f"/v1/referrals/{referral}:answer", right)
    assert (await town.referral(HARBOR, referral))["possible_duplicate_of"] is None
    same = await town.refer(HOSPITAL, body | {"member": body["member"] | {"first_name": "David"}})
    assert (await closing(town, HARBOR, same))["outcome"] == "merged"
    await town.quiet()


def merging(into: str) -> dict[str, Any]:
    return {"into": into, "acted_by": {"person": "ana-reyes"}}


async def test_a_name_and_birth_date_without_cin_is_a_possible_duplicate_too(town: House) -> None:
    body = somebody()
    first = await town.refer(CLINIC, body)
    second = await town.refer(HOSPITAL, body | {"member": body["member"] | {"cin": ""}})
    assert (await town.referral(HARBOR, second))["possible_duplicate_of"] == first
    # Two people of one name with two numbers are two people.
    namesake = somebody()
    await town.refer(CLINIC, namesake)
    other = await town.refer(HOSPITAL, somebody(member={"last_name": namesake["member"]["last_name"]}))
    assert (await town.referral(HARBOR, other))["possible_duplicate_of"] is None


async def test_a_grant_of_the_referral_that_is_merged_goes_on_in_the_one_that_lives(town: House) -> None:
    """loop.md 2.9: the claim carries over; what ended with the other referral blocks nobody (3.2)."""
    body = somebody()
    first = await town.refer(CLINIC, body)
    today = town.today()
    claim = {"presumptive": {"population": "homelessness", "from": today}}
    second = await town.refer(STREET, body | claim | {"member": body["member"] | {"cin": ""}})
    await town.quiet()
    late = {"corrections": {"/member/cin": body["member"]["cin"]}}
    await town.ask(STREET, "POST", f"/v1/referrals/{second}:answer", late)
    await town.quiet()
    await town.ask(HARBOR, "POST", f"/v1/referrals/{second}:merge", merging(first))
    await town.quiet()
    grants = {
        each["referral"]: each["grant"]
        for each in (await town.ask(HARBOR, "GET", "/v1/authorizations?limit=200"))["items"]
    }
    assert grants[second]["ended"] == "closed"
    assert (grants[first]["ended"], grants[first]["provider"]) == ("", STREET)
    gone = {"by": "member", "acted_by": {"person": "ana-reyes"}}
    await town.ask(HARBOR, "POST", f"/v1/referrals/{first}:withdraw", gone)
    await town.quiet()


async def test_a_wrong_merge_is_split_and_goes_on_by_itself(town: House) -> None:
    body = somebody()
    first = await town.refer(CLINIC, body)
    second = await town.refer(HOSPITAL, body)
    await town.quiet()
    person = {"acted_by": {"person": "ana-reyes"}}
    apart = await town.ask(HARBOR, "POST", f"/v1/referrals/{second}:split", person, 201)
    assert apart["id"] not in (first, second)
    assert apart["status"] != "closed"
    await town.quiet()
    assert (await town.timeline(apart["id"]))[0] == "referral.received"
    assert (await closing(town, HOSPITAL, second))["outcome"] == "merged"
    mine = await town.ask(HOSPITAL, "GET", f"/v1/referrals/{apart['id']}")
    assert mine["id"] == apart["id"]
    refused = await town.ask(HARBOR, "POST", f"/v1/referrals/{first}:split", person, 409)
    assert refused["slug"] == "not-merged"
    assert await openings(town, first) == []


async def serve(town: House, body: dict[str, Any], provider: str = STREET) -> str:
    """A loop closed as it should: authorized, accepted, first service given."""
    referral = await town.refer(CLINIC, body)
    await town.quiet()
    await town.accept(provider)
    await town.quiet()
    await town.attempt(provider, referral, "in_person", "engaged")
    today = town.today()
    await town.ask(provider, "POST", f"/v1/outreach/{referral}:start-services", {"on": today})
    await town.quiet()
    return referral


async def openings(town: House, referral: str) -> list[str]:
    """Why this referral's form was opened at intake, each time."""
    pool = town.running.contexts["intake"].pool
    rows = await pool.fetch("SELECT why FROM audit WHERE stream = $1 ORDER BY position", referral)
    return [row["why"] for row in rows]


async def known(town: House, *bodies: dict[str, Any]) -> None:
    members = [{name: body["member"][name] for name in ("cin", "birth_date")} for body in bodies]
    await put_roster(town, HARBOR, members)


async def test_who_is_already_in_ecm_is_not_referred_again_but_the_loop_that_serves_hears(
    town: House,
) -> None:
    """loop.md 2.11; David's second scenario: a hospital refers him although he is served."""
    body = somebody()
    await known(town, body)
    served = await serve(town, body)
    second = await town.ask(HOSPITAL, "POST", "/v1/referrals", body, 201)
    await town.quiet()
    ended = await closing(town, HOSPITAL, second["id"])
    assert ended["outcome"] == "already_in_ecm"
    assert served not in str(ended)
    assert STREET not in str(await town.referral(HOSPITAL, second["id"]))
    assert "referral.received" not in await town.timeline(second["id"])
    assert (await town.timeline(served))[-1] != "referral.questions_asked"
    assert "referral.amended" in await town.timeline(served)

    # David's first scenario, step 8: the lead care manager refers on, and follows each until it is given.
    await supported(town, served)

    # Another ECM provider refers and offers to serve: the member may wish to change.
    offers = body | {"referrer": body["referrer"] | {"wants_to_serve": True}}
    third = await town.refer(NAVIGATORS, offers)
    assert await asked(town, HARBOR, served) == set()
    assert "provider-change" in await asked(town, HARBOR, third)
    said = {"answers": {"provider-change": False}}
    await town.ask(NAVIGATORS, "POST", f"/v1/referrals/{third}:answer", said)
    assert await asked(town, HARBOR, third) == set()
    await put_roster(town, HARBOR, [])


async def test_a_hospital_that_treats_the_member_now_hears_whom_to_call_and_the_care_manager_hears_until_when(
    town: House,
) -> None:
    """loop.md 2.11; ECMG26 p60-61: both see the member through the discharge. Who treats nobody, or no more, hears less."""
    body = somebody()
    await known(town, body)
    served = await serve(town, body)
    tomorrow = (date.fromisoformat(town.today()) + timedelta(days=1)).isoformat()
    told: list[str] = []
    for treats in (
        {"relationship": "hospital", "treating_until": tomorrow},
        {"relationship": "hospital"},
        {"relationship": "hospital", "treating_until": "2025-01-02"},
        {"relationship": "legal_aid", "treating_until": tomorrow},
    ):
        again = body | {"referrer": {"name": "Ana Ruiz", "email": "ana@bayview.example"} | treats}
        second = await town.refer(HOSPITAL, again)
        await town.quiet()
        found = await town.ask(HOSPITAL, "GET", "/v1/mailbox?limit=200")
        (item,) = [each for each in found["items"] if each["referral"] == second]
        told.append((await town.ask(HOSPITAL, "GET", f"/v1/mailbox/{item['id']}"))["text"])
    assert ["Luis Ortega of Harbor Street Medicine" in text for text in told] == [True, False, False, False]
    assert "authorized through" in told[0]
    alerts = await town.ask(STREET, "GET", "/v1/mailbox?limit=200")
    again_told = [
        each for each in alerts["items"] if (each["referral"], each["code"]) == (served, "referred_again")
    ]
    texts = [(await town.ask(STREET, "GET", f"/v1/mailbox/{each['id']}"))["text"] for each in again_told]
    assert sorted("Bayview Hospital" in text for text in texts) == [False, False, False, True]
    await put_roster(town, HARBOR, [])


async def test_who_was_served_under_another_plan_brings_that_loop_along(town: House) -> None:
    """loop.md 4.9: so the same provider can stay; the old plan, the referrer and everybody else see no link."""
    body = somebody()
    await known(town, body)
    served = await serve(town, body)
    moved = body | {"plan": VALLEY, "plan_change": "member", "populations": [], "answers": {}}
    new = await town.refer(HOSPITAL, moved)
    assert (await town.referral(VALLEY, new))["linked"] == {"to": served, "why": "plan_change"}
    assert (await town.referral(HOSPITAL, new))["linked"] is None
    # What the old plan authorized comes along, and that is written down with the old loop.
    populations = (await town.referral(VALLEY, new))["populations"]
    assert [each["code"] for each in populations if each["claimed"]] == ["homelessness"]
    pool = town.running.contexts["intake"].pool
    written = await pool.fetch(
        "SELECT organization, plan FROM audit WHERE stream = $1 AND why LIKE 'plan change%'", served
    )
    assert [tuple(row) for row in written] == [(VALLEY, HARBOR)]
    await town.ask(HARBOR, "GET", f"/v1/referrals/{new}", status=404)
    # A form that says nothing of a change links nothing across plans.
    other = somebody()
    await known(town, other)
    await serve(town, other)
    silent = await town.refer(HOSPITAL, other | {"plan": VALLEY})
    assert (await town.referral(VALLEY, silent))["linked"] is None
    await put_roster(town, HARBOR, [])


async def test_what_a_new_roster_says_reaches_the_loops_it_is_about_2_5(town: House) -> None:
    """loop.md 2.5: coverage lost in a term asks a named person by a date; coverage that returns takes it back."""
    body, other = somebody(), somebody()
    await known(town, body, other)
    served = await serve(town, body)
    request = await authorization_of(town, served)
    assert (request["waits_for"], request["eligibility"]) == ("", "confirmed")
    # A whole roster without the member: nobody knows that the coverage ended, and a person judges the term.
    await known(town, other)
    await town.quiet()
    request = await authorization_of(town, served)
    assert (request["waits_for"], request["eligibility"]) == ("discontinuation", "left")
    assert request["due"]["clock"] == "discontinuation_judged"
    assert request["term"]["ends_on"] is None
    assert (await town.timeline(served))[-1] == "authorization.coverage_lost"
    await known(town, body, other)
    await town.quiet()
    assert (await authorization_of(town, served))["waits_for"] == ""
    # The number with another birth date: who it is, is asked.
    again = other | {"member": other["member"] | {"birth_date": "1970-01-01"}}
    doubtful = await town.refer(HOSPITAL, again)
    assert (await town.referral(HARBOR, doubtful))["eligibility"] == "other_birth_date"
    assert "other-birth-date" in await asked(town, HOSPITAL, doubtful)
    right = {"answers": {"other-birth-date": other["member"]["birth_date"]}}
    await town.ask(HOSPITAL, "POST", f"/v1/referrals/{doubtful}:answer", right)
    assert (await town.referral(HARBOR, doubtful))["eligibility"] == "confirmed"
    assert "other-birth-date" not in await asked(town, HOSPITAL, doubtful)
    await put_roster(town, HARBOR, [])


async def authorization_of(town: House, referral: str) -> Any:
    found = await town.ask(HARBOR, "GET", "/v1/authorizations?limit=200")
    return next(item for item in found["items"] if item["referral"] == referral)


async def supported(town: House, referral: str) -> None:
    """Meals and housing navigation for a member who is served; the member's loop is closed, theirs are open."""
    path = f"/v1/referrals/{referral}/supports"
    meals = await town.ask(STREET, "POST", path, {"code": "medically_tailored_meals"}, 201)
    home = await town.ask(
        STREET, "POST", path, {"code": "housing_transition_navigation", "provider": NAVIGATORS}, 201
    )
    assert (meals["status"], meals["allowed"]) == ("asked", ["accepted", "declined"])
    for who, status in ((CLINIC, 404), (NAVIGATORS, 404), (HOSPITAL, 403)):
        await town.ask(who, "POST", path, {"code": "respite"}, status)
    unknown = await town.ask(STREET, "POST", path, {"code": "massage"}, 409)
    assert (unknown["slug"], len(unknown["allowed"])) == ("unknown-service", 15)

    early = await town.ask(STREET, "POST", f"/v1/supports/{meals['id']}:done", {}, 409)
    assert early["slug"] == "illegal-move"
    await town.ask(STREET, "POST", f"/v1/supports/{meals['id']}:accept", {})
    await town.ask(STREET, "POST", f"/v1/supports/{meals['id']}:done", {})
    await town.ask(STREET, "POST", f"/v1/supports/{home['id']}:decline", {})
    sobering = await town.ask(STREET, "POST", path, {"code": "sobering_center"}, 201)
    assert sobering["status"] == "done"
    listed = await town.ask(HARBOR, "GET", f"/v1/supports?referral={referral}")
    assert {each["code"]: each["status"] for each in listed["items"]} == {
        "medically_tailored_meals": "done",
        "housing_transition_navigation": "declined",
        "sobering_center": "done",
    }
    await town.ask(VALLEY, "GET", f"/v1/supports/{meals['id']}", status=404)
    shown = await town.referral(HARBOR, referral)
    assert {each["status"] for each in shown["supports"]} == {"done", "declined"}
    await town.quiet()
    assert (await town.timeline(referral)).count("referral.support_moved") == 6
    assert "referral.support_moved" not in await town.timeline(referral, CLINIC)


# ── the right plan (loop.md 2.14) ─────────────────────────────────────────────────────────────────────────


async def test_coverage_that_moves_while_the_loop_is_open_asks_the_redirect_again_and_keeps_the_first_day_2_14(
    town: House,
) -> None:
    body, other = somebody(), somebody()
    mine = {name: body["member"][name] for name in ("cin", "birth_date")}
    theirs = {name: other["member"][name] for name in ("cin", "birth_date")}
    await put_roster(town, VALLEY, [mine])
    await put_roster(town, HARBOR, [mine, theirs])
    referral = await town.refer(CLINIC, body)
    first_day = town.today()
    assert not [each for each in await asked(town, CLINIC, referral) if each.startswith("redirect")]
    await town.pass_time(timedelta(days=1))
    await put_roster(town, HARBOR, [theirs])
    (redirect,) = [each for each in await asked(town, CLINIC, referral) if each.startswith("redirect")]
    assert redirect == f"redirect-{VALLEY}"
    # Back under this plan, nothing is to be sent anywhere.
    await put_roster(town, HARBOR, [mine, theirs])
    assert redirect not in await asked(town, CLINIC, referral)
    await put_roster(town, HARBOR, [theirs])
    await town.ask(CLINIC, "POST", f"/v1/referrals/{referral}:answer", {"answers": {redirect: True}})
    await town.quiet()
    listed = await town.ask(CLINIC, "GET", f"/v1/referrals?plan={VALLEY}&limit=200")
    (new,) = [each for each in listed["items"] if each["linked"] and each["linked"]["to"] == referral]
    assert new["first_received_on"] == first_day
    for plan in (HARBOR, VALLEY):
        await put_roster(town, plan, [])


async def test_a_referral_to_the_wrong_plan_is_sent_to_the_right_one_if_the_referrer_says_so(
    town: House,
) -> None:
    body = somebody()
    await known(town, somebody())
    await put_roster(
        town, VALLEY, [{"cin": body["member"]["cin"], "birth_date": body["member"]["birth_date"]}]
    )
    receipt = await town.ask(CLINIC, "POST", "/v1/referrals", body, 201)
    (redirect,) = [each for each in receipt["questions"] if each["id"].startswith("redirect")]
    assert redirect["id"] == f"redirect-{VALLEY}"
    assert redirect["blocking"]
    said = {"answers": {redirect["id"]: True}}
    old = await town.ask(CLINIC, "POST", f"/v1/referrals/{receipt['id']}:answer", said)
    assert (old["closing"]["outcome"], old["closing"]["text"]) == ("other", f"redirected to {VALLEY}")
    await town.quiet()
    listed = await town.ask(CLINIC, "GET", f"/v1/referrals?plan={VALLEY}")
    (new,) = [each for each in listed["items"] if each["linked"]["to"] == receipt["id"]]
    assert (await town.referral(VALLEY, new["id"]))["eligibility"] == "confirmed"
    opened = await town.ask(VALLEY, "GET", f"/v1/referrals/{new['id']}/member")
    assert opened["identity"]["cin"] == body["member"]["cin"]
    await town.ask(HARBOR, "GET", f"/v1/referrals/{new['id']}", status=404)


async def test_questions_are_asked_again_twice_and_then_hold_nothing_up(town: House) -> None:
    """domain.md 10: 14 days with two reminders, then decided on what is there; a redirect nobody answers closes."""
    unanswered = await town.refer(CLINIC, somebody(populations=[], answers={}))
    body = somebody()
    await known(town, somebody())
    await put_roster(town, VALLEY, [{name: body["member"][name] for name in ("cin", "birth_date")}])
    redirected = await town.refer(CLINIC, body)
    await town.pass_time(timedelta(days=15))

    shown = await town.referral(CLINIC, unanswered)
    assert shown["status"] == "pending_authorization"
    assert (shown["due"]["clock"], shown["due"]["state"]) == ("decision_routine", "breached")
    late = [each["state"] for each in shown["overdue"] if each["clock"] == "information"]
    assert late == ["breached"]
    types = await town.timeline(unanswered)
    assert (types.count("referral.questions_asked"), types.count("referral.overdue")) == (3, 2)

    ended = await closing(town, CLINIC, redirected)
    assert (ended["outcome"], ended["text"].split(":")[0]) == ("other", "redirected")
    types = await town.timeline(redirected)
    assert (types.count("referral.questions_asked"), types.count("referral.overdue")) == (3, 1)
    await put_roster(town, HARBOR, [])
    await put_roster(town, VALLEY, [])


# ── closed by hand, contested, moved (loop.md 5.5, 7.3, 3.7, 4.8) ─────────────────────────────────────────


async def test_a_person_of_the_plan_closes_by_hand_with_a_reason_and_nobody_else_can(town: House) -> None:
    referral = await town.refer(CLINIC, somebody())
    path, person = f"/v1/referrals/{referral}:close", {"acted_by": {"person": "ana-reyes"}}
    await town.ask(CLINIC, "POST", path, {"outcome": "provider_declined"} | person, 403)
    await town.ask(VALLEY, "POST", path, {"outcome": "provider_declined"} | person, 404)
    await town.ask(HARBOR, "POST", path, {"outcome": "provider_declined"}, 422)
    refused = await town.ask(HARBOR, "POST", path, {"outcome": "services_received"} | person, 409)
    assert refused["slug"] == "not-by-hand"
    tried = {"outcome": "unable_to_reach", "on": "2026-03-02", "how": "phone"} | person
    for missing in ("on", "how"):
        unsaid = await town.ask(HARBOR, "POST", path, tried | {missing: ""}, 422)
        assert [each["pointer"] for each in unsaid["errors"]] == [f"/{missing}"]
    assert (await town.ask(HARBOR, "POST", path, tried, 409))["slug"] == "attempts-missing"
    done = await town.ask(HARBOR, "POST", path, {"outcome": "provider_declined"} | person)
    assert done["closing"]["clr_reason"] == "service_provider_declined"
    again = await town.ask(HARBOR, "POST", path, {"outcome": "other", "text": "moved"} | person, 409)
    assert again["slug"] == "already-closed"


# loop.md 7.3
async def test_a_contested_closing_opens_a_linked_referral_and_the_old_stays_closed(town: House) -> None:
    referral = await town.refer(CLINIC, somebody())
    path = f"/v1/referrals/{referral}:contest"
    early = await town.ask(CLINIC, "POST", path, {"reason": "he was there"}, 409)
    assert early["slug"] == "not-closed"
    assert await openings(town, referral) == []
    person = {"acted_by": {"person": "ana-reyes"}}
    await town.ask(
        HARBOR, "POST", f"/v1/referrals/{referral}:close", {"outcome": "no_longer_eligible"} | person
    )
    new = await town.ask(CLINIC, "POST", path, {"reason": "he was there"}, 201)
    assert new["linked"] == {"to": referral, "why": "contested"}
    assert new["status"] != "closed"
    assert (await closing(town, CLINIC, referral))["outcome"] == "no_longer_eligible"


async def test_the_release_date_is_recorded_and_may_move(town: House) -> None:
    answers = {"leaving_incarceration": True, "hiv_aids": True, "pre_release_services": True}
    body = somebody(populations=["incarceration"], answers=answers, release_on="2026-09-01")
    referral = await town.refer(CLINIC, body)
    assert (await town.referral(HARBOR, referral))["release_on"] == "2026-09-01"
    path, person = f"/v1/referrals/{referral}:record-release-date", {"acted_by": {"person": "ana-reyes"}}
    for teller, day in ((CLINIC, "2026-08-20"), (HARBOR, "2026-08-21")):
        moved = await town.ask(teller, "POST", path, {"release_on": day} | person)
        assert moved["release_on"] == day
    await town.ask(STREET, "POST", path, {"release_on": "2026-08-20"} | person, 404)
    back = await town.ask(CLINIC, "POST", f"/v1/referrals/{referral}:record-custody", person)
    assert (back["release_on"], back["next_step"]["code"]) == (None, "start_open")


async def test_a_referrer_who_did_not_tell_the_day_of_release_learns_nothing_of_it_3_7(town: House) -> None:
    """Without attested pre-release services nobody but the plan tells a day, and it tells custody."""
    answers = {"leaving_incarceration": True, "hiv_aids": True}
    body = somebody(populations=["incarceration"], answers=answers, release_on="2026-09-01")
    referral = await town.refer(CLINIC, body)
    assert (await town.referral(HARBOR, referral))["release_on"] is None
    person = {"acted_by": {"person": "ana-reyes"}}
    path = f"/v1/referrals/{referral}:record-release-date"
    told = await town.ask(HARBOR, "POST", path, {"release_on": "2026-09-02"} | person)
    assert told["release_on"] == "2026-09-02"
    await town.ask(HARBOR, "POST", f"/v1/referrals/{referral}:record-custody", person)
    shown = await town.referral(CLINIC, referral)
    assert shown["release_on"] is None
    lines = (await town.ask(CLINIC, "GET", f"/v1/referrals/{referral}/timeline"))["items"]
    said = " ".join(f"{line['sentence']} {line['values']}" for line in lines)
    for word in ("release", "custody", "2026-09-02", "September 2"):
        assert word not in said
    assert "custody" not in shown["next_step"]["step"]
    for action in ("record-release-date", "record-custody"):
        body = {"release_on": "2026-08-20"} if action == "record-release-date" else {}
        await town.ask(CLINIC, "POST", f"/v1/referrals/{referral}:{action}", body | person, 404)


async def test_the_member_is_opened_for_the_plan_and_the_referrer_only_and_written_down(town: House) -> None:
    """loop.md 1.7"""
    body = somebody()
    referral = await town.refer(CLINIC, body)
    path = f"/v1/referrals/{referral}/member"
    for who in (CLINIC, HARBOR):
        assert (await town.ask(who, "GET", path))["identity"]["cin"] == body["member"]["cin"]
    for who, status in ((HOSPITAL, 404), (VALLEY, 404), (OPERATIONS, 403)):
        await town.ask(who, "GET", path, status=status)


async def test_another_factor_in_words_is_shown_to_the_plan_and_no_rule_approves_on_it(town: House) -> None:
    """loop.md 2.4: an open list of the state (ECMG26 p24) is met by words, which a person of the plan reads."""
    words = "Her brother takes her benefit card every month"
    answers = {"smhs_dmc_access": True, "high_risk": True, "other_social_factor": words}
    body = somebody() | {"populations": ["smi_sud"], "answers": answers}
    referral = await town.refer(CLINIC, body)
    await town.quiet()
    shown = await town.referral(HARBOR, referral)
    known = {each["code"]: (each["result"], each["met_by"]) for each in shown["populations"]}
    assert known["smi_sud"] == ("met", "other_factor")
    review = shown["authorization"]["id"]
    explained = await town.ask(HARBOR, "GET", f"/v1/authorizations/{review}/explanation")
    assert "other_factor" in explained["needs_person"]
    path = f"/v1/referrals/{referral}/member"
    assert (await town.ask(HARBOR, "GET", path))["other_factors"] == {"other_social_factor": words}
    assert (await town.ask(CLINIC, "GET", path))["other_factors"] == {}


async def test_an_overturned_denial_opens_a_linked_referral_that_is_authorized(town: House) -> None:
    """loop.md 4.8"""
    body = somebody()
    referral = await town.refer(CLINIC, body)
    await town.quiet()
    review = (await town.referral(HARBOR, referral))["authorization"]["id"]
    person = {"acted_by": {"person": "ana-reyes", "title": "RN", "licence": "RN 555"}}
    reason = {"reason": "no_active_medi_cal", "citation": "42 CFR 435.916"}
    await town.ask(HARBOR, "POST", f"/v1/authorizations/{review}:deny", person | reason)
    await town.quiet()
    assert (await closing(town, CLINIC, referral))["outcome"] == "not_authorized"
    await town.ask(HARBOR, "POST", f"/v1/authorizations/{review}:overturn", person)
    await town.quiet()
    listed = (await town.ask(CLINIC, "GET", "/v1/referrals?limit=200"))["items"]
    (again,) = [each for each in listed if each["linked"] == {"to": referral, "why": "overturned"}]
    assert again["authorization"]["number"]
    opened = await town.ask(HARBOR, "GET", f"/v1/referrals/{again['id']}/member")
    assert opened["identity"]["cin"] == body["member"]["cin"]
    gone = {"by": "member", "acted_by": {"person": "ana-reyes"}}
    await town.ask(HARBOR, "POST", f"/v1/referrals/{again['id']}:withdraw", gone)
    await town.quiet()


async def test_a_presumptive_start_is_joined_by_its_formal_referral(town: House) -> None:
    """loop.md 3.1"""
    start = {"kind": "presumptive_start", "presumptive": {"population": "homelessness", "from": "2026-03-02"}}
    body = somebody()
    nothing = {"populations": ["homelessness"], "programs": {}}
    first = await town.refer(STREET, body | start | nothing)
    await town.quiet()
    assert "authorization.review_opened" not in await town.timeline(first)
    second = await town.ask(STREET, "POST", "/v1/referrals", body, 201)
    assert second["status"] == "closed"
    await town.quiet()
    types = await town.timeline(first)
    assert "authorization.review_opened" in types
    bare = body | {"kind": "presumptive_start"}
    refused = await town.ask(STREET, "POST", "/v1/referrals", bare, 422)
    assert refused["slug"] in ("field-invalid", "malformed-body")


# ── a second provider's claim (loop.md 3.3, 2.11; ECMG26 p109-112) ────────────────────────────────────────


async def claimed(town: House, body: Mapping[str, Any]) -> str:
    """The street team refers the same person and claims to serve since today."""
    claim = {"population": "homelessness", "from": town.today()}
    return await town.refer(STREET, {**body, "presumptive": claim})


async def test_a_claim_for_a_member_whom_somebody_serves_is_answered_and_asked_about_under_its_own_id(
    town: House,
) -> None:
    body = somebody()
    number, born = body["member"]["cin"], body["member"]["birth_date"]
    await put_roster(town, HARBOR, [{"cin": number, "birth_date": born}])
    first = await town.refer(CLINIC, body | {"preference": {"provider": NAVIGATORS}})
    await town.quiet()
    await town.accept(NAVIGATORS)
    second = await claimed(town, body)
    await town.quiet()
    timeline = await town.timeline(second, STREET)
    assert "authorization.presumptive_refused" in timeline
    assert await asked(town, STREET, second) == {"provider-change"}
    assert await asked(town, CLINIC, first) == set()
    # The first referrer's loop says nothing of it, and its provider keeps the member until the plan has another.
    assert "authorization.presumptive_refused" not in await town.timeline(first, CLINIC)
    said = {"answers": {"provider-change": True}, "acted_by": {"person": "luis-ortega"}}
    after = await town.ask(STREET, "POST", f"/v1/referrals/{second}:answer", said)
    assert after["questions"] == []
    await town.quiet()
    step = (await town.referral(HARBOR, first))["next_step"]
    assert (step["actor"], "asks for a change" in step["step"]) == ("plan", True)


async def test_an_offer_nobody_accepted_yields_to_who_serves_already(town: House) -> None:
    body = somebody()
    number, born = body["member"]["cin"], body["member"]["birth_date"]
    await put_roster(town, HARBOR, [{"cin": number, "birth_date": born}])
    first = await town.refer(CLINIC, body | {"preference": {"provider": NAVIGATORS}})
    await town.quiet()
    assert (await town.referral(HARBOR, first))["provider"] == NAVIGATORS
    second = await claimed(town, body)
    await town.quiet()
    assert "authorization.presumptive_granted" in await town.timeline(second, STREET)
    timeline = await town.timeline(first)
    assert timeline[-2:] == ["assignment.withdrawn", "assignment.made"]
    now = await town.referral(HARBOR, first)
    assert (now["status"], now["provider"]) == ("assigned", STREET)
    assert await asked(town, STREET, second) == set()
