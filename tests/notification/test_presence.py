"""Who frees what a dead sender has leased, and when? Another that can take its lock: at once, and never a living one's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest_asyncio

from loopkeeper.testing.partner import Answer
from notification.delivery import presence
from notification.delivery.presence import GRACE, Presence
from notification.workers import Deliverer, outgoing_of
from tests.builders.notification import received
from tests.builders.organizations import REFERRER
from tests.databases import Migrated
from tests.notification.deliveries import heard, partner, sender, subscribe, sweep
from tests.notification.house import House, house

SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'loopkeeper-notification-deliver'"


@pytest_asyncio.fixture
async def opened(migrated: Migrated, tmp_path: Path) -> AsyncGenerator[House]:
    async with house(await migrated("notification"), tmp_path) as found:
        yield found


async def dies(opened: House, one: Presence) -> None:
    """Until the server knows it, too: it gives the lock to the next who waits for it."""
    one.leave()
    await opened.rows("SELECT pg_advisory_xact_lock($1)", int(one.name))


async def dies_between_sending_and_recording(opened: House, dying: Deliverer) -> None:
    await dying.show()
    async with asyncio.TaskGroup() as tasks:
        assert await dying.sweep(tasks) == 1
    await dies(opened, dying.presence)


async def test_what_a_dead_sender_had_leased_is_sent_again_at_once_under_the_same_id(opened: House) -> None:
    async with partner(opened) as clinic, sender(opened) as dying, sender(opened) as next_one:
        await subscribe(opened, REFERRER, clinic)
        await opened.hear(received())
        await dies_between_sending_and_recording(opened, dying)
        await next_one.show()
        assert await sweep(next_one) == 1
        first, second = heard(clinic)
        assert first.webhook_id == second.webhook_id
        next_one.presence.leave()


async def test_a_living_senders_leases_are_nobody_elses_however_often_others_look(opened: House) -> None:
    async with partner(opened) as clinic, sender(opened) as slow, sender(opened) as other:
        await subscribe(opened, REFERRER, clinic)
        clinic.answer = Answer(manner="hang")
        await opened.hear(received())
        await slow.show()
        async with asyncio.TaskGroup() as tasks:
            assert await slow.sweep(tasks) == 1
            for _ in range(3):
                await other.show()
                assert await sweep(other) == 0
                opened.clock.advance(GRACE)
            await dies(opened, slow.presence)
            clinic.answer = Answer()
            assert await sweep(other) == 1
            for task in asyncio.all_tasks():
                if task.get_name().startswith("deliver "):
                    task.cancel()
        other.presence.leave()


async def test_who_lost_its_own_session_gives_others_time_to_take_their_locks_again(opened: House) -> None:
    """A database that starts again ends every sender's session, and nobody is dead."""
    async with partner(opened) as clinic, sender(opened) as first, sender(opened) as second:
        await subscribe(opened, REFERRER, clinic)
        await opened.hear(received())
        await second.show()
        await dies_between_sending_and_recording(opened, first)
        async with opened.context.pool.acquire() as connection:
            await connection.execute(SESSIONS)
        await ended(second)
        await second.show()
        assert await sweep(second) == 0
        opened.clock.advance(GRACE)
        assert await sweep(second) == 1
        second.presence.leave()


async def ended(of: Deliverer) -> None:
    """Until the sender's side of the session knows that the server ended it."""
    gone, connection = asyncio.Event(), of.presence.session
    assert connection is not None
    if not connection.is_closed():
        connection.add_termination_listener(lambda _: gone.set())
        await gone.wait()


async def test_a_lease_taken_as_a_delivery_is_written_is_freed_too(opened: House) -> None:
    async with partner(opened) as clinic:
        name = await subscribe(opened, REFERRER, clinic)
        gone, living = Presence(opened.context.database.connect), Presence(opened.context.database.connect)
        now = opened.clock.now()
        assert await gone.shown(now)
        outgoing = outgoing_of(opened.context)
        outgoing.room, outgoing.holder = 1, gone.name
        await opened.hear(received())
        leased = "SELECT id FROM delivery WHERE subscription = $1 AND leased_until > $2"
        assert len(await opened.rows(leased, name, now)) == 1
        await dies(opened, gone)
        freed = await opened.context.store.transact(lambda c: presence.free(c, now, living.name))
        assert (freed, await opened.rows(leased, name, now)) == (1, [])
