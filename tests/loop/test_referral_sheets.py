"""A clinic has a sheet of names: each row is a referral, and comes back with its receipt."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from loopkeeper.plan_files.profile_folder import read_profile
from loopkeeper.plan_files.writing import write_file
from loopkeeper.spreadsheets.book import opened as open_book
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, HOSPITAL, STREET
from tests.databases import Databases
from tests.loop.house import House, house

PROFILE = Path(__file__).parent / "files" / f"{CLINIC}.yaml"
(LAYOUTS,), _ = read_profile(PROFILE.read_bytes(), PROFILE.name)
LAYOUT = LAYOUTS.files["referrals"]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest_asyncio.fixture(scope="module")
async def town(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    folder = tmp_path_factory.mktemp("sheets")
    (folder / "policy" / "files").mkdir(parents=True)
    (folder / "policy" / "files" / PROFILE.name).write_bytes(PROFILE.read_bytes())
    async with house(databases, folder) as found:
        yield found
    await databases.drop()


def row(n: int, **changes: Any) -> Mapping[str, Any]:
    given = {
        "plan": HARBOR, "last_name": f"Ibarra{n}", "first_name": "Rosa", "cin": f"9000020{n}S",
        "birth_date": date(1970, 5, 1 + n), "county": "alameda", "populations": ("homelessness",), "attested": True,
    }  # fmt: skip
    return given | changes


def workbook(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return write_file("referrals", LAYOUT, rows)


async def send(town: House, content: bytes, query: str = "", key: str = "") -> Any:
    headers = {"Content-Type": XLSX} | ({"Idempotency-Key": key} if key else {})
    answer = await town.as_(CLINIC).post(f"/v1/files/referrals?{query}", content=content, headers=headers)
    assert answer.status_code == 202, answer.text
    await town.quiet()
    return await town.ask(CLINIC, "GET", f"/v1/files/referrals/{answer.json()['id']}")


async def rows_of(town: House, file: Any) -> list[Any]:
    return (await town.ask(CLINIC, "GET", f"/v1/files/referrals/{file['id']}/rows"))["items"]


async def sent_by_the_clinic(town: House) -> int:
    return len((await town.ask(CLINIC, "GET", "/v1/referrals?limit=200"))["items"])


async def test_each_row_is_a_referral_and_the_sheet_comes_back_with_the_receipts(town: House) -> None:
    nobody = row(2, cin="", birth_date=None)
    file = await send(town, workbook([row(1), nobody, row(3, plan="valley-care-plan")]))
    assert (file["state"], file["counts"]) == ("done", {"accepted": 2, "unchanged": 0, "refused": 1})
    first, second, third = await rows_of(town, file)
    assert (second["result"], second["code"]) == ("refused", "not-identifiable")
    for each, plan in ((first, HARBOR), (third, "valley-care-plan")):
        shown = await town.referral(CLINIC, each["referral"])
        assert shown["plan"] == plan
    back = await town.as_(CLINIC).get(f"/v1/files/referrals/{file['id']}/returned")
    sheet = open_book(back.content).sheets[0]
    headings, *answers = [each.cells for each in sheet.rows()]
    columns = {str(name): place for place, name in enumerate(headings)}
    assert answers[0][columns["Referral"]] == first["referral"]
    assert answers[1][columns["Result"]] == "refused"
    again = await send(town, back.content)
    assert again["counts"] == {"accepted": 0, "unchanged": 2, "refused": 1}


async def test_what_is_doubtful_is_a_question_and_never_a_refusal(town: House) -> None:
    file = await send(town, workbook([row(4, county="", zip="941", phone="555-0143")]))
    (only,) = await rows_of(town, file)
    assert only["result"] == "accepted"
    shown = await town.referral(CLINIC, only["referral"])
    assert "county" in {each["id"] for each in shown["questions"]}


async def test_the_same_member_twice_is_merged_and_a_dry_run_tells_nothing_of_it(town: House) -> None:
    await send(town, workbook([row(5)]))
    other = row(5, populations=("avoidable_utilization",))
    before = await sent_by_the_clinic(town)
    tried = await send(town, workbook([other, row(6)]), "dry_run=true")
    known, unknown = await rows_of(town, tried)
    assert {**known, "row": 0, "referral": ""} == {**unknown, "row": 0, "referral": ""}
    assert await sent_by_the_clinic(town) == before
    file = await send(town, workbook([other]))
    (only,) = await rows_of(town, file)
    assert (await town.referral(CLINIC, only["referral"]))["closing"]["outcome"] == "merged"


async def test_another_organization_does_not_see_the_sheet(town: House) -> None:
    file = await send(town, workbook([row(7)]))
    for other in (HOSPITAL, STREET, HARBOR):
        await town.ask(other, "GET", f"/v1/files/referrals/{file['id']}", status=404)


# ── POST /v1/referrals:batch ──────────────────────────────────────────────────────────────────────────────


async def batch(town: House, lines: Sequence[str], status: int = 200, key: str = "batch") -> Any:
    headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": key}
    text = "\n".join(lines)
    answer = await town.as_(HOSPITAL).post("/v1/referrals:batch", content=text, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


def line(n: int, **changes: Any) -> str:
    return json.dumps(david(member={**david()["member"], "cin": f"9000030{n}S", **changes}))


async def test_a_batch_receives_each_line_by_itself_and_once(town: House) -> None:
    lines = [line(1), "{broken", json.dumps({"plan": HARBOR, "member": {"first_name": "Rosa"}}), line(2)]
    done = await batch(town, lines)
    assert (done["received"], done["refused"]) == (2, 2)
    assert [each["code"] for each in done["lines"]] == [None, "malformed-body", "not-identifiable", None]
    again = await batch(town, lines)
    assert [each["referral"] for each in again["lines"]] == [each["referral"] for each in done["lines"]]


async def test_a_batch_has_an_end(town: House) -> None:
    assert (await batch(town, [line(3)] * 1001, 422, "long"))["type"].endswith("too-many-lines")
    assert (await batch(town, [""], 422, "empty"))["type"].endswith("no-lines")
