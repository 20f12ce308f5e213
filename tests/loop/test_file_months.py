"""A plan's view of a month of files: who is late, who sent again, which rows count; and what becomes of a file's rows when
two persons take it back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import date, datetime
from typing import Any

import pytest
import pytest_asyncio

from loopkeeper.contract.calendar import noon_of
from tests.builders.organizations import HARBOR, NAVIGATORS, STREET, VALLEY
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
    row,
    rows_of,
    send,
    sheet,
    status,
)
from tests.loop.house import House

MARCH = "03/01/2026-03/31/2026"
REASON = {"reason": "wrong_members"}


@pytest_asyncio.fixture(scope="module")
async def town(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    """One house whose providers answer by file, on the tenth of March."""
    async with file_town(databases, tmp_path_factory.mktemp("months")) as opened:
        opened.clock.set(noon_of(date(2026, 3, 10)))
        yield opened
    await databases.drop()


async def month(town: House, name: str, kind: str = "rtf") -> tuple[Any, Mapping[str, Any]]:
    found = await town.ask(HARBOR, "GET", f"/v1/files/{kind}/months/{name}")
    return found, {each["organization"]: each for each in found["senders"]}


async def taken_back(town: House, file: Any, sender: str = STREET, **more: str) -> None:
    """Two persons of the sender say so."""
    for person in ("ana", "ben"):
        body = {"acted_by": {"person": person}, **REASON, **more}
        await town.ask(sender, "POST", f"/v1/files/{file['kind']}/{file['id']}:take-back", body)
    await town.quiet()


async def test_who_is_late_who_sent_again_and_which_rows_count(town: House) -> None:
    await offered(town, 0)
    nobody = {**row(0, "Accepted", day(town)), "CIN": "90099999S"}
    found, senders = await month(town, "2026-03")
    assert (found["due_on"], senders) == ("2026-04-14", {})
    accepted = row(0, "Accepted", day(town), Lead_Care_Manager=LEAD, Period=MARCH)
    content = sheet([accepted, {**nobody, "Period": MARCH}])
    await send(town, content)
    _, senders = await month(town, "2026-03")
    assert senders[STREET]["status"] == "on_time"
    assert [senders[STREET][name] for name in ("files", "sent_again", "rows_sent", "rows_that_count", "rows_refused")] == [
        1, 0, 2, 1, 1,
    ]  # fmt: skip
    await send(town, content)
    await send(town, sheet([{**accepted, "In Person": "3"}]))
    # Judged and dropped: a dry run sends nothing.
    await send(town, content, query="&dry_run=true")
    found, senders = await month(town, "2026-03")
    assert found["sent_again"] == [STREET]
    mine = senders[STREET]
    assert (mine["files"], mine["sent_again"], mine["same_bytes"]) == (3, 2, 1)
    assert (mine["rows_sent"], mine["rows_that_count"], mine["rows_unchanged"]) == (5, 2, 1)
    assert (found["rows_sent"], found["rows_that_count"]) == (5, 2)


async def test_a_month_without_its_file_is_waited_for_and_then_missing(town: House) -> None:
    await offered(town, 5)
    await send(town, sheet([row(5, "Accepted", day(town), Lead_Care_Manager=LEAD, Period=MARCH)]))
    town.clock.set(noon_of(date(2026, 5, 4)))
    await town.quiet()
    _, senders = await month(town, "2026-04")
    assert senders[STREET]["status"] == "waited_for"
    town.clock.set(noon_of(date(2026, 5, 20)))
    await town.quiet()
    found, senders = await month(town, "2026-04")
    assert (found["due_on"], found["late"]) == ("2026-05-14", [STREET])
    assert (senders[STREET]["status"], senders[STREET]["days_late"]) == ("missing", 6)
    assert NAVIGATORS not in senders
    april = row(5, "Accepted", day(town), Lead_Care_Manager=LEAD, Period="04/01/2026-04/30/2026")
    await send(town, sheet([april]))
    found, senders = await month(town, "2026-04")
    assert (senders[STREET]["status"], senders[STREET]["days_late"]) == ("late", 6)
    assert datetime.fromisoformat(senders[STREET]["first_at"]) == town.clock.now()


async def test_only_the_plan_sees_who_sent_its_files(town: House) -> None:
    await town.ask(STREET, "GET", "/v1/files/rtf/months/2026-03", status=403)
    assert (await town.ask(VALLEY, "GET", "/v1/files/rtf/months/2026-03"))["senders"] == []
    await town.ask(HARBOR, "GET", "/v1/files/rtf/months/2026-13", status=404)
    await town.ask(HARBOR, "GET", "/v1/files/decisions/months/2026-03")


# ── taken back ────────────────────────────────────────────────────────────────────────────────────────────


# loop.md 8.7
async def test_attempts_of_a_file_that_is_taken_back_count_no_more(town: House) -> None:
    referral = await offered(town, 1)
    today = day(town)
    await send(town, sheet([row(1, "Accepted", today, Lead_Care_Manager=LEAD)]))
    tried = {"CIN": cin(1), "Last Name": NAMES[1], "When": today, "How": "Phone", "Reached": "N"}
    file = await send(town, sheet([tried, {**tried, "Minutes": "5"}], OTF), kind="otf")
    assert file["counts"] == counts(2)
    assert await status(town, referral) == "outreach_initiated"
    await taken_back(town, file)
    assert await rows_of(town, file) == [(2, "accepted", "undone"), (3, "accepted", "undone")]
    assert await status(town, referral) == "accepted"
    shown = await town.ask(STREET, "GET", f"/v1/outreach/{referral}")
    assert [each["taken_back"] for each in shown["attempts"]] == [True, True]
    assert (await town.timeline(referral)).count("outreach.taken_back") == 2
    # Sent again, they are new attempts.
    again = await send(town, sheet([tried], OTF), kind="otf")
    assert again["counts"] == counts(1)
    assert await status(town, referral) == "outreach_initiated"


async def test_what_no_rule_takes_back_says_what_stays(town: House) -> None:
    referral = await offered(town, 2)
    today = day(town)
    closed = row(2, "Closed", today, Why_Closed="Services Received", First_Service=today, Lead_Care_Manager=LEAD,
                 In_Person="2", Remote="0", Period="05/01/2026-05/31/2026")  # fmt: skip
    file = await send(town, sheet([closed]))
    assert await status(town, referral) == "closed"
    await taken_back(town, file, reason="wrong_file")
    found = await town.ask(STREET, "GET", f"/v1/files/rtf/{file['id']}/rows")
    (item,) = found["items"]
    assert (item["code"], item["result"]) == ("undone-in-part", "accepted")
    assert item["fix"] == (
        "The answer to the offer stays: end services, or ask the plan. The month's count stays until a further file "
        "counts it. The loop stays closed: contest the closing."
    )
    assert await status(town, referral) == "closed"
    assert "outreach.taken_back" in await town.timeline(referral)


async def test_a_fact_that_was_said_again_since_is_left(town: House) -> None:
    referral = await offered(town, 3)
    today = day(town)
    begun = row(3, "Outreach Initiated", today, Lead_Care_Manager=LEAD)
    first = await send(town, sheet([begun]))
    await taken_back(town, first)
    assert await status(town, referral) == "accepted"
    second = await send(town, sheet([begun]))
    assert second["counts"] == counts(1)
    assert await status(town, referral) == "outreach_initiated"
    found, _ = await month(town, f"{town.clock.now():%Y-%m}")
    assert found["rows_that_count"] < found["rows_sent"]


async def test_the_plan_takes_a_file_back_and_is_named(town: House) -> None:
    referral = await offered(town, 4)
    today = day(town)
    await send(town, sheet([row(4, "Accepted", today, Lead_Care_Manager=LEAD)]))
    file = await send(town, sheet([row(4, "Outreach Initiated", today, Lead_Care_Manager=LEAD)]))
    await taken_back(town, file, HARBOR)
    assert await status(town, referral) == "accepted"
    timeline = await town.ask(HARBOR, "GET", f"/v1/referrals/{referral}/timeline")
    (gone,) = [each for each in timeline["items"] if each["type"] == "outreach.taken_back"]
    assert gone["acted_by"] == HARBOR
