"""The reference is kept by every answer: what it allows is taken, what it forbids is refused, and every answer has its form.

Schemathesis makes the requests of the document that the running house serves; every check of it runs on every operation
(`schemathesis.toml`). What was sent must not park anything either. In every run each operation is asked by a role that may;
`make fuzz` asks every operation with the key of every role, 2 000 cases and more.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from loopkeeper.security.organizations import Role
from tests.builders.organizations import HARBOR, HOSPITAL, OPERATIONS, STREET
from tests.databases import Databases
from tests.security.declared import called
from tests.security.neighbours import Neighbours, neighbours
from tests.security.survey import routes
from tests.shared.web_calls import serving

ROOT = Path(__file__).parents[2]
# Of an operation, with each key. CASES=40 asks more: 20 000 cases in some minutes.
CASES = int(os.environ.get("CASES", "3"))
SEED = os.environ.get("SEED", "20261130")
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
ASKED: dict[str, Mapping[str, object]] = {
    f"POST /v1/files/{kind}": {"plan": HARBOR} for kind in ("referrals", "decisions", "otf", "rtf")
}
# From which line a roster goes on hangs on the lines it has.
ASKED |= {"PUT /v1/roster": {"from_line": None, "more": None}}
# A member file is one plan's for one provider, and either of the two may write it.
ASKED |= {"POST /v1/files/mif:write": {"plan": HARBOR, "provider": STREET}}
# Operations see states and times, not where members live.
UNSEEN = {"GET /v1/referrals": {"county": None}, "GET /v1/referrals:count": {"county": None, "by": None}}
# Whether two are one member, plans alone may ask.
OF_PLANS = {"GET /v1/referrals": {"possible_duplicate": None}}
# Two at a time: as many as there are cores.
AT_ONCE = asyncio.Semaphore(2)


@pytest_asyncio.fixture(scope="module")
async def place(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Neighbours]:
    async with neighbours(databases, tmp_path_factory.mktemp("schemathesis")) as opened:
        yield opened
    await databases.drop()


async def test_every_route_answers_who_may_call_it_as_the_reference_says(
    place: Neighbours, tmp_path: Path
) -> None:
    asked = by_caller(place)
    await no_findings(place, tmp_path, asked, cases=1, least=sum(map(len, asked.values())))


@pytest.mark.fuzz
async def test_no_case_of_any_role_finds_an_answer_that_the_reference_does_not_say(
    place: Neighbours, tmp_path: Path
) -> None:
    every: tuple[str, ...] = ()
    await no_findings(place, tmp_path, dict.fromkeys(KEYS, every), cases=CASES, least=LEAST)


def by_caller(place: Neighbours) -> Mapping[str, Sequence[str]]:
    """Each operation under the first of the roles that may call it; what everybody may, under the plan's."""
    found: dict[str, list[str]] = {role: [] for role in KEYS}
    for each in routes(place.house):
        may = (role for role in KEYS if Role(role) in each.roles)
        found[next(may, "plan")].append(called(each))
    return found


async def no_findings(
    place: Neighbours, folder: Path, asked: Mapping[str, Sequence[str]], *, cases: int, least: int
) -> None:
    """Nothing is found with these roles' keys, of the operations named or of all; nothing is parked by what was sent."""
    parked = await _parked(place)
    async with serving(place.house.running.app) as port:
        found = await asyncio.gather(
            *(_run(place, role, port, folder, only, cases) for role, only in asked.items())
        )
    wrong = [f"{role}: {text}" for role, (status, _, text) in zip(asked, found, strict=True) if status]
    assert not wrong, "\n".join(wrong)
    count = sum(sent for _, sent, _ in found)
    print(f"{count} cases")
    assert count >= least
    await place.house.quiet()
    assert await _parked(place) == parked


async def _run(
    place: Neighbours, role: str, port: int, folder: Path, only: Sequence[str], cases: int
) -> tuple[int, int, str]:
    """Exit status, how many cases were sent, and what was said."""
    key = place.house.keys[KEYS[role]] if KEYS[role] else _key(place, role)
    known = folder / f"{role}.json"
    every = routes(place.house)
    ids = {called(each): place.id_of(each) for each in every if each.parameters and not each.public}
    fields = {
        "plan": HARBOR,
        "url": f"http://127.0.0.1:{place.house.partner.port}/{role}",
        "npi": "1234567893",
        # A referral of the family is one that the same key sent.
        "family_of": place.offered["referral"],
    }
    acted = [called(each) for each in every if each.body and "acted_by" in each.body.model_fields]
    told = {
        "ids": ids, "fields": fields, "lines": LINES, "acted": acted,
        "absent": ["hub", *(["family_of"] if role != "referrer" else [])],
        "query": {**ASKED, **_query(role)},
    }  # fmt: skip
    known.write_text(json.dumps(told))
    options = [
        "--phases",
        PHASES,
        "-n",
        str(cases),
        "--seed",
        SEED,
        "--no-color",
        "--warnings",
        "off",
        "--output-truncate",
        "true",
        "--generation-database",
        "none",
        *(part for name in only for part in ("--include-name", name)),
    ]
    async with AT_ONCE:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{port}/openapi.json",
            "-H", f"Authorization: Bearer {key}", *options, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.openapi.stored", "LOOPKEEPER_TEST_KNOWN": str(known), "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        said = (await process.communicate())[0].decode()
    sent = re.search(r"^\s*(\d+) generated", said, re.M)
    return process.returncode or 0, int(sent[1]) if sent else 0, said


def _query(role: str) -> Mapping[str, Mapping[str, object]]:
    """What this role may not ask, by operation."""
    unasked = ([UNSEEN] if role == "operations" else []) + ([OF_PLANS] if role != "plan" else [])
    found: dict[str, dict[str, object]] = {}
    for each in unasked:
        for label, query in each.items():
            found[label] = {**found.get(label, {}), **query}
    return found


def _key(place: Neighbours, role: str) -> str:
    return str(place.callers[role].headers["authorization"]).removeprefix("Bearer ")


async def _parked(place: Neighbours) -> set[str]:
    found: set[str] = set()
    for name in place.house.running.services:
        listed = await place.house.ask(OPERATIONS, "GET", f"/v1/operations/{name}/parked")
        found |= {f"{name} {each['stream']}" for each in listed["items"]}
    return found
