"""People send spreadsheets from the pages of files, see what became of each row, and take the file home with the answers."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from starlette.requests import Request

from console.web.refusals import Refusal
from console.web.uploads import LARGEST, uploaded
from tests.builders.organizations import HARBOR, OPERATIONS, STREET
from tests.console.stage import Stage, stage
from tests.databases import Databases
from tests.loop.filing import LEAD, NAMES, NPI, PROFILE, cin, day, offered, row, sheet, status
from tests.loop.house import put_roster

HELD = f"""table: files
rows:
  - {{id: hold, plan: {HARBOR}, step: hold, percent: 60, effective_from: 2025-01-01, source: invented for tests, confidence: M}}
"""


@pytest_asyncio.fixture(scope="module")
async def opened(
    databases: Databases, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Stage]:
    """A console in a town whose providers live by files."""
    folder: Path = tmp_path_factory.mktemp("files")
    (folder / "policy" / "files").mkdir(parents=True)
    (folder / "policy" / "held.yaml").write_text(HELD)
    (folder / "policy" / "files" / PROFILE.name).write_bytes(PROFILE.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        async with stage(databases, folder, browser, patch) as made:
            await made.house.ask(
                OPERATIONS, "PUT", f"/v1/providers/{STREET}", {"answers_by": "file", "npi": NPI}
            )
            people = [{"cin": cin(n), "birth_date": "1964-02-17"} for n in range(len(NAMES))]
            await put_roster(made.house, HARBOR, people)
            yield made


async def send(at: Stage, page: Page, content: bytes, *, only_try: bool = False) -> str:
    """The address of the file's page, once nothing of it is under way."""
    await page.goto(f"{at.url}/files")
    await page.get_by_label("What it is").select_option("rtf")
    await page.get_by_label("Health plan").first.select_option(HARBOR)
    await page.get_by_label("The file").set_input_files(
        {"name": "month.csv", "mimeType": "text/csv", "buffer": content}
    )
    if only_try:
        await page.get_by_label("Only try it").check()
    await page.get_by_role("button", name="Send the file").click()
    await page.wait_for_url("**/files/rtf/*")
    await at.house.quiet()
    await page.reload()
    return page.url


async def taken_home(downloading: Any) -> str:
    """The text of the file that the browser has kept."""
    path = await (await downloading.value).path()
    return await asyncio.to_thread(Path(path).read_text, "utf-8-sig")


@pytest.mark.parametrize("script", [True, False])
async def test_a_month_is_sent_and_its_wrong_row_is_named_with_or_without_script(
    at: Stage, script: bool
) -> None:
    first, second = (0, 1) if script else (2, 3)
    referral = await offered(at.house, first)
    await offered(at.house, second)
    luis = await at.be("Luis Ortega", script=script)
    good, bad = (
        row(first, "Accepted", day(at.house), Lead_Care_Manager=LEAD),
        row(second, "Accepted", day(at.house)),
    )
    await send(at, luis, sheet([good, bad]))
    await expect(luis.locator("h1")).to_have_text("1 accepted, 0 unchanged, 1 refused")
    await expect(luis.get_by_text("Row 3: Lead Care Manager")).to_be_visible()
    await expect(luis.get_by_text("Name the lead care manager.")).to_be_visible()
    assert await status(at.house, referral) == "accepted"
    async with luis.expect_download() as downloading:
        await luis.get_by_role("link", name="Download it with the answers").click()
    back = await taken_home(downloading)
    assert [each["Result"] for each in csv.DictReader(io.StringIO(back))] == ["accepted", "refused"]
    assert NAMES[second] not in await luis.content()


async def test_a_try_changes_nothing(at: Stage) -> None:
    referral = await offered(at.house, 4)
    luis = await at.be("Luis Ortega")
    await send(at, luis, sheet([row(4, "Accepted", day(at.house), Lead_Care_Manager=LEAD)]), only_try=True)
    await expect(luis.get_by_text("tried: nothing acted")).to_be_visible()
    assert await status(at.house, referral) == "assigned"


async def test_a_file_that_cannot_be_read_says_why_and_what_to_do(at: Stage) -> None:
    luis = await at.be("Luis Ortega")
    await send(at, luis, b"Name,Color\nA,blue\n")
    await expect(luis.get_by_role("alert")).to_contain_text("There is no column")
    await expect(luis.get_by_role("link", name="Download it with the answers")).to_have_count(0)


async def test_what_is_refused_at_once_keeps_the_page_and_what_was_chosen(at: Stage) -> None:
    luis = await at.be("Luis Ortega")
    await luis.goto(f"{at.url}/files")
    await luis.get_by_label("What it is").select_option("rtf")
    await luis.get_by_label("The file").set_input_files(
        {"name": "month.csv", "mimeType": "text/csv", "buffer": b"CIN\n"}
    )
    await luis.get_by_role("button", name="Send the file").click()
    await expect(luis.get_by_role("alert")).to_be_visible()
    await expect(luis.get_by_label("What it is")).to_have_value("rtf")


async def test_a_held_file_acts_once_its_plan_lets_it(at: Stage) -> None:
    referral = await offered(at.house, 5)
    luis, maria = await at.be("Luis Ortega"), await at.be("Maria Chen")
    good, bad = row(5, "Accepted", day(at.house), Lead_Care_Manager=LEAD), row(5, "Gone", day(at.house))
    place = await send(at, luis, sheet([good, bad, {**bad, "In Words": "again"}]))
    await expect(luis.get_by_role("alert")).to_contain_text("The plan lets it act")
    assert await status(at.house, referral) == "assigned"
    await maria.goto(place)
    await maria.get_by_role("button", name="Let the good rows act").click()
    await expect(maria.locator(".toast")).to_have_text("The file acts now.")
    await at.house.quiet()
    assert await status(at.house, referral) == "accepted"


async def test_two_persons_take_a_file_back(at: Stage) -> None:
    await offered(at.house, 6)
    luis, maria = await at.be("Luis Ortega"), await at.be("Maria Chen")
    place = await send(at, luis, sheet([row(6, "Accepted", day(at.house), Lead_Care_Manager=LEAD)]))
    for page, said in ((luis, "Your word is written down"), (luis, "second person"), (maria, "taken back")):
        await page.goto(place)
        if not await page.get_by_label("Why").is_visible():
            await page.get_by_text("Take the whole file back").click()
        await page.get_by_label("Why").select_option("wrong_period")
        await page.get_by_role("button", name="Take it back").click()
        await expect(page.locator("main")).to_contain_text(said)
    await expect(maria.locator(".chip").first).to_have_text("taken back")


async def test_anothers_file_is_the_same_nothing(at: Stage) -> None:
    luis = await at.be("Luis Ortega")
    place = await send(at, luis, sheet([{**row(7, "Accepted", day(at.house)), "CIN": "90099999S"}]))
    for name in ("Mei Tran", "Grace Lindqvist", "Rosa Diaz"):
        page = await at.be(name)
        for path in (place, f"{place}/answer"):
            answer = await page.goto(path)
            assert answer is not None
            assert answer.status == 404, (name, path)


async def test_a_member_file_is_written_and_taken_home_which_tells_its_provider(at: Stage) -> None:
    await offered(at.house, 8)
    luis = await at.be("Luis Ortega")
    await luis.goto(f"{at.url}/files")
    await luis.locator("#mif-party").select_option(HARBOR)
    await luis.get_by_role("button", name="Write one now").click()
    await expect(luis.get_by_text("not fetched").first).to_be_visible()
    async with luis.expect_download() as downloading:
        await luis.locator("a[href*='/files/mif/']").first.click()
    assert cin(8) in await taken_home(downloading)
    await at.house.quiet()
    await luis.reload()
    await expect(luis.get_by_text("fetched", exact=True).first).to_be_visible()


# ── the form as a browser sends it ────────────────────────────────────────────────────────────────────────


def request(body: bytes, kind: str = "multipart/form-data; boundary=----edge") -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "headers": [(b"content-type", kind.encode())]}, receive)


def part(header: str, content: bytes) -> bytes:
    return (
        b"------edge\r\nContent-Disposition: form-data; " + header.encode() + b"\r\n\r\n" + content + b"\r\n"
    )


async def test_a_file_keeps_every_byte_and_loses_its_folder() -> None:
    content = bytes(range(256)) + b"\r\n--\r\n\r\n"
    body = part('name="kind"', b"rtf ") + part('name="file"; filename="C:\\\\Desk\\\\month.csv"', content)
    found = await uploaded(request(body + b"------edge--\r\n"))
    assert (found.form.text("kind"), found.name, found.content) == ("rtf", "month.csv", content)


@pytest.mark.parametrize(
    ("body", "kind", "status_"),
    [
        (b"", "multipart/form-data; boundary=----edge", 400),
        (b"kind=rtf", "application/x-www-form-urlencoded", 415),
        (b"x", "multipart/form-data", 415),
        (part('name="kind"', b"rtf"), "multipart/form-data; boundary=----edge", 400),
        (part("x=1", b"rtf") + b"------edge--", "multipart/form-data; boundary=----edge", 400),
        (part('name="kind"', b"\xff") + b"------edge--", "multipart/form-data; boundary=----edge", 400),
        (b"x" * (LARGEST + 70_000), "multipart/form-data; boundary=----edge", 413),
    ],
)
async def test_what_is_no_such_form_is_refused(body: bytes, kind: str, status_: int) -> None:
    with pytest.raises(Refusal) as refused:
        await uploaded(request(body, kind))
    assert (refused.value.status, bool(refused.value.fix)) == (status_, True)
