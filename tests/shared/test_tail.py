"""What do the members of one process take from each other? What one read of the log's end, without a gap, on one server."""

from __future__ import annotations

from loopkeeper.event_log.port import Received
from loopkeeper.event_log.tail import KEPT_BYTES, KEPT_RECORDS, Tail, tail_of


def records(*offsets: int, size: int = 1) -> list[Received]:
    return [Received(0, offset, "ref_1", None, b"." * size, "no JSON") for offset in offsets]


def offsets(found: list[Received]) -> list[int]:
    return [each.offset for each in found]


def test_what_one_read_another_takes_from_where_it_is() -> None:
    shared = Tail()
    # The log skips numbers; between those that one read brought there is nothing.
    shared.add(3, records(3, 4, 9))
    assert [shared.has(at) for at in (2, 3, 6, 10, 11)] == [False, True, True, True, False]
    assert offsets(shared.since(3, 10)) == [3, 4, 9]
    assert offsets(shared.since(6, 10)) == [9]
    assert offsets(shared.since(3, 2)) == [3, 4]
    assert offsets(shared.since(10, 10)) == []


def test_reads_that_follow_each_other_are_joined_and_after_a_gap_it_begins_again() -> None:
    shared = Tail()
    shared.add(0, records(0, 1))
    shared.add(1, records(1, 2))
    assert (shared.begin, shared.end) == (0, 3)
    shared.add(7, records(7))
    assert (shared.begin, shared.end) == (7, 8)
    # Who is far behind moves it for nobody.
    shared.add(0, records(0, 1, 2))
    assert (shared.begin, shared.end) == (7, 8)


def test_it_keeps_the_newest_and_no_more_than_so_much() -> None:
    shared = Tail()
    shared.add(0, records(*range(KEPT_RECORDS + 5)))
    assert (shared.has(4), shared.has(5)) == (False, True)
    shared.add(KEPT_RECORDS + 5, records(KEPT_RECORDS + 5, KEPT_RECORDS + 6, size=KEPT_BYTES // 2 + 1))
    assert shared.begin == KEPT_RECORDS + 6


async def test_nobody_waits_for_a_read_that_hangs_or_failed() -> None:
    shared = Tail()
    assert shared.begins()
    assert not shared.begins()
    await shared.others_read()
    shared.ended()
    await shared.others_read()
    assert shared.begins()


def test_another_server_of_the_log_is_another_tail() -> None:
    one = tail_of("postgresql://log", "started at noon")
    assert tail_of("postgresql://log", "started at noon") is one
    assert tail_of("postgresql://log", "started at one") is not one
    # Nobody's any more, it is forgotten.
    one.add(0, records(0))
    del one
    assert tail_of("postgresql://log", "started at noon").end == 0
