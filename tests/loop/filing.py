"""A town whose providers live by files, and what tests of it do: offer a member, write a sheet, send it, read the answer."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeVar

from loopkeeper.contract.calendar import la_date
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, NAVIGATORS, OPERATIONS, STREET
from tests.databases import Databases
from tests.loop.house import QUIET_WITHIN, House, house, put_roster

T = TypeVar("T")

PROFILE = Path(__file__).parent / "files" / "harbor-health-plan.yaml"
NPI = "2000000010"
RTF = (
    "CIN", "Last Name", "First Name", "Lead Care Manager", "Referral Status", "Status Date", "Why Closed", "In Words",
    "First Service", "Services Ended", "Code", "New Phone?", "Phone", "In Person", "Remote", "NPI", "Period",
)  # fmt: skip
OTF = ("CIN", "Last Name", "When", "How", "Reached", "Minutes")
LEAD = "Luis Ortega"
# Each test its own members, so that none waits for another.
NAMES = ("Okafor", "Ibarra", "Nguyen", "Castro", "Weiss", "Tran", "Lopez", "Haddad", "Moore", "Silva")


# From this day on the plan looks first where more than half of a file is refused.
HOLDS_FROM = date(2026, 4, 6)
HELD = f"""table: files
rows:
  - {{id: hold, plan: {HARBOR}, step: hold, percent: 50, effective_from: {HOLDS_FROM}, source: invented for tests, confidence: M}}
"""


@asynccontextmanager
async def file_town(databases: Databases, folder: Path) -> AsyncGenerator[House]:
    """One house whose providers answer by file."""
    (folder / "policy" / "files").mkdir(parents=True)
    (folder / "policy" / "held.yaml").write_text(HELD)
    (folder / "policy" / "files" / PROFILE.name).write_bytes(PROFILE.read_bytes())
    async with house(databases, folder) as opened:
        for provider in (STREET, NAVIGATORS):
            npi = {"npi": NPI} if provider == STREET else {}
            await opened.ask(OPERATIONS, "PUT", f"/v1/providers/{provider}", {"answers_by": "file", **npi})
        cins = [{"cin": cin(n), "birth_date": "1964-02-17"} for n in range(len(NAMES))]
        await put_roster(opened, HARBOR, cins)
        yield opened
    await databases.drop()


def cin(n: int) -> str:
    return f"9000010{n}S"


async def offered(opened: House, n: int) -> str:
    """A member of this number, offered to the street team; the referral."""
    who = {**david()["member"], "cin": cin(n), "last_name": NAMES[n]}
    referral = await opened.refer(CLINIC, david(member=who))
    await opened.quiet()
    found = await opened.ask(HARBOR, "GET", "/v1/assignments?status=offered")
    (offer,) = [each for each in found["items"] if each["referral"] == referral]
    assert offer["provider"] == STREET
    return referral


def day(opened: House, days: int = 0) -> str:
    return written(la_date(opened.clock.now()) + timedelta(days=days))


def written(on: date) -> str:
    return f"{on:%m/%d/%Y}"


def row(n: int, status: str, on: str, **more: str) -> Mapping[str, str]:
    given = {"CIN": cin(n), "Last Name": NAMES[n], "Referral Status": status, "Status Date": on, "NPI": NPI}
    return given | {name.replace("_", " "): text for name, text in more.items()}


def sheet(
    rows: Sequence[Mapping[str, str]], columns: Sequence[str] = RTF, trailer: int | None = None
) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    if trailer is not None:
        text.write(f"TRL,{trailer}\r\n")
    return text.getvalue().encode("utf-8-sig")


async def send(
    opened: House, content: bytes, *, kind: str = "rtf", sender: str = STREET, query: str = "", key: str = ""
) -> Any:
    """The file when it is done."""
    headers = {"Content-Type": "text/csv", **({"Idempotency-Key": key} if key else {})}
    answer = await opened.as_(sender).post(
        f"/v1/files/{kind}?plan={HARBOR}{query}", content=content, headers=headers
    )
    assert answer.status_code == 202, answer.text
    await opened.quiet()
    return await opened.ask(sender, "GET", f"/v1/files/{kind}/{answer.json()['id']}")


def counts(accepted: int = 0, unchanged: int = 0, refused: int = 0) -> dict[str, int]:
    return {"accepted": accepted, "unchanged": unchanged, "refused": refused}


async def until(found: Callable[[], Awaitable[T]]) -> T:
    """What this finds, as soon as it finds anything."""
    async with asyncio.timeout(QUIET_WITHIN):
        while True:
            if what := await found():
                return what
            await asyncio.sleep(0.01)


async def rows_of(opened: House, file: Any, sender: str = STREET) -> list[tuple[int, str, str | None]]:
    found = await opened.ask(sender, "GET", f"/v1/files/{file['kind']}/{file['id']}/rows")
    return [(each["row"], each["result"], each["code"]) for each in found["items"]]


async def returned(opened: House, file: Any) -> bytes:
    answer = await opened.as_(STREET).get(f"/v1/files/{file['kind']}/{file['id']}/returned")
    assert answer.status_code == 200, answer.text
    return answer.content


async def status(opened: House, referral: str) -> str:
    return (await opened.referral(HARBOR, referral))["status"]
