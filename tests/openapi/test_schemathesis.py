"""The reference is kept by every answer: what it allows is taken, what it forbids is refused, and every answer has its form.

Schemathesis makes the requests of the document that the running house serves, with the key of each role; every check of
it runs on every operation (`schemathesis.toml`). What was sent must not park anything either.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.builders.organizations import HARBOR, HOSPITAL, OPERATIONS, STREET
from tests.databases import Databases
from tests.security.declared import called
from tests.security.neighbours import Neighbours, neighbours
from tests.security.survey import routes
from tests.shared.web_calls import serving

ROOT = Path(__file__).parents[2]
# Of an operation, with each key. CASES=40 asks more: 20 000 cases in some minutes.
CASES = int(os.environ.get("CASES", "3"))
PHASES = os.environ.get("PHASES", "examples,fuzzing")
LEAST = 2_000
KEYS = {"plan": HARBOR, "provider": STREET, "referrer": HOSPITAL, "partner": "", "operations": OPERATIONS}
# With what a file begins that can be read at all, by operation and media type.
LINES = {
    "PUT /v1/roster": {"text/csv": "cin,birth_date,county,covered_from"},
    "POST /v1/providers:import": {"text/csv": "id,name"},
    "POST /v1/referrals:batch": {"application/x-ndjson": "{}"},
}
# A file is for a plan that is served here.
FILES = {f"POST /v1/files/{kind}": {"plan": HARBOR} for kind in ("referrals", "otf", "rtf")}
# Operations see states and times, not where members live.
UNSEEN = {"GET /v1/referrals": {"county": None}, "GET /v1/referrals:count": {"county": None, "by": None}}
# Two at a time: as many as there are cores.
AT_ONCE = asyncio.Semaphore(2)


@pytest_asyncio.fixture(scope="module")
async def place(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Neighbours]:
    async with neighbours(databases, tmp_path_factory.mktemp("schemathesis")) as opened:
        yield opened
    await databases.drop()


@pytest.mark.fuzz
async def test_no_case_of_any_role_finds_an_answer_that_the_reference_does_not_say(
    place: Neighbours, tmp_path: Path
) -> None:
    parked = await _parked(place)
    async with serving(place.house.running.app) as port:
        found = await asyncio.gather(*(_run(place, role, port, tmp_path) for role in KEYS))
    wrong = [f"{role}: {text}" for role, (status, _, text) in zip(KEYS, found, strict=True) if status]
    assert not wrong, "\n".join(wrong)
    count = sum(cases for _, cases, _ in found)
    print(f"{count} cases")
    assert count >= LEAST
    await place.house.quiet()
    assert await _parked(place) == parked


async def _run(place: Neighbours, role: str, port: int, folder: Path) -> tuple[int, int, str]:
    """Exit status, how many cases were sent, and what was said."""
    key = place.house.keys[KEYS[role]] if KEYS[role] else _key(place, role)
    known = folder / f"{role}.json"
    every = routes(place.house)
    ids = {called(each): place.id_of(each) for each in every if each.parameters and not each.public}
    fields = {
        "plan": HARBOR,
        "url": f"http://127.0.0.1:{place.house.partner.port}/{role}",
        "npi": "1234567893",
        "family_of": place.accepted["referral"],
    }
    acted = [called(each) for each in every if each.body and "acted_by" in each.body.model_fields]
    told = {
        "ids": ids, "fields": fields, "lines": LINES, "acted": acted, "absent": ["hub"],
        "query": FILES | (UNSEEN if role == "operations" else {}),
    }  # fmt: skip
    known.write_text(json.dumps(told))
    options = [
        "--phases",
        PHASES,
        "-n",
        str(CASES),
        "--seed",
        "20261130",
        "--no-color",
        "--warnings",
        "off",
        "--output-truncate",
        "true",
        "--generation-database",
        "none",
    ]
    async with AT_ONCE:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{port}/openapi.json",
            "-H", f"Authorization: Bearer {key}", *options, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.openapi.stored", "LOOPKEEPER_TEST_KNOWN": str(known), "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        said = (await process.communicate())[0].decode()
    cases = re.search(r"^\s*(\d+) generated", said, re.M)
    return process.returncode or 0, int(cases[1]) if cases else 0, said


def _key(place: Neighbours, role: str) -> str:
    return str(place.callers[role].headers["authorization"]).removeprefix("Bearer ")


async def _parked(place: Neighbours) -> set[str]:
    found: set[str] = set()
    for name in place.house.running.services:
        listed = await place.house.ask(OPERATIONS, "GET", f"/v1/operations/{name}/parked")
        found |= {f"{name} {each['stream']}" for each in listed["items"]}
    return found
