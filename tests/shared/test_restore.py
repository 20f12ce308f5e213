"""What does a service do whose database is an earlier one? It finds out, takes no command, reads what it lost, and is
what it was, byte for byte; only what nobody ever saw is decided again."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from loopkeeper.flow.recovery import RestoreFailed
from loopkeeper.kernel.errors import Busy
from loopkeeper.postgres.connections import connect
from loopkeeper.store import journal, proof
from loopkeeper.store import store as stores
from loopkeeper.store.store import Store
from tests.databases import Databases
from tests.shared.events import REVIEW, STARTED
from tests.shared.replica import Replica, Site
from tests.shared.restoring import an_hour, begin, catch_up_with, logged, rows, send
from tests.shared.stores import message, reception, withdrawal


async def test_own_events_that_were_lost_are_written_as_they_were_and_published_no_second_time(
    here: Site, databases: Databases
) -> None:
    known, fresh = reception(), reception()
    async with here.visited() as desk:
        # Decided when the backup was made, and not sent yet.
        await desk.store.execute([known])
    async with an_hour(here, databases) as desk:
        await send(here, desk)
        await desk.hear(known.stream, REVIEW)
        await desk.store.execute([fresh])
        # Heard by the log before it was sent, and by the service after.
        await desk.tell(fresh.stream, REVIEW)
        await desk.store.execute([withdrawal(fresh.stream)])
        await send(here, desk)
        await desk.read()
        before, in_log = await rows(desk), await logged(desk)
    async with here.visited() as desk:
        catch_up = await begin(desk)
        assert catch_up.restoring
        assert await desk.bench.count("outbox") == 0
        await desk.read()
        await catch_up.finish()
        assert await rows(desk) == before
        await send(here, desk)
        assert await logged(desk) == in_log
        assert [await desk.bench.count(table) for table in ("parked", "parked_stream")] == [0, 0]
        # It goes on where it was.
        await desk.store.execute([withdrawal(known.stream)])
        await send(here, desk)
        assert (await logged(desk))[-1].sequence == 2


async def test_a_backup_from_before_several_servers_is_above_all_of_them(
    here: Site, databases: Databases
) -> None:
    """Each server had a generation of its own, which the backup knows nothing of: it is no dead branch."""
    async with here.visited() as desk:
        await begin(desk, "the first server")
    async with an_hour(here, databases) as desk:
        for server in ("the second server", "the third", "the fourth"):
            await catch_up_with(desk, server)
            each = reception()
            await desk.store.execute([each])
            await send(here, desk)
            await desk.hear(each.stream, REVIEW)
        before = await rows(desk)
    async with here.visited() as desk:
        catch_up = await catch_up_with(desk, "one that has the backup")
        assert (catch_up.generation, desk.store.ready.is_set()) == (5, True)
        assert await rows(desk) == before


async def test_what_was_decided_and_never_sent_is_decided_anew(here: Site, databases: Databases) -> None:
    known = reception()
    async with here.visited() as desk:
        await desk.store.execute([known])
        await send(here, desk)
        await desk.read()
    async with an_hour(here, databases) as desk:
        await desk.hear(known.stream, STARTED)
        assert await desk.types(known.stream) == ["referral.received", "referral.closed"]
    async with here.visited() as desk:
        # No own event is missing; that more had been read than it knows tells that the database is an earlier one.
        assert (await begin(desk)).restoring
        await catch_up_with(desk)
        assert await desk.types(known.stream) == ["referral.received", "referral.closed"]
        await send(here, desk)
        assert [m.sequence for m in await logged(desk) if m.source == "/intake"] == [1, 2]


async def test_a_service_that_dies_while_it_reads_what_it_lost_goes_on_at_the_next_start(
    here: Site, databases: Databases
) -> None:
    first, second = reception(), reception()
    async with an_hour(here, databases) as desk:
        for each in (first, second):
            await desk.store.execute([each])
            await desk.hear(each.stream, REVIEW)
            await desk.store.execute([withdrawal(each.stream)])
            await send(here, desk)
        await desk.read()
        before = await rows(desk)
    async with here.visited() as desk:
        await begin(desk)
        await desk.read()
        # Everything is set aside, one stream is rebuilt, and that was all.
        assert await desk.parked.rebuild([first.stream]) == 1
    async with here.visited() as desk:
        catch_up = await begin(desk)
        assert catch_up.restoring
        await catch_up.finish()
        assert await rows(desk) == before
        assert await desk.bench.count("restored") == 1


async def test_no_command_is_taken_before_the_log_is_read_and_the_next_one_gets_the_next_number(
    here: Site, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = reception()
    async with here.visited() as desk:
        await desk.store.execute([known])
        await send(here, desk)
        await desk.read()
    async with an_hour(here, databases) as desk:
        await desk.store.execute([withdrawal(known.stream)])
        await send(here, desk)
    monkeypatch.setattr(stores, "PATIENCE", 0.05)
    async with here.visited() as desk:
        catch_up = await begin(desk)
        for attempt in (
            desk.store.submit(reception()),
            desk.store.execute([reception()]),
            desk.store.transact(lambda connection: connection.execute("SELECT 1")),
        ):
            with pytest.raises(Busy):
                await attempt
        await desk.read()
        await catch_up.finish()
        assert not (await desk.store.submit(reception())).repeated


async def test_the_same_request_again_finds_what_it_did_before_the_restore(
    here: Site, databases: Databases
) -> None:
    asked = reception(body=b"one body")
    async with an_hour(here, databases) as desk:
        await desk.store.execute([asked])
        await send(here, desk)
        await desk.read()
    async with here.visited() as desk:
        await catch_up_with(desk)
        again = await desk.store.submit(asked)
        assert (again.stream, again.repeated) == (asked.stream, True)
        assert await desk.bench.count("referral") == 1


async def test_what_only_the_lost_database_knew_is_vouched_for_and_the_journal_proves_itself_again(
    here: Site, databases: Databases
) -> None:
    first, joined = reception("harbor:david"), reception("harbor:david")
    async with here.visited() as desk:
        await desk.store.execute([first])
        await send(here, desk)
        await desk.read()
    async with an_hour(here, databases) as desk:
        # Of a duplicate nothing is published but its closing: what came in is in no log.
        await desk.store.execute([joined])
        await send(here, desk)
    async with here.visited() as desk:
        await catch_up_with(desk)
        entries = await desk.pool.fetch(
            "SELECT type FROM journal WHERE stream = $1 ORDER BY n", joined.stream
        )
        assert [row["type"] for row in entries] == [journal.VOUCHER, "ecm.referral.closed.v1"]
        assert await flaws(here, desk.store, desk) == []
        # The voucher vouches for this row and no other.
        await desk.pool.execute("ALTER TABLE journal DISABLE TRIGGER ALL")
        await desk.pool.execute(
            "UPDATE journal SET causation = 'somebody' WHERE stream = $1 AND own", joined.stream
        )
        assert "a journal row was changed" in await flaws(here, desk.store, desk)


async def flaws(here: Site, store: Store[Any], desk: Replica) -> list[str]:
    connection = await connect(here.url)
    try:
        found = await proof.verify(
            connection, desk.bench.sealer.chain_key(), "/intake", ["referral"], desk.event_log.history()
        )
    finally:
        await connection.close()
    return [flaw.what for flaw in found]


async def test_a_log_that_contradicts_the_journal_keeps_the_service_closed(
    here: Site, databases: Databases
) -> None:
    known = reception()
    async with here.visited() as desk:
        await desk.store.execute([known])
        await send(here, desk)
        await desk.read()
        # Somebody published another event under a number that is taken.
        (mine,) = await logged(desk)
        other = message(known.stream, REVIEW, "/intake", uuid4())
        assert await desk.event_log.publish([mine, type(mine)(**{**_fields(mine), "id": other.id})]) == 2
        catch_up = await begin(desk)
        await desk.read()
        with pytest.raises(RestoreFailed):
            await catch_up.finish()
        assert not desk.store.ready.is_set()


async def test_a_stream_that_cannot_be_rebuilt_keeps_none_of_those_that_are_rebuilt_with_it(
    here: Site, databases: Databases
) -> None:
    lost = [reception() for _ in range(3)]
    async with an_hour(here, databases) as desk:
        await desk.store.execute(lost)
        await send(here, desk)
        await desk.hear(lost[0].stream, REVIEW)
        await desk.store.execute([withdrawal(each.stream) for each in lost])
        await send(here, desk)
        await desk.read()
        before = await rows(desk)
        # One has another event under a number that is taken.
        mine = next(each for each in await logged(desk) if each.subject == lost[1].stream)
        assert await desk.event_log.publish([type(mine)(**{**_fields(mine), "id": uuid4()})]) == 1
    async with here.visited() as desk:
        await begin(desk)
        await desk.read()
        assert await desk.parked.rebuild([each.stream for each in lost]) == 2
        assert await rows(desk) == [row for row in before if row[0] != lost[1].stream]
        assert (await desk.parked.waiting())[0] == [lost[1].stream]


def _fields(message: Any) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__dataclass_fields__}
