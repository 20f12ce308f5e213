"""Assigning over HTTP: the directory as its owners write it, offers that go on, and what people change about them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from assignment.workers import look_through_contracts
from loopkeeper.contract.calendar import la_date
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, HOSPITAL, NAVIGATORS, OPERATIONS, STREET, VALLEY
from tests.databases import Databases, NewLog
from tests.loop.house import House, house, put_roster

MARIA, LUIS = {"acted_by": {"person": "maria-chen"}}, {"acted_by": {"person": "luis-ortega"}}
BORN = "1964-02-17"
MEMBERS = [f"9000{1000 + number}S" for number in range(14)]
# Harbor lets silence go to the next; Valley has not turned it on.
RE_OFFER = """table: re_offer
rows:
  - {id: harbor-re-offer, plan: harbor-health-plan, switched_on: true, effective_from: 2025-01-01,
     source: the plan's decision of 2024-12-02, confidence: ours}
"""
DAY = timedelta(days=1)


@pytest_asyncio.fixture(scope="module")
async def open_house(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory, new_log: NewLog
) -> AsyncGenerator[House]:
    folder = tmp_path_factory.mktemp("assigning")
    (folder / "policy").mkdir()
    (folder / "policy" / "re_offer.yaml").write_text(RE_OFFER)
    async with house(databases, folder, event_log=await new_log()) as opened:
        await put_roster(opened, HARBOR, [{"cin": cin, "birth_date": BORN} for cin in MEMBERS])
        yield opened
    await databases.drop()


async def offered(opened: House, member: int, **changes: Any) -> tuple[str, dict[str, Any]]:
    """A referral of the hospital's, authorized by Harbor's rule, and the offer that follows to the street team."""
    body = david(member={**david()["member"], "cin": MEMBERS[member]}, **changes)
    referral = await opened.refer(HOSPITAL, body)
    await opened.quiet()
    return referral, await offer_of(opened, referral)


async def offer_of(opened: House, referral: str) -> dict[str, Any]:
    """The open offer of this referral, as the plan sees it."""
    found = await opened.ask(HARBOR, "GET", "/v1/assignments?status=offered&limit=200")
    (offer,) = [item for item in found["items"] if item["referral"] == referral]
    return offer


async def accept(opened: House, provider: str, offer: dict[str, Any]) -> dict[str, Any]:
    lead = {"lead": {"person": "luis-ortega", "name": "Luis Ortega"}}
    return await opened.ask(provider, "POST", f"/v1/assignments/{offer['id']}:accept", lead)


async def actions(opened: House, referral: str) -> list[str]:
    """What assignment did in this loop."""
    types = await opened.timeline(referral)
    return [each.removeprefix("assignment.") for each in types if each.startswith("assignment.")]


# ── the directory ─────────────────────────────────────────────────────────────────────────────────────────


async def test_an_entry_is_changed_only_as_it_was_read_and_taken_out_only_as_it_was_read(
    open_house: House,
) -> None:
    path, caller = f"/v1/providers/{CLINIC}", open_house.as_(OPERATIONS)
    read = (await caller.get(path)).headers["etag"]
    changed = await caller.put(path, json={"capacity": 21}, headers={"If-Match": read})
    assert (changed.status_code, changed.headers["etag"] != read) == (200, True)
    stale = await caller.put(path, json={"capacity": 22}, headers={"If-Match": read})
    assert (stale.status_code, stale.json()["slug"]) == (412, "stale")
    assert stale.headers["etag"] == changed.headers["etag"]
    assert (await caller.delete(path)).status_code == 428
    assert (await caller.delete(path, headers={"If-Match": read})).status_code == 412
    gone = await caller.delete(path, headers={"If-Match": changed.headers["etag"]})
    assert (gone.status_code, gone.json()["active"]) == (200, False)
    again = await caller.delete(path, headers={"If-Match": gone.headers["etag"]})
    assert (again.status_code, again.headers["etag"]) == (200, gone.headers["etag"])
    listed = await open_house.ask("", "GET", "/v1/providers")
    assert CLINIC not in {item["id"] for item in listed["items"]}
    back = await caller.put(path, json={"active": True})
    assert back.json()["active"]
    assert (await open_house.as_(STREET).delete(path, headers={"If-Match": "*"})).status_code == 403


async def test_the_public_list_says_what_it_must_and_nothing_of_any_member(open_house: House) -> None:
    """domain.md 2.2b: populations per provider, when they were verified, and that ECM takes prior authorization."""
    listed = await open_house.ask("", "GET", "/v1/providers?population=homelessness")
    assert "authorization" in listed["note"]
    assert {item["id"] for item in listed["items"]} == {STREET, NAVIGATORS}
    assert all(item["verified_at"] and item["populations"] for item in listed["items"])
    alone = await open_house.ask("", "GET", f"/v1/providers/{STREET}")
    assert alone["note"] == listed["note"]


async def test_how_many_places_are_taken_is_read_by_the_provider_itself_and_by_operations(
    open_house: House,
) -> None:
    path = f"/v1/providers/{STREET}/places"
    before = await open_house.ask(STREET, "GET", path)
    await open_house.ask(STREET, "PUT", f"/v1/providers/{STREET}", {"capacity": before["capacity"] + 1})
    after = await open_house.ask(OPERATIONS, "GET", path)
    assert after == before | {"capacity": before["capacity"] + 1}
    held = (await open_house.ask(STREET, "GET", "/v1/assignments?limit=200"))["items"]
    assert after["taken"] == sum(each["status"] in ("offered", "accepted") for each in held)
    for other, status in ((NAVIGATORS, 404), (HARBOR, 403), ("", 401)):
        await open_house.ask(other, "GET", path, status=status)


async def test_a_family_is_offered_to_one_provider_where_its_referrer_says_so(open_house: House) -> None:
    """domain.md 4.1: siblings and parents are best served by one team; another's referral makes nobody a relative."""
    mother, hers = await offered(open_house, 10)
    (other,) = {STREET, NAVIGATORS} - {hers["provider"]}
    recommended = {"recommended": {"provider": other}}
    _, his = await offered(open_house, 11, family_of=mother, **recommended)
    assert his["provider"] == hers["provider"]
    explained = await open_house.ask(HARBOR, "GET", f"/v1/assignments/{his['id']}/explanation")
    assert "serves a parent or sibling" in " ".join(explained["lines"])
    body = david(member={**david()["member"], "cin": MEMBERS[12]}, family_of=mother)
    refused = await open_house.ask(CLINIC, "POST", "/v1/referrals", body, 422)
    assert refused["errors"][0]["pointer"] == "/family_of"
    for referral in (mother, his["referral"]):
        gone = {"by": "member", "acted_by": {"person": "ana-reyes"}}
        await open_house.ask(HARBOR, "POST", f"/v1/referrals/{referral}:withdraw", gone)
    await open_house.quiet()


async def send(opened: House, organization: str, text: str, query: str = "", status: int = 200) -> Any:
    answer = await opened.as_(organization).post(
        f"/v1/providers:import{query}", content=text, headers={"Content-Type": "text/csv"}
    )
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_file_of_entries_keeps_its_good_lines_and_names_its_bad_ones(open_house: House) -> None:
    file = "\n".join(
        (
            "id,name,types,capacity,counties,npi",
            f"{CLINIC},Eastside Community Clinic,fqhc;primary_care,33,alameda;contra-costa,",
            "nobody-knows,Nobody,fqhc,1,alameda,",
            f"{STREET},,street_medicine,many,alameda,",
            f"{NAVIGATORS},,,19,alameda,1234567890",
            f"{STREET},,unicorns,,,",
            f"{STREET},too,few",
        )
    )
    dry = await send(open_house, OPERATIONS, file, "?dry_run=true")
    done = await send(open_house, OPERATIONS, file)
    counts = {name: done[name] for name in ("created", "changed", "unchanged", "refused")}
    assert counts == {"created": 0, "changed": 1, "unchanged": 0, "refused": 5}
    assert {name: dry[name] for name in counts} == counts
    assert (dry["dry_run"], done["dry_run"]) == (True, False)
    assert [(error["line"], error["pointer"]) for error in done["errors"]] == [
        (3, "/id"), (4, "/capacity"), (5, "/npi"), (6, "/types"), (7, ""),
    ]  # fmt: skip
    assert all(error["rule"] and error["fix"] for error in done["errors"])
    assert done["rows"] == [{"line": 2, "id": CLINIC, "result": "changed"}]
    entry = await open_house.ask("", "GET", f"/v1/providers/{CLINIC}")
    assert (entry["types"], entry["counties"]) == (["fqhc", "primary_care"], ["alameda", "contra-costa"])
    wrong = await send(open_house, OPERATIONS, "id,unicorns\nx,y\n", status=422)
    assert wrong["slug"] == "row-invalid"


async def test_a_plan_imports_its_own_contracts_and_sending_the_file_again_changes_nothing(
    open_house: House,
) -> None:
    file = "\n".join(
        (
            "id,plan,contract_populations,from,through",
            f"{STREET},{VALLEY},homelessness,2026-01-01,2026-12-31",
            f"{STREET},{VALLEY},homelessness,2027-01-01,",
            f"{NAVIGATORS},{HARBOR},homelessness,2026-01-01,",
            f"{NAVIGATORS},{VALLEY},homelessness;avoidable_utilization,2026-12-31,2026-01-01",
        )
    )
    done = await send(open_house, VALLEY, file)
    assert [(error["line"], error["pointer"], error["rule"]) for error in done["errors"]] == [
        (4, "/plan", "part-not-yours"),
        (5, "/plan", "ends-before-it-begins"),
    ]
    again = await send(open_house, VALLEY, file)
    assert (again["changed"], again["unchanged"], again["refused"]) == (0, 2, 2)
    contracts = (await open_house.ask("", "GET", f"/v1/providers/{STREET}"))["contracts"]
    assert [each["plan"] for each in contracts] == [HARBOR, VALLEY, VALLEY]
    assert (await open_house.as_(STREET).post("/v1/providers:import")).status_code == 403


async def test_a_contract_names_a_hub_that_is_one(open_house: House) -> None:
    """loop.md 1.3."""
    contract = {
        "plan": HARBOR,
        "populations": ["avoidable_utilization"],
        "from": "2025-01-01",
        "hub": NAVIGATORS,
    }
    refused = await open_house.ask(HARBOR, "PUT", f"/v1/providers/{CLINIC}", {"contracts": [contract]}, 422)
    assert refused["errors"][0]["pointer"] == "/contracts/0/hub"


# ── offers that go on ─────────────────────────────────────────────────────────────────────────────────────


async def test_an_offer_the_plan_takes_back_goes_to_the_next(open_house: House) -> None:
    referral, offer = await offered(open_house, 0)
    path = f"/v1/assignments/{offer['id']}"
    await open_house.ask(STREET, "POST", f"{path}:withdraw", MARIA, 403)
    taken = await open_house.ask(HARBOR, "POST", f"{path}:withdraw", MARIA)
    assert (taken["status"], taken["reason"]) == ("withdrawn", "by_plan")
    assert (await open_house.ask(HARBOR, "POST", f"{path}:withdraw", MARIA, 409))["slug"] == "not-live"
    await open_house.quiet()
    assert await actions(open_house, referral) == ["made", "withdrawn", "made"]
    why = await open_house.ask(HARBOR, "GET", f"/v1/assignments/{referral}/explanation")
    assert {"provider": STREET, "reason": "taken_back"} in why["skipped"]


async def test_silence_goes_to_the_next_where_the_plan_turned_that_on_and_each_limit_is_said_once(
    open_house: House,
) -> None:
    """loop.md 5.6: withdrawn before the next offer is made."""
    referral, offer = await offered(open_house, 1)
    await open_house.pass_time(9 * DAY)
    done = await actions(open_house, referral)
    assert done[:5] == ["made", "overdue", "overdue", "withdrawn", "made"]
    assert (await open_house.ask(HARBOR, "GET", f"/v1/assignments/{offer['id']}"))["reason"] == "no_answer"
    await open_house.pass_time(12 * DAY)
    later = (await actions(open_house, referral))[5:]
    assert later.count("plan_asked") == 1
    step = (await open_house.referral(HARBOR, referral))["next_step"]
    assert step["actor"] == "plan"


async def test_an_assignment_that_ends_leaves_the_authorized_member_to_the_next(open_house: House) -> None:
    referral, offer = await offered(open_house, 2)
    taken = await accept(open_house, STREET, offer)
    path = f"/v1/assignments/{taken['id']}"
    assert (await open_house.ask(HARBOR, "POST", f"{path}:withdraw", MARIA, 409))["slug"] == "not-offered"
    await open_house.ask(NAVIGATORS, "POST", f"{path}:end", LUIS, 404)
    ended = await open_house.ask(STREET, "POST", f"{path}:end", LUIS)
    assert (ended["status"], ended["reason"]) == ("ended", "ended_by_provider")
    await open_house.quiet()
    assert await actions(open_house, referral) == ["made", "accepted", "ended", "made"]
    # Who has no assignment any more opens nobody's identity.
    await open_house.ask(STREET, "GET", f"{path}/member", status=404)


# ── what people change ────────────────────────────────────────────────────────────────────────────────────


async def test_a_member_has_one_lead_care_manager_whom_the_provider_may_change(open_house: House) -> None:
    """loop.md 5.4."""
    referral, offer = await offered(open_house, 3)
    taken = await accept(open_house, STREET, offer)
    body = {"lead": {"person": "ana-reyes", "name": "Ana Reyes"}, **LUIS}
    path = f"/v1/assignments/{taken['id']}:change-lead"
    assert (await open_house.ask(STREET, "POST", path, body))["lead"] == "Ana Reyes"
    await open_house.ask(NAVIGATORS, "POST", path, body, 404)
    await open_house.quiet()
    seen = await open_house.ask(HARBOR, "GET", f"/v1/assignments/{taken['id']}")
    assert seen["lead"] == "Ana Reyes"
    assert await actions(open_house, referral) == ["made", "accepted", "lead_changed"]


async def test_a_member_asks_the_referrer_for_another_provider_and_the_plan_sees_to_it(
    open_house: House,
) -> None:
    """loop.md 5.7: a referrer knows the referral only, and sees of the assignment no more than that it exists."""
    referral, offer = await offered(open_house, 4)
    first = await accept(open_house, STREET, offer)
    wish = {"provider": NAVIGATORS, "acted_by": {"person": "rosa-diaz"}}
    await open_house.ask(CLINIC, "POST", f"/v1/assignments/{referral}:request-change", wish, 404)
    heard = await open_house.ask(HOSPITAL, "POST", f"/v1/assignments/{referral}:request-change", wish)
    assert (heard["status"], heard["provider"], heard["plan"]) == ("accepted", None, None)
    await open_house.quiet()
    # Whom the member asks for is whom the plan chooses: another needs a reason.
    chosen = {"referral": referral, "provider": NAVIGATORS, **MARIA}
    second = await open_house.ask(HARBOR, "POST", "/v1/assignments", chosen, 201)
    assert second["basis"] == "by_hand"
    await open_house.quiet()
    await accept(open_house, NAVIGATORS, second)
    await open_house.quiet()
    assert await actions(open_house, referral) == [
        "made", "accepted", "plan_asked", "ended", "made", "accepted",
    ]  # fmt: skip
    assert (await open_house.ask(HARBOR, "GET", f"/v1/assignments/{first['id']}"))[
        "reason"
    ] == "member_change"


async def test_the_members_own_clinic_comes_first_and_yields_to_a_recorded_reason_only(
    open_house: House,
) -> None:
    """loop.md 5.7."""
    body = david(member={**david()["member"], "cin": MEMBERS[5]}, pcp=NAVIGATORS)
    referral = await open_house.refer(HOSPITAL, body)
    await open_house.quiet()
    offer = await offer_of(open_house, referral)
    assert offer["provider"] == NAVIGATORS
    why = await open_house.ask(HARBOR, "GET", f"/v1/assignments/{offer['id']}/explanation")
    assert "primary care provider" in why["lines"][0]
    by_hand = {"referral": referral, "provider": STREET, **MARIA}
    refused = await open_house.ask(HARBOR, "POST", "/v1/assignments", by_hand, 409)
    assert (refused["slug"], refused["allowed"]) == ("reason-required", ["member_wish", "fits_better"])
    made = await open_house.ask(HARBOR, "POST", "/v1/assignments", by_hand | {"because": "fits_better"}, 201)
    why = await open_house.ask(HARBOR, "GET", f"/v1/assignments/{made['id']}/explanation")
    assert {"provider": NAVIGATORS, "reason": "fits_better"} in why["skipped"]


async def test_who_leaves_jail_has_an_assignment_planned_from_that_day(open_house: House) -> None:
    """loop.md 3.7."""
    release = la_date(open_house.clock.now() + 20 * DAY)
    body = david(
        member={**david()["member"], "cin": MEMBERS[6]},
        answers={**david()["answers"], "pre_release_services": True},
        release_on=release.isoformat(),
    )
    referral = await open_house.refer(HOSPITAL, body)
    await open_house.quiet()
    offer = await offer_of(open_house, referral)
    assert offer["starts_on"] == release.isoformat()
    # The day tells custody, and is the plan's to know until the provider has accepted.
    path = f"/v1/assignments/{offer['id']}"
    shown = await open_house.ask(STREET, "GET", path)
    assert shown["starts_on"] is None
    assert "pre_release_services" not in shown["needs"]
    await accept(open_house, STREET, offer)
    assert (await open_house.ask(STREET, "GET", path))["starts_on"] == release.isoformat()
    await open_house.pass_time(21 * DAY)
    assert "started" in await actions(open_house, referral)
    assert (await open_house.ask(STREET, "GET", f"/v1/assignments/{offer['id']}"))["starts_on"] is None


async def test_of_each_member_of_a_provider_whose_contract_ends_the_plan_is_asked_and_the_member_told_5_10(
    open_house: House,
) -> None:
    referral, offer = await offered(open_house, 13)
    await accept(open_house, STREET, offer)
    entry = f"/v1/providers/{STREET}"
    held = (await open_house.ask("", "GET", entry))["contracts"]
    before = [
        {"plan": HARBOR, "populations": each["populations"], "from": "2025-01-01"}
        for each in held
        if each["plan"] == HARBOR
    ]
    over = (la_date(open_house.clock.now()) - DAY).isoformat()
    await open_house.ask(HARBOR, "PUT", entry, {"contracts": [each | {"through": over} for each in before]})
    await look_through_contracts(open_house.running.contexts["assignment"], la_date(open_house.clock.now()))
    await open_house.quiet()
    step = (await open_house.referral(HARBOR, referral))["next_step"]
    assert (step["actor"], step["code"]) == ("plan", "provider_left")
    told = await open_house.ask(HARBOR, "GET", "/v1/mailbox?recipient_kind=member&limit=200")
    assert "provider_left" in {each["code"] for each in told["items"] if each["referral"] == referral}
    # A contract that returns takes the question back, and the member hears that their team stays.
    await open_house.ask(HARBOR, "PUT", entry, {"contracts": before})
    await look_through_contracts(open_house.running.contexts["assignment"], la_date(open_house.clock.now()))
    await open_house.quiet()
    assert (await open_house.referral(HARBOR, referral))["next_step"]["actor"] == "provider"
    told = await open_house.ask(HARBOR, "GET", "/v1/mailbox?recipient_kind=member&limit=200")
    assert "provider_stays" in {each["code"] for each in told["items"] if each["referral"] == referral}
    # Left again, another is named.
    await open_house.ask(HARBOR, "PUT", entry, {"contracts": [each | {"through": over} for each in before]})
    await look_through_contracts(open_house.running.contexts["assignment"], la_date(open_house.clock.now()))
    await open_house.quiet()
    assert (await open_house.referral(HARBOR, referral))["next_step"]["code"] == "provider_left"
    made = await open_house.ask(
        HARBOR, "POST", "/v1/assignments", {"referral": referral, "provider": NAVIGATORS, **MARIA}, 201
    )
    assert made["provider"] == NAVIGATORS
    await open_house.ask(HARBOR, "PUT", entry, {"contracts": before})
