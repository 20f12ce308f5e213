"""May one organization, one host or one dead endpoint keep the webhooks of others waiting? (protocols.md §14)"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from loopkeeper.postgres.connections import Connection
from loopkeeper.testing.rules import MONDAY
from notification.delivery import lease
from notification.delivery.breaker import FIRST_PAUSE, LONGEST_PAUSE, OPENS_AFTER, Breaker, after, silent
from notification.delivery.lease import IN_FLIGHT, KEPT_FREE, Leased
from notification.delivery.webhook import SCHEDULE, Attempted
from notification.persistence import feed
from notification.persistence.feed import News, Subscription
from notification.persistence.subscriptions import Wanted, create
from tests.databases import Migrated
from tests.notification.house import House, house

NOTHING, HUNG, REFUSED = Attempted(204, None, 5), Attempted(None, "timeout", 15_000), Attempted(400, None, 5)
SECOND = timedelta(seconds=1)


@pytest_asyncio.fixture
async def opened(migrated: Migrated, tmp_path: Path) -> AsyncGenerator[House]:
    async with house(await migrated("notification"), tmp_path) as found:
        yield found


async def endpoint(opened: House, name: str, organization: str, host: str, waiting: Sequence[str]) -> str:
    """An endpoint of this organization at this host, for which a webhook of each of these referrals waits."""
    now = opened.clock.now()
    made = create(
        name, organization, Wanted(f"https://{host}/hook", ""), "sealed", "epoch", most=1000
    ).change(None, now)
    assert made is not None
    row = {**made.row, "id": name, "state": "enabled", "enabled_at": now}
    news = [
        News(organization, f"evt_{name}_{n}", "ecm.x.v1", each, now, {}) for n, each in enumerate(waiting)
    ]

    async def steps(connection: Connection) -> None:
        await feed.insert(connection, "subscription", [row])
        await feed.write(connection, feed.rows_of([Subscription(name, organization, "", 0)], news, now))

    await opened.context.store.transact(steps)
    return name


async def leased(opened: House, room: int = IN_FLIGHT) -> list[Leased]:
    now = opened.clock.now()
    if not await lease.anything(opened.context.pool, now):
        return []
    return await opened.context.store.transact(lambda c: lease.lease(c, now, room))


async def ended(opened: House, sent: Sequence[Leased], attempted: Attempted) -> None:
    """Each of these met this."""
    results = [lease.judged(each, opened.clock.now(), attempted, 0.5) for each in sent]
    await opened.context.store.transact(lambda c: lease.record(c, results, lambda _, text: text))


async def due(opened: House, subscription: str) -> dict[str, datetime]:
    rows = await opened.rows(
        "SELECT referral, next_attempt_at FROM delivery WHERE subscription = $1 AND state = 'pending' ORDER BY sequence",
        subscription,
    )
    return {row["referral"]: row["next_attempt_at"] for row in rows}


def shares(found: Sequence[Leased]) -> Counter[str]:
    return Counter(each.organization for each in found)


async def test_what_is_recorded_once_more_because_the_answer_was_lost_is_still_one_attempt(
    opened: House,
) -> None:
    await endpoint(opened, "sub_ann", "ann", "ann.example", ["ref_1", "ref_2"])
    arrived = [lease.judged(each, opened.clock.now(), NOTHING, 0.5) for each in await leased(opened)]
    for _ in range(2):
        await opened.context.store.transact(lambda c: lease.record(c, arrived, lambda _, text: text))
    found = await opened.rows("SELECT delivery FROM attempt ORDER BY delivery")
    assert [row["delivery"] for row in found] == sorted(each.leased.id for each in arrived)


# ── turns ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_organization_with_many_endpoints_holds_64_connections_and_anothers_first_webhook_goes_at_once(
    opened: House,
) -> None:
    for number in range(40):
        await endpoint(
            opened, f"sub_a{number:02}", "loud-plan", f"h{number}.example", [f"ref_{n}" for n in range(9)]
        )
    await endpoint(opened, "sub_quiet", "quiet-clinic", "quiet.example", ["ref_quiet"])
    assert shares(await leased(opened)) == {"loud-plan": 64, "quiet-clinic": 1}
    assert await leased(opened) == []


async def test_organizations_take_turns_where_there_is_not_room_for_all(opened: House) -> None:
    for name in ("ann", "bea", "cyd"):
        await endpoint(opened, f"sub_{name}", name, f"{name}.example", [f"ref_{n}" for n in range(8)])
    assert shares(await leased(opened, KEPT_FREE + 9)) == {"ann": 8, "bea": 8, "cyd": 8}
    opened.clock.advance(timedelta(minutes=1))
    assert shares(await leased(opened, 6)) == {"ann": 2, "bea": 2, "cyd": 2}


async def test_one_host_is_called_32_times_at_once_whoever_named_it(opened: House) -> None:
    for number in range(12):
        await endpoint(
            opened, f"sub_{number:02}", f"clinic-{number}", "vendor.example", [f"ref_{n}" for n in range(8)]
        )
    assert len(await leased(opened)) == 32


async def test_the_last_64_places_of_a_process_are_for_organizations_that_have_nothing_under_way(
    opened: House,
) -> None:
    await endpoint(opened, "sub_loud", "loud-plan", "loud.example", [f"ref_{n}" for n in range(20)])
    assert shares(await leased(opened)) == {"loud-plan": 8}
    for number in range(3):
        await endpoint(opened, f"sub_more{number}", "loud-plan", f"more{number}.example", ["ref_1"])
    await endpoint(opened, "sub_new", "new-clinic", "new.example", ["ref_1"])
    assert shares(await leased(opened, KEPT_FREE)) == {"new-clinic": 1}
    assert shares(await leased(opened, KEPT_FREE + 2)) == {"loud-plan": 2}


# ── the breaker ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ("", Breaker()),
        ("....", Breaker(4)),
        ("....!", Breaker()),
        ("....!....", Breaker(4)),
        (".....", Breaker(5, MONDAY + 4 * SECOND + FIRST_PAUSE)),
        # What was under way when it opened does not count.
        ("........", Breaker(5, MONDAY + 4 * SECOND + FIRST_PAUSE)),
    ],
)
def test_five_attempts_in_a_row_without_an_answer_open_it(attempts: str, expected: Breaker) -> None:
    told = [(MONDAY + n * SECOND, each == ".") for n, each in enumerate(attempts)]
    assert after(Breaker(), told) == expected


def test_each_silent_probe_doubles_the_pause_up_to_ten_minutes_and_an_answer_ends_it() -> None:
    breaker, pauses = after(Breaker(), [(MONDAY, True)] * OPENS_AFTER), list[timedelta]()
    for _ in range(7):
        asked = breaker.open_until
        assert asked is not None
        breaker = after(breaker, [(asked, True)])
        assert breaker.open_until is not None
        pauses.append(breaker.open_until - asked)
    assert [each.total_seconds() for each in pauses] == [60, 120, 240, 480, 600, 600, 600]
    assert pauses[-1] == LONGEST_PAUSE
    assert after(breaker, [(MONDAY, False)]) == Breaker()


@pytest.mark.parametrize(
    ("status", "unanswered"),
    [(None, True), (429, True), (503, True), (500, False), (400, False), (204, False)],
)
def test_an_endpoint_that_says_anything_is_there(status: int | None, unanswered: bool) -> None:
    assert silent(Attempted(status, "other" if status is None else None, 5)) is unanswered


async def test_a_hanging_endpoint_is_asked_with_one_delivery_after_its_pause_and_no_try_is_used_up_meanwhile(
    opened: House,
) -> None:
    name = await endpoint(opened, "sub_hangs", "loud-plan", "hangs.example", [f"ref_{n}" for n in range(20)])
    await ended(opened, await leased(opened), HUNG)
    await endpoint(opened, "sub_well", "loud-plan", "well.example", ["ref_1"])
    (other,) = await leased(opened)
    assert other.subscription == "sub_well"
    await ended(opened, [other], NOTHING)
    assert await leased(opened) == []
    opened.clock.advance(FIRST_PAUSE)
    (probe,) = await leased(opened)
    await ended(opened, [probe], HUNG)
    tries = await opened.rows("SELECT sum(number)::int AS n FROM delivery WHERE subscription = $1", name)
    assert tries == [{"n": 9}]
    opened.clock.advance(FIRST_PAUSE)
    assert await leased(opened) == []
    opened.clock.advance(FIRST_PAUSE)
    (probe,) = await leased(opened)
    await ended(opened, [probe], REFUSED)
    assert len(await leased(opened)) == 8


async def test_while_a_breaker_is_open_nothing_is_ahead_before_its_pause_is_over(opened: House) -> None:
    await endpoint(opened, "sub_hangs", "loud-plan", "hangs.example", [f"ref_{n}" for n in range(20)])
    await ended(opened, await leased(opened), HUNG)
    assert await lease.ahead(opened.context) == (0, opened.clock.now() + FIRST_PAUSE)


async def test_an_owner_who_enables_an_endpoint_has_it_called_at_once(opened: House) -> None:
    name = await endpoint(opened, "sub_hangs", "loud-plan", "hangs.example", [f"ref_{n}" for n in range(20)])
    await ended(opened, await leased(opened), HUNG)
    now: Any = opened.clock.now()
    await opened.context.store.transact(lambda c: lease.hurry(c, name, now))
    assert len(await leased(opened)) == 8


# ── behind one another ────────────────────────────────────────────────────────────────────────────────────


async def test_what_waits_behind_a_failing_delivery_is_due_with_it_and_at_once_when_that_is_over(
    opened: House,
) -> None:
    name = await endpoint(opened, "sub_1", "clinic", "clinic.example", ["ref_1", "ref_1", "ref_2"])
    first, other = await leased(opened)
    assert (first.referral, other.referral) == ("ref_1", "ref_2")
    await ended(opened, [first], REFUSED)
    later = opened.clock.now() + SCHEDULE[1]
    pending = await opened.rows(
        "SELECT next_attempt_at FROM delivery WHERE subscription = $1 AND referral = 'ref_1' ORDER BY sequence",
        name,
    )
    assert [each["next_attempt_at"] for each in pending] == [later, later]
    await ended(opened, [other], NOTHING)
    opened.clock.set(later)
    (again,) = await leased(opened)
    opened.clock.advance(timedelta(seconds=-1))
    await ended(opened, [again], NOTHING)
    assert await due(opened, name) == {"ref_1": opened.clock.now()}
