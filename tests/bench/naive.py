"""The same loop as most would write it first: correct, and one thing at a time. Something to measure against, and no more.

    python -m tests.bench.naive [--loops 150]

Four services, each with tables of its own. An ORM session and a transaction for each request, for each message and for each
record of a webhook; an outbox that is published row by row; a log that each service reads with its offset in the transaction
of the effect; each message applied once, by its id. The same requests as a loop has (four), the same webhooks (fifteen, signed,
through httpx, sixteen at a time), bells instead of polling. It validates by
pydantic, and has no rules, no policy rows, no seals, no journal, no chain, no traces, no deadlines.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar
from uuid import uuid4

import httpx
import uvloop
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import JSON, ForeignKey, Text, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from standardwebhooks.webhooks import Webhook

from loopkeeper.postgres import embedded
from loopkeeper.postgres.embedded import Server
from loopkeeper.testing.partner import Partner
from tests.bench.counting import Processor
from tests.builders.forms import david

DATABASE = "naive"
SECRET = "whsec_" + "bm90IGEgc2VjcmV0IG9mIGFueWJvZHkncyBhdCBhbGw="
DESKS, IN_FLIGHT = 16, 16
# As many webhooks as the product sends of each: seven until the offer is told, three, one, four.
TOLD: Mapping[str, int] = {"received": 1, "decided": 2, "offered": 4, "accepted": 3, "attempted": 1, "started": 2, "closed": 2}  # fmt: skip
WEBHOOKS, TO_THE_OFFER = sum(TOLD.values()), TOLD["received"] + TOLD["decided"] + TOLD["offered"]


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: JSON, str: Text}


class Logged(Base):
    """The log all services read."""

    __tablename__ = "log"
    offset: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str]
    type: Mapped[str]
    referral: Mapped[str]
    data: Mapped[dict[str, Any]]


class Referral(Base):
    """What each service knows of a referral."""

    __tablename__ = "referral"
    service: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    state: Mapped[dict[str, Any]]


class Outbox(Base):
    __tablename__ = "outbox"
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    service: Mapped[str] = mapped_column(index=True)
    id: Mapped[str]
    type: Mapped[str]
    referral: Mapped[str]
    data: Mapped[dict[str, Any]]


class Applied(Base):
    """The messages each service has applied."""

    __tablename__ = "applied"
    service: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)


class Place(Base):
    """How far each service has read."""

    __tablename__ = "place"
    service: Mapped[str] = mapped_column(primary_key=True)
    offset: Mapped[int]


class Delivery(Base):
    __tablename__ = "delivery"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    event: Mapped[int] = mapped_column(ForeignKey("log.offset"))
    state: Mapped[str] = mapped_column(index=True)
    attempts: Mapped[int] = mapped_column(default=0)


class Form(BaseModel):
    """What a caller sends."""

    model_config = {"extra": "allow"}
    member: dict[str, Any]


@dataclass
class Service:
    """One service: its sessions and the bell its workers wait for."""

    name: str
    sessions: async_sessionmaker[AsyncSession]
    on: Mapping[str, Sequence[str]]
    unsent: asyncio.Event = field(default_factory=asyncio.Event)
    unread: asyncio.Event = field(default_factory=asyncio.Event)
    untold: asyncio.Event = field(default_factory=asyncio.Event)

    def publish(self, session: AsyncSession, kind: str, referral: str, data: dict[str, Any]) -> None:
        session.add(Outbox(service=self.name, id=str(uuid4()), type=kind, referral=referral, data=data))

    async def command(self, referral: str, kind: str, data: dict[str, Any]) -> None:
        """One request: change the row, note the event, commit."""
        async with self.sessions.begin() as session:
            row = await session.get(Referral, (self.name, referral), with_for_update=True)
            if row is None:
                session.add(Referral(service=self.name, id=referral, status=kind, state=data))
            else:
                row.status, row.state = kind, {**row.state, kind: data}
            self.publish(session, kind, referral, data)
        self.unsent.set()

    async def relay(self, bells: Sequence[asyncio.Event]) -> None:
        """Publish what waits, row by row."""
        while True:
            await self.unsent.wait()
            self.unsent.clear()
            while True:
                async with self.sessions.begin() as session:
                    waiting = select(Outbox).where(Outbox.service == self.name).order_by(Outbox.n).limit(1)
                    row = await session.scalar(waiting)
                    if row is None:
                        break
                    session.add(Logged(id=row.id, type=row.type, referral=row.referral, data=row.data))
                    await session.delete(row)
                for bell in bells:
                    bell.set()

    async def consume(self) -> None:
        """Apply what is published, message by message."""
        while True:
            await self.unread.wait()
            self.unread.clear()
            while await self._next():
                pass

    async def _next(self) -> bool:
        async with self.sessions() as session:
            place = await session.get(Place, self.name)
            assert place is not None
            query = select(Logged).where(Logged.offset > place.offset).order_by(Logged.offset).limit(50)
            found = (await session.scalars(query)).all()
        for each in found:
            async with self.sessions.begin() as session:
                place = await session.get(Place, self.name, with_for_update=True)
                assert place is not None
                place.offset = each.offset
                if each.type in self.on and await session.get(Applied, (self.name, each.id)) is None:
                    session.add(Applied(service=self.name, id=each.id))
                    await self._apply(session, each)
            self.unsent.set()
            self.untold.set()
        return bool(found)

    async def _apply(self, session: AsyncSession, message: Logged) -> None:
        row = await session.get(Referral, (self.name, message.referral), with_for_update=True)
        if row is None:
            session.add(
                Referral(service=self.name, id=message.referral, status=message.type, state=message.data)
            )
        else:
            row.status, row.state = message.type, {**row.state, message.type: message.data}
        for kind in self.on[message.type]:
            self.publish(session, kind, message.referral, message.data)
        if self.name == "notification":
            session.add_all(
                Delivery(event=message.offset, state="pending") for _ in range(TOLD[message.type])
            )


async def send(service: Service, url: str, client: httpx.AsyncClient) -> None:
    """Send what is pending, a few at a time, and write each down."""
    signer, places = Webhook(SECRET), asyncio.Semaphore(IN_FLIGHT)
    begun: set[int] = set()

    async def one(delivery: int, message: Logged) -> None:
        async with places:
            body = json.dumps({"type": message.type, "data": {**message.data, "referral": message.referral}})
            now = datetime.now(UTC)
            headers = {
                "webhook-id": f"{message.id}.{delivery}",
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": signer.sign(f"{message.id}.{delivery}", now, body),
                "content-type": "application/json",
            }
            response = await client.post(url, content=body, headers=headers)
            response.raise_for_status()
            async with service.sessions.begin() as session:
                row = await session.get(Delivery, delivery)
                assert row is not None
                row.state, row.attempts = "delivered", row.attempts + 1
                service.publish(session, "told", message.referral, {"delivery": delivery})
            begun.discard(delivery)
            service.unsent.set()

    async with asyncio.TaskGroup() as tasks:
        while True:
            await service.untold.wait()
            service.untold.clear()
            async with service.sessions() as session:
                query = select(Delivery, Logged).join(Logged, Delivery.event == Logged.offset)
                found = (await session.execute(query.where(Delivery.state == "pending"))).all()
            for delivery, message in found:
                if delivery.id not in begun:
                    begun.add(delivery.id)
                    tasks.create_task(one(delivery.id, message))


def app(services: Mapping[str, Service]) -> FastAPI:
    """What callers ask."""
    made = FastAPI()

    def route(path: str, service: Service, kind: str) -> None:
        async def act(referral: str, body: dict[str, Any]) -> dict[str, str]:
            await service.command(referral, kind, body)
            return {"id": referral, "status": kind}

        made.post(path)(act)

    @made.post("/referrals", status_code=201)
    async def refer(form: Form) -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        referral = f"ref_{uuid4().hex}"
        await services["intake"].command(referral, "received", form.model_dump())
        return {"id": referral, "status": "received"}

    route("/assignments/{referral}:accept", services["assignment"], "accepted")
    route("/outreach/{referral}/attempts", services["notification"], "attempted")
    route("/outreach/{referral}:start", services["notification"], "started")
    return made


REACTIONS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "intake": {"decided": (), "accepted": (), "attempted": (), "started": ("closed",), "told": ()},
    "authorization": {"received": ("decided",), "accepted": (), "closed": ()},
    "assignment": {"received": (), "decided": ("offered",), "closed": ()},
    "notification": {kind: () for kind in TOLD},
}


@asynccontextmanager
async def working(server: Server, url: str) -> AsyncGenerator[httpx.AsyncClient]:
    """The four services at work, and a client that asks them."""
    where = server.url(DATABASE).replace("postgresql://", "postgresql+asyncpg://", 1)
    engines = {name: create_async_engine(where, pool_size=10) for name in REACTIONS}
    services = {
        name: Service(name, async_sessionmaker(engine, expire_on_commit=False), REACTIONS[name])
        for name, engine in engines.items()
    }
    async with engines["intake"].begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with services["intake"].sessions.begin() as session:
        session.add_all(Place(service=name, offset=0) for name in services)
    bells = [*(each.unread for each in services.values())]
    async with httpx.AsyncClient() as partner:
        tasks = [
            *(asyncio.create_task(each.relay(bells)) for each in services.values()),
            *(asyncio.create_task(each.consume()) for each in services.values()),
            asyncio.create_task(send(services["notification"], url, partner)),
        ]
        try:
            transport = httpx.ASGITransport(app(services))
            async with httpx.AsyncClient(transport=transport, base_url="http://naive") as client:
                yield client
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for engine in engines.values():
                await engine.dispose()


async def loops(client: httpx.AsyncClient, partner: Partner, count: int, until: str) -> None:
    """So many loops, DESKS at a time, each up to this webhook; returns when every webhook has come."""
    told: dict[tuple[str, str], asyncio.Event] = {}
    seen, ended = len(partner.requests), False
    numbers, begun = iter(range(count)), len(partner.requests)

    def of(kind: str, referral: str) -> asyncio.Event:
        return told.setdefault((kind, referral), asyncio.Event())

    async def watch() -> None:
        nonlocal seen
        while not ended:
            try:
                await partner.came(seen + 1)
            except TimeoutError:
                continue
            for taken in partner.requests[seen:]:
                body = taken.json()
                of(body["type"], body["data"]["referral"]).set()
                seen += 1

    async def one() -> None:
        for number in numbers:
            form = david(member={**david()["member"], "cin": f"9003{number:04}S"})
            referral = (await client.post("/referrals", json=form)).raise_for_status().json()["id"]
            await of("offered", referral).wait()
            if until == "offered":
                continue
            await _post(client, f"/assignments/{referral}:accept", {"lead": "luis-ortega"})
            await of("accepted", referral).wait()
            await _post(client, f"/outreach/{referral}/attempts", {"how": "in_person", "outcome": "engaged"})
            await _post(client, f"/outreach/{referral}:start", {"on": "2026-11-30"})
            await of("closed", referral).wait()

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(one() for _ in range(DESKS)))
    await partner.came(begun + count * (TO_THE_OFFER if until == "offered" else WEBHOOKS))
    ended = True
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def _post(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    (await client.post(path, json=body)).raise_for_status()


async def measure(server: Server, count: int) -> Mapping[str, float]:
    """Milliseconds of processor of a whole loop and of one up to its offer told, and how many a second."""
    found: dict[str, float] = {}
    async with Partner(SECRET) as partner, working(server, partner.url) as client:
        await loops(client, partner, DESKS, "closed")
        processor = Processor(server)
        for until in ("closed", "offered"):
            before, began = processor.spent(), perf_counter()
            await loops(client, partner, count, until)
            seconds, after = perf_counter() - began, processor.spent()
            spent = sum(after) - sum(before)
            found |= {f"{until}, ms": spent / count * 1000, f"{until} a second": count / seconds}
    return found


def run(folder: Path, count: int, start: Callable[..., Server] = embedded.start) -> Mapping[str, float]:
    """`measure` on a server of its own."""
    server = start(folder, [DATABASE])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(measure(server, count))
    finally:
        embedded.remove(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loops", type=int, default=150)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(Path(folder) / "postgres", asked.loops), indent=1))


if __name__ == "__main__":
    main()
