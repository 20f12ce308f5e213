"""What every adapter of the log must do. A test module of an adapter subclasses `BusContract` and provides two
fixtures: `make_event_log`, each call of which opens another bus on the same, at first empty, log; and `put_raw`, which
appends a record with any headers. Nothing here names a partition."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

from loopkeeper.contract.envelope import Message
from loopkeeper.event_log.port import EventLog, GroupMember, LogUnavailable, Position, Received

AT = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
MakeBus = Callable[[], Awaitable[EventLog]]
# Key, headers, payload: what somebody else may have written to the log.
PutRaw = Callable[[str, Mapping[str, str], bytes], Awaitable[None]]


def message(key: str, number: int) -> Message:
    return Message(
        uuid4(), "ecm.referral.received.v1", "/intake", key, AT, b'{"number": %d}' % number, sequence=number
    )


class Offsets:
    """A service's database as far as a member asks it: the next offsets that were stored with an effect."""

    def __init__(self) -> None:
        self.stored: dict[int, int] = {}

    async def __call__(self, partitions: Sequence[int]) -> Mapping[int, Position]:
        return {p: Position(o) for p, o in self.stored.items() if p in partitions}

    def keep(self, received: Sequence[Received]) -> dict[int, int]:
        fresh = {r.partition: r.offset + 1 for r in received}
        self.stored |= fresh
        return fresh


async def read(member: GroupMember, count: int, seconds: float = 10.0) -> list[Received]:
    """This many messages, or all that come within the time."""
    found: list[Received] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while len(found) < count:
                with suppress(LogUnavailable):
                    found += await member.poll()
    return found


async def until_holding(*members: GroupMember, seconds: float = 10.0) -> GroupMember:
    """Poll them until one of them reads for the group; with nothing in the log to read."""
    async with asyncio.timeout(seconds):
        while True:
            for member in members:
                with suppress(LogUnavailable):
                    await member.poll(timeout=0.05)
                if member.holds():
                    return member


def by_key(received: Sequence[Received]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for one in received:
        assert one.message is not None
        found[one.key].append(one.message.sequence)
    return found


class BusContract:
    """The claims of the port."""

    async def test_what_is_published_is_read_as_it_was(self, make_event_log: MakeBus) -> None:
        event_log = await make_event_log()
        sent = message("ref_1", 1)
        assert await event_log.publish([sent]) == 1
        (received,) = await read(await event_log.join("intake", Offsets()), 1)
        assert received.message == sent
        assert received.key == "ref_1"

    async def test_every_key_keeps_its_order_and_nothing_is_missing(self, make_event_log: MakeBus) -> None:
        event_log = await make_event_log()
        sent = [message(f"ref_{n % 7}", n) for n in range(1500)]
        assert await event_log.publish(sent) == 1500
        received = await read(await event_log.join("intake", Offsets()), 1500)
        assert by_key(received) == {f"ref_{k}": list(range(k, 1500, 7)) for k in range(7)}

    async def test_publishers_at_once_leave_no_gap_and_a_reader_never_passes_a_late_one(
        self, make_event_log: MakeBus
    ) -> None:
        reader, buses = await make_event_log(), [await make_event_log() for _ in range(4)]
        member = await reader.join("intake", Offsets())

        async def publish(event_log: EventLog, number: int) -> None:
            for n in range(40):
                await event_log.publish([message(f"ref_{number}", 3 * n + i) for i in range(3)])

        reading = asyncio.create_task(read(member, 4 * 120, 20.0))
        await asyncio.gather(*(publish(event_log, number) for number, event_log in enumerate(buses)))
        received = await reading
        assert by_key(received) == {f"ref_{number}": list(range(120)) for number in range(4)}
        places: dict[int, list[int]] = defaultdict(list)
        for one in received:
            places[one.partition].append(one.offset)
        assert all(offsets == sorted(set(offsets)) for offsets in places.values())

    async def test_each_group_reads_everything(self, make_event_log: MakeBus) -> None:
        event_log = await make_event_log()
        await event_log.publish([message("ref_1", n) for n in range(5)])
        for group in ("intake", "notification"):
            received = await read(await event_log.join(group, Offsets()), 5)
            assert by_key(received) == {"ref_1": [0, 1, 2, 3, 4]}

    async def test_a_waiting_reader_hears_of_a_message_at_once(self, make_event_log: MakeBus) -> None:
        """Ten times, in less than three of the sweeps that are behind the wake-up."""
        event_log = await make_event_log()
        member = await event_log.join("intake", Offsets())
        await until_holding(member)
        began = asyncio.get_running_loop().time()
        for number in range(10):
            polling = asyncio.create_task(member.poll(timeout=5.0))
            await event_log.publish([message("ref_1", number)])
            assert len(await polling) == 1
        assert asyncio.get_running_loop().time() - began < 3.0

    async def test_a_poll_without_news_is_empty(self, make_event_log: MakeBus) -> None:
        event_log = await make_event_log()
        assert await (await event_log.join("intake", Offsets())).poll(timeout=0.1) == []

    async def test_a_poll_brings_no_more_than_asked(self, make_event_log: MakeBus) -> None:
        event_log = await make_event_log()
        await event_log.publish([message("ref_1", n) for n in range(10)])
        member = await event_log.join("intake", Offsets())
        first = await member.poll(limit=4, timeout=10.0)
        assert 1 <= len(first) <= 4

    async def test_a_member_begins_at_the_services_stored_offsets_and_not_at_what_was_acknowledged(
        self, make_event_log: MakeBus
    ) -> None:
        event_log, offsets = await make_event_log(), Offsets()
        await event_log.publish([message("ref_1", n) for n in range(10)])
        member = await event_log.join("intake", offsets)
        received = await read(member, 10)
        offsets.keep(received[:4])
        await member.acknowledge({r.partition: r.offset + 1 for r in received})
        await member.close()
        again = await read(await event_log.join("intake", offsets), 6)
        assert by_key(again) == {"ref_1": [4, 5, 6, 7, 8, 9]}

    async def test_positions_show_what_was_acknowledged(self, make_event_log: MakeBus) -> None:
        event_log = await make_event_log()
        assert sum((await event_log.positions("intake")).values()) == 0
        await event_log.publish([message("ref_1", n) for n in range(3)])
        member = await event_log.join("intake", Offsets())
        received = await read(member, 3)
        offsets = {r.partition: r.offset + 1 for r in received}
        await member.acknowledge(offsets)
        positions = await event_log.positions("intake")
        assert {p: positions[p] for p in offsets} == offsets

    async def test_positions_go_back_with_a_service_that_was_restored(self, make_event_log: MakeBus) -> None:
        event_log = await make_event_log()
        await event_log.publish([message("ref_1", n) for n in range(3)])
        member = await event_log.join("intake", Offsets())
        last = (await read(member, 3))[-1]
        await member.acknowledge({last.partition: last.offset + 1})
        await member.acknowledge({last.partition: last.offset - 1})
        assert (await event_log.positions("intake"))[last.partition] == last.offset - 1

    async def test_a_member_that_left_cannot_acknowledge(self, make_event_log: MakeBus) -> None:
        one, two = await make_event_log(), await make_event_log()
        await one.publish([message("ref_1", n) for n in range(3)])
        gone, living = await one.join("intake", Offsets()), await two.join("intake", Offsets())
        last = (await read(gone, 3))[-1]
        await gone.close()
        await read(living, 3)
        await living.acknowledge({last.partition: last.offset + 1})
        await gone.acknowledge({last.partition: last.offset - 1})
        assert not gone.holds()
        assert (await two.positions("intake"))[last.partition] == last.offset + 1

    async def test_a_record_that_is_no_event_is_read_with_its_problem_and_stops_nobody(
        self, make_event_log: MakeBus, put_raw: PutRaw
    ) -> None:
        event_log = await make_event_log()
        await event_log.publish([message("ref_1", 1)])
        await put_raw("ref_1", {}, b"what is this")
        await put_raw("ref_1", {**message("ref_1", 2).headers(), "ce_id": "no id"}, b"{}")
        await event_log.publish([message("ref_1", 3)])
        received = await read(await event_log.join("intake", Offsets()), 4)
        assert [one.message.sequence if one.message else None for one in received] == [1, None, None, 3]
        assert [(one.key, one.raw) for one in received[1:3]] == [("ref_1", b"what is this"), ("ref_1", b"{}")]
        assert [one.problem for one in received[1:3]] == [
            "missing ce_id",
            "malformed ce_id, ce_time or ce_sequence",
        ]

    async def test_one_member_of_a_group_reads_while_another_waits(self, make_event_log: MakeBus) -> None:
        one, two = await make_event_log(), await make_event_log()
        first, second = await one.join("intake", Offsets()), await two.join("intake", Offsets())
        await until_holding(first)
        await one.publish([message("ref_1", n) for n in range(20)])
        shares = await asyncio.gather(read(first, 20, 3.0), read(second, 20, 3.0))
        assert sorted(r.offset for share in shares for r in share) == sorted(
            {r.offset for share in shares for r in share}
        )
        assert sum(len(share) for share in shares) == 20

    async def test_when_a_member_leaves_the_waiting_one_takes_over(self, make_event_log: MakeBus) -> None:
        one, two, offsets = await make_event_log(), await make_event_log(), Offsets()
        first, second = await one.join("intake", offsets), await two.join("intake", offsets)
        await until_holding(first)
        await one.publish([message("ref_1", n) for n in range(6)])
        offsets.keep((await read(first, 6))[:2])
        await first.close()
        assert by_key(await read(second, 4)) == {"ref_1": [2, 3, 4, 5]}

    async def test_ends_are_where_the_next_messages_go(self, make_event_log: MakeBus) -> None:
        event_log, offsets = await make_event_log(), Offsets()
        before = await event_log.ends()
        await event_log.publish([message(f"ref_{n}", n) for n in range(50)])
        after = await event_log.ends()
        assert sum(after.values()) - sum(before.values()) == 50
        member = await event_log.join("intake", offsets)
        offsets.keep(await read(member, 50))
        assert {p: o for p, o in after.items() if o} == offsets.stored

    async def test_history_is_everything_up_to_now(self, make_event_log: MakeBus) -> None:
        event_log = await make_event_log()
        await event_log.publish([message(f"ref_{n % 3}", n) for n in range(700)])
        found = [received async for received in event_log.history()]
        assert by_key(found) == {f"ref_{k}": list(range(k, 700, 3)) for k in range(3)}
        later = [received async for received in event_log.history(await event_log.ends())]
        assert later == []

    async def test_a_keys_messages_are_where_partition_of_says(self, make_event_log: MakeBus) -> None:
        event_log = await make_event_log()
        await event_log.publish([message(f"ref_{n}", n) for n in range(30)])
        found = [received async for received in event_log.history()]
        assert all(received.partition == event_log.partition_of(received.key) for received in found)
