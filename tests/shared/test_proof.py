"""What can be proved of a service whose replicas work at once? That journal, row and log tell the same, whichever replica changes
one of them; and that two replicas together never promise more places than there are, and never deadlock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from assignment.domain.commands import Decline, NoteFact
from loopkeeper.contract import ids
from loopkeeper.contract.decider import Refused
from loopkeeper.contract.events import Event, ReferralClosed
from loopkeeper.event_log.port import Received
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.runtime.service import installed
from loopkeeper.store import proof
from loopkeeper.store.batch import Outcome
from loopkeeper.store.definition import Submission
from loopkeeper.store.journal import Flaw
from tests.builders.assignment import APPROVED
from tests.builders.facts import accepted, closed, made
from tests.builders.organizations import CLINIC, NAVIGATORS, STREET
from tests.databases import Fresh, Migrated
from tests.shared.replica import Replica, Site, listed, referred, site, working
from tests.shared.stores import AT, message, reception, withdrawal

LACKING, OTHERWISE = "the log lacks this event", "the log has this event otherwise"
INVENTED = "the log has an event the journal lacks"
CLOSED = ReferralClosed(occurred_at=AT, outcome="other", clr_reason="other")


@pytest_asyncio.fixture
async def owner(here: Site) -> AsyncGenerator[Connection]:
    """A session of the service's own role, with which everything is looked at, and harmed."""
    connection = await connect(here.url)
    yield connection
    connection.terminate()


@pytest_asyncio.fixture
async def desk(here: Site, owner: Connection) -> Replica:
    """Three referrals, received, offered, accepted and withdrawn; all that intake has to say is in the log."""
    opened = await here.replica()
    for _ in range(3):
        known = await opened.store.submit(reception())
        await opened.relay.publish_round(owner)
        await opened.hear(known.stream, made(), accepted())
        await opened.store.submit(withdrawal(known.stream))
    await opened.relay.publish_round(owner)
    assert await flaws(opened, owner) == []
    return opened


async def flaws(desk: Replica, owner: Connection, log: AsyncIterator[Received] | None = None) -> list[Flaw]:
    key = desk.bench.sealer.chain_key()
    return await proof.verify(owner, key, "/intake", ["referral"], log or desk.event_log.history())


async def found(desk: Replica, owner: Connection) -> list[str]:
    return [flaw.what for flaw in await flaws(desk, owner)]


async def in_the_log(here: Site, harm: str) -> None:
    connection = await connect(here.log)
    await connection.execute(harm)
    await connection.close()


# ── the log, harmed ───────────────────────────────────────────────────────────────────────────────────────

# Offsets 0 and 3 are intake's own events about the first referral.
CHANGED = """UPDATE log SET headers = convert_to(replace(convert_from(headers, 'UTF8'), '{}', '{}'), 'UTF8')
    WHERE "offset" = 0"""
HARMS = {
    "a body changed": ("UPDATE log SET payload = '{}' WHERE \"offset\" = 3", [OTHERWISE]),
    "a type changed": (CHANGED.format("referral.received", "referral.closed"), [OTHERWISE]),
    "a chain value changed": (CHANGED.format('"ce_chain":"', '"ce_chain":"0'), [OTHERWISE]),
    "a number changed": (CHANGED.format('"ce_sequence":"1"', '"ce_sequence":"7"'), [OTHERWISE]),
    "a time changed": (CHANGED.format("2026-03-02", "2026-03-01"), [OTHERWISE]),
    "another key": ("UPDATE log SET key = 'ref_other' WHERE \"offset\" = 0", [OTHERWISE]),
    "another source": (CHANGED.format('"/intake"', '"/assignment"'), [LACKING]),
    "an envelope torn": ("UPDATE log SET headers = 'x' WHERE \"offset\" = 0", [LACKING]),
    "one deleted": ('DELETE FROM log WHERE "offset" = 3', [LACKING]),
    "the end cut off": ('DELETE FROM log WHERE "offset" >= 4', [LACKING] * 4),
    "everything gone": ("TRUNCATE log", [LACKING] * 6),
}


async def test_whoever_harms_the_log_is_found_by_the_journal(
    desk: Replica, here: Site, owner: Connection, subtests: pytest.Subtests
) -> None:
    await in_the_log(here, "CREATE TABLE kept AS TABLE log")
    for harm, (statement, expected) in HARMS.items():
        with subtests.test(harm):
            await in_the_log(here, statement)
            assert await found(desk, owner) == expected
        await in_the_log(here, "TRUNCATE log; INSERT INTO log TABLE kept")
        assert await found(desk, owner) == []


async def test_an_event_in_our_name_that_we_never_journaled_is_found(
    desk: Replica, owner: Connection
) -> None:
    stream = ids.new("ref")
    await desk.event_log.publish([message(stream, CLOSED, "/intake")])
    assert await flaws(desk, owner) == [Flaw(stream, 0, INVENTED)]


async def test_what_others_say_in_the_log_is_theirs_to_prove(
    desk: Replica, here: Site, owner: Connection
) -> None:
    await desk.event_log.publish([message(ids.new("ref"), made(), "/assignment")])
    await in_the_log(here, "UPDATE log SET payload = '{}' WHERE \"offset\" IN (1, 2)")
    assert await found(desk, owner) == []


# ── the journal, harmed where its own chain cannot show it ────────────────────────────────────────────────


async def test_a_referral_erased_from_the_database_whole_is_still_told_by_the_log(
    desk: Replica, owner: Connection
) -> None:
    stream = await owner.fetchval("SELECT min(id) FROM referral")
    await owner.execute("DROP TRIGGER journal_append_only ON journal")
    await owner.execute("DELETE FROM journal WHERE stream = $1", stream)
    await owner.execute("DELETE FROM referral WHERE id = $1", stream)
    assert await flaws(desk, owner) == [Flaw(stream, 0, INVENTED)] * 2


async def test_who_changes_journal_and_log_alike_lacks_the_key_of_the_chain(
    desk: Replica, here: Site, owner: Connection
) -> None:
    await owner.execute("DROP TRIGGER journal_append_only ON journal")
    stream = await owner.fetchval("SELECT min(id) FROM referral")
    await owner.execute("UPDATE journal SET payload = '{}' WHERE n = 4 AND stream = $1", stream)
    await in_the_log(here, "UPDATE log SET payload = '{}' WHERE \"offset\" = 3")
    assert await flaws(desk, owner) == [Flaw(stream, 4, "a journal row was changed")]


async def test_a_noted_fact_that_is_changed_is_found_by_the_chain_of_who_noted_it(
    desk: Replica, owner: Connection
) -> None:
    await owner.execute("DROP TRIGGER journal_append_only ON journal")
    await owner.execute("UPDATE journal SET origin_chain = 'x' WHERE n = 2")
    assert await found(desk, owner) == ["a journal row was changed"] * 3


# ── no false alarm ────────────────────────────────────────────────────────────────────────────────────────


async def test_what_waits_in_the_outbox_is_no_flaw_until_it_is_lost(desk: Replica, owner: Connection) -> None:
    known = await desk.store.submit(reception())
    assert await found(desk, owner) == []
    await owner.execute("DELETE FROM outbox")
    assert await flaws(desk, owner) == [Flaw(known.stream, 1, LACKING)]


async def test_what_a_relay_published_twice_is_no_flaw(desk: Replica, owner: Connection) -> None:
    again = [one.message async for one in desk.event_log.history() if one.message]
    await desk.event_log.publish(again)
    assert await found(desk, owner) == []


async def test_an_event_decided_after_the_journal_was_read_is_no_flaw(
    desk: Replica, here: Site, owner: Connection
) -> None:
    relay = await connect(here.url)

    async def later() -> AsyncIterator[Received]:
        await desk.store.submit(reception())
        await desk.relay.publish_round(relay)
        async for received in desk.event_log.history():
            yield received

    assert await flaws(desk, owner, later()) == []
    relay.terminate()


async def test_an_event_published_after_the_log_was_read_is_no_flaw(
    desk: Replica, here: Site, owner: Connection
) -> None:
    relay = await connect(here.url)
    await desk.store.submit(reception())

    async def earlier() -> AsyncIterator[Received]:
        for received in [each async for each in desk.event_log.history()]:
            yield received
        await desk.relay.publish_round(relay)

    assert await flaws(desk, owner, earlier()) == []
    relay.terminate()


async def test_a_service_at_work_is_not_accused(desk: Replica, owner: Connection) -> None:
    done = asyncio.Event()

    async def work() -> None:
        while not done.is_set():
            fresh = [reception() for _ in range(5)]
            await desk.store.execute(fresh)
            await desk.store.execute([withdrawal(each.stream) for each in fresh])

    async with working(desk.relay.run):
        at_work = asyncio.create_task(work())
        for _ in range(30):
            assert await flaws(desk, owner) == []
        done.set()
        await at_work


# ── two replicas of assignment on one database ────────────────────────────────────────────────────────────

PLACES = {STREET: 10, NAVIGATORS: 7}
LIVE = "SELECT provider_id, count(*)::int AS live FROM assignment WHERE live GROUP BY provider_id"


@dataclass
class Pair:
    """Two replicas, and the batches that each is given: none is tried again, so a deadlock is an error."""

    here: Site
    one: Replica
    two: Replica

    async def hear(self, replica: Replica, facts: Sequence[tuple[str, Event]], size: int = 4) -> None:
        for start in range(0, len(facts), size):
            await self.give(replica, [heard(*each) for each in facts[start : start + size]])

    async def give(self, replica: Replica, submissions: Sequence[Submission]) -> None:
        outcomes = await replica.store.execute(submissions)
        assert all(isinstance(each, Outcome | Refused) for each in outcomes.values()), outcomes

    async def at_once(
        self, hold: str, *values: object, one: Sequence[Submission], two: Sequence[Submission]
    ) -> None:
        """A batch each, both let go only when both wait for the row in the middle that a stranger holds: had they
        taken what comes before it in opposite orders, each would now have what the other needs."""
        stranger = await connect(self.here.url)
        await stranger.execute("BEGIN")
        await stranger.execute(hold, *values)
        batches = [asyncio.create_task(self.give(*each)) for each in ((self.one, one), (self.two, two))]
        await self.one.stuck(2)
        await stranger.execute("ROLLBACK")
        await stranger.close()
        await asyncio.gather(*batches)

    async def known(self, count: int) -> list[str]:
        """So many members, referred and not authorized yet."""
        made = [referred() for _ in range(count)]
        await self.hear(self.one, made, size=256)
        return [stream for stream, _ in made]


def heard(stream: str, event: Event) -> Submission:
    sent = message(stream, event)
    return Submission(sent.id, stream, NoteFact(fact=event), received=Received(0, 1, stream, sent))


@pytest_asyncio.fixture
async def pair(
    migrated: Migrated, fresh_database: Fresh, tmp_path: Path, clock: ManualClock
) -> AsyncGenerator[Pair]:
    """When all is over and both have left, PostgreSQL has not found a single deadlock."""
    url, log = await migrated("assignment"), await fresh_database("log")
    async with site(installed()["assignment"], url, log, tmp_path, clock) as opened:
        async with opened.visited() as one, opened.visited() as two:
            await one.store.execute([listed(provider, places) for provider, places in PLACES.items()])
            yield Pair(opened, one, two)
            chain = one.bench.sealer.chain_key()
            owner = await connect(url)
            assert await proof.verify(owner, chain, "/assignment", ["referral", "provider"]) == []
            await owner.close()
        await opened.left()
        looking = await connect(log)
        count = "SELECT deadlocks FROM pg_stat_database WHERE datname = $1"
        assert await looking.fetchval(count, opened.database) == 0
        await looking.close()


async def live(replica: Replica) -> dict[str, int]:
    return {row["provider_id"]: row["live"] for row in await replica.pool.fetch(LIVE)}


async def test_offers_from_two_replicas_at_once_fill_every_place_and_not_one_more(pair: Pair) -> None:
    """What is counted after waiting for a provider's lock is what the other replica committed meanwhile."""
    streams = await pair.known(60)
    await asyncio.gather(
        pair.hear(pair.one, [(stream, APPROVED) for stream in streams[::2]]),
        pair.hear(pair.two, [(stream, APPROVED) for stream in reversed(streams[1::2])]),
    )
    assert await live(pair.one) == PLACES
    asked = [stream for stream in streams if await pair.one.types(stream) == ["assignment.plan_asked"]]
    assert len(asked) == 60 - sum(PLACES.values())


async def test_while_places_come_free_and_are_taken_again_no_provider_ever_has_too_many(pair: Pair) -> None:
    streams = await pair.known(60)
    await pair.hear(pair.one, [(stream, APPROVED) for stream in streams[:30]], size=30)
    offers = await pair.one.pool.fetch("SELECT id, referral, provider_id FROM assignment WHERE live")
    declines = [
        Submission(uuid4(), row["referral"], Decline(assignment=row["id"], provider=row["provider_id"], reason="no_capacity"))
        for row in offers
    ]  # fmt: skip
    most = await live(pair.one)
    done = asyncio.Event()

    async def look() -> None:
        while not done.is_set():
            for provider, count in (await live(pair.one)).items():
                most[provider] = max(most.get(provider, 0), count)

    async def decline(replica: Replica, submissions: Sequence[Submission]) -> None:
        for start in range(0, len(submissions), 3):
            await pair.give(replica, submissions[start : start + 3])

    looking = asyncio.create_task(look())
    await asyncio.gather(
        decline(pair.one, declines),
        pair.hear(pair.two, [(stream, APPROVED) for stream in reversed(streams[30:])], size=3),
    )
    done.set()
    await looking
    assert most == PLACES
    assert await pair.one.bench.count("journal WHERE type = 'ecm.assignment.made.v1'") > sum(PLACES.values())


async def test_one_member_referred_twice_at_once_has_one_live_offer(pair: Pair) -> None:
    for _ in range(15):
        (first, received), (second, _) = referred(), referred()
        await pair.hear(pair.one, [(first, received), (second, received)])
        await asyncio.gather(
            pair.hear(pair.one, [(first, APPROVED)]), pair.hear(pair.two, [(second, APPROVED)])
        )
        kinds = sorted([*await pair.one.types(first), *await pair.one.types(second)])
        assert kinds == ["assignment.made", "assignment.plan_asked"]
        count = "SELECT count(*) FROM assignment WHERE live AND member = $1"
        assert await pair.one.pool.fetchval(count, received.member) <= 1


async def test_two_replicas_that_hear_first_of_the_same_referrals_write_each_row_once(pair: Pair) -> None:
    """The second one finds the row, and decides again on what the first made of it."""
    fresh = sorted(referred() for _ in range(21))
    middle = f"""INSERT INTO referral (id, member, status, state, n, sequence, head, created_at, at)
        VALUES ('{fresh[10][0]}', '', '', '{{}}', 0, 0, '', now(), now())"""
    approved = [heard(stream, APPROVED) for stream, _ in reversed(fresh)]
    await pair.at_once(middle, one=[heard(*each) for each in fresh], two=approved)
    notes = [sorted(await pair.one.types(stream, own=False)) for stream, _ in fresh]
    assert notes == [["authorization.approved", "referral.received"]] * 21


async def test_providers_written_by_two_replicas_at_once_lose_no_version(pair: Pair) -> None:
    providers = [NAVIGATORS, CLINIC, STREET]
    await pair.give(pair.one, [listed(CLINIC)])
    middle = "SELECT 1 FROM shared WHERE id = $1 FOR UPDATE"
    for _ in range(5):
        batch = [listed(provider) for provider in providers]
        await pair.at_once(
            middle, CLINIC, one=batch, two=[listed(provider) for provider in reversed(providers)]
        )
    rows = await pair.one.pool.fetch("SELECT version, sequence, n FROM provider")
    assert [tuple(row) for row in rows] == [(11, 11, 11)] * 3


async def test_the_same_facts_at_once_in_opposite_orders_have_one_effect(pair: Pair) -> None:
    """A consumer and its zombie: the second one waits for the first one's claims, and takes none it lacks."""
    facts = sorted((heard(*referred()) for _ in range(21)), key=lambda each: each.id)
    middle = f"INSERT INTO claim VALUES ('{facts[10].id}', '', '', now())"
    await pair.at_once(middle, one=facts, two=facts[::-1])
    assert await pair.one.bench.count("journal WHERE NOT own") == 21


async def test_deadlines_and_facts_of_the_same_referrals_in_opposite_orders_never_deadlock(
    pair: Pair, clock: ManualClock
) -> None:
    """Timer first against referral first: the one locks nothing before its referral, the other its timer last."""
    for _ in range(6):
        streams = await pair.known(sum(PLACES.values()))
        await pair.hear(pair.one, [(stream, APPROVED) for stream in streams], size=256)
        assert await live(pair.one) == PLACES
        clock.set(await pair.one.pool.fetchval("SELECT max(due_at) FROM timer") + timedelta(minutes=1))
        withdrawn = [(stream, closed("withdrawn")) for stream in streams]
        fired, _ = await asyncio.gather(pair.one.sweep.sweep(), pair.hear(pair.two, withdrawn[::-1], size=9))
        assert fired >= len(streams)
        assert await live(pair.one) == {}
        assert await pair.one.bench.count("timer") == 0
        for stream in streams:
            own = await pair.one.types(stream)
            assert (own[0], own[-1]) == ("assignment.made", "assignment.withdrawn")
            assert set(own[1:-1]) <= {"assignment.plan_asked", "assignment.overdue"}
