"""A day on which everything that can go wrong goes wrong, to a thousand people who can be told from anybody else.

Their words are in every field of the form. Some referrals are refused, some fail in the database, some facts are
parked; identities are opened by those entitled, rosters uploaded, endpoints echo what they were sent. What the day
left behind, and everything it answered, is kept for the search.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import structlog

from loopkeeper.kernel import logs
from loopkeeper.postgres.embedded import Server
from loopkeeper.runtime.run import Addresses
from loopkeeper.testing.partner import Answer
from tests.builders.forms import UNMET, david
from tests.builders.organizations import CLINIC, HARBOR, HOSPITAL, NAVIGATORS, OPERATIONS, STREET, VALLEY
from tests.databases import Databases
from tests.loop.house import House, house, put_roster
from tests.security import kept
from tests.security.canaries import Canaries, marked
from tests.security.declared import called, routes

REFERRALS = 1000
AT_ONCE = 100
# A row that may not be: PostgreSQL's complaint about it quotes the whole row.
NO_BIRTH_EQUITY = "ALTER TABLE referral ADD CONSTRAINT no_row CHECK (NOT populations @> '{birth_equity}')"
NO_VALLEY = f"ALTER TABLE referral ADD CONSTRAINT no_row CHECK (plan_id <> '{VALLEY}')"


# The control, as text and as bytes.
CLAIMED = "INSERT INTO claim VALUES (gen_random_uuid(), '{0}', '{0}', now())"
LOGGED = "INSERT INTO log VALUES (-1, '{0}', '', '{0}', '', now())"


@dataclass
class Said:
    """One answer of the house: to what kind of request, and everything in it."""

    kind: str
    status: int
    text: bytes


@dataclass
class Day:
    """What a day left. `opened`: the answers to those who were entitled to an identity, each with the referral's
    number; `heard`: what partners were sent; `forms`: what opened of the sealed forms, by number."""

    canaries: Canaries = field(default_factory=Canaries)
    said: list[Said] = field(default_factory=list[Said])
    opened: list[tuple[int, Any]] = field(default_factory=list[tuple[int, Any]])
    heard: list[bytes] = field(default_factory=list[bytes])
    numbers: dict[str, int] = field(default_factory=dict[str, int])
    forms: dict[int, Any] = field(default_factory=dict[int, Any])
    # The fields whose words were found, by place; and how many rows each table had.
    found: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    rows: Counter[str] = field(default_factory=Counter[str])

    def control(self) -> str:
        """A word that is written openly into every place: a search that does not find it there finds nothing."""
        return self.canaries.word("anybody", "the control")

    def look(self, place: str, text: bytes) -> None:
        self.found.setdefault(place, set()).update(self.canaries.found(text))

    def kinds(self) -> Counter[tuple[str, int]]:
        return Counter((said.kind, said.status) for said in self.said)


async def eventful_day(databases: Databases, server: Server, folder: Path) -> Day:
    """The day, and the search of all it left; the databases are the caller's to drop."""
    day = Day()
    written = folder / "log.jsonl"
    async with kept.wal(server) as segments:
        with written.open("w") as log, redirect_stderr(log), _logging_everything():
            async with house(databases, folder, roster=False) as opened:
                await Living(day, opened).through()
                addresses = opened.addresses
                assert addresses is not None
        day.look("the log", written.read_bytes())
        for path in kept.files_in(folder):
            if path != written:
                day.look(
                    "the spans" if path.parent.name == "spans" else "files of the home", path.read_bytes()
                )
        await _search_databases(day, addresses)
        for place, path in await kept.files(server, addresses, segments):
            day.look(place, path.read_bytes())
    return day


async def _search_databases(day: Day, addresses: Addresses) -> None:
    """Everything in every table, where one of each database holds the control."""
    for place, url in kept.places(addresses).items():
        control = LOGGED if place == "log" else CLAIMED
        await kept.ran(url, [control.format(day.control())])
        for table, text in (await kept.as_text(url)).items():
            day.look(f"{place}.{table}", text)
            day.rows[f"{place}.{table}"] = text.count(b"\n")


@contextmanager
def _logging_everything() -> Iterator[None]:
    """The program's log as it is written at DEBUG, and what libraries say at that level too."""
    root, chosen = logging.getLogger(), structlog.get_config()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    logs.configure("canary", "DEBUG")
    for logger in (root, logging.getLogger("uvicorn")):
        logger.setLevel(logging.DEBUG)
    yield
    root.handlers[:], (root.level, sys.excepthook, threading.excepthook) = before[0], before[1:]
    structlog.configure(**chosen)


class Living:
    """Everybody's doings on that day."""

    def __init__(self, day: Day, opened: House) -> None:
        self.day = day
        self.house = opened
        self.word = day.canaries.word
        self.form = next(route.body for route in routes(opened) if called(route) == "POST /v1/referrals")

    async def through(self) -> None:
        await self._prepare()
        for start in range(0, REFERRALS, AT_ONCE):
            await asyncio.gather(*(self._refer(number) for number in range(start, start + AT_ONCE)))
        await self.house.quiet()
        await self._lookups()
        await self._decide()
        await self._serve()
        await self.house.quiet()
        await self._operate()
        for taken in self.house.partner.requests:
            self.day.heard.append(repr((taken.path, taken.headers)).encode() + taken.body)
        await self._unseal()
        self._plant()

    async def _prepare(self) -> None:
        opened = self.house
        assert opened.addresses is not None
        assert self.form is not None
        await kept.store_uncompressed(opened.addresses)
        await kept.ran(opened.addresses.databases["intake"], [NO_BIRTH_EQUITY])
        await kept.ran(opened.addresses.databases["authorization"], [NO_VALLEY])
        for organization in (CLINIC, STREET, NAVIGATORS):
            await opened.subscribe(organization)
        await self._tell("feed", HARBOR, "POST", "/v1/subscriptions", json={"url": None})
        opened.partner.answer = Answer(500, manner="echo")
        await self._rosters()

    async def _rosters(self) -> None:
        """Files that are wrong in every way; then all members but some, most no longer covered, so that a person
        must decide."""
        for media, text in self._wrong_rosters().items():
            headers = {"Content-Type": media}
            await self._tell("roster", HARBOR, "PUT", "/v1/roster", content=text, headers=headers)
        canaries = self.day.canaries
        members = [
            {
                "cin": canaries.cin(n),
                "birth_date": canaries.born(n),
                "covered_through": None if n % 10 == 2 else "2025-12-31",
            }
            for n in range(REFERRALS)
            if n % 50
        ]
        await put_roster(self.house, HARBOR, members)

    def _wrong_rosters(self) -> Mapping[str, str]:
        cin, born = self.day.canaries.cin(1), self.day.canaries.born(1)
        good = {"cin": cin, "birth_date": born, "county": "alameda", "covered_from": "2025-01-01"}
        names = ("cin", "birth_date", "county", "covered_from", "first_name", "programs")
        lines = [json.dumps({**good, name: self.word("roster", name)}) for name in names]
        # A column that is called by somebody's name, half a row, and no row at all.
        lines += [json.dumps({**good, f"{self.word('roster', 'a column')} {cin}": 1}), json.dumps(good)[:-9]]
        lines += [self.word("roster", "a bare line")]
        bare = f"{cin},{born},{self.word('roster', 'csv')}\n"
        return {
            "application/x-ndjson": "\n".join(lines),
            "text/csv": f"cin,birth_date,name\n{bare}",
            # A file whose first line is no header.
            "text/csv; charset=utf-8": bare + bare,
        }

    # ── referring ─────────────────────────────────────────────────────────────────────────────────────────

    async def _refer(self, number: int) -> None:
        """One of the thousand. Of the first of every fifty each meets a misfortune."""
        organization = CLINIC if number % 25 == 12 else HOSPITAL
        # A failing row makes the store take its batch apart: a few show the same as many.
        fate, few = number % 50, number < 300
        assert self.form is not None
        body = marked(self.day.canaries, self.form, david(), number)
        headers = {"User-Agent": self.word(number, "a header"), "traceparent": self.word(number, "a header")}
        match fate:
            case 1:
                unknown = {"cin": self.word(number, "no cin"), "birth_date": None, "approximate_age": 40}
                body["member"] |= unknown
                await self._send("not identifiable", organization, body, headers)
            case 2:
                await self._send("unknown plan", organization, body | {"plan": "nowhere"}, headers)
            case 3:
                cut = json.dumps(body)[: -number // 8 - 1].encode()
                await self._send("cut off", organization, cut, headers)
            case 4:
                other = {**headers, "Content-Type": f"text/plain; name={self.word(number, 'a header')}"}
                await self._send("wrong kind", organization, body, other)
            case 5 if few:
                big = {**body, "comments": body["comments"] + " " * 2**20}
                await self._send("too large", organization, big, headers)
            case 6:
                await self._send("wrong fields", organization, self._misplaced(body, number), headers)
            case 7:
                body["member"] |= {"last_name": body["member"]["last_name"] + "\0"}
                await self._send("NUL", organization, body, headers)
            case 8 if few:
                await self._send("defect", organization, body | {"populations": ["birth_equity"]}, headers)
            case 9 if few:
                await self._send("parked", organization, body | {"plan": VALLEY}, headers)
            case 10:
                keyed = {**headers, "Idempotency-Key": self.word(number, "a header")}
                await self._send("received", organization, body, keyed, number)
                await self._send("key reused", organization, body | {"comments": ""}, keyed)
                bad = {
                    **headers,
                    "Idempotency-Key": f"{self.word(number, 'a header')} {self.day.canaries.cin(number)}",
                }
                await self._send("bad key", organization, body, bad)
            case _:
                await self._send("received", organization, body, headers, number)

    def _misplaced(self, body: Any, number: int) -> Any:
        """Words where codes, dates and numbers belong, and in a field nobody asked for."""
        word = self.word(number, "a misplaced word")
        wrong = dict.fromkeys(
            ("birth_date", "county", "approximate_age", "language_spoken", "caregiver"), word
        )
        return {
            **body,
            "member": {**body["member"], **wrong, "nickname": word},
            "populations": [word],
            "answers": {f"{word} {word}": True, "complex_need": word},
            "programs": {f"{word} {word}": word},
            "urgency": word,
        }

    async def _send(
        self, kind: str, organization: str, body: Any, headers: Mapping[str, str], number: int | None = None
    ) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await self._tell(
            kind, organization, "POST", "/v1/referrals", content=content,
            headers={"Content-Type": "application/json", **headers},
        )  # fmt: skip
        if number is not None and answer.status_code == 201:
            self.day.numbers[answer.json()["id"]] = number

    async def _tell(
        self, kind: str, organization: str, method: str, address: str, **request: Any
    ) -> httpx.Response:
        answer = await self.house.as_(organization).request(method, address, **request)
        self.day.said.append(Said(kind, answer.status_code, repr(answer.headers).encode() + answer.content))
        return answer

    # ── what others do ────────────────────────────────────────────────────────────────────────────────────

    async def _lookups(self) -> None:
        """People who look somebody up by what is in the address; and with a key that is somebody's number."""
        cin, word = self.day.canaries.cin(20), self.word("look-up", "an address")
        for address in (
            f"/v1/referrals/{cin}", f"/v1/referrals/{word}/timeline", f"/v1/members/{cin}", f"/{word}?{word}={cin}",
            f"/v1/referrals?plan={word}", f"/v1/referrals?status={word}", f"/v1/referrals?cursor={word}",
            f"/v1/referrals?{cin}", f"/v1/referrals?updated_since={word}",
        ):  # fmt: skip
            await self._tell("look-up", HOSPITAL, "GET", address)
        for key in (word, f"{word} {cin}"):
            headers = {"Authorization": f"Bearer {key}"}
            await self._tell("nobody's key", "", "GET", "/v1/referrals", headers=headers)
        for organization, noun in (
            (HARBOR, "referrals"), (CLINIC, "referrals"), (OPERATIONS, "referrals"), (HARBOR, "authorizations"),
            (OPERATIONS, "authorizations"), (STREET, "assignments"), (HARBOR, "assignments"), (HARBOR, "outreach"),
            (CLINIC, "subscriptions"),
        ):  # fmt: skip
            await self._tell("list", organization, "GET", f"/v1/{noun}?limit=200")
        for referral in list(self.day.numbers)[:5]:
            await self._tell("timeline", HARBOR, "GET", f"/v1/referrals/{referral}/timeline")

    async def _decide(self) -> None:
        """A person opens whom a decision is about, approves one and denies another."""
        queue = await self.house.ask(HARBOR, "GET", "/v1/authorizations?status=pending&limit=200")
        person = {"acted_by": {"person": "maria-chen", "title": "Medical director", "licence": "A12345"}}
        decisions = (("approve", person), ("deny", {**person, "reason": "criteria_not_met", "unmet": UNMET}))
        for pending, (decision, body) in zip(self._numbered(queue), decisions, strict=False):
            address = f"/v1/authorizations/{pending['id']}"
            await self._open(pending["referral"], HARBOR, f"{address}/member")
            await self._tell("explanation", HARBOR, "GET", f"{address}/explanation")
            await self._tell("decided", HARBOR, "POST", f"{address}:{decision}", json=body)
        await self.house.quiet()

    async def _serve(self) -> None:
        """Two providers decline, accept, look at whom they accepted, and reach out."""
        for provider in (STREET, NAVIGATORS):
            offers = await self.house.ask(provider, "GET", "/v1/assignments?status=offered&limit=200")
            declined, *accepted = (offer["id"] for offer in offers["items"][:3])
            await self._tell("too early", provider, "GET", f"/v1/assignments/{declined}/member")
            address = f"/v1/assignments/{declined}:decline"
            await self._tell("declined", provider, "POST", address, json={"reason": "no_capacity"})
            for assignment in accepted:
                await self._accept(provider, f"/v1/assignments/{assignment}")

    async def _accept(self, provider: str, address: str) -> None:
        lead = {"lead": {"person": "luis-ortega", "name": "Luis Ortega"}}
        await self._tell("accepted", provider, "POST", f"{address}:accept", json=lead)
        await self.house.quiet()
        referral = (await self.house.ask(provider, "GET", address))["referral"]
        for organization in (provider, HARBOR):
            await self._open(referral, organization, f"{address}/member")
        await self.house.attempt(provider, referral, "in_person", "engaged")
        today = {"on": self.house.today()}
        await self._tell("served", provider, "POST", f"/v1/outreach/{referral}:start-services", json=today)

    async def _operate(self) -> None:
        """What operations look at: parked facts and what a replay of them says, figures, the reference."""
        parked = await self._tell("parked facts", OPERATIONS, "GET", "/v1/operations/authorization/parked")
        for stream in parked.json()["items"]:
            address = f"/v1/operations/authorization/parked/{stream['stream']}"
            await self._tell("parked facts", OPERATIONS, "GET", address)
            await self._tell("replay", OPERATIONS, "POST", f"{address}:replay", json={"dry_run": False})
        for context in self.house.running.contexts.values():
            context.metrics.requests.labels("GET", self.day.control(), "2xx").inc()
        for address in ("/metrics", "/docs", "/openapi.json", "/health/ready"):
            answer = await self._tell("open", "", "GET", address)
            if address == "/metrics":
                self.day.said.pop()
                self.day.look("the figures", answer.content)
        subscriptions = await self.house.ask(CLINIC, "GET", "/v1/subscriptions")
        for each in subscriptions["items"]:
            await self._tell("attempts", CLINIC, "GET", f"/v1/subscriptions/{each['id']}/attempts?limit=200")

    def _numbered(self, listed: Any) -> list[Any]:
        return [item for item in listed["items"] if item["referral"] in self.day.numbers]

    async def _open(self, referral: str, organization: str, address: str) -> None:
        opened = await self.house.ask(organization, "GET", address)
        self.day.opened.append((self.day.numbers[referral], opened))

    async def _unseal(self) -> None:
        """The forms as they are kept, opened as no route does it."""
        context = self.house.running.contexts["intake"]
        rows = await context.pool.fetch("SELECT id, state -> 'sealed' ->> 'form' AS form FROM referral")
        for row in (row for row in rows if row["id"] in self.day.numbers):
            number = self.day.numbers[row["id"]]
            self.day.forms[number] = context.sealer.open(HARBOR, row["id"], "form", row["form"])

    def _plant(self) -> None:
        """The control into the log, the spans and a file."""
        control = self.day.control()
        logs.get("control").error("this word is meant to be found", reason=control)
        (self.house.home / "config" / "control").write_text(control)
        for context in self.house.running.contexts.values():
            with context.telemetry.span("control", attributes={"loopkeeper.outcome": control}):
                pass
