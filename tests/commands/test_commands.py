"""Do the commands say what is so, and leave with the code they promise? Against a running installation, as people type them."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest_asyncio

from demo.caller import Caller
from demo.david import DAVID, form
from demo.house import House
from demo.ports import free_port
from demo.providers import CLINIC, HARBOR, STREET, organizations
from loopkeeper.contract.calendar import la_date
from loopkeeper.postgres import embedded

DONE, USAGE, UNREACHABLE, REFUSED, CANNOT_START = 0, 2, 3, 4, 5
PEOPLE = [entry for entry in organizations() if entry["id"] in (HARBOR, CLINIC, STREET)]
PROVIDER = {
    "name": "Harbor Street Medicine", "types": ["street_medicine"], "populations": ["homelessness"],
    "counties": ["alameda"], "languages": ["en"], "capacity": 5,
}  # fmt: skip


@dataclass
class Typed:
    """What a command printed, and how it left."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass
class Desk:
    """A running installation with David's referral authorized and offered, and somebody at its keyboard."""

    house: House
    caller: Caller
    keys: dict[str, str]
    referral: str = ""

    async def type(self, *words: str, **changed: str) -> Typed:
        process = await self.start(*words, **changed)
        out, err = await process.communicate()
        return Typed(process.returncode or 0, out.decode(), err.decode())

    async def start(self, *words: str, **changed: str) -> asyncio.subprocess.Process:
        environment = {
            **self.house.environment,
            "LOOPKEEPER_URL": self.house.url,
            **{f"LOOPKEEPER_{name.upper()}": value for name, value in changed.items()},
        }
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            self.house.command, *words, env=environment, stdout=pipe, stderr=pipe
        )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(tmp_path_factory: Any) -> AsyncGenerator[Desk]:
    home: Path = tmp_path_factory.mktemp("desk") / "home"
    house = House(home, free_port())
    operations = {"id": "operations", "name": "Operations", "kind": "operations", "roles": ["operations"]}
    keys = dict(await house.keys([*PEOPLE, operations]))
    await house.start()
    caller = Caller(house.url_of, keys)
    found = Desk(house, caller, keys)
    try:
        await caller.ask("operations", "PUT", f"/v1/providers/{STREET}", PROVIDER)
        contract = {"plan": HARBOR, "populations": ["homelessness"], "from": "2025-01-01"}
        await caller.ask(HARBOR, "PUT", f"/v1/providers/{STREET}", {"contracts": [contract]})
        member = {
            "cin": DAVID["cin"],
            "birth_date": DAVID["birth_date"],
            "county": "alameda",
            "covered_from": "2025-01-01",
        }
        await caller.ask(HARBOR, "PUT", "/v1/roster", text=json.dumps(member))
        found.referral = (await caller.ask(CLINIC, "POST", "/v1/referrals", form()))["id"]
        await found.type("clock", "advance", "1s")
        yield found
    finally:
        await caller.close()
        await house.stop()
        await asyncio.to_thread(embedded.remove, home / "postgres")


async def test_status_says_where_each_service_stands(desk: Desk) -> None:
    typed = await desk.type("status")
    assert typed.code == DONE
    assert [line.split()[0] for line in typed.out.splitlines()[1:]] == [
        "intake", "authorization", "assignment", "notification", "console",
    ]  # fmt: skip
    *standing, console = (await desk.type("status", "--json")).document
    assert console["service"] == "console"
    assert "away" not in console
    assert all(s["lag"] == s["outbox"] == s["parked"] == 0 for s in standing)


async def test_explain_gives_reasons_in_sentences_with_the_policy_rows(desk: Desk) -> None:
    typed = await desk.type("explain", desk.referral)
    assert typed.code == DONE
    assert "Approved by a rule the plan turned on for Experiencing homelessness" in typed.out
    assert "harbor-street-medicine was asked: it is of a type that specializes in the population" in typed.out
    assert "harbor-health-plan/auto_approval/harbor-homelessness@2025-01-01" in typed.out
    assert "Next: provider must accept or decline the offer" in typed.out
    document = (await desk.type("explain", desk.referral, "--json")).document
    assert next(event["type"] for event in document["timeline"]) == "referral.received"


async def test_a_report_is_built_explained_and_submitted(desk: Desk, tmp_path: Path) -> None:
    key = ("--key", desk.keys[HARBOR])
    received = (await desk.type("explain", desk.referral, "--json")).document["timeline"][0]["occurred_at"]
    month = f"{la_date(datetime.fromisoformat(received)):%Y-%m}"
    built = (await desk.type("report", "build", "measures", month, "--json", *key)).document
    assert built["state"] == "ready"
    figures = (await desk.type("report", "figures", built["id"], "--json", *key)).document
    assert {each["figure"]: each["value"] for each in figures["items"]}["received"] == 1
    behind = await desk.type("report", "figures", built["id"], "--explain", "received", "--json", *key)
    assert behind.document == [{"referral": desk.referral, "times": 1}]
    masked = await desk.type("report", "figures", built["id"], "--published", *key)
    assert masked.out.startswith("preview: the official layout is not public")
    assert "received" in masked.out
    assert "hidden" in masked.out
    typed = await desk.type("report", "fetch", built["id"], "--out", str(tmp_path / "measures.json"), *key)
    assert typed.code == DONE
    assert json.loads((tmp_path / "measures.json").read_text())["period"] == month
    submitted = await desk.type("report", "submit", built["id"], "--person", "maria-chen", "--json", *key)
    assert submitted.document["submitted_at"] is not None
    assert (await desk.type("report", "build", "measures", "1999-01", *key)).code == REFUSED
    assert (await desk.type("report", "build", "yearly", month, *key)).code == USAGE


async def test_trace_draws_the_way_from_the_post_through_all_services(desk: Desk) -> None:
    typed = await desk.type("trace", desk.referral)
    assert typed.code == DONE
    first, *steps = typed.out.splitlines()
    assert first.startswith("trace ")
    assert "POST /v1/referrals · 201" in steps[0]
    assert {line.split()[0] for line in steps} >= {"intake", "authorization", "assignment", "notification"}


async def test_stuck_says_who_must_act_what_and_since_when(desk: Desk) -> None:
    typed = await desk.type("stuck")
    (line,) = [line for line in typed.out.splitlines() if desk.referral in line]
    assert "provider" in line
    assert "accept or decline the offer" in line
    document = (await desk.type("stuck", "--json")).document
    assert (document["open"], document["by"]) == (1, {"provider": 1})


async def test_verify_finds_journals_rows_and_log_sound(desk: Desk) -> None:
    typed = await desk.type("verify", "--json")
    assert typed.code == DONE
    assert all(proof == {"sound": True, "flaws": []} for proof in typed.document.values())


async def test_nothing_is_parked(desk: Desk) -> None:
    typed = await desk.type("parked", "list")
    assert (typed.code, typed.out.strip()) == (DONE, "Nothing is parked.")
    shown = await desk.type("parked", "show", desk.referral)
    assert shown.code == 1
    assert "is not parked anywhere" in shown.err


async def test_doctor_finds_the_installation_well(desk: Desk) -> None:
    typed = await desk.type("doctor")
    assert typed.code == DONE, typed.out
    assert all(line.startswith("ok ") for line in typed.out.splitlines())


# loop.md 8.3
async def test_the_clock_stops_at_each_deadline_on_its_way(desk: Desk) -> None:
    """Past the answer's deadline the plan is asked, and the offer goes on."""
    typed = await desk.type("clock", "advance", "12d", "--json")
    assert typed.code == DONE
    assert typed.document["steps"] >= 2
    stuck = (await desk.type("stuck", "--json")).document
    assert stuck["by"] == {"plan": 1}


async def test_listen_prints_verified_deliveries_and_takes_its_subscription_back(desk: Desk) -> None:
    listening = await desk.start("listen", "--key", desk.keys[CLINIC], "--json")
    assert listening.stderr is not None
    assert listening.stdout is not None
    said = (await listening.stderr.readline()).decode()
    assert re.match(r"listening on http://127.0.0.1:\d+/ as sub_", said)
    other = form()
    other["member"] = {**DAVID, "first_name": "Marisol", "last_name": "Vega", "cin": "90000002S"}
    referral = (await desk.caller.ask(CLINIC, "POST", "/v1/referrals", other))["id"]
    heard = json.loads(await listening.stdout.readline())
    assert (heard["type"], heard["data"]["referral"]) == ("ecm.notice.received.v1", referral)
    listening.send_signal(signal.SIGINT)
    await listening.wait()
    assert listening.returncode == DONE, (await listening.stderr.read()).decode()
    left = await desk.caller.ask(CLINIC, "GET", "/v1/subscriptions")
    assert left["items"] == []


async def test_a_file_is_sent_followed_and_fetched(desk: Desk, tmp_path: Path) -> None:
    sheet = tmp_path / "october.csv"
    sheet.write_text("CIN\n90000001S\n")
    words = ("file", "send", "rtf", str(sheet), "--plan", HARBOR, "--wait", "--json")
    sent = await desk.type(*words, key=desk.keys[STREET])
    assert (sent.code, sent.document["state"], sent.document["code"]) == (1, "refused", "profile-missing")
    file = sent.document["id"]
    shown = await desk.type("file", "status", "rtf", file, "--key", desk.keys[STREET])
    assert f"{file}  rtf  refused" in shown.out
    back = await desk.type(
        "file", "fetch", "rtf", file, "--out", str(tmp_path / "back"), key=desk.keys[STREET]
    )
    assert (back.code, "file-refused" in back.err) == (REFUSED, True)
    assert (await desk.type("file", "send", "xyz", str(sheet))).code == USAGE


async def test_every_failure_has_its_exit_code_and_says_the_fix(desk: Desk) -> None:
    nobody = await desk.type("stuck", url="http://127.0.0.1:9")
    assert (nobody.code, "loopkeeper up" in nobody.err) == (UNREACHABLE, True)
    stranger = await desk.type("stuck", key="lk_wrong")
    assert (stranger.code, "LOOPKEEPER_KEY" in stranger.err) == (REFUSED, True)
    unknown = await desk.type("explain", "ref_00000000000000000000000000000000")
    assert (unknown.code, "not-found" in unknown.err) == (REFUSED, True)
    taken = await desk.type("up")
    assert (taken.code, "--port" in taken.err) == (CANNOT_START, True)
    assert (await desk.type("clock", "advance", "soon")).code == USAGE
    assert (await desk.type("example", "cat")).code == USAGE
