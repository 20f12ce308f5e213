"""Who asks much waits, and others do not: the line before the reading connections, and each client's share (protocols.md §14.6)."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from loopkeeper.http import problems, rates
from loopkeeper.http.rates import READS_AT_ONCE, Rates
from loopkeeper.kernel.errors import Busy, TooMany
from loopkeeper.postgres.turns import HALVED_IN, Turns

GREEDY, QUIET = "elsewhere-plan", "eastside-clinic"


class Hands:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


async def queued(turns: Turns, organization: str, done: list[str], hands: Hands, seconds: float) -> None:
    async with turns.turn(organization, 5.0):
        hands.at += seconds
        done.append(organization)


async def test_who_used_least_of_late_comes_first_however_long_the_others_line_is() -> None:
    hands, done = Hands(), list[str]()
    turns = Turns(1, hands)
    async with turns.turn(GREEDY, 1.0):
        hands.at += 3.0
        waiting = [asyncio.create_task(queued(turns, GREEDY, done, hands, 1.0)) for _ in range(50)]
        await asyncio.sleep(0)
        waiting += [asyncio.create_task(queued(turns, QUIET, done, hands, 0.01)) for _ in range(3)]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert done[:3] == [QUIET] * 3
    assert Counter(done) == {QUIET: 3, GREEDY: 50}


async def test_time_is_counted_and_not_requests() -> None:
    hands, done = Hands(), list[str]()
    turns = Turns(1, hands)
    for _ in range(20):
        await queued(turns, QUIET, done, hands, 0.01)
    await queued(turns, GREEDY, done, hands, 1.0)
    assert turns.used(QUIET) < turns.used(GREEDY)
    hands.at += HALVED_IN * 10
    assert turns.used(GREEDY) < 0.01


async def test_nobody_has_more_than_half_of_the_connections_even_when_they_are_idle() -> None:
    turns = Turns(4)
    async with turns.turn(GREEDY, 1.0), turns.turn(GREEDY, 1.0):
        with pytest.raises(TooMany) as refused:
            async with turns.turn(GREEDY, 0.01):
                pass
        async with turns.turn(QUIET, 0.01), turns.turn(QUIET, 0.01):
            # Now all are taken: who waits waits for everybody's.
            with pytest.raises(Busy):
                async with turns.turn("another", 0.01):
                    pass
    problem = problems.known(refused.value)
    assert problem is not None
    assert (problem.status, problem.slug) == (429, "too-many-requests")
    assert problem.headers == {
        "Retry-After": "1", "RateLimit-Policy": '"reading";q=2', "RateLimit": '"reading";r=0;t=1',
    }  # fmt: skip


async def test_a_turn_that_nobody_waits_for_any_more_is_the_next_ones() -> None:
    turns, done = Turns(1), list[str]()
    async with turns.turn(QUIET, 1.0):
        gone = asyncio.create_task(queued(turns, GREEDY, done, Hands(), 0.0))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
    # Given and cancelled in the same moment.
    async with turns.turn(QUIET, 1.0):
        late = asyncio.create_task(queued(turns, GREEDY, done, Hands(), 0.0))
        await asyncio.sleep(0)
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    async with turns.turn(QUIET, 0.1):
        done.append(QUIET)
    assert done == [QUIET]


async def test_a_bucket_lets_a_burst_through_then_a_rate_then_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "PATIENCE", 0.05)
    hands = Hands()
    share = Rates(10.0, hands)
    for _ in range(10 * rates.BURST):
        (await share.enter("a key", writes=False, holds=True))()
    with pytest.raises(TooMany) as refused:
        await share.enter("a key", writes=False, holds=True)
    assert (refused.value.what, refused.value.most, refused.value.retry_after) == ("a-second", 10, 1)
    # Another key has its own, and a second later this one has ten more.
    (await share.enter("another key", writes=False, holds=True))()
    hands.at += 1.0
    for _ in range(10):
        (await share.enter("a key", writes=False, holds=True))()
    with pytest.raises(TooMany):
        await share.enter("a key", writes=False, holds=True)


async def test_so_many_reads_of_one_client_are_under_way_at_once_and_what_waits_for_news_is_none_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates, "PATIENCE", 0.01)
    share = Rates(1000.0)
    leaving = [await share.enter("a key", writes=False, holds=True) for _ in range(READS_AT_ONCE)]
    with pytest.raises(TooMany) as refused:
        await share.enter("a key", writes=False, holds=True)
    assert (refused.value.what, refused.value.most) == ("at-once", READS_AT_ONCE)
    await share.enter("a key", writes=False, holds=False)
    (await share.enter("a key", writes=True, holds=True))()
    leaving[0]()
    (await share.enter("a key", writes=False, holds=True))()


def test_the_more_requests_of_a_client_wait_the_longer_each_waits_before_it_is_refused() -> None:
    def waits(count: int) -> float:
        return rates.patience(rates.Share(0.0, 0.0, waiting=count))

    assert waits(1) == waits(rates.REFUSALS) == rates.PATIENCE
    assert waits(10 * rates.REFUSALS) == 10.0
    assert waits(10_000) == rates.LONGEST


async def test_who_is_refused_waits_no_more_and_is_told_how_long_those_wait_who_wait_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates, "REFUSALS", 1000)
    monkeypatch.setattr(rates, "PATIENCE", 0.01)
    share = Rates(1000.0)
    for _ in range(READS_AT_ONCE):
        await share.enter("a key", writes=False, holds=True)
    told = await asyncio.gather(
        *(share.enter("a key", writes=False, holds=True) for _ in range(40)), return_exceptions=True
    )
    assert [each.retry_after for each in told if isinstance(each, TooMany)] == [1] * 40
    assert share._shares["a key"].waiting == 0


async def test_clients_that_were_quiet_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_REMEMBERED", 3)
    hands = Hands()
    share = Rates(10.0, hands)
    for who in ("one", "two", "three"):
        (await share.enter(who, writes=False, holds=True))()
    held = await share.enter("three", writes=False, holds=True)
    hands.at += 60.0
    (await share.enter("four", writes=False, holds=True))()
    assert set(share._shares) == {"three", "four"}
    held()
