"""What may be sent at once? Deliveries are leased by the transaction that writes them, within the bounds all have."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest_asyncio

from loopkeeper.postgres.connections import Connection
from loopkeeper.store.gathered import Gathered
from notification.delivery import lease
from notification.delivery.lease import IN_FLIGHT
from notification.delivery.webhook import Attempted
from notification.persistence import feed
from notification.persistence.feed import News, Subscription
from notification.persistence.outgoing import LEASE, Leased, Outgoing
from notification.persistence.subscriptions import Wanted, create
from tests.databases import Migrated
from tests.notification.house import House, house

HUNG, TAKEN = Attempted(None, "timeout", 15_000), Attempted(204, None, 5)


@pytest_asyncio.fixture
async def opened(migrated: Migrated, tmp_path: Path) -> AsyncGenerator[House]:
    async with house(await migrated("notification"), tmp_path) as found:
        yield found


async def endpoint(
    opened: House, number: int, organization: str, state: str = "enabled", host: str = ""
) -> Subscription:
    now, name = opened.clock.now(), f"sub_{number:03}"
    wanted = Wanted(f"https://{host or f'h{number}'}.example/hook", "")
    made = create(name, organization, wanted, "sealed", "epoch", most=1000).change(None, now)
    assert made is not None
    row = {**made.row, "id": name, "state": state, "enabled_at": now}
    await opened.context.store.transact(lambda c: feed.insert(c, "subscription", [row]))
    return Subscription(name, organization, wanted.url, 0)


async def written(
    opened: House, to: Sequence[Subscription], referrals: Sequence[str], room: int = IN_FLIGHT
) -> list[str]:
    """These news for all of them, in one transaction; of which subscription and referral each was that is leased now."""
    now = opened.clock.now()
    organizations = dict.fromkeys(each.organization for each in to)
    news = [
        News(who, f"evt_{who}_{each}", "ecm.x.v1", each, now, {})
        for who in organizations
        for each in referrals
    ]
    rows = feed.rows_of(
        [Subscription(s.id, s.organization, s.url, await end(opened, s)) for s in to], news, now
    )

    async def steps(connection: Connection) -> list[str]:
        writes = Gathered()
        await feed.write_and_lease(writes, rows, room, now)
        leased = (await writes.send(connection)).get("leased") or ()
        return sorted(f"{each.subscription} {each.referral}" for each in rows.outgoing if each.id in leased)

    return await opened.context.store.transact(steps)


async def end(opened: House, subscription: Subscription) -> int:
    found = await opened.rows("SELECT sequence FROM subscription WHERE id = $1", subscription.id)
    return found[0]["sequence"]


async def taken(opened: House) -> list[Leased]:
    """What the turns lease now."""
    now = opened.clock.now()
    return await opened.context.store.transact(lambda c: lease.lease(c, now, IN_FLIGHT))


async def test_the_first_of_each_pair_is_leased_as_it_is_written_and_the_next_waits_for_it(
    opened: House,
) -> None:
    one = await endpoint(opened, 1, "clinic")
    assert await written(opened, [one], ["ref_1", "ref_1", "ref_2"]) == ["sub_001 ref_1", "sub_001 ref_2"]
    assert await written(opened, [one], ["ref_1"]) == []
    assert await taken(opened) == []


async def test_a_lease_that_nobody_recorded_runs_out(opened: House) -> None:
    assert len(await written(opened, [await endpoint(opened, 1, "clinic")], ["ref_1"])) == 1
    opened.clock.advance(LEASE)
    assert [each.referral for each in await taken(opened)] == ["ref_1"]


async def test_no_bound_is_passed(opened: House) -> None:
    """Eight of a subscription, 64 of an organization, and no more than the sender has room for."""
    one = await endpoint(opened, 0, "clinic")
    assert len(await written(opened, [one], [f"ref_{n}" for n in range(12)])) == 8
    many = [await endpoint(opened, n, "loud-plan") for n in range(1, 12)]
    assert len(await written(opened, many, [f"ref_{n}" for n in range(8)])) == 64
    small = await endpoint(opened, 20, "small-clinic")
    assert len(await written(opened, [small], ["ref_1", "ref_2", "ref_3"], room=2)) == 2


async def ended(opened: House, held: Sequence[Leased], how: Attempted) -> None:
    results = [lease.judged(each, opened.clock.now(), how, 0.5) for each in held]
    await opened.context.store.transact(lambda c: lease.record(c, results, lambda _, text: text))


async def test_an_endpoint_that_is_well_gets_more_at_a_time_until_it_fails_or_has_long_taken_nothing(
    opened: House,
) -> None:
    plan, referrals = await endpoint(opened, 1, "plan"), [f"ref_{n}" for n in range(120)]
    await written(opened, [plan], referrals, room=0)
    first = await taken(opened)
    assert len(first) == 8
    await ended(opened, first, TAKEN)
    second = await taken(opened)
    assert len(second) == 32
    await ended(opened, second[:1], HUNG)
    await ended(opened, second[1:-1], TAKEN)
    await ended(opened, second[-1:], HUNG)
    third = await taken(opened)
    assert len(third) == 8
    await ended(opened, third, TAKEN)
    opened.clock.advance(timedelta(minutes=6))
    assert len(await taken(opened)) == 8


async def test_a_host_whose_endpoints_are_all_well_gets_more_than_one_of_which_one_is_not(
    opened: House,
) -> None:
    four = [await endpoint(opened, n, f"clinic-{n}", host="relay") for n in range(4)]
    for each in four:
        await written(opened, [each], [f"ref_{n}" for n in range(100)], room=0)
    first = await taken(opened)
    assert len(first) == 32
    await ended(opened, first, TAKEN)
    second = await taken(opened)
    assert len(second) == 64
    await ended(opened, second, TAKEN)
    third = await taken(opened)
    await ended(opened, [each for each in third if each.subscription == "sub_000"], HUNG)
    await ended(opened, [each for each in third if each.subscription != "sub_000"], TAKEN)
    assert len(await taken(opened)) == 32


async def test_what_is_written_for_an_endpoint_that_is_well_is_leased_with_it(opened: House) -> None:
    plan = await endpoint(opened, 1, "plan")
    await written(opened, [plan], ["ref_0"], room=0)
    await ended(opened, await taken(opened), TAKEN)
    assert len(await written(opened, [plan], [f"ref_{n}" for n in range(1, 50)])) == 32


async def test_what_waits_for_an_endpoint_that_is_well_is_told_and_what_waits_for_a_failing_one_is_not(
    opened: House,
) -> None:
    pool = opened.context.pool
    plan, failing = await endpoint(opened, 1, "plan"), await endpoint(opened, 2, "clinic")
    await written(opened, [failing], ["ref_1", "ref_2"], room=0)
    await ended(opened, (await taken(opened))[:1], HUNG)
    opened.clock.advance(timedelta(seconds=60))
    assert await lease.late(pool, opened.clock.now()) == timedelta()
    await written(opened, [plan], ["ref_1"], room=0)
    opened.clock.advance(timedelta(seconds=90))
    assert await lease.late(pool, opened.clock.now()) == timedelta(seconds=90)


async def test_what_waits_for_its_turn_goes_first_and_an_endpoint_that_may_not_be_called_is_not(
    opened: House,
) -> None:
    disabled = await endpoint(opened, 1, "clinic", state="disabled")
    assert await written(opened, [disabled], ["ref_1"]) == []
    busy = await endpoint(opened, 2, "busy-clinic")
    assert await written(opened, [busy], ["ref_1"], room=0) == []
    assert await written(opened, [busy], ["ref_2"]) == []
    hung = await endpoint(opened, 3, "hung-clinic")
    await written(opened, [hung], [f"ref_{n}" for n in range(8)])
    opened.clock.advance(LEASE)
    results = [lease.judged(each, opened.clock.now(), HUNG, 0.5) for each in await taken(opened)]
    await opened.context.store.transact(lambda c: lease.record(c, results, lambda _, text: text))
    assert await written(opened, [hung], ["ref_9"]) == []


# ── what the sender remembers ─────────────────────────────────────────────────────────────────────────────


def one(number: int, referral: str) -> Leased:
    return Leased(
        f"dlv_{number}",
        "sub_1",
        0,
        "l",
        "scheduled",
        "o",
        "u",
        "s",
        "",
        "e",
        "t",
        referral,
        "{}",
        "",
        "",
        False,
    )


def sender() -> Outgoing:
    outgoing = Outgoing(room=10)
    outgoing.waiting = False
    return outgoing


def test_what_is_handed_over_needs_no_look() -> None:
    outgoing = sender()
    outgoing.hand([one(1, "ref_1"), one(2, "ref_2")], ["dlv_1", "dlv_2"])
    assert [each.id for each in outgoing.taken()] == ["dlv_1", "dlv_2"]
    assert (outgoing.waiting, outgoing.room, outgoing.taken()) == (False, 8, [])


def test_what_is_behind_something_held_is_leased_after_its_record_and_anything_else_is_looked_for() -> None:
    outgoing = sender()
    first, second, third = one(1, "ref_1"), one(2, "ref_1"), one(3, "ref_1")
    outgoing.hand([first, second, third], ["dlv_1"])
    outgoing.taken()
    assert (outgoing.waiting, outgoing.before_others([first])) == (False, True)
    outgoing.let_go([first], [second])
    assert (outgoing.waiting, outgoing.before_others([second])) == (False, True)
    # The next was not to be had: somebody must look.
    outgoing.let_go([second])
    assert (outgoing.waiting, outgoing.before_others([third])) == (True, False)
    alone = sender()
    alone.hand([one(4, "ref_2")], [])
    assert alone.waiting
