"""A plan tells its providers by member file, decides by list, and keeps what files do in its hand."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from loopkeeper.contract.calendar import la_date
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, NAVIGATORS, STREET, VALLEY
from tests.databases import Databases
from tests.loop.filing import (
    HOLDS_FROM,
    LEAD,
    NAMES,
    NPI,
    OTF,
    cin,
    counts,
    day,
    file_town,
    offered,
    row,
    rows_of,
    send,
    sheet,
    until,
)
from tests.loop.house import House

DECISIONS = ("CIN", "Last Name", "Referral", "Decision", "Decided", "Reason", "Criterion", "Why Not Met", "Decided By", "License", "Number")  # fmt: skip


@pytest_asyncio.fixture(scope="module")
async def town(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    """One house whose providers answer by file."""
    async with file_town(databases, tmp_path_factory.mktemp("files")) as opened:
        yield opened


async def written(opened: House, sender: str = STREET) -> Any:
    query = f"?plan={HARBOR}" if sender == STREET else f"?provider={STREET}"
    return await opened.ask(sender, "POST", f"/v1/files/mif:write{query}", status=201)


async def content(
    opened: House, file: Any, sender: str = STREET, headers: Mapping[str, str] | None = None
) -> bytes:
    answer = await opened.as_(sender).get(f"/v1/files/mif/{file['id']}/content", headers=headers or {})
    assert answer.status_code in (200, 206), answer.text
    return answer.content


def members(text: bytes) -> Mapping[str, Mapping[str, str]]:
    return {each["CIN"]: each for each in csv.DictReader(io.StringIO(text.decode("utf-8-sig")))}


async def untold(opened: House, referral: str) -> Sequence[str]:
    found = await opened.ask(STREET, "GET", "/v1/mailbox?told=false&recipient_kind=provider&limit=200")
    return [each["code"] for each in found["items"] if each["referral"] == referral]


# loop.md 1.6, 7.4
async def test_a_member_file_tells_the_offer_with_identity_once_the_whole_of_it_was_fetched(
    town: House,
) -> None:
    referral = await offered(town, 0)
    file = await written(town)
    assert (file["provider"], file["plan"], file["fetched_at"]) == (STREET, HARBOR, None)
    assert "offer" in await untold(town, referral)
    await content(town, file, HARBOR)
    half = file["bytes"] // 2
    first = await content(town, file, headers={"Range": f"bytes=0-{half - 1}"})
    assert len(first) == half
    assert "offer" in await untold(town, referral)
    rest = await content(town, file, headers={"Range": f"bytes={half}-"})
    told = members(first + rest)[cin(0)]
    assert (told["Last Name"], told["Status"], told["New"]) == (NAMES[0], "Assigned", "Y")
    assert (told["Populations"], told["NPI"]) == ("Experiencing homelessness", NPI)
    assert "offer" not in await untold(town, referral)
    shown = await town.ask(HARBOR, "GET", f"/v1/files/mif/{file['id']}")
    assert shown["fetched_at"] is not None
    again = members(await content(town, await written(town)))
    assert again[cin(0)]["New"] == "N"


# loop.md 1.5
async def test_a_member_file_is_its_providers_and_its_plans_alone(town: House) -> None:
    file = await written(town, HARBOR)
    for stranger in (NAVIGATORS, VALLEY):
        answer = await town.as_(stranger).get(f"/v1/files/mif/{file['id']}/content")
        assert answer.status_code == 404
    await town.ask(NAVIGATORS, "POST", f"/v1/files/mif:write?plan={HARBOR}&provider={STREET}", status=404)
    await town.ask(VALLEY, "POST", f"/v1/files/mif:write?provider={CLINIC}", status=409)


# loop.md 6.2
async def test_a_flagged_member_is_told_with_the_designated_contact_and_the_words_of_the_rule(
    town: House,
) -> None:
    rule = {"designated_address": "PO Box 7", "channels": ["text"], "words_to_avoid": "clinic"}
    who = {**david()["member"], "cin": cin(1), "last_name": NAMES[1], "phone": "555-0177",
           "address": {"street": "1 Elm St", "city": "Oakland", "zip": "94607"}, "safe_contact": rule}  # fmt: skip
    await town.refer(CLINIC, david(member=who))
    await town.quiet()
    told = members(await content(town, await written(town)))[cin(1)]
    assert (told["Phone"], told["Address"]) == ("", "PO Box 7")
    assert told["How To Contact"] == (
        "Contact only as this says. Ways that are safe: text. Words to avoid: clinic."
    )


async def test_who_was_told_and_is_gone_is_discontinued_until_a_fetched_file_says_so(town: House) -> None:
    await offered(town, 2)
    await content(town, await written(town))
    await send(town, sheet([row(2, "Declined", day(town))]))
    unfetched = await written(town)
    assert unfetched["rows"] > 0
    gone = members(await content(town, await written(town)))[cin(2)]
    assert (gone["Status"], gone["Last Name"], gone["Populations"]) == ("Discontinued", NAMES[2], "")
    assert cin(2) not in members(await content(town, await written(town)))


async def test_who_is_gone_before_a_file_was_fetched_is_told_of_in_none(town: House) -> None:
    referral = await offered(town, 6)
    await written(town)
    found = await town.ask(HARBOR, "GET", "/v1/assignments?status=offered&limit=200")
    (offer,) = [each for each in found["items"] if each["referral"] == referral]
    by = {"acted_by": {"person": "maria-chen"}}
    await town.ask(HARBOR, "POST", f"/v1/assignments/{offer['id']}:withdraw", by)
    await town.quiet()
    assert cin(6) not in members(await content(town, await written(town)))


# loop.md 5.8
async def test_a_file_is_written_by_itself_within_five_business_days_of_the_last(town: House) -> None:
    async def files() -> set[str]:
        found = await town.ask(STREET, "GET", "/v1/files/mif?limit=200")
        return {each["id"] for each in found["items"]}

    await content(town, await written(town))
    before = await files()
    await offered(town, 3)
    await town.pass_time(timedelta(days=8))

    async def written_since() -> set[str]:
        return await files() - before

    (new,) = await until(written_since)
    file = await town.ask(STREET, "GET", f"/v1/files/mif/{new}")
    assert cin(3) in members(await content(town, file))


# ── decisions ─────────────────────────────────────────────────────────────────────────────────────────────


def decided(n: int, decision: str, **more: str) -> Mapping[str, str]:
    given = {"CIN": cin(n), "Last Name": NAMES[n], "Decision": decision, "Decided By": "Maria Chen"}
    return given | {name.replace("_", " "): text for name, text in more.items()}


async def waiting(opened: House, n: int) -> str:
    """A referral that waits for a person of the plan: one criterion was not answered."""
    who = {**david()["member"], "cin": cin(n), "last_name": NAMES[n]}
    answers = {**david()["answers"]}
    answers.pop("cannot_self_manage")
    referral = await opened.refer(CLINIC, david(member=who, answers=answers))
    await opened.quiet()
    found = await opened.ask(HARBOR, "GET", "/v1/authorizations?status=pending&limit=200")
    assert referral in [each["referral"] for each in found["items"]]
    return referral


# loop.md 4.1, 4.6
async def test_a_list_of_decisions_decides_as_the_routes_do(town: House) -> None:
    first, second = await waiting(town, 4), await waiting(town, 5)
    rows = [
        decided(4, "Approved", Number="HX-1", Referral=first),
        decided(5, "Denied", Reason="criteria_not_met", Criterion="complex need"),
        {**decided(6, "Approved"), "CIN": "90099999S"},
        decided(5, "Perhaps"),
    ]
    file = await send(town, sheet(rows, DECISIONS), kind="decisions", sender=HARBOR)
    assert await rows_of(town, file, HARBOR) == [
        (2, "accepted", None), (3, "refused", "person-required"), (4, "refused", "not-found"),
        (5, "refused", "decision-required"),
    ]  # fmt: skip
    approved = await town.ask(HARBOR, "GET", f"/v1/referrals/{first}")
    assert approved["status"] in ("authorized", "assigned")
    unsaid = decided(5, "Denied", Reason="criteria_not_met", Criterion="complex need", License="A12345")
    file = await send(town, sheet([unsaid], DECISIONS), kind="decisions", sender=HARBOR)
    assert await rows_of(town, file, HARBOR) == [(2, "refused", "criterion-required")]
    denial = {**unsaid, "Why Not Met": "A person looked into it."}
    file = await send(town, sheet([rows[0], denial], DECISIONS), kind="decisions", sender=HARBOR)
    assert await rows_of(town, file, HARBOR) == [(2, "unchanged", "known"), (3, "accepted", None)]
    denied = await town.ask(HARBOR, "GET", f"/v1/referrals/{second}")
    assert (denied["status"], denied["closing"]["outcome"]) == ("closed", "not_authorized")
    for sender, status in ((STREET, 403), (VALLEY, 404)):
        headers = {"Content-Type": "text/csv"}
        path = f"/v1/files/decisions?plan={HARBOR}"
        answer = await town.as_(sender).post(path, content=sheet(rows, DECISIONS), headers=headers)
        assert answer.status_code == status


# ── held, taken back ──────────────────────────────────────────────────────────────────────────────────────


async def test_two_persons_take_a_file_back(town: House) -> None:
    referral = await offered(town, 7)
    file = await send(town, sheet([row(7, "Accepted", day(town), Lead_Care_Manager=LEAD)]))
    path = f"/v1/files/rtf/{file['id']}:take-back"
    asked = {"acted_by": {"person": "ana"}, "reason": "wrong_period"}
    found = await town.ask(STREET, "POST", path, asked)
    assert (found["state"], found["code"]) == ("done", "asked-back")
    await town.ask(STREET, "POST", path, asked, status=409)
    found = await town.ask(STREET, "POST", path, {**asked, "acted_by": {"person": "ben"}})
    assert found["state"] == "taken_back"
    assert await rows_of(town, file) == [(2, "accepted", "recorded")]
    assert "assignment.accepted" in await town.timeline(referral)


# ── 8.6 ───────────────────────────────────────────────────────────────────────────────────────────────────


# loop.md 8.6
async def test_what_a_former_provider_tells_late_counts_for_its_own_days_and_changes_nothing_of_the_next(
    town: House,
) -> None:
    referral = await offered(town, 8)
    served_on = day(town)
    await send(town, sheet([row(8, "Accepted", served_on, Lead_Care_Manager=LEAD)]))
    found = await town.ask(HARBOR, "GET", "/v1/assignments?status=accepted&limit=200")
    (held,) = [each for each in found["items"] if each["referral"] == referral]
    await town.pass_time(timedelta(days=2))
    ended = {"acted_by": {"person": "maria-chen"}}
    await town.ask(HARBOR, "POST", f"/v1/assignments/{held['id']}:end", ended)
    await town.quiet()
    before = (await town.referral(HARBOR, referral))["status"]
    attempt = {"CIN": cin(8), "Last Name": NAMES[8], "How": "Phone", "Reached": "N"}
    late = [{**attempt, "When": served_on}, {**attempt, "When": day(town)}]
    await town.pass_time(timedelta(days=3))
    late.append({**attempt, "When": day(town)})
    file = await send(town, sheet(late, OTF), kind="otf")
    assert await rows_of(town, file) == [
        (2, "accepted", None), (3, "accepted", None), (4, "refused", "already-closed"),
    ]  # fmt: skip
    assert (await town.referral(HARBOR, referral))["status"] == before


async def test_a_file_of_which_too_much_is_refused_is_held_until_the_plan_lets_it_act(town: House) -> None:
    referral = await offered(town, 9)
    await town.pass_time(timedelta(days=(HOLDS_FROM - la_date(town.clock.now())).days))
    rows = [
        row(9, "Accepted", day(town), Lead_Care_Manager=LEAD),
        row(9, "Gone", day(town)),
        row(9, "Lost", day(town)),
    ]
    file = await send(town, sheet(rows))
    assert (file["state"], file["code"]) == ("held", "held")
    assert "assignment.accepted" not in await town.timeline(referral)
    path = f"/v1/files/rtf/{file['id']}:release"
    await town.ask(STREET, "POST", path, {"acted_by": {"person": "ana"}}, status=403)
    await town.ask(HARBOR, "POST", path, {"acted_by": {"person": "maria-chen"}})
    await town.quiet()
    file = await town.ask(STREET, "GET", f"/v1/files/rtf/{file['id']}")
    assert (file["state"], file["counts"]) == ("done", counts(1, refused=2))
    assert "assignment.accepted" in await town.timeline(referral)
    await town.ask(HARBOR, "POST", path, {"acted_by": {"person": "maria-chen"}}, status=409)
