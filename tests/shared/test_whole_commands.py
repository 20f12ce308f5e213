"""Are the events of one command always found together? However the relay's rounds fall, whatever the broker takes, and after a
crash and a restore: all of them or none, and what only another event of the command carried is published again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from assignment.domain.offers import Decline
from loopkeeper.contract.envelope import CommandPart, Message, parse
from loopkeeper.event_log.commands import cut, segments
from loopkeeper.event_log.kafka import KafkaLog
from loopkeeper.event_log.port import EventLog
from loopkeeper.flow import relay as relays
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.postgres.connections import connect
from loopkeeper.runtime.service import installed
from loopkeeper.store.definition import Submission
from loopkeeper.store.journal import read_entry
from tests.builders.assignment import APPROVED
from tests.databases import Databases, Fresh, Migrated
from tests.example.service import example
from tests.kafka import Kafka
from tests.shared.replica import Replica, listed, referred, site
from tests.shared.restoring import an_hour, catch_up_with, logged, rows, send
from tests.shared.stores import AT, reception, withdrawal

NewLog = Callable[[], Awaitable[str]]
Story = Callable[[Replica], Awaitable[None]]
STREET, NAVIGATORS = "harbor-street-medicine", "bay-housing-navigators"


def event(stream: str, sequence: int, part: CommandPart | None = None) -> Message:
    return Message(
        uuid4(), "ecm.referral.received.v1", "/intake", stream, AT, b"{}", sequence=sequence, part=part
    )


def command(*streams: str) -> list[Message]:
    id, of = uuid4(), len(streams)
    parts: Sequence[CommandPart | None] = (
        [CommandPart(id, number, of) for number in range(1, of + 1)] if of > 1 else [None]
    )
    return [event(stream, 1, part) for stream, part in zip(streams, parts, strict=True)]


# ── where it is cut ───────────────────────────────────────────────────────────────────────────────────────


def test_an_append_ends_between_two_commands() -> None:
    messages = [*command("a"), *command("b", "c", "d"), *command("e"), *command("f", "g")]
    assert [cut(messages, 0, most) for most in range(1, 8)] == [1, 1, 1, 4, 5, 5, 7]
    # One that is longer than an append may be goes alone.
    assert cut(messages, 1, 2) == 4


def test_commands_whose_rows_lie_among_each_other_are_cut_behind_both() -> None:
    one, two = command("a", "b"), command("c", "d")
    assert cut([one[0], two[0], one[1], two[1]], 0, 3) == 4


def test_what_goes_to_several_partitions_is_cut_behind_the_event_that_carries_the_others() -> None:
    near, far = command("a1", "a2"), command("a3", "b1", "b2")
    found = list(segments([*command("a0"), *near, *far, *command("b0")], lambda key: ord(key[0])))
    assert [[m.subject for m in segment] for segment in found] == [
        ["a0", "a1", "a2", "a3"], ["b1", "b2", "b0"],
    ]  # fmt: skip
    assert [m.subject for m in found[0][-1].rest] == ["b1", "b2"]
    assert not any(m.rest for segment in found for m in segment if m.subject != "a3")


def test_an_events_part_and_generation_travel_in_its_headers_and_are_no_part_of_what_it_says() -> None:
    (sent, _) = command("a", "b")
    sent = replace(sent, generation=3)
    found = parse(sent.headers(), sent.data)
    assert (found.part, found.generation) == (sent.part, 3)
    assert found == replace(sent, part=None, generation=0)
    assert "ce_command" not in event("a", 1).headers()
    assert "ce_generation" not in event("a", 1).headers()


# ── the relay, and a restore after any of its appends ─────────────────────────────────────────────────────


async def joined_and_withdrawn(desk: Replica) -> None:
    """A second referral of a member is over as it arrives and joins the first: one command, two events, two streams."""
    for name in ("david", "bela"):
        first = reception(f"harbor:{name}")
        await desk.store.execute([first])
        await desk.store.execute([reception(f"harbor:{name}"), reception()])
        await desk.store.execute([withdrawal(first.stream)])


async def declined_and_offered(desk: Replica) -> None:
    """Each declining is followed by the next offer in the same command, of the same referral."""
    for provider in (STREET, NAVIGATORS):
        await desk.store.execute([listed(provider)])
    for _ in range(2):
        stream, received = referred()
        await desk.hear(stream, received, APPROVED)
        row = await desk.pool.fetchrow("SELECT * FROM assignment WHERE referral = $1", stream)
        assert row is not None
        command = Decline(assignment=row["id"], provider=row["provider_id"], reason="no_capacity")
        await desk.store.execute([Submission(uuid4(), stream, command=command)])


SERVICES = {"example": example, "assignment": installed()["assignment"]}
STORIES: Mapping[str, Story] = {"example": joined_and_withdrawn, "assignment": declined_and_offered}


@pytest.fixture(params=["postgres", "kafka"])
def new_log(request: pytest.FixtureRequest, fresh_database: Fresh) -> NewLog:
    if request.param == "postgres":
        return lambda: fresh_database("log")
    kafka: Kafka = request.getfixturevalue("kafka")
    return kafka.url


async def in_the_outbox(desk: Replica) -> list[Message]:
    found = await desk.pool.fetch(
        "SELECT j.* FROM outbox o JOIN journal j USING (stream, n) ORDER BY position"
    )
    return [read_entry(row).message() for row in found]


def appends(event_log: EventLog, messages: list[Message]) -> list[list[Message]]:
    """What the log is asked to take in one go, one after the other."""
    if not isinstance(event_log, KafkaLog):
        ends = [0]
        while ends[-1] < len(messages):
            ends.append(cut(messages, ends[-1], 1))
        return [messages[a:b] for a, b in pairwise(ends)]
    return [
        [each]
        if each.part is None
        or len({event_log.partition_of(m.subject) for m in of_command(messages, each)}) > 1
        else of_command(messages, each)
        for segment in segments(messages, event_log.partition_of)
        for each in segment
        if each.part is None or each.part.number == 1 or spread(event_log, messages, each)
    ]


def of_command(messages: list[Message], one: Message) -> list[Message]:
    assert one.part is not None
    return [m for m in messages if m.part is not None and m.part.command == one.part.command]


def spread(event_log: EventLog, messages: list[Message], one: Message) -> bool:
    return len({event_log.partition_of(m.subject) for m in of_command(messages, one)}) > 1


def whole(found: Sequence[Message]) -> bool:
    numbers: dict[UUID, set[int]] = defaultdict(set)
    of: dict[UUID, int] = {}
    for each in found:
        if each.part is not None:
            numbers[each.part.command].add(each.part.number)
            of[each.part.command] = each.part.of
    return all(numbers[id] == set(range(1, count + 1)) for id, count in of.items())


def in_order(found: Sequence[Message], source: str) -> bool:
    """Whether each stream's own events are first there from 1 without a gap."""
    first: dict[str, list[int]] = defaultdict(list)
    for each in found:
        if each.source == source and each.sequence not in first[each.subject]:
            first[each.subject].append(each.sequence)
    return all(numbers == list(range(1, len(numbers) + 1)) for numbers in first.values())


@pytest.mark.parametrize("service", STORIES)
@pytest.mark.parametrize("round_of", [1, 2, 3, 5])
async def test_no_round_ends_inside_a_command_however_small_it_is(
    migrated: Migrated, fresh_database: Fresh, tmp_path: Path, clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch, service: str, round_of: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(relays, "ROUND", round_of)
    log = await fresh_database("log")
    async with (
        site(SERVICES[service], await migrated(service), log, tmp_path, clock) as here,
        here.visited() as desk,
    ):
        await STORIES[service](desk)
        assert await desk.pool.fetchval("SELECT count(DISTINCT command_id) FROM journal") == 2
        session = await connect(here.url)
        while await desk.relay.publish_round(session):
            assert whole(await logged(desk))
        await session.close()
        found = await logged(desk)
        assert in_order(found, f"/{SERVICES[service].name}")
        assert await desk.bench.count("outbox") == 0


@pytest.mark.parametrize("service", STORIES)
async def test_after_any_append_a_restored_service_has_each_command_whole_or_not_at_all(
    migrated: Migrated,
    new_log: NewLog,
    databases: Databases,
    tmp_path: Path,
    clock: ManualClock,
    service: str,
) -> None:
    """Database and relay die together, and the database is put back to before all of it."""
    url = await migrated(service)
    async with site(SERVICES[service], url, await new_log(), tmp_path, clock) as here:
        async with an_hour(here, databases) as desk:
            await STORIES[service](desk)
            messages, before, facts = await in_the_outbox(desk), await rows(desk), await logged(desk)
            written = appends(desk.event_log, messages)
        empty = await databases.keep(url)
    assert sum(len(each) for each in written) == len(messages)
    for count in range(1, len(written) + 1):
        await databases.put_back(empty, url)
        async with (
            site(SERVICES[service], url, await new_log(), tmp_path, clock) as here,
            here.visited() as desk,
        ):
            for each in ([facts] if facts else []) + written[:count]:
                assert await desk.event_log.publish(each) == len(each)
            await catch_up_with(desk)
            ids = {row[2] for row in await rows(desk)}
            in_log = await logged(desk)
            assert {m.id for m in in_log if m.source == f"/{SERVICES[service].name}"} <= ids
            await send(here, desk)
            found = await logged(desk)
            assert whole(found), count
            assert in_order(found, f"/{SERVICES[service].name}")
            # As they were, byte for byte. What nobody published is gone whole, and facts left behind are decided as late ones.
            kept = {m.id for m in found} & {m.id for m in messages}
            assert kept >= {m.id for each in written[:count] for m in each}
            again = [row for row in await rows(desk) if row[2] in kept]
            assert again == [row for row in before if row[2] in kept]
            assert await desk.bench.count("parked_stream") == 0
            processed = {row["id"] for row in await desk.pool.fetch("SELECT id FROM claim")}
            assert {m.part.command for m in found if m.part is not None} <= processed
