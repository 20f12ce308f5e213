"""What is sent, as it is sent: keys of requests, files in other letters, names that nobody knows (issue numbers 14.20, 14.21)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from loopkeeper.security import organizations
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, HOSPITAL, OPERATIONS
from tests.databases import Databases
from tests.loop.house import House, house

WORD = "Okafor"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def town(databases: Databases, tmp_path_factory: Any) -> AsyncGenerator[House]:
    async with house(databases, tmp_path_factory.mktemp("input")) as opened:
        yield opened
    await databases.drop()


async def test_the_same_idempotency_key_under_an_organizations_second_key_makes_no_second_referral(
    town: House,
) -> None:
    """A client that sends it again after a night in which keys were changed must not refer David twice; another organization's
    key of the same name is its own."""
    _, second = organizations.add_client(town.home / "config", CLINIC, ["referrer"])
    sent = {"json": david(), "headers": {"Idempotency-Key": "tuesday-4"}}
    first = await town.as_(CLINIC).post("/v1/referrals", **sent)
    transport = httpx.ASGITransport(app=town.running.app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://loop.test", headers={"Authorization": f"Bearer {second}"}
    ) as other:
        async with asyncio.timeout(5):
            # Keys are read again every two seconds.
            while (again := await other.post("/v1/referrals", **sent)).status_code == 401:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    elsewhere = await town.as_(HOSPITAL).post("/v1/referrals", **sent)
    assert [each.status_code for each in (first, again, elsewhere)] == [201] * 3
    assert again.json()["id"] == first.json()["id"] != elsewhere.json()["id"]


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("", "utf-8"),
        ("utf-8", "utf-8"),
        ("windows-1252", "cp1252"),
        ("iso-8859-1", "latin-1"),
        ("utf-16le", "utf-16-le"),
        ('"UTF-16"', "utf-16"),
    ],
)
async def test_a_file_is_read_in_the_charset_that_its_content_type_names(
    town: House, charset: str, encoding: str
) -> None:
    name = "Clínica San José"
    text = f"id,name,phone\n{CLINIC},{name},555-0120\n"
    media = f"text/csv; charset={charset}" if charset else "text/csv"
    answer = await town.as_(OPERATIONS).post(
        "/v1/providers:import", content=text.encode(encoding), headers={"Content-Type": media}
    )
    assert (answer.status_code, answer.json()["refused"]) == (200, 0), answer.text
    shown = await town.ask(OPERATIONS, "GET", f"/v1/providers/{CLINIC}")
    assert shown["name"] == name


@pytest.mark.parametrize("charset", ["shift-jis", "utf-7", "utf-8; charset=utf-16", ""])
async def test_a_charset_that_is_not_read_is_refused_and_a_body_of_json_has_but_one(
    town: House, charset: str
) -> None:
    answer = await town.as_(OPERATIONS).post(
        "/v1/providers:import", content=b"id,name\n", headers={"Content-Type": f"text/csv; charset={charset}"}
    )
    assert (answer.status_code, answer.json()["slug"]) == (415, "media-type-unknown")
    answer = await town.as_(CLINIC).post(
        "/v1/referrals",
        content=b"{}",
        headers={"Content-Type": "application/json; charset=windows-1252"},
    )
    assert answer.status_code == 415


@pytest.mark.parametrize("path", ["/v1/roster?dry_run=true", "/v1/providers:import?dry_run=true"])
async def test_a_column_that_is_there_twice_is_refused_in_every_file(town: House, path: str) -> None:
    first = "cin,CIN,birth_date,county,covered_from" if "roster" in path else "id,name,Name"
    method = "PUT" if "roster" in path else "POST"
    answer = await town.as_(HARBOR).request(
        method, path, content=f"{first}\n".encode(), headers={"Content-Type": "text/csv"}
    )
    assert (answer.status_code, answer.json()["slug"]) == (422, "row-invalid")
    assert "each once" in answer.json()["fix"]


BODIES: list[tuple[dict[str, Any], str]] = [
    ({WORD: 1}, ""),
    ({"member": {**david()["member"], WORD: "x"}}, "/member"),
    ({"programs": {WORD: "no"}}, "/programs"),
    ({"answers": {WORD: True}}, "/answers"),
    ({"confirmed_programs": {WORD: True}}, "/confirmed_programs"),
    ({WORD: "\0"}, ""),
    ({"member": {**david()["member"], WORD: "\0"}}, "/member"),
]


@pytest.mark.parametrize(("changes", "pointer"), BODIES)
async def test_a_refusal_repeats_no_name_that_the_form_does_not_have(
    town: House, changes: dict[str, Any], pointer: str
) -> None:
    """What somebody writes as a field's name may be a person's."""
    answer = await town.as_(CLINIC).post("/v1/referrals", json=david(**changes))
    assert answer.status_code == 422
    assert WORD not in answer.text
    assert pointer in [each["pointer"] for each in answer.json()["errors"]]


async def test_a_name_that_is_nearly_right_is_told_which_is_meant(town: House) -> None:
    member = {**david()["member"], "birthdate": "1964-02-17"}
    answer = await town.as_(CLINIC).post("/v1/referrals", json=david(member=member))
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["rule"]) == ("/member", "extra-forbidden")
    assert error["fix"] == "Remove what is not known here; birth_date may be meant."
    asked = await town.as_(CLINIC).get(f"/v1/referrals?{WORD}=1&statsu=received")
    assert WORD not in asked.text
    assert [each["pointer"] for each in asked.json()["errors"]] == ["query", "query"]
    assert any("status may be meant" in each["fix"] for each in asked.json()["errors"])


async def test_a_roster_line_repeats_no_name_either(town: House) -> None:
    answer = await town.as_(HARBOR).put(
        "/v1/roster?dry_run=true",
        content=f'{{"cin": "90000001S", "{WORD}": 1}}\n{{"{WORD}": "\\u0000"}}\n'.encode(),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 200
    assert answer.json()["refused"] == 2
    assert WORD not in answer.text


@pytest.mark.parametrize("sent", [0, 1, "true", "yes", "0"])
async def test_a_number_or_a_word_is_neither_true_nor_false(town: House, sent: object) -> None:
    answer = await town.as_(CLINIC).post("/v1/referrals", json=david(member_agrees=sent))
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == ["/member_agrees"]
