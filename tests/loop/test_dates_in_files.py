"""Every day of every file at both ends of the calendar: the row is refused with its code, or taken; never a fact that parks,
never a file that fails (the ranges are those of the same days in requests, `tests/loop/test_dates.py`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import date, timedelta
from typing import Any

import pytest
import pytest_asyncio

from loopkeeper.contract.calendar import la_date
from tests.builders.organizations import HARBOR, OPERATIONS, STREET
from tests.databases import Databases
from tests.loop.filing import LEAD, NAMES, OTF, RTF, cin, file_town, offered, rows_of, send, sheet, written
from tests.loop.house import House

DECISIONS = ("CIN", "Last Name", "Decision", "Decided", "Decided By")
OUTSIDE = (date(1899, 12, 31), date(1950, 3, 1), date(2021, 12, 31), date(2100, 1, 1))
# What no reader of files takes for a day.
UNREAD = ("11/20/0026", "12/31/9999", "02/29/2025", "02/30/2026")
FIRST, LEAP = date(2022, 1, 1), date(2024, 2, 29)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def town(databases: Databases, tmp_path_factory: Any) -> AsyncGenerator[House]:
    async with file_town(databases, tmp_path_factory.mktemp("days")) as opened:
        await offered(opened, 0)
        yield opened


def of_return(heading: str, day: str) -> Mapping[str, str]:
    said = {
        "Referral Status": "Accepted",
        "Status Date": written(date(2026, 3, 2)),
        "Lead Care Manager": LEAD,
    }
    more = {"Services Ended": {"Code": "3"}, "Period": {"In Person": "1"}}.get(heading, {})
    return {"CIN": cin(0), "Last Name": NAMES[0], **said, **more, heading: day}


def of_service(heading: str, day: str) -> Mapping[str, str]:
    """The first service is read where it closes the loop."""
    served = {"Referral Status": "Closed", "Why Closed": "Services Received"}
    return {**of_return("Status Date", written(date(2026, 3, 2))), **served, heading: day}


def of_outreach(heading: str, day: str) -> Mapping[str, str]:
    return {"CIN": cin(0), "Last Name": NAMES[0], "How": "Phone", "Reached": "No", heading: day}


def of_decision(heading: str, day: str) -> Mapping[str, str]:
    return {
        "CIN": cin(0), "Last Name": NAMES[0], "Decision": "Approved", "Decided By": "maria-chen", heading: day,
    }  # fmt: skip


COLUMNS: Mapping[str, tuple[str, Any, tuple[str, ...], str]] = {
    "rtf Status Date": ("Status Date", of_return, RTF, STREET),
    "rtf First Service": ("First Service", of_service, RTF, STREET),
    "rtf Services Ended": ("Services Ended", of_return, RTF, STREET),
    "otf When": ("When", of_outreach, OTF, STREET),
    "decisions Decided": ("Decided", of_decision, DECISIONS, HARBOR),
}


async def parked(town: House) -> list[Any]:
    found = [
        await town.ask(OPERATIONS, "GET", f"/v1/operations/{name}/parked") for name in town.running.services
    ]
    return [item for each in found for item in each["items"]]


@pytest.mark.parametrize("name", COLUMNS)
async def test_a_day_beyond_its_range_is_refused_by_row_and_one_within_breaks_nothing(
    town: House, name: str
) -> None:
    heading, row, columns, sender = COLUMNS[name]
    kind, today = name.partition(" ")[0], la_date(town.clock.now())
    # Each in a file of its own: two rows that tell two days of one thing contradict each other.
    for day in (*map(written, OUTSIDE), *UNREAD):
        file = await send(town, sheet([row(heading, day)], columns), kind=kind, sender=sender)
        assert file["state"] == "done", (day, file)
        ((_, result, code),) = await rows_of(town, file, sender)
        assert (result, code) in (("refused", "date-out-of-range"), ("refused", "date-unreadable")), (
            day,
            code,
        )
    for day in (FIRST, LEAP, today - timedelta(days=1), today + timedelta(days=1), date(2099, 12, 31)):
        file = await send(town, sheet([row(heading, written(day))], columns), kind=kind, sender=sender)
        assert file["state"] == "done", (day, file)
        ((_, result, code),) = await rows_of(town, file, sender)
        assert code not in ("date-out-of-range", "date-unreadable"), (day, code)
        if day > today:
            assert (result, code) == ("refused", "in-the-future"), (day, code)
    assert await parked(town) == []
