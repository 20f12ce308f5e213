"""What the pages of people read: names, work lists with counts, the opened form, openings, policy rows, and that
something changed; each seen by those whom it concerns alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import orjson
import pytest
import pytest_asyncio

from loopkeeper.contract import ids as ids_of
from loopkeeper.http.call import Call
from loopkeeper.kernel.errors import Busy
from loopkeeper.security.organizations import Directory
from referral_intake.api import changes
from tests.builders.forms import UNMET, david
from tests.builders.organizations import CLINIC, HARBOR, HOSPITAL, NAVIGATORS, OPERATIONS, STREET, VALLEY
from tests.databases import Databases
from tests.loop.house import House, house

MARIA = {"acted_by": {"person": "maria-chen", "title": "Medical director", "licence": "A12345"}}
ANA = {"acted_by": {"person": "ana-reyes", "title": "UM nurse"}}


@pytest_asyncio.fixture(scope="module")
async def pages(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    """One house for all: each test has a member of its own."""
    async with house(databases, tmp_path_factory.mktemp("pages")) as opened:
        yield opened
    await databases.drop()


def someone(number: int, **changes: Any) -> dict[str, Any]:
    member = {**david()["member"], "cin": f"9000{number:04}S", **changes.pop("member", {})}
    return david(member=member, **changes)


async def waiting(pages: House, number: int, **changes: Any) -> tuple[str, str]:
    """A referral that a person of the plan must decide: its id and the request's."""
    referral = await pages.refer(CLINIC, someone(number, **changes))
    await pages.quiet()
    found = await pages.ask(HARBOR, "GET", "/v1/authorizations?status=pending&limit=200")
    return referral, next(each["id"] for each in found["items"] if each["referral"] == referral)


def ids(found: Any) -> set[str]:
    return {each["id"] for each in found["items"]}


# ── organizations ─────────────────────────────────────────────────────────────────────────────────────────


async def test_names_and_numbers_instead_of_ids(pages: House) -> None:
    (one,) = (await pages.ask(CLINIC, "GET", f"/v1/organizations?id={HARBOR}"))["items"]
    assert one == {"id": HARBOR, "name": "Harbor Health Plan", "kind": "plan", "phone": "555-0100"}
    plans = await pages.ask(CLINIC, "GET", "/v1/organizations?kind=plan")
    assert [each["id"] for each in plans["items"]] == [HARBOR, VALLEY]
    asked = await pages.ask(HARBOR, "GET", f"/v1/organizations?id={HOSPITAL}&id=nobody&id={STREET}")
    assert [each["name"] for each in asked["items"]] == ["Bayview Hospital", "Harbor Street Medicine"]
    assert (await pages.ask(CLINIC, "GET", "/v1/organizations?id=nobody"))["items"] == []
    await pages.ask("", "GET", "/v1/organizations", status=401)


async def test_operations_see_organizations_and_keys_with_their_last_use_and_never_a_key(
    pages: House,
) -> None:
    await pages.ask(HOSPITAL, "GET", "/v1/referrals")
    found = await pages.ask(OPERATIONS, "GET", "/v1/operations/intake/organizations")
    (hospital,) = [each for each in found["items"] if each["id"] == HOSPITAL]
    assert (hospital["name"], hospital["kind"], hospital["revoked"]) == (
        "Bayview Hospital",
        "referrer",
        False,
    )
    (key,) = hospital["keys"]
    assert key["roles"] == ["referrer"]
    assert key["last_used_at"] is not None
    said = orjson.dumps(found).decode()
    assert "sha256" not in said
    assert not any(secret in said for secret in pages.keys.values())
    await pages.ask(HARBOR, "GET", "/v1/operations/intake/organizations", status=403)


async def test_who_only_refers_is_listed_to_operations_and_itself(pages: House) -> None:
    assert HOSPITAL not in ids(await pages.ask(CLINIC, "GET", "/v1/organizations"))
    assert HOSPITAL in ids(await pages.ask(HOSPITAL, "GET", "/v1/organizations"))
    assert HOSPITAL in ids(await pages.ask(OPERATIONS, "GET", "/v1/organizations"))


# ── work lists ────────────────────────────────────────────────────────────────────────────────────────────


async def test_open_loops_are_listed_by_what_is_due_next(pages: House) -> None:
    urgent, _ = await waiting(pages, 5001, urgency="expedited", member={"county": "yolo"})
    routine, _ = await waiting(pages, 5002)
    found = await pages.ask(HARBOR, "GET", "/v1/referrals?order=due&actor=plan&step=decide&limit=200")
    order = [each["id"] for each in found["items"]]
    assert order.index(urgent) < order.index(routine)
    dues = [each["next_step"]["due_at"] for each in found["items"]]
    assert dues == sorted(dues)
    step = found["items"][order.index(urgent)]["next_step"]
    assert (step["code"], step["organization"], step["step"]) == (
        "decide",
        HARBOR,
        "decide the authorization",
    )
    assert step["since"] == pages.clock.now().isoformat().replace("+00:00", "Z")
    yolo = await pages.ask(HARBOR, "GET", "/v1/referrals?order=due&county=yolo")
    assert ids(yolo) == {urgent}
    assert urgent not in ids(await pages.ask(HARBOR, "GET", "/v1/referrals?actor=provider&limit=200"))
    assert urgent not in ids(await pages.ask(HARBOR, "GET", "/v1/referrals?open=false&limit=200"))
    # Page by page the same, each loop once.
    paged: list[str] = []
    cursor = ""
    while True:
        page = await pages.ask(
            HARBOR, "GET", f"/v1/referrals?order=due&actor=plan&step=decide&limit=1{cursor}"
        )
        paged += [each["id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert paged == order


async def test_counts_are_of_the_lists_and_of_ones_own_1_6(pages: House) -> None:
    await waiting(pages, 5003)
    counts = await pages.ask(HARBOR, "GET", "/v1/referrals:count?by=county")
    listed = await pages.ask(HARBOR, "GET", "/v1/referrals?open=true&limit=200")
    assert counts["open"] == len(listed["items"]) == sum(counts["actor"].values())
    assert sum(counts["county"].values()) == counts["open"]
    for actor, many in counts["actor"].items():
        mine = await pages.ask(HARBOR, "GET", f"/v1/referrals?actor={actor}&limit=200")
        assert len(mine["items"]) == many
    for due, many in counts["due"].items():
        mine = await pages.ask(HARBOR, "GET", f"/v1/referrals?due={due}&limit=200")
        assert len(mine["items"]) == many
    assert (await pages.ask(VALLEY, "GET", "/v1/referrals:count"))["open"] == 0
    assert (await pages.ask(NAVIGATORS, "GET", "/v1/referrals:count"))["open"] == 0
    assert (await pages.ask(CLINIC, "GET", "/v1/referrals:count"))["open"] == counts["open"]
    everybody = await pages.ask(OPERATIONS, "GET", "/v1/referrals:count?by=plan")
    assert everybody["plan"][HARBOR] == counts["open"]
    assert everybody["county"] is None


async def test_operations_ask_for_no_county_1_6(pages: House) -> None:
    for path in (
        "/v1/referrals?county=alameda",
        "/v1/referrals:count?by=county",
        "/v1/referrals:count?county=yolo",
    ):
        problem = await pages.ask(OPERATIONS, "GET", path, status=422)
        assert problem["errors"][0]["rule"] == "not-for-operations"


async def test_what_is_late_is_counted_late_when_its_time_has_come(pages: House) -> None:
    referral, _ = await waiting(pages, 5004, urgency="expedited")
    assert referral in ids(await pages.ask(HARBOR, "GET", "/v1/referrals?due=on_time&actor=plan&limit=200"))
    await pages.pass_time(timedelta(days=2))
    assert referral in ids(await pages.ask(HARBOR, "GET", "/v1/referrals?due=soon&actor=plan&limit=200"))
    await pages.pass_time(timedelta(days=2))
    assert referral in ids(await pages.ask(HARBOR, "GET", "/v1/referrals?due=late&limit=200"))
    assert referral not in ids(await pages.ask(HARBOR, "GET", "/v1/referrals?due=soon&limit=200"))


async def test_a_referrer_is_not_told_which_provider_must_act_6_4(pages: House) -> None:
    referral, request = await waiting(pages, 5005)
    await pages.ask(HARBOR, "POST", f"/v1/authorizations/{request}:approve", MARIA)
    await pages.quiet()
    mine = (await pages.referral(CLINIC, referral))["next_step"]
    plans = (await pages.referral(HARBOR, referral))["next_step"]
    assert (mine["actor"], mine["code"], mine["organization"]) == ("provider", "answer_offer", None)
    assert plans["organization"] == STREET


# ── the queue ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_case_is_claimed_by_one_and_decided_by_anybody(pages: House) -> None:
    _, request = await waiting(pages, 5006)
    path = f"/v1/authorizations/{request}"
    taken = await pages.ask(HARBOR, "POST", f"{path}:claim", MARIA | {"acted_by": {"person": "maria-chen"}})
    assert taken["claim"]["person"] == "maria-chen"
    refused = await pages.ask(HARBOR, "POST", f"{path}:claim", {"acted_by": {"person": "ana-reyes"}}, 409)
    assert (refused["slug"], refused["claim"]["person"]) == ("claimed", "maria-chen")
    mine = "/v1/authorizations?claimed_by=maria-chen"
    assert ids(await pages.ask(HARBOR, "GET", mine)) == {request}
    free = await pages.ask(HARBOR, "GET", "/v1/authorizations?claimed=false&limit=200")
    assert request not in ids(free)
    counts = await pages.ask(HARBOR, "GET", "/v1/authorizations:count")
    assert counts["free"] == len(free["items"]) == counts["waiting"] - 1
    assert (await pages.ask(VALLEY, "GET", "/v1/authorizations:count"))["waiting"] == 0
    await pages.ask(VALLEY, "POST", f"{path}:claim", {"acted_by": {"person": "eve"}}, 404)
    # Half an hour later it is anybody's again, without anybody's doing.
    await pages.pass_time(timedelta(minutes=31))
    assert request in ids(await pages.ask(HARBOR, "GET", "/v1/authorizations?claimed=false&limit=200"))
    await pages.ask(HARBOR, "POST", f"{path}:claim", {"acted_by": {"person": "ana-reyes"}})
    assert await pages.ask(HARBOR, "POST", "/v1/authorizations:release-all", {"person": "ana-reyes"}) == {
        "released": 1
    }
    await pages.ask(HARBOR, "POST", f"{path}:claim", {"acted_by": {"person": "maria-chen"}})
    await pages.ask(HARBOR, "POST", f"{path}:approve", ANA)


async def test_what_is_allowed_is_said_and_a_dry_run_keeps_nothing(pages: House) -> None:
    referral, request = await waiting(pages, 5007)
    path = f"/v1/authorizations/{request}"
    before = await pages.ask(HARBOR, "GET", path)
    assert before["allowed"] == ["approve", "modify", "deny", "pend"]
    deny = {
        **MARIA,
        "reason": "criteria_not_met",
        "unmet": UNMET,
        "citation": "ECM Policy Guide, p. 12",
        "dry_run": True,
    }
    shown = await pages.ask(HARBOR, "POST", f"{path}:deny", deny)
    assert shown["status"] == "denied"
    assert shown["decision"]["notice_due_at"] is not None
    assert shown["decision"]["rights"]["hearing_days"] > 0
    await pages.quiet()
    assert await pages.ask(HARBOR, "GET", path) == before
    assert "authorization.denied" not in await pages.timeline(referral)
    refused = await pages.ask(HARBOR, "POST", f"{path}:deny", {**deny, **ANA}, 409)
    assert refused["slug"] == "person-required"
    await pages.ask(HARBOR, "POST", f"{path}:deny", {**deny, "dry_run": False})
    assert (await pages.ask(HARBOR, "GET", path))["allowed"] == ["overturn"]
    await pages.ask(STREET, "GET", path, status=404)


# ── what is opened ────────────────────────────────────────────────────────────────────────────────────────


async def test_the_form_stands_beside_how_each_criterion_was_judged(pages: House) -> None:
    referral, _ = await waiting(pages, 5008, comments="Comes by on Tuesdays.", programs={"hospice": "no"})
    form = await pages.ask(HARBOR, "GET", f"/v1/referrals/{referral}/form?reason=decide")
    assert form["answers"]["complex_need"] is True
    assert form["comments"] == "Comes by on Tuesdays."
    assert form["attestation"]["attested"] is True
    (homeless,) = [each for each in form["screening"] if each["code"] == "homelessness"]
    assert (homeless["result"], homeless["claimed"]) == ("met", True)
    assert {each["answer"] for each in homeless["criteria"]} >= {"complex_need", "place_not_for_sleeping"}
    assert any(each.startswith("populations/homelessness-adult@") for each in form["policy"])
    assert "David" not in orjson.dumps(form).decode()
    assert (await pages.ask(CLINIC, "GET", f"/v1/referrals/{referral}/form"))["answers"] == form["answers"]
    for other in (VALLEY, STREET, HOSPITAL):
        problem = await pages.as_(other).get(f"/v1/referrals/{referral}/form")
        assert problem.status_code in (403, 404)
    await pages.ask(OPERATIONS, "GET", f"/v1/referrals/{referral}/form", status=403)


async def test_every_field_of_the_form_is_shown_as_it_was_sent(pages: House) -> None:
    sent: dict[str, Any] = {
        "urgency": "expedited",
        "form_version": "2026-01",
        "referral_date": "2026-03-01",
        "programs": {"hospice": "no", "ccm": "yes"},
        "confirmed_programs": {"ccm": True},
        "member_choices": {"ccm": "ecm"},
        "plan_change": {"how": "member", "member_wishes": True},
        "recommended": {"provider": STREET, "note": "knows him"},
        "preference": {"gender": "a woman", "note": "speaks Igbo"},
        "release_on": "2026-02-20",
        "member_agrees": True,
        "safety_notes": "A dog.",
        "attachments": ["discharge summary"],
        "extra": [{"name": "ward", "value": "4 B", "purpose": "to find him"}],
    }
    referral, _ = await waiting(pages, 5030, **sent)
    form = await pages.ask(HARBOR, "GET", f"/v1/referrals/{referral}/form?reason=decide")
    for name, value in sent.items():
        shown = form[name]
        if isinstance(value, dict):
            shown = {key: shown[key] for key in value}
        assert shown == value, name


async def test_openings_are_read_by_who_opened_and_by_the_members_plan_1_7(pages: House) -> None:
    referral, request = await waiting(pages, 5009)
    await pages.ask(CLINIC, "GET", f"/v1/referrals/{referral}/member?reason=member_asked")
    await pages.ask(HARBOR, "GET", f"/v1/referrals/{referral}/form")
    await pages.ask(HARBOR, "GET", f"/v1/authorizations/{request}/member?reason=complaint")
    await pages.ask(HARBOR, "GET", f"/v1/authorizations/{request}/member?reason=for%20fun", status=422)
    path = f"/v1/openings/intake?referral={referral}"
    plans = (await pages.ask(HARBOR, "GET", path))["items"]
    assert [(each["organization"], each["reason"]) for each in plans] == [
        (HARBOR, "read_form"),
        (CLINIC, "member_asked"),
    ]
    assert plans[1]["client"] is None
    assert not plans[0]["proved"]
    own = (await pages.ask(CLINIC, "GET", path))["items"]
    assert [each["organization"] for each in own] == [CLINIC]
    assert own[0]["why"] == "because the member asked"
    assert "first_name" in own[0]["fields"]
    for other in (VALLEY, STREET):
        assert (await pages.ask(other, "GET", path))["items"] == []
    assert len((await pages.ask(OPERATIONS, "GET", path))["items"]) == 2
    decided = await pages.ask(HARBOR, "GET", f"/v1/openings/authorization?referral={referral}")
    assert [each["reason"] for each in decided["items"]] == ["complaint"]
    first = await pages.ask(HARBOR, "GET", f"{path}&limit=1")
    then = await pages.ask(HARBOR, "GET", f"{path}&limit=1&cursor={first['next_cursor']}")
    assert [each["id"] for each in (*first["items"], *then["items"])] == [each["id"] for each in plans]


# ── the story ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("cursor", "status"),
    [
        ("0006511f0c3e4-7", 200),
        (f"0006511f0c3e4-{'9' * 18}", 200),
        (f"0006511f0c3e4-{'9' * 19}", 422),
        (f"0006511f0c3e4-{'9' * 100}", 422),
        ("0006511f0c3e4-ref_7", 422),
        ("7", 422),
    ],
    ids=lambda each: str(each)[:24],
)
async def test_a_place_among_openings_is_a_number_of_18_digits_at_most(
    pages: House, cursor: str, status: int
) -> None:
    found = await pages.ask(HARBOR, "GET", f"/v1/openings/intake?cursor={cursor}", status=status)
    if status == 422:
        assert [each["pointer"] for each in found["errors"]] == ["query/cursor"]


async def test_a_timeline_comes_in_pages_with_codes_and_values(pages: House) -> None:
    referral, _ = await waiting(pages, 5010)
    whole = await pages.ask(HARBOR, "GET", f"/v1/referrals/{referral}/timeline")
    assert whole["next_cursor"] is None
    first, *_ = whole["items"]
    assert first["type"] == "referral.received"
    assert first["values"] == {"referrer": CLINIC, "plan": HARBOR, "met": ["homelessness"]}
    mine = await pages.ask(CLINIC, "GET", f"/v1/referrals/{referral}/timeline")
    assert "met" not in mine["items"][0]["values"]
    paged: list[Any] = []
    cursor: str | None = "0"
    while cursor is not None:
        page = await pages.ask(HARBOR, "GET", f"/v1/referrals/{referral}/timeline?limit=1&cursor={cursor}")
        paged += page["items"]
        cursor = page["next_cursor"]
    assert paged == whole["items"]


async def test_a_decisions_policy_rows_say_their_source(pages: House) -> None:
    referral, _ = await waiting(pages, 5011)
    items = (await pages.ask(HARBOR, "GET", f"/v1/referrals/{referral}/timeline"))["items"]
    opened = next(each for each in items if each["type"] == "authorization.review_opened")
    asked = "&".join(f"ref={ref}" for ref in opened["policy"])
    rows = await pages.ask(HARBOR, "GET", f"/v1/policy/{opened['source']}?{asked}")
    assert [each["ref"] for each in rows["items"]] == list(dict.fromkeys(opened["policy"]))
    assert all(each["source"] and each["confidence"] and each["values"] for each in rows["items"])


async def test_a_plans_choices_are_its_own_to_read(pages: House) -> None:
    mine = await pages.ask(HARBOR, "GET", "/v1/policy/authorization")
    own = [each["ref"] for each in mine["items"] if each["plan"] == HARBOR]
    assert own
    ref = own[0]
    assert (await pages.ask(VALLEY, "GET", f"/v1/policy/authorization?ref={ref}"))["items"] == []
    assert len((await pages.ask(OPERATIONS, "GET", f"/v1/policy/authorization?ref={ref}"))["items"]) == 1
    assert all(
        each["plan"] in (None, VALLEY)
        for each in (await pages.ask(VALLEY, "GET", "/v1/policy/authorization"))["items"]
    )
    await pages.ask(CLINIC, "GET", "/v1/policy/authorization", status=403)


async def test_who_was_told_what_is_seen_by_the_plan_and_by_each_of_its_own_7_4(pages: House) -> None:
    await pages.subscribe(CLINIC)
    referral, request = await waiting(pages, 5014)
    await pages.ask(HARBOR, "POST", f"/v1/authorizations/{request}:approve", MARIA)
    await pages.quiet()
    await pages.accept(STREET)
    path = f"/v1/outreach/{referral}/notices"
    plans = (await pages.ask(HARBOR, "GET", path))["items"]
    kinds = {each["recipient_kind"] for each in plans}
    assert {"referrer", "provider", "member"} <= kinds
    assert "David" not in orjson.dumps(plans).decode()
    mine = (await pages.ask(CLINIC, "GET", path))["items"]
    assert {each["recipient"] for each in mine} == {CLINIC}
    sent = [way for each in mine for way in each["deliveries"]]
    assert sent
    assert all(each["attempts"] >= 1 for each in sent if each["state"] == "delivered")
    for other in (VALLEY, NAVIGATORS, HOSPITAL):
        await pages.ask(other, "GET", path, status=404)
    everything = (await pages.ask(OPERATIONS, "GET", path))["items"]
    assert [each["id"] for each in everything] == [each["id"] for each in plans]


# ── live ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_everybody_may_ask_what_time_it_is(pages: House) -> None:
    for who in (CLINIC, HARBOR, STREET, OPERATIONS):
        assert (await pages.ask(who, "GET", "/v1/now"))["now"] == pages.clock.now().isoformat().replace(
            "+00:00", "Z"
        )
    await pages.ask("", "GET", "/v1/now", status=401)


async def test_a_page_hears_what_changed_of_its_own_and_nothing_else_1_6(pages: House) -> None:
    """The stream's pieces as its route makes them, for the plan, another plan and operations."""
    heard: dict[str, list[bytes]] = {}
    streams = {who: changes.pieces(call_of(pages, who)) for who in (HARBOR, VALLEY, OPERATIONS)}
    for who, stream in streams.items():
        assert await anext(stream) == changes.RETRY
        heard[who] = []
    referral = await pages.refer(CLINIC, someone(5012))
    await pages.quiet()
    async with asyncio.timeout(10):
        for who in (HARBOR, OPERATIONS):
            while referral not in str(heard[who]):
                heard[who].append(await anext(streams[who]))
    for line in heard[HARBOR]:
        assert orjson.loads(line.removeprefix(b"data: "))["many"] is False
    told = [piece for who in (HARBOR, OPERATIONS) for piece in heard[who]]
    assert "David" not in str(told)
    waits = asyncio.ensure_future(anext(streams[VALLEY]))
    await pages.refer(CLINIC, someone(5013))
    await pages.quiet()
    assert not waits.done()
    waits.cancel()
    await asyncio.wait({waits})
    for stream in streams.values():
        await stream.aclose()


async def test_one_caller_holds_so_many_streams_and_the_next_comes_again(pages: House) -> None:
    streams = [changes.pieces(call_of(pages, HARBOR)) for _ in range(changes.STREAMS_OF_ONE)]
    for stream in streams:
        await anext(stream)
    with pytest.raises(Busy):
        await anext(changes.pieces(call_of(pages, HARBOR)))
    for stream in streams:
        await stream.aclose()
    again = changes.pieces(call_of(pages, HARBOR))
    assert await anext(again) == changes.RETRY
    await again.aclose()


def call_of(pages: House, who: str) -> Call:
    """A call of this organization's key at intake, as a route is handed it."""
    client = Directory(pages.home / "config").authenticate(pages.keys[who])
    scope = {"type": "http", "method": "GET", "path": "/v1/referrals:changes", "query_string": b""}
    return Call(pages.running.contexts["intake"], client, ids_of.uuid(), False, "", scope, {})
