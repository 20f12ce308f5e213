"""Does the reconciler find what is broken? A town that has been played and stopped has nothing; each planted violation is found,
named by its promise, and alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from loopkeeper.kernel.settings import Settings
from loopkeeper.postgres.connections import connect
from loopkeeper.runtime.run import Addresses
from loopkeeper.runtime.service import installed
from loopkeeper.runtime.verify.finding import Finding
from loopkeeper.runtime.verify.opening import reconciling
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, NAVIGATORS, STREET
from tests.databases import Databases
from tests.loop.house import House, house, put_roster
from tests.loop.set_backs import member

# What must be stopped for a plant: triggers guard the journal, keys hold tables together.
UNGUARDED = "SET session_replication_role = replica;"
CLOSED_ONE = "(SELECT id FROM referral WHERE status = 'closed' ORDER BY id LIMIT 1)"
ENDED_ONE = "(SELECT min(id) FROM referral WHERE state ->> 'outcome' <> '')"
OPEN_ONE = "(SELECT id FROM referral WHERE status <> 'closed' ORDER BY id LIMIT 1)"


@dataclass(frozen=True)
class Plant:
    """One violation: where, how, and what must be said of it."""

    name: str
    where: str
    sql: str
    invariant: str
    says: str


@dataclass(frozen=True)
class Stopped:
    """A town that was played: its settings, and where everything is."""

    settings: Settings
    at: Addresses


async def findings(settings: Settings, at: Addresses) -> list[Finding]:
    async with reconciling(settings, installed(), at) as found:
        return [each async for each in found]


async def play(opened: House) -> None:
    """One loop is served to its end, one declined and offered again, one is open, one is a duplicate."""
    people = [david()["member"], *(member(number) for number in range(500, 503))]
    await put_roster(
        opened, HARBOR, [{"cin": each["cin"], "birth_date": each["birth_date"]} for each in people]
    )
    served = await opened.refer(CLINIC, david())
    await opened.quiet()
    await opened.accept(STREET)
    await opened.attempt(STREET, served, "in_person", "engaged")
    await opened.ask(STREET, "POST", f"/v1/outreach/{served}:start-services", {"on": opened.today()})
    await opened.quiet()
    for number in range(500, 503):
        await opened.refer(CLINIC, david(member=member(number)))
    await opened.quiet()
    await opened.refer(NAVIGATORS, david(member=member(500)))
    await opened.quiet()


@pytest_asyncio.fixture(scope="module")
async def stopped(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stopped]:
    folder = tmp_path_factory.mktemp("reconcile")
    async with house(databases, folder) as opened:
        for organization in (HARBOR, CLINIC):
            await opened.subscribe(organization)
        await play(opened)
        assert opened.addresses is not None
        found, current = opened.addresses, opened.running.settings
    yield Stopped(current, found)
    await databases.drop()


async def test_a_town_that_was_stopped_has_nothing_broken(stopped: Stopped) -> None:
    assert await findings(stopped.settings, stopped.at) == []


PLANTS = (
    Plant("journal row gone", "intake", f"DELETE FROM journal WHERE stream = {CLOSED_ONE} AND n = 2",
          "I5", "a journal row is missing"),
    Plant("journal row changed", "intake", f"UPDATE journal SET causation = 'x' WHERE stream = {CLOSED_ONE} AND n = 2",
          "I5", "a journal row was changed"),
    Plant("journal cut off", "intake",
          f"DELETE FROM journal j WHERE stream = {CLOSED_ONE} AND n = (SELECT max(n) FROM journal WHERE stream = j.stream)",
          "I5", "ends elsewhere"),
    Plant("journal without its row", "authorization", "DELETE FROM referral WHERE id = (SELECT min(id) FROM referral)",
          "I5", "the row of this journal is missing"),
    Plant("row without its journal", "assignment", "DELETE FROM journal WHERE stream = (SELECT min(id) FROM referral)",
          "I5", "has no journal"),
    Plant("state changed", "intake",
          f"UPDATE referral SET state = jsonb_set(state, '{{county}}', '\"napa\"') WHERE id = {OPEN_ONE}",
          "I5", "another state than its journal gives"),
    Plant("column changed", "assignment", "UPDATE referral SET status = 'nowhere' WHERE id = (SELECT min(id) FROM referral)",
          "I5", "other columns than its state"),
    Plant("deadline gone", "assignment", "DELETE FROM timer WHERE stream = (SELECT min(stream) FROM timer)",
          "I6", "has no deadline"),
    Plant("deadline of nobody", "assignment",
          f"INSERT INTO timer SELECT id, 'answer', at + interval '1 day' FROM referral WHERE id = {CLOSED_ONE}",
          "I6", "too many"),
    Plant("notice without its deadline", "notification",
          "DELETE FROM timer WHERE kind LIKE 'notice %' AND ctid = (SELECT min(ctid) FROM timer WHERE kind LIKE 'notice %')",
          "I6", "has no deadline"),
    Plant("numbers with a gap", "intake",
          f"UPDATE journal SET sequence = sequence + 1 WHERE own AND stream = {CLOSED_ONE}",
          "I8", "not numbered from 1"),
    Plant("answered and not there", "intake",
          f"""INSERT INTO claim SELECT gen_random_uuid(), 'ref_gone', '', now();
              UPDATE journal SET causation = (SELECT id::text FROM claim WHERE stream = 'ref_gone')
              WHERE stream = {OPEN_ONE} AND own AND n = 1""",
          "I1", "was answered and does not exist"),
    Plant("two referrals of one request", "intake",
          """UPDATE journal SET causation = 'one' WHERE own AND type = 'ecm.referral.received.v1'
             AND stream IN (SELECT id FROM referral ORDER BY id LIMIT 2)""",
          "I2", "made twice by one request"),
    Plant("two assignments at once", "assignment",
          """INSERT INTO assignment SELECT (jsonb_populate_record(a, '{"id": "asg_two", "conflicted": true}')).*
             FROM assignment a WHERE live ORDER BY id LIMIT 1""",
          "I3", "two assignments that serve it at once"),
    Plant("a turn of nobody", "assignment",
          "UPDATE assignment SET referral = 'ref_nobody' WHERE id = (SELECT min(id) FROM assignment)",
          "I3", "its referral's row does not know"),
    Plant("a place too many", "assignment",
          "UPDATE places SET taken = taken + 1 WHERE provider_id = (SELECT min(provider_id) FROM places)",
          "I3", "another number of places"),
    Plant("closed without closing", "intake", f"UPDATE referral SET status = 'closed' WHERE id = {OPEN_ONE}",
          "I4", "closed without a closing"),
    Plant("outbox of nothing", "intake", "INSERT INTO outbox (stream, n) VALUES ('ref_none', 1)",
          "I7", "its journal row is missing"),
    Plant("outbox of another's fact", "intake",
          "INSERT INTO outbox (stream, n) SELECT stream, n FROM journal WHERE NOT own ORDER BY stream, n LIMIT 1",
          "I7", "is not the service's own"),
    Plant("outbox out of order", "intake",
          f"INSERT INTO outbox (stream, n) SELECT stream, n FROM journal WHERE own AND stream = {CLOSED_ONE} ORDER BY n DESC",
          "I8", "in another order"),
    Plant("half a command", "intake",
          "UPDATE journal SET command_id = gen_random_uuid(), part = 1, parts = 2 WHERE id = (SELECT min(id::text)::uuid FROM journal WHERE own)",
          "I7", "whose command published others"),
    Plant("log lacks an event", "log",
          """DELETE FROM log WHERE "offset" = (SELECT max("offset") FROM log WHERE type = 'ecm.notice.delivered.v1')""",
          "I7", "own events that the log lacks"),
    Plant("log has an event otherwise", "log",
          """UPDATE log SET payload = convert_to('{}', 'UTF8') WHERE "offset" = (SELECT max("offset") FROM log)""",
          "I7", "otherwise than in the journal"),
    Plant("log has what nobody decided", "log",
          """INSERT INTO log SELECT nextval('log_offset'), key, type,
               convert_to(replace(convert_from(headers, 'UTF8'), '"ce_id":"', '"ce_id":"0000'), 'UTF8')
             , payload, at FROM log WHERE false;
             INSERT INTO log SELECT nextval('log_offset'), key, type, convert_to(jsonb_set(convert_from(headers, 'UTF8')::jsonb,
               '{ce_id}', to_jsonb(gen_random_uuid()::text))::text, 'UTF8'), payload, at FROM log ORDER BY "offset" DESC LIMIT 1""",
          "I7", "that the journal lacks"),
    Plant("a number left out", "log",
          """DELETE FROM log WHERE "offset" = (SELECT "offset" FROM log WHERE type = 'ecm.referral.received.v1'
             ORDER BY "offset" LIMIT 1)""",
          "I8", "is due"),
    Plant("read further than the log", "intake", "UPDATE consumed SET next_offset = next_offset + 1000",
          "I8", "further than the log reaches"),
    Plant("another last record", "intake", "UPDATE consumed SET last_id = gen_random_uuid()",
          "I8", "another last record"),
    Plant("a fact without a trace", "authorization",
          """DELETE FROM claim WHERE stream = (SELECT min(id) FROM referral);
             DELETE FROM journal WHERE NOT own AND stream = (SELECT min(id) FROM referral)""",
          "I7", "left no trace"),
    Plant("parked without a mark", "intake",
          """INSERT INTO parked (stream, partition, "offset", event_id, type, error, body, at)
             VALUES ('ref_parked', 0, 1, gen_random_uuid(), 'x', 'x', 'x', now())""",
          "I10", "no mark"),
    Plant("a journal that may be changed", "intake", "ALTER TABLE journal DISABLE TRIGGER ALL",
          "I11", "its guard is off"),
    Plant("somebody is named", "log",
          """UPDATE log SET payload = convert_to('{"cin": "90000001S"}', 'UTF8')
             WHERE "offset" = (SELECT max("offset") FROM log)""",
          "I12", "somebody is named"),
    Plant("twice in a feed", "notification",
          """UPDATE feed SET id = (SELECT id FROM feed f WHERE f.subscription = feed.subscription AND sequence = 1)
             WHERE sequence = 2 AND subscription = (SELECT min(subscription) FROM feed)""",
          "I9", "is in one feed twice"),
    Plant("a feed with a gap", "notification",
          "DELETE FROM feed WHERE sequence = 2 AND subscription = (SELECT min(subscription) FROM feed)",
          "I9", "feed with gaps"),
    Plant("a delivery gone", "notification",
          "DELETE FROM delivery WHERE id = (SELECT min(id) FROM delivery WHERE state = 'delivered')",
          "I9", "has no delivery"),
    Plant("delivered without a success", "notification",
          "DELETE FROM attempt WHERE delivery = (SELECT min(id) FROM delivery WHERE state = 'delivered')",
          "I9", "without one recorded success"),
    Plant("goes on after a success", "notification",
          "UPDATE delivery SET state = 'pending' WHERE id = (SELECT min(id) FROM delivery WHERE state = 'delivered')",
          "I9", "goes on after a recorded success"),
    Plant("tried under another id", "notification",
          "UPDATE attempt SET webhook = 'other' WHERE id = (SELECT min(id) FROM attempt)",
          "I9", "under another webhook id"),
    Plant("a referral unknown to one", "assignment",
          f"DELETE FROM journal WHERE stream = {OPEN_ONE}; DELETE FROM referral WHERE id = {OPEN_ONE}",
          "I14", "is not known here"),
    Plant("ended otherwise", "authorization",
          f"UPDATE referral SET state = jsonb_set(state, '{{outcome}}', '\"other\"') WHERE id = {ENDED_ONE}",
          "I14", "ended as"),
    Plant("served by another", "notification",
          """UPDATE referral SET state = jsonb_set(state, '{assignment,assignment}', '"asg_other"')
             WHERE id = (SELECT min(id) FROM referral WHERE state -> 'assignment' ->> 'assignment' IS NOT NULL
                         AND state -> 'closing' = 'null')""",
          "I14", "not served by the same"),
)  # fmt: skip


@pytest.mark.parametrize("plant", PLANTS, ids=[plant.name for plant in PLANTS])
async def test_what_is_planted_is_found(
    stopped: Stopped, databases: Databases, monkeypatch: pytest.MonkeyPatch, plant: Plant
) -> None:
    # Nobody works on it: what looks like work under way need not be waited for.
    monkeypatch.setattr("loopkeeper.runtime.verify.reconcile.APART", 0.0)
    url = stopped.at.event_log if plant.where == "log" else stopped.at.databases[plant.where]
    copy = databases.url(plant.where, await databases.keep(url))
    spoiling = await connect(databases.admin(copy))
    await spoiling.execute(UNGUARDED + plant.sql)
    await spoiling.close()
    at = (
        Addresses(stopped.at.databases, copy)
        if plant.where == "log"
        else Addresses({**stopped.at.databases, plant.where: copy}, stopped.at.event_log)
    )
    found = await findings(stopped.settings, at)
    assert any(each.invariant == plant.invariant and plant.says in each.what for each in found), found
    assert all(each.show.startswith("loopkeeper ") for each in found)


async def test_a_town_at_work_has_nothing_broken_either(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with house(databases, tmp_path_factory.mktemp("at-work")) as opened:
        assert opened.addresses is not None

        async def keep_referring() -> None:
            for number in range(600, 700):
                await opened.refer(CLINIC, david(member=member(number)))

        working = asyncio.create_task(keep_referring())
        for _ in range(3):
            assert await findings(opened.running.settings, opened.addresses) == []
        working.cancel()
        await asyncio.wait([working])
