"""A replica that is set back an hour and catches up."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from loopkeeper.flow.recovery import CatchUp, nothing_to_renumber
from loopkeeper.kernel.repeat import until_done
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.postgres.connections import connect
from loopkeeper.store.gate import AT_START
from loopkeeper.store.transient import transient
from tests.databases import Databases
from tests.shared.replica import Replica, Site


async def send(here: Site, desk: Replica) -> None:
    """Everything in the outbox is published."""
    session = await connect(here.url)
    try:
        while await desk.relay.publish_round(session):
            pass
    finally:
        await session.close()


async def rows(desk: Replica) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await desk.pool.fetch("SELECT * FROM journal ORDER BY stream, n")]


async def logged(desk: Replica) -> list[Any]:
    return [received.message async for received in desk.event_log.history()]


async def begin(desk: Replica, incarnation: str = "") -> CatchUp:
    """What a process does first, on this server."""
    desk.store.gate.close(AT_START)
    catch_up = CatchUp(
        desk.store.domain.service,
        desk.event_log,
        desk.store,
        desk.pool,
        desk.parked,
        nothing_to_renumber,
        desk.consumer.stored_offsets,
        incarnation=lambda: incarnation,
    )
    desk.consumer.catch_up = catch_up
    # A broker that has just started finds who coordinates a group only after a while.
    await until_done(catch_up.begin, Heartbeat(time.monotonic, transient))
    return catch_up


async def catch_up_with(desk: Replica, incarnation: str = "") -> CatchUp:
    catch_up = await begin(desk, incarnation)
    await desk.read()
    await catch_up.finish()
    return catch_up


@asynccontextmanager
async def an_hour(here: Site, databases: Databases) -> AsyncGenerator[Replica]:
    """What happens in this block happens after the backup, and is lost with the database."""
    await here.left()
    backup = await databases.keep(here.url)
    async with here.visited() as desk:
        yield desk
    await here.left()
    await databases.put_back(backup, here.url)
