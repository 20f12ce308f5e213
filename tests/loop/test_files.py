"""A provider that lives by files: its month is read by the rules of the routes, and comes back with the answers in it."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.builders.organizations import HARBOR, NAVIGATORS, STREET
from tests.databases import Databases
from tests.loop.filing import (
    LEAD,
    NAMES,
    OTF,
    cin,
    counts,
    day,
    file_town,
    offered,
    returned,
    row,
    rows_of,
    send,
    sheet,
    status,
)
from tests.loop.house import House


@pytest_asyncio.fixture(scope="module")
async def town(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    """One house whose providers answer by file."""
    async with file_town(databases, tmp_path_factory.mktemp("files")) as opened:
        yield opened


# ── a month ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_month_answers_the_offer_begins_outreach_and_counts(town: House) -> None:
    referral = await offered(town, 0)
    month = sheet([row(0, "Outreach Initiated", day(town), Lead_Care_Manager=LEAD, In_Person="2", Remote="1",
                       Period="10/01/2026-10/31/2026")])  # fmt: skip
    file = await send(town, month)
    assert (file["state"], file["counts"]) == ("done", counts(1))
    assert await status(town, referral) == "outreach_initiated"
    wires = await town.timeline(referral)
    for name in ("outreach.answered", "assignment.accepted", "outreach.initiated", "outreach.month_counted"):
        assert name in wires
    assert "outreach.attempted" not in wires
    again = await send(town, month)
    assert again["counts"] == counts(unchanged=1)
    assert await town.timeline(referral) == wires


async def test_a_mended_row_acts_and_the_others_do_not(town: House) -> None:
    first, second = await offered(town, 1), await offered(town, 2)
    rows = [
        row(1, "Accepted", day(town), Lead_Care_Manager=LEAD),
        row(2, "Accepted", day(town)),
    ]
    file = await send(town, sheet(rows))
    assert await rows_of(town, file) == [(2, "accepted", None), (3, "refused", "lead-required")]
    assert await status(town, second) == "assigned"
    back = list(csv.reader(io.StringIO((await returned(town, file)).decode("utf-8-sig"))))
    assert back[0][-3:] == ["Result", "Code", "What to do"]
    assert back[2][-3:] == ["refused", "lead-required", "Name the lead care manager."]
    wires = await town.timeline(first)
    back[2][back[0].index("Lead Care Manager")] = LEAD
    text = io.StringIO()
    csv.writer(text).writerows(back)
    file = await send(town, text.getvalue().encode("utf-8-sig"))
    assert await rows_of(town, file) == [(2, "unchanged", None), (3, "accepted", None)]
    assert await status(town, second) == "accepted"
    assert await town.timeline(first) == wires


async def test_a_dry_run_gives_the_same_answer_and_writes_nothing(town: House) -> None:
    referral = await offered(town, 3)
    wires = await town.timeline(referral)
    file = await send(
        town, sheet([row(3, "Accepted", day(town), Lead_Care_Manager=LEAD)]), query="&dry_run=true"
    )
    assert (file["state"], file["counts"]["accepted"]) == ("done", 1)
    assert await town.timeline(referral) == wires
    assert await status(town, referral) == "assigned"


async def test_what_only_the_plan_may_close_asks_the_plan(town: House) -> None:
    referral = await offered(town, 4)
    await send(town, sheet([row(4, "Accepted", day(town), Lead_Care_Manager=LEAD)]))
    closing = row(
        4, "Closed", day(town), Why_Closed="Other", In_Words="Moved to a relative in another county"
    )
    file = await send(town, sheet([closing]))
    assert file["counts"] == counts(1)
    found = await town.referral(HARBOR, referral)
    assert (found["status"], found["next_step"]["actor"]) == ("accepted", "plan")
    assert "Moved to" not in str(await town.ask(HARBOR, "GET", f"/v1/referrals/{referral}/timeline"))


async def test_another_organizations_member_is_not_found_and_stays_untouched(town: House) -> None:
    referral = await offered(town, 5)
    await send(town, sheet([row(5, "Accepted", day(town), Lead_Care_Manager=LEAD)]))
    wires = await town.timeline(referral)
    rows = [row(5, "Declined", day(town)), {**row(5, "Declined", day(town)), "CIN": "90099999S"}]
    rows = [{**each, "NPI": ""} for each in rows]
    file = await send(town, sheet(rows), sender=NAVIGATORS)
    found = await town.ask(NAVIGATORS, "GET", f"/v1/files/rtf/{file['id']}/rows")
    theirs, nobody = found["items"]
    assert {**theirs, "row": 0} == {**nobody, "row": 0}
    assert theirs["code"] == "not-found"
    assert await town.timeline(referral) == wires
    await town.ask(STREET, "GET", f"/v1/files/rtf/{file['id']}", status=404)


# loop.md 6.11
async def test_a_contact_is_corrected_only_where_the_row_marks_it_as_new(town: House) -> None:
    referral = await offered(town, 9)
    accepted = row(9, "Accepted", day(town), Lead_Care_Manager=LEAD, Phone="555-0199")
    await send(town, sheet([accepted]))
    assert "outreach.contact_changed" not in await town.timeline(referral)
    await send(town, sheet([{**accepted, "New Phone?": "Y"}]))
    assert "outreach.contact_changed" in await town.timeline(referral)
    found = await town.ask(STREET, "GET", "/v1/assignments?status=accepted")
    (held,) = [each for each in found["items"] if each["referral"] == referral]
    opened = await town.ask(STREET, "GET", f"/v1/assignments/{held['id']}/member")
    assert opened["contact"]["phone"] == "555-0199"


async def test_services_that_began_close_the_loop_and_a_later_attempt_is_recorded(town: House) -> None:
    referral = await offered(town, 6)
    today = day(town)
    closed = row(
        6, "Closed", today, Why_Closed="Services Received", First_Service=today, Lead_Care_Manager=LEAD
    )
    file = await send(town, sheet([closed]))
    assert file["counts"] == counts(1)
    found = await town.referral(HARBOR, referral)
    assert (found["status"], found["closing"]["outcome"]) == ("closed", "services_received")
    attempt = {"CIN": cin(6), "Last Name": NAMES[6], "When": today, "How": "Phone", "Reached": "N"}
    rows = [attempt, {**attempt, "Minutes": "5"}, {**attempt, "How": "Mailer"}]
    file = await send(town, sheet(rows, OTF), kind="otf")
    assert await rows_of(town, file) == [
        (2, "accepted", None), (3, "accepted", None), (4, "refused", "not-an-attempt"),
    ]  # fmt: skip
    again = await send(town, sheet(rows, OTF), kind="otf")
    assert again["counts"] == counts(unchanged=2, refused=1)


async def test_a_file_that_cannot_be_read_is_refused_whole_with_its_reason(town: House) -> None:
    lacking = await send(town, sheet([row(7, "Accepted", day(town))], trailer=3))
    assert (lacking["state"], lacking["code"]) == ("refused", "trailer-differs")
    foreign = await send(town, b"Name,Color\r\nA,blue\r\n")
    assert (foreign["state"], foreign["code"]) == ("refused", "columns-missing")
    await town.ask(STREET, "GET", f"/v1/files/rtf/{foreign['id']}/returned", status=409)


async def test_the_same_key_answers_with_the_same_file(town: House) -> None:
    content = sheet([{**row(8, "Accepted", day(town)), "CIN": "90088888S"}])
    first, second = [await send(town, content, key="october") for _ in range(2)]
    assert first["id"] == second["id"]
