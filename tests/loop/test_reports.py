"""The previews for the state over HTTP: built from what was noted, traced to referrals, submitted, restated (loop.md 8.8)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from datetime import date, timedelta
from typing import Any

import pytest
import pytest_asyncio

from loopkeeper.contract.calendar import la_date, noon_of
from loopkeeper.spreadsheets.book import opened as book_of
from referral_intake.files.reports import forget_old
from tests.builders.organizations import HARBOR, OPERATIONS, STREET, VALLEY
from tests.databases import Databases
from tests.loop.filing import LEAD, NAMES, cin, day, file_town, offered, row, send, sheet, until
from tests.loop.house import House

MARIA = {"acted_by": {"person": "maria-chen", "title": "Data lead"}}


@pytest_asyncio.fixture(scope="module")
async def town(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    """Four members of March: one served, one tried, one only offered, one served in March as April's file tells."""
    async with file_town(databases, tmp_path_factory.mktemp("reports")) as opened:
        opened.clock.set(noon_of(date(2026, 3, 2)))
        for n in range(4):
            await offered(opened, n)
        opened.clock.set(noon_of(date(2026, 3, 12)))
        today = day(opened)
        await send(
            opened,
            sheet(
                [
                    row(0, "Closed", today, Why_Closed="Services Received", First_Service=today, Lead_Care_Manager=LEAD),
                    row(1, "Outreach Initiated", today, Lead_Care_Manager=LEAD, In_Person="2", Remote="1",
                        Period="03/01/2026-03/31/2026"),
                    row(3, "Accepted", today, Lead_Care_Manager=LEAD),
                ]
            ),
        )  # fmt: skip
        opened.clock.set(noon_of(date(2026, 4, 2)))
        await opened.quiet()
        yield opened
    await databases.drop()


async def built(town: House, kind: str, period: str, organization: str = HARBOR) -> Any:
    asked = await town.ask(organization, "POST", "/v1/reports", {"kind": kind, "period": period}, 202)
    assert asked["state"] == "building"
    await town.quiet()
    found = await town.ask(organization, "GET", f"/v1/reports/{asked['id']}")
    assert found["state"] == "ready", found
    assert found["preview"] == "preview: the official layout is not public"
    assert found["sources"]
    return found


async def content(town: House, report: Mapping[str, Any]) -> bytes:
    answer = await town.as_(HARBOR).get(f"/v1/reports/{report['id']}/content")
    assert answer.status_code == 200, answer.text
    assert len(answer.content) == report["bytes"]
    return answer.content


async def figures(town: House, report: Mapping[str, Any], by: str = "") -> Mapping[tuple[str, str], Any]:
    found = await town.ask(HARBOR, "GET", f"/v1/reports/{report['id']}/figures?by={by}")
    return {(each["figure"], each["of"]): each for each in found["items"]}


def values(found: Mapping[tuple[str, str], Any]) -> dict[str, int]:
    return {figure: each["value"] for (figure, _), each in found.items() if each["value"]}


# loop.md 8.8
async def test_figures_are_traced_submitted_and_restated(town: House) -> None:
    report = await built(town, "measures", "2026-03")
    found = await figures(town, report)
    assert values(found) == {
        "received": 4, "authorized": 4, "closed": 1, "closed_as_services_received": 1, "closed_after_yes": 1,
        "closed_served": 1, "open": 3, "open_15_30": 3,
    }  # fmt: skip
    assert found["closed", ""]["median_days"] == 10
    assert found["closed_as_services_received", ""]["share"] == 1.0
    # Every figure adds up from its referrals.
    for (figure, _), each in found.items():
        behind = await town.ask(HARBOR, "GET", f"/v1/reports/{report['id']}/referrals?figure={figure}")
        assert sum(one["times"] for one in behind["items"]) == each["value"], figure
    path = f"/v1/reports/{report['id']}/referrals?figure=open&by=provider&of={STREET}"
    assert len((await town.ask(HARBOR, "GET", path))["items"]) == 2
    page = await town.ask(HARBOR, "GET", f"/v1/reports/{report['id']}/referrals?figure=received&limit=3")
    rest = await town.ask(
        HARBOR, "GET", f"/v1/reports/{report['id']}/referrals?figure=received&after={page['next_after']}"
    )
    assert len(page["items"]) + len(rest["items"]) == 4
    # The same facts, the same bytes.
    again = await built(town, "measures", "2026-03")
    assert again["digest"] == report["digest"]
    assert await content(town, again) == await content(town, report)
    # Submitted, and then April's file tells of a first service in March.
    said = await town.ask(HARBOR, "POST", f"/v1/reports/{report['id']}:submit", MARIA)
    assert said["submitted_at"] is not None
    await town.ask(HARBOR, "POST", f"/v1/reports/{report['id']}:submit", MARIA, 409)
    began = "03/20/2026"
    late = row(
        3, "Closed", began, Why_Closed="Services Received", First_Service=began, Lead_Care_Manager=LEAD
    )
    assert (await send(town, sheet([late])))["counts"]["accepted"] == 1
    restated = await built(town, "measures", "2026-03")
    assert restated["digest"] != report["digest"]
    now = await figures(town, restated)
    assert (now["closed", ""]["value"], now["closed", ""]["submitted"]) == (2, 1)
    assert (now["open", ""]["value"], now["open", ""]["submitted"]) == (2, 3)
    # What was submitted stays as it was, with its referrals.
    assert values(await figures(town, report)) == values(found)
    assert await content(town, report) == await content(town, again)


async def test_what_is_published_tells_of_no_fewer_than_eleven(town: House) -> None:
    report = await built(town, "measures", "2026-03")
    found = await town.ask(HARBOR, "GET", f"/v1/reports/{report['id']}/published")
    shown = [each for each in found["items"] if each["value"]]
    assert shown == []
    hidden = [each for each in found["items"] if each["value"] is None]
    assert ("received", "") in {(each["figure"], each["of"]) for each in hidden}
    assert all(each["share"] is None and each["median_days"] is None for each in hidden)


async def test_the_month_is_json_with_an_entry_a_referral_and_each_opening_is_recorded(town: House) -> None:
    report = await built(town, "monthly", "2026-03")
    found = json.loads(await content(town, report))
    assert found["preview"] == "preview: the official layout is not public"
    entries = {each["member"]["cin"]: each for each in found["entries"]}
    assert set(entries) == {cin(n) for n in range(4)}
    served, tried = entries[cin(0)], entries[cin(1)]
    assert served["closed_loop_referral"]["status"] == "loop_closed"
    assert (served["enrollment"]["status"], served["enrollment"]["start"]) == ("enrolled", "2026-03-12")
    assert (served["provider"]["id"], served["provider"]["npi"]) == (STREET, "2000000010")
    assert tried["closed_loop_referral"]["status"] == "outreach_initiated"
    assert (tried["enrollment"]["in_person"], tried["enrollment"]["remote"]) == (2, 1)
    assert [each["value"] for each in found["figures"] if (each["figure"], each["by"]) == ("listed", "")] == [
        4
    ]
    openings = await town.ask(HARBOR, "GET", "/v1/openings/intake?limit=200")
    why = [each for each in openings["items"] if each["why"] == "a report for the state"]
    assert {each["referral"] for each in why} >= {each["referral"] for each in found["entries"]}


async def test_the_quarter_is_a_workbook_of_six_tabs_and_its_sources(town: House) -> None:
    report = await built(town, "qimr", "2026-Q1")
    assert report["due_on"] == "2026-05-15"
    tabs = {
        sheet.name: [list(each.cells) for each in sheet.rows()]
        for sheet in book_of(await content(town, report)).sheets
    }
    assert list(tabs) == [
        "1 ECM Members", "2 ECM Requests", "3 ECM Capacity", "4 CS Members", "5 CS Capacity", "6 CS Requests", "Sources",
    ]  # fmt: skip
    headings, *members = tabs["1 ECM Members"]
    of = {each[headings.index("CIN")]: dict(zip(headings, each, strict=False)) for each in members}
    assert cin(0) in of
    assert of[cin(0)]["Last Name"] == NAMES[0]
    assert of[cin(0)]["ECM Start"] == date(2026, 3, 12)
    assert of[cin(0)].get("ECM End") is None
    assert tabs["2 ECM Requests"][1][:3] == ["alameda", 4, 0]
    (street,) = [each for each in tabs["3 ECM Capacity"] if each[1] == "Harbor Street Medicine"]
    assert street[0] == "2000000010"
    assert street[5:7] == [20, 3]
    assert tabs["Sources"][1][0] == "preview: the official layout is not public"


async def test_places_are_those_of_the_quarters_end_whatever_the_directory_says_later(town: House) -> None:
    before = await built(town, "qimr", "2026-Q1")
    await town.ask(OPERATIONS, "PUT", f"/v1/providers/{STREET}", {"capacity": 35})
    await town.quiet()
    assert (await built(town, "qimr", "2026-Q1"))["digest"] == before["digest"]


async def test_a_report_is_its_plans_alone(town: House) -> None:
    report = await built(town, "measures", "2026-03")
    for path in ("", "/content", "/figures", "/published", "/referrals?figure=received"):
        await town.ask(VALLEY, "GET", f"/v1/reports/{report['id']}{path}", status=404)
        await town.ask(STREET, "GET", f"/v1/reports/{report['id']}{path}", status=403)
    assert (await town.ask(VALLEY, "GET", "/v1/reports"))["items"] == []
    theirs = await built(town, "measures", "2026-03", VALLEY)
    assert theirs["referrals"] == 0


async def test_what_is_asked_for_wrongly_says_so(town: House) -> None:
    for kind, period in (("qimr", "2026-03"), ("measures", "2026-Q1"), ("measures", "2027-01")):
        await town.ask(HARBOR, "POST", "/v1/reports", {"kind": kind, "period": period}, 422)
    await town.ask(HARBOR, "POST", "/v1/reports", {"kind": "measures", "period": "2026-13"}, 422)


async def test_a_report_whose_key_is_away_waits_says_so_and_is_built_once_it_is_back(town: House) -> None:
    keyring, away = town.running.contexts["intake"].sealer.keyring, dict[str, Any]()
    keyring.change(lambda kept: away.update({HARBOR: kept.pop(HARBOR)}))
    asked = await town.ask(HARBOR, "POST", "/v1/reports", {"kind": "monthly", "period": "2026-03"}, 202)
    await town.quiet()
    path = f"/v1/reports/{asked['id']}"
    found = await town.ask(HARBOR, "GET", path)
    assert (found["state"], found["code"]) == ("building", "key-missing")
    await town.ask(HARBOR, "GET", f"{path}/figures", status=409)
    keyring.change(lambda kept: kept.update(away))
    town.clock.set(town.clock.now() + timedelta(seconds=1))

    async def ready() -> bool:
        return (await town.ask(HARBOR, "GET", path))["state"] == "ready"

    await until(ready)
    assert (await town.ask(HARBOR, "GET", path))["code"] is None


async def test_old_bytes_go_and_the_figures_that_were_submitted_stay(town: House) -> None:
    submitted = await built(town, "measures", "2026-02")
    await town.ask(HARBOR, "POST", f"/v1/reports/{submitted['id']}:submit", MARIA)
    other = await built(town, "measures", "2026-02")
    intake = town.running.contexts["intake"]
    kept, now = 400, town.clock.now()
    town.clock.set(now + timedelta(days=kept + 1))
    while await forget_old(intake):
        pass
    await town.ask(HARBOR, "GET", f"/v1/reports/{other['id']}", status=404)
    await town.ask(HARBOR, "GET", f"/v1/reports/{submitted['id']}/content", status=409)
    assert await figures(town, submitted)
    assert la_date(town.clock.now()) > la_date(now)
