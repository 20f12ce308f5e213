"""Faults of every kind in a town at work, drawn from one seed; afterwards everything is checked, and what it took is told.

Four services in four processes, PostgreSQL, and a log in PostgreSQL or in Kafka. People refer, decide, answer and reach
out all the while, by the public API alone. A fault counts as done when the process that it hit serves again.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp

from demo.broker import Broker
from loopkeeper.event_log.kafka_config import TOPIC, kafka_config
from loopkeeper.event_log.kafka_topics import create
from loopkeeper.kernel.clock import FileClock
from loopkeeper.kernel.settings import Settings
from loopkeeper.postgres.connections import connect
from loopkeeper.runtime.service import installed
from loopkeeper.runtime.verify.opening import reconciling
from loopkeeper.testing.partner import Answer, Manner
from tests.builders.organizations import CLINIC, OPERATIONS
from tests.chaos import hostile, invariants
from tests.chaos.cluster import Cluster
from tests.chaos.hearing import unheard, unkept
from tests.chaos.lives import Life, Lives, until
from tests.chaos.load import People
from tests.chaos.points import SERVICES, Through, points
from tests.chaos.town import Town, town
from tests.databases import Databases
from tests.kafka import PARTITIONS, guarded
from tests.shared.cut_line import Trap

FORMS_A_FAULT = 2
# After so many the town comes to rest and everything is checked.
ROUND = 40
LONGEST_MOMENT = 0.25
# A group's member that says nothing for three seconds loses its group, and a webhook's lease is a minute.
PAUSES = (0.2, 0.7, 1.5, 4.0)
LEASE = timedelta(seconds=61)
JUMPS = (timedelta(minutes=10), timedelta(hours=1))
RECOVERS_WITHIN = 60.0
# A crash point that nobody comes to is passed by so much later.
REACHED_WITHIN = 6.0
# While somebody shouts, so soon others are answered; so often is asked.
ANSWERED_WITHIN, QUESTIONS = 2.0, 6
BAD_ANSWERS: Sequence[tuple[int, Manner]] = (
    (500, "whole"), (503, "whole"), (429, "whole"), (404, "whole"), (301, "whole"), (200, "reset"), (200, "drop"),
    (200, "echo"), (200, "drip"),
)  # fmt: skip
# How often each kind of fault comes.
OFTEN: Mapping[str, int] = {
    "a service killed": 10, "all services killed": 2, "killed at a named point": 8, "PostgreSQL killed": 3,
    "a service is paused": 3, "sessions ended": 4, "a commit's answer lost": 3, "a database set back": 1,
    "the clock jumps": 2, "an endpoint misbehaves": 4, "callers shout": 3, "the broker killed": 2,
    "the broker is paused": 2, "a slow line": 2, "the disk is full": 2,
}  # fmt: skip
OF_THE_BROKER = {"the broker killed", "the broker is paused"}
OF_A_DISK = {"the disk is full"}
# So much later each piece comes through a slow line.
DELAYS = (0.02, 0.1, 0.3)


def kinds_of(log: str, *, own_disk: bool) -> set[str]:
    """What can be done to a town with this log: a disk is full only where PostgreSQL has one of its own."""
    return {*OFTEN} - (OF_THE_BROKER if log == "postgres" else set()) - (set() if own_disk else OF_A_DISK)


@dataclass(frozen=True)
class Done:
    """One fault: of which kind, what it was, and after how many seconds all served again."""

    kind: str
    what: str
    seconds: float


@dataclass
class Campaign:
    """`done` in order: the story. `broken` what was found, `starved` how often somebody waited too long for another."""

    town: Town
    cluster: Cluster
    people: People
    log: str
    seed: int
    broker: Broker | None = None
    done: list[Done] = field(default_factory=list[Done])
    broken: list[str] = field(default_factory=list[str])
    starved: int = 0
    stalled: int = 0
    said: Callable[[str], None] = lambda _: None
    # The only kinds that are done; all that can be, where none is named.
    only: frozenset[str] = frozenset()
    # Kinds are drawn for so many faults at a time.
    round: int = ROUND
    # So many referrals come with each fault.
    forms: int = FORMS_A_FAULT

    def __post_init__(self) -> None:
        self.chance = random.Random(f"chaos {self.seed}")
        self._kept: dict[str, str] = {}
        self._upcoming: list[str] = []
        # When the fault in hand struck.
        self._struck = 0.0
        self._lines = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        self._points = [*points(self.log)]
        self.chance.shuffle(self._points)

    @property
    def kinds(self) -> Mapping[str, Callable[[], Awaitable[str]]]:
        """How each kind is done."""
        return {
            "a service killed": self._kill,
            "all services killed": self._kill_all,
            "killed at a named point": self._kill_at_a_point,
            "PostgreSQL killed": self._kill_postgres,
            "a service is paused": self._stand_still,
            "sessions ended": self._end_sessions,
            "a commit's answer lost": self._lose_an_answer,
            "a database set back": self._set_back,
            "the clock jumps": self._jump,
            "an endpoint misbehaves": self._misbehave,
            "callers shout": self._shout,
            "the broker killed": self._kill_broker,
            "the broker is paused": self._still_broker,
            "a slow line": self._slow_line,
            "the disk is full": self._fill_disk,
        }

    def _next(self) -> str:
        """Which kind comes now: each once in a round of so many, then by how often it is meant to be."""
        if not self._upcoming:
            can = kinds_of(self.log, own_disk=self.cluster.on_own_disk)
            weights = {k: often for k, often in OFTEN.items() if k in can and k in (self.only or can)}
            once = [*weights]
            more = self.chance.choices(once, [*weights.values()], k=max(0, self.round - len(once)))
            self._upcoming = [*once, *more]
            self.chance.shuffle(self._upcoming)
        return self._upcoming.pop()

    async def run(self, count: int) -> None:
        """So many faults, a rest and a check after each round."""
        try:
            await self._keep()
            while len(self.done) < count:
                for _ in range(min(ROUND, count - len(self.done))):
                    await self._one()
                await self._rest()
                if self.broken:
                    return
        finally:
            await self._lines.close()

    async def _one(self) -> None:
        await self.people.release(self.forms)
        kind = self._next()
        await asyncio.sleep(self.chance.uniform(0, LONGEST_MOMENT))
        self._struck = time.monotonic()
        what = await self.kinds[kind]()
        await self._all_ready()
        self.done.append(Done(kind, what, time.monotonic() - self._struck))
        self.said(f"{len(self.done)}. {kind}: {what} ({self.done[-1].seconds:.1f} s)")

    # ── services ──────────────────────────────────────────────────────────────────────────────────────────

    def _service(self) -> str:
        return self.chance.choice(SERVICES)

    async def _kill(self) -> str:
        service = self._service()
        await self._again(service)
        return service

    async def _again(self, service: str) -> None:
        await self.town.kill(service)
        self._clock.advance(LEASE)
        await self.town.begin(service)

    async def _kill_all(self) -> str:
        await asyncio.gather(*(self.town.kill(each) for each in SERVICES))
        self._clock.advance(LEASE)
        await asyncio.gather(*(self.town.begin(each) for each in SERVICES))
        return "at once"

    async def _kill_at_a_point(self) -> str:
        """Each point in turn, so that a long campaign comes to all of them."""
        point = self._points[
            sum(each.kind == "killed at a named point" for each in self.done) % len(self._points)
        ]
        reached = asyncio.Event()
        # Whom the trap kills: nobody yet, where it is sprung before the life has a number.
        living: list[Life] = []

        def spring() -> None:
            reached.set()
            for life in living:
                life.kill()

        as_it_begins = point.as_it_begins
        async with self._through(point.service, point.line) as line:
            if as_it_begins:
                await self.town.kill(point.service)
                line.trap = Trap(point.needle, spring, point.before)
                living.append(await self._begin_unheard(point.service))
            else:
                await self._again(point.service)
                living.append(self.town.living[point.service,])
                line.trap = Trap(point.needle, spring, point.before)
                await self.people.release(1)
            with suppress(TimeoutError):
                async with asyncio.timeout(REACHED_WITHIN):
                    await reached.wait()
            line.trap = None
            # Killed twice is killed once, until somebody asks how it ended.
            living[0].kill()
        if as_it_begins:
            await living[0].ended()
        else:
            self.town.answers.clear()
            await self.town.ended(point.service)
        self._clock.advance(LEASE)
        await self.town.begin(point.service)
        return point.name if reached.is_set() else f"{point.name}, to which it did not come"

    async def _begin_unheard(self, service: str) -> Life:
        """A life that need not come so far as to serve."""
        environment = {**self.town.environment(service), **self.town.through}
        environment["LOOPKEEPER_PORT"] = str(self.town.port_of(service))
        words = self.town.words(self.town.port_of(service), service)
        return await self.town.lives.begin(words, environment, self.town.home / f"{service}.log")

    async def _stand_still(self) -> str:
        """Longer than its leases, now and then: others take over, and it comes back as if nothing had been."""
        service, seconds = self._service(), self.chance.choice(PAUSES)
        pid = self.town.living[service,].pid
        os.kill(pid, signal.SIGSTOP)
        try:
            self._clock.advance(LEASE)
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        return f"{service} for {seconds} s"

    # ── databases ─────────────────────────────────────────────────────────────────────────────────────────

    async def _kill_postgres(self) -> str:
        self.cluster.kill()
        await self.cluster.recover()
        return "all databases"

    async def _end_sessions(self) -> str:
        """Sockets that are cut, at this moment, of one database."""
        name = self.chance.choice((*SERVICES, *(["log"] if self.log == "postgres" else [])))
        admin = await connect(self.cluster.server.admin())
        try:
            ended = await admin.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1", name
            )
        finally:
            await admin.close()
        return f"{ended} of {name}"

    async def _lose_an_answer(self) -> str:
        """The commit is durable, and who asked for it never hears so."""
        service = self._service()
        async with self._through(service, "its database") as line:
            await self._again(service)
            before = line.commits
            line.cut_commits = self.chance.randrange(1, 4)
            await self.people.release(1)

            async def cut() -> bool:
                return line.cut_commits == 0

            with suppress(TimeoutError):
                await until(cut, REACHED_WITHIN)
            commits = line.commits - before
            await self.town.kill(service)
        await self.town.begin(service)
        return f"{service}, of {commits}"

    async def _fill_disk(self) -> str:
        """PostgreSQL may write nothing: it refuses, or ends, and so does its next start while the disk is full."""
        seconds = self.chance.choice(PAUSES)
        with self.cluster.full():
            await self.people.release(1)
            await asyncio.sleep(seconds)
        await self.cluster.recover()
        return f"for {seconds} s"

    async def _slow_line(self) -> str:
        """Whatever a service says to its database, or to a log in PostgreSQL, and hears of it, comes late."""
        service, delay, seconds = self._service(), self.chance.choice(DELAYS), self.chance.choice(PAUSES)
        line = "the log" if self.log == "postgres" and self.chance.random() < 0.5 else "its database"
        async with self._through(service, line) as passing:
            await self._again(service)
            passing.delay = delay
            await self.people.release(1)
            await asyncio.sleep(seconds)
            passing.delay = 0.0
            await self.town.kill(service)
        await self.town.begin(service)
        return f"{service} to {line}, {delay * 1000:.0f} ms for {seconds} s"

    async def _set_back(self) -> str:
        """To a moment before, while the service runs. What was answered is published first: the rest is gone for good,
        and `status.set_back` names it (docs/explanation/protocols.md §12, 24)."""
        name = self._service()
        await self._settle()
        databases, url = Databases(self.cluster.server), self.cluster.addresses().databases[name]
        behind = await _events(url) - await _events(databases.url(name, self._kept[name]))
        self._struck = time.monotonic()
        await databases.put_back(self._kept[name], url)
        await self._all_ready()
        return f"{name} by {behind} events"

    async def _keep(self) -> None:
        """A backup of each service's database, as it is now."""
        databases = Databases(self.cluster.server)
        for name in SERVICES:
            self._kept[name] = await databases.copy_in_use(self.cluster.addresses().databases[name])
        await self._all_ready()

    def _through(self, service: str, line: str) -> Any:
        """A line between the service and its database, or the log, for the lives that begin meanwhile."""
        where = self.town.where
        own = line == "its database"
        url = where.databases[service] if own else where.event_log
        variable = f"LOOPKEEPER_{service.upper()}_DATABASE" if own else "LOOPKEEPER_BUS"
        return Through(self.town, variable, url)

    # ── the log, the clock, partners, callers ─────────────────────────────────────────────────────────────

    async def _kill_broker(self) -> str:
        assert self.broker is not None
        await asyncio.to_thread(self.broker.kill)
        await self.people.release(1)
        await asyncio.to_thread(self.broker.start)
        guarded(self.broker)
        return "and begun again"

    async def _still_broker(self) -> str:
        assert self.broker is not None
        seconds = self.chance.choice(PAUSES)
        os.kill(self.broker.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(self.broker.pid, signal.SIGCONT)
        return f"for {seconds} s"

    async def _jump(self) -> str:
        by = self.chance.choice(JUMPS)
        self._clock.advance(by)
        return f"by {by}"

    async def _misbehave(self) -> str:
        status, manner = self.chance.choice(BAD_ANSWERS)
        count = self.chance.randrange(1, 5)
        headers = {"Retry-After": "1"} if status == 429 else {"Location": "http://169.254.169.254/"}
        for _ in range(count):
            self.town.partner.next_answers.append(Answer(status, b"no", headers, manner))
        await self.people.release(1)
        return f"{count} times {status} {manner}"

    async def _shout(self) -> str:
        """Meanwhile others ask, and must be answered as if it were quiet."""
        service, kind = self._service(), self.chance.choice([*hostile.KINDS])
        port = int(self.town.places[service].rpartition(":")[2])
        enough = asyncio.Event()
        shouting = asyncio.create_task(hostile.shout(kind, port, self.town.keys[CLINIC], enough))
        slowest = 0.0
        try:
            for _ in range(QUESTIONS):
                await asyncio.sleep(self.chance.uniform(0, 0.1))
                began = time.monotonic()
                await self._answers(port, "/health/live")
                await self._answers(port, f"/v1/operations/{service}/status", self.town.keys[OPERATIONS])
                slowest = max(slowest, time.monotonic() - began)
        finally:
            enough.set()
            shouting.cancel()
            with suppress(asyncio.CancelledError):
                await shouting
        self.starved += slowest > ANSWERED_WITHIN
        return f"{kind} at {service}; others waited {slowest * 1000:.0f} ms"

    async def _answers(self, port: int, path: str, key: str = "") -> int:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with self._lines.get(f"http://127.0.0.1:{port}{path}", headers=headers) as answer:
            await answer.read()
            return answer.status

    # ── afterwards ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _clock(self) -> FileClock:
        assert isinstance(self.town.clock, FileClock)
        return self.town.clock

    async def _all_ready(self) -> None:
        """Until each says of itself that it serves, and that nothing is in its way."""

        async def ready() -> bool:
            for place in self.town.places.values():
                try:
                    if await self._answers(int(place.rpartition(":")[2]), "/health/ready") != 200:
                        return False
                except (OSError, aiohttp.ClientError, TimeoutError):
                    return False
            return True

        try:
            await until(ready, RECOVERS_WITHIN)
        except TimeoutError:
            self.stalled += 1
            raise

    async def _settle(self) -> None:
        """Until everything sent came to its end. What was tried without success is tried again by the clock, so that moves."""
        self.town.partner.next_answers.clear()

        async def pass_time() -> None:
            while True:
                await asyncio.sleep(0.5)
                self._clock.advance(LEASE)

        passing = asyncio.create_task(pass_time())
        try:
            await self.people.settled()
            while await self._undelivered():
                self._clock.advance(timedelta(minutes=30))
                await self.people.settled()
        finally:
            passing.cancel()

    async def _undelivered(self) -> int:
        connection = await connect(self.cluster.addresses().databases["notification"])
        try:
            return await connection.fetchval("SELECT count(*) FROM delivery WHERE state = 'pending'")
        finally:
            await connection.close()

    async def _rest(self) -> None:
        try:
            await self._settle()
        except AssertionError as error:
            self.stalled += 1
            self.broken.append(f"it does not come to rest: {error}")
            return
        self.broken += self.people.mishaps
        self.broken += await self._found()

    async def _found(self) -> list[str]:
        where, config = self.town.where, self.town.home / "config"
        found = await invariants.look(where)
        broken = [
            *await invariants.everything_broken(where, config),
            *unkept(found, self.people),
            *unheard(await invariants.feeds(where), self.town),
        ]
        settings = Settings(home=self.town.home, kafka_partitions=PARTITIONS)
        async with reconciling(settings, installed(), where) as findings:
            broken += [
                f"{each.invariant} {each.service}: {each.where} {each.what}" async for each in findings
            ]
        return broken

    @property
    def story(self) -> str:
        """What was done, in order, and how to do it again."""
        done = [f"{n}. {each.kind}: {each.what}" for n, each in enumerate(self.done, 1)]
        only = "".join(f" --only '{kind}'" for kind in sorted(self.only))
        only += f" --forms {self.forms}" if self.forms != FORMS_A_FAULT else ""
        again = f'make chaos ARGS="--log {self.log} --faults {len(done)} --seed {self.seed}{only}"'
        return "\n".join((*done, *self.broken, f"the same again: {again}"))

    def told(self, seconds: float) -> Mapping[str, Any]:
        """The last line."""
        by_kind = Counter(each.kind for each in self.done)
        lost = [each for each in self.broken if "was answered or is kept" in each or "did not hear" in each]
        doubled = [each for each in self.broken if "twice" in each or "became" in each or "closings" in each]
        reached = {each.what for each in self.done if each.kind == "killed at a named point"}
        return {
            "log": self.log, "seed": self.seed, "faults": len(self.done), "kinds": dict(sorted(by_kind.items())),
            "points": sum("did not come" not in each for each in reached),
            "referrals": len(self.people.referred), "webhooks": len(self.town.partner.requests),
            "lost": len(lost), "doubled": len(doubled), "stalled": self.stalled, "starved": self.starved,
            "broken": len(self.broken), "recovery_p99": self._recovery(), "seconds": round(seconds, 1),
        }  # fmt: skip

    def _recovery(self) -> Mapping[str, float]:
        found: dict[str, list[float]] = {}
        for each in self.done:
            found.setdefault(each.kind, []).append(each.seconds)
        return {
            kind: round(sorted(all_)[int(0.99 * (len(all_) - 1))], 2) for kind, all_ in sorted(found.items())
        }


async def _events(url: str) -> int:
    """How many this service's journal has."""
    connection = await connect(url)
    try:
        return await connection.fetchval("SELECT count(*) FROM journal")
    finally:
        await connection.close()


async def campaign(
    lives: Lives, cluster: Cluster, folder: Path, log: str, faults: int, seed: int,
    said: Callable[[str], None] = lambda _: None, only: frozenset[str] = frozenset(), forms: int = FORMS_A_FAULT,
) -> tuple[Campaign, float]:  # fmt: skip
    """A town, its people and so many faults; how it went, and how long it took."""
    began, broker, event_log = time.monotonic(), None, ""
    async with AsyncExitStack() as opened:
        if log == "kafka":
            broker = Broker(folder / "kafka")
            await asyncio.to_thread(broker.start)
            guarded(broker)
            opened.callback(broker.kill)
            event_log = f"kafka://{broker.servers}/{TOPIC}"
            # As the product makes it: it takes events of a clock that runs ahead.
            await create(kafka_config(event_log, Settings(kafka_partitions=PARTITIONS)), 1)
        alone = [(name,) for name in SERVICES]
        place = await opened.enter_async_context(
            town(lives, cluster, folder / "town", *alone, event_log=event_log)
        )
        people = await opened.enter_async_context(People(place, seed))
        await people.expect(faults * (forms + 1))
        made = Campaign(
            place,
            cluster,
            people,
            log,
            seed,
            broker,
            said=said,
            only=only,
            round=min(ROUND, faults),
            forms=forms,
        )
        try:
            await made.run(faults)
        except Exception as error:
            error.add_note(made.story)
            raise
        return made, time.monotonic() - began
