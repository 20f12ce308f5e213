"""What only the database can show: places that are never given twice, one live assignment a member, and every race of
two answers, in both orders, with two replicas on one database."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from assignment.domain.commands import (
    Accept,
    AssignByHand,
    Decline,
    End,
    NoteFact,
    RequestChange,
    Start,
    Withdraw,
)
from assignment.persistence.network import Network
from assignment.service import service
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Command, Refused
from loopkeeper.contract.events import Event, ProviderRecorded, ReferralAmended
from loopkeeper.event_log.port import Received
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.store.definition import Submission
from loopkeeper.testing.rules import MONDAY
from tests.builders.assignment import APPROVED, RECEIVED
from tests.builders.facts import closed
from tests.builders.organizations import HARBOR, LEAD, MARIA, NAVIGATORS, STREET
from tests.databases import Databases
from tests.shared.replica import Replica, Site, listed, referred, site
from tests.shared.stores import message

DAY = timedelta(days=1)


@pytest_asyncio.fixture(scope="module")
async def here(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Site]:
    """One database for all claims of this file: each has members and providers of its own."""
    url = await databases.make("assignment", await databases.template("assignment"))
    folder: Path = tmp_path_factory.mktemp("places")
    async with site(service, url, await databases.make("log"), folder, ManualClock(MONDAY)) as made:
        yield made
    await databases.drop()


@pytest_asyncio.fixture(scope="module")
async def replicas(here: Site) -> tuple[Replica, Replica]:
    """Two replicas: as in two processes, they share nothing but the database."""
    return await here.replica(), await here.replica()


@pytest_asyncio.fixture
async def pair(replicas: tuple[Replica, Replica]) -> AsyncGenerator[tuple[Replica, Replica]]:
    """The replicas, every place free. Whatever a claim did, the places that are kept are those that are taken."""
    yield replicas
    kept = "SELECT provider_id, plan_id, taken FROM places WHERE taken <> 0 ORDER BY 1, 2"
    counted = "SELECT provider_id, plan_id, count(*) AS taken FROM assignment WHERE held GROUP BY 1, 2 ORDER BY 1, 2"
    pool = replicas[0].pool
    assert await pool.fetch(kept) == await pool.fetch(counted)
    await pool.execute("DELETE FROM assignment")
    assert await pool.fetch(kept) == []


def arrived(member: str = "") -> tuple[str, Event]:
    stream, _ = referred()
    return stream, RECEIVED.model_copy(update={"member": member or f"mem_{uuid4().hex}"})


async def serving(desk: Replica, street: int = 0, navigators: int = 0) -> None:
    """The directory for one claim: how many places each has."""
    await desk.store.execute([listed(STREET, capacity=street), listed(NAVIGATORS, capacity=navigators)])


async def heard(desk: Replica, stream: str, *facts: Event) -> None:
    """The facts as this replica's consumer hands them to its store."""
    await desk.store.execute([fact(stream, each) for each in facts])


def fact(stream: str, event: Event) -> Submission:
    sent = message(stream, event)
    return Submission(sent.id, stream, NoteFact(fact=event), received=Received(0, 1, stream, sent))


async def offered(desk: Replica, member: str = "") -> tuple[str, str]:
    """A referral and its open offer."""
    stream, received = arrived(member)
    await heard(desk, stream, received, APPROVED)
    return stream, await newest(desk, stream)


async def newest(desk: Replica, stream: str) -> str:
    return await desk.pool.fetchval(
        "SELECT id FROM assignment WHERE referral = $1 ORDER BY made_at DESC, n DESC LIMIT 1", stream
    )


async def submit(desk: Replica, stream: str, command: Command) -> bool:
    """Whether it was applied; a refusal is an answer too."""
    try:
        await desk.store.submit(Submission(uuid4(), stream, command))
    except Refused:
        return False
    return True


async def places(desk: Replica, streams: Sequence[str]) -> Counter[str]:
    rows = await desk.pool.fetch(
        "SELECT provider_id FROM assignment WHERE held AND referral = ANY($1::text[])", list(streams)
    )
    return Counter(row["provider_id"] for row in rows)


# ── the directory ─────────────────────────────────────────────────────────────────────────────────────────


async def test_of_the_directory_only_what_changed_is_read_again(pair: tuple[Replica, Replica]) -> None:
    desk, network = pair[0], Network()

    async def known() -> Mapping[str, ProviderRecorded]:
        async with desk.pool.acquire() as connection:
            return (await network.of(connection, [HARBOR], counted=False))[0]

    await serving(desk, street=3, navigators=4)
    before = await known()
    await desk.store.execute([listed(STREET, capacity=5)])
    after = await known()
    assert (before[STREET].capacity, after[STREET].capacity) == (3, 5)
    # The very one that was read before.
    assert after[NAVIGATORS] is before[NAVIGATORS]


# ── capacity ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_64_offers_at_once_from_two_replicas_never_exceed_the_places(
    pair: tuple[Replica, Replica],
) -> None:
    """loop.md 5.2: 50 places for 64 members; the other 14 are the plan's to place."""
    await serving(pair[0], street=30, navigators=20)
    arrivals = [arrived() for _ in range(64)]
    for turn, (stream, received) in enumerate(arrivals):
        await heard(pair[turn % 2], stream, received)
    streams = [stream for stream, _ in arrivals]
    halves = (streams[::2], streams[1::2])
    await asyncio.gather(
        *(
            desk.store.execute([fact(stream, APPROVED) for stream in half])
            for desk, half in zip(pair, halves, strict=True)
        )
    )
    assert await places(pair[0], streams) == {STREET: 30, NAVIGATORS: 20}
    asked = await pair[0].pool.fetchval(
        "SELECT count(*) FROM referral WHERE id = ANY($1::text[]) AND status = 'asked'", streams
    )
    assert asked == 14


async def test_the_last_place_freed_is_given_once(pair: tuple[Replica, Replica]) -> None:
    """Eight persons of the plan want the one place that a decline frees."""
    await serving(pair[0], street=1)
    first, assignment = await offered(pair[0])
    waiting: list[str] = []
    for _ in range(8):
        stream, received = arrived()
        await heard(pair[0], stream, received, APPROVED)
        waiting.append(stream)
    decline = Decline(assignment=assignment, provider=STREET, reason="no_capacity")
    by_hand = [AssignByHand(provider=STREET, acted_by=MARIA) for _ in waiting]
    await asyncio.gather(
        submit(pair[0], first, decline),
        *(
            submit(pair[turn % 2], stream, each)
            for turn, (stream, each) in enumerate(zip(waiting, by_hand, strict=True))
        ),
    )
    # A provider that came too early is refused; then there is one more chance for one.
    await asyncio.gather(
        *(submit(pair[1], stream, AssignByHand(provider=STREET, acted_by=MARIA)) for stream in waiting)
    )
    assert await places(pair[0], [first, *waiting]) == {STREET: 1}


async def test_two_referrals_of_one_member_at_once_make_one_assignment(pair: tuple[Replica, Replica]) -> None:
    """loop.md 5.3: the second loop asks the plan."""
    await serving(pair[0], street=20, navigators=20)
    for _ in range(10):
        member = f"mem_{uuid4().hex}"
        both = [arrived(member) for _ in range(2)]
        await asyncio.gather(
            *(
                heard(desk, stream, received, APPROVED)
                for desk, (stream, received) in zip(pair, both, strict=True)
            )
        )
        streams = [stream for stream, _ in both]
        assert (await places(pair[0], streams)).total() == 1
        standing = await pair[0].pool.fetch("SELECT status FROM referral WHERE id = ANY($1::text[])", streams)
        assert {row["status"] for row in standing} == {"offered", "asked"}


# ── races ─────────────────────────────────────────────────────────────────────────────────────────────────

Move = Callable[[Replica, str, str], Awaitable[Any]]


def moves() -> dict[str, Move]:
    """What may meet on one open offer."""

    def by_command(command: Callable[[str], Command]) -> Move:
        return lambda desk, stream, assignment: submit(desk, stream, command(assignment))

    def by_fact(fact: Event) -> Move:
        return lambda desk, stream, assignment: heard(desk, stream, fact)

    joined = ReferralAmended(occurred_at=MONDAY, cause="joined", joined="ref_other", preferred=(NAVIGATORS,))
    return {
        "accept": by_command(lambda a: Accept(assignment=a, provider=STREET, lead=LEAD)),
        "decline": by_command(lambda a: Decline(assignment=a, provider=STREET, reason="no_capacity")),
        "withdraw": by_command(lambda a: Withdraw(assignment=a, acted_by=MARIA)),
        "change": by_command(lambda a: RequestChange(assignment=a, wished=NAVIGATORS, acted_by=MARIA)),
        "by hand": by_command(lambda a: AssignByHand(provider=NAVIGATORS, acted_by=MARIA)),
        "end": by_command(lambda a: End(assignment=a, acted_by=MARIA)),
        "closed": by_fact(closed("withdrawn")),
        "merged": by_fact(closed("merged")),
        "served": by_fact(closed("services_received")),
        "joined": by_fact(joined),
    }


PAIRS = [(one, other) for one in moves() for other in moves() if one != other]


async def test_every_two_moves_on_one_offer_in_both_orders_and_at_once_leave_one_turn_or_somebody_who_must_act(
    pair: tuple[Replica, Replica],
) -> None:
    """loop.md 5.2, 5.3, 7.2, 7.6: one after the other in either order, and at once from two replicas."""
    await serving(pair[0], street=10_000, navigators=9_999)
    arrivals = {(pairing, how): arrived() for pairing in PAIRS for how in ("in turn", "at once")}
    await asyncio.gather(*(heard(pair[0], *arrival, APPROVED) for arrival in arrivals.values()))

    async def meet(pairing: tuple[str, str], how: str, stream: str) -> None:
        assignment = await newest(pair[0], stream)
        one, other = (moves()[name] for name in pairing)
        if how == "in turn":
            await one(pair[0], stream, assignment)
            await other(pair[1], stream, assignment)
        else:
            await asyncio.gather(one(pair[0], stream, assignment), other(pair[1], stream, assignment))

    await asyncio.gather(*(meet(*key, stream) for key, (stream, _) in arrivals.items()))
    for (pairing, how), (stream, _) in arrivals.items():
        assert await sound(pair[0], stream) == "", f"{pairing} {how}"


async def sound(desk: Replica, stream: str) -> str:
    """What is wrong with this loop; empty if nothing."""
    row = await desk.pool.fetchrow(
        "SELECT status, state ->> 'outcome' AS outcome FROM referral WHERE id = $1", stream
    )
    held = await desk.pool.fetchval("SELECT count(*) FROM assignment WHERE referral = $1 AND held", stream)
    types = Counter(await desk.types(stream))
    if held > 1:
        return "two turns at once"
    if row["outcome"] in ("withdrawn", "merged") and held:
        return "a turn outlives the loop"
    if not row["outcome"] and not held and row["status"] != "asked":
        return "nobody must act"
    over = types["assignment.declined"] + types["assignment.withdrawn"] + types["assignment.ended"]
    if types["assignment.made"] != over + held:
        return "a turn ended twice or never"
    return ""


# ── identity that arrives late ────────────────────────────────────────────────────────────────────────────


async def test_a_late_identity_marks_the_younger_assignment_and_lifts_the_mark_when_one_is_over(
    pair: tuple[Replica, Replica], here: Site
) -> None:
    """loop.md 2.12, whichever of the two is older."""
    desk, other = pair
    await serving(desk, street=20)
    for late_is_older in (False, True):
        member = f"mem_{uuid4().hex}"
        late, _ = await offered(desk) if late_is_older else ("", "")
        here.clock.advance(DAY)
        known, _ = await offered(desk, member)
        here.clock.advance(DAY)
        if not late_is_older:
            late, _ = await offered(desk)
        await heard(other, late, ReferralAmended(occurred_at=MONDAY, cause="answered", member=member))
        younger = known if late_is_older else late
        assert await marked(desk, member) == [younger]
        assert (await desk.types(late))[-1] == "assignment.plan_asked"
        # The mark stays whatever else is written of it.
        taken = Accept(assignment=await newest(desk, younger), provider=STREET, lead=LEAD)
        assert await submit(desk, younger, taken)
        assert await marked(desk, member) == [younger]
        over = Withdraw if late_is_older else End
        assert await submit(desk, late, over(assignment=await newest(desk, late), acted_by=MARIA))
        assert await marked(desk, member) == []
        live = await desk.pool.fetch("SELECT referral FROM assignment WHERE live AND member = $1", member)
        assert [row["referral"] for row in live] == [known]


async def test_a_planned_assignment_that_begins_beside_a_live_one_is_told_of_and_neither_is_lost(
    pair: tuple[Replica, Replica], here: Site
) -> None:
    """loop.md 2.12, 3.7: before its day it holds a place and not the member."""
    desk = pair[0]
    await serving(desk, street=20)
    release = la_date(here.clock.now()) + 3 * DAY
    planned, received = arrived()
    await heard(desk, planned, received.model_copy(update={"release_on": release}), APPROVED)
    member = await desk.pool.fetchval("SELECT member FROM referral WHERE id = $1", planned)
    here.clock.advance(DAY)
    live, _ = await offered(desk, member)
    assert (await places(desk, [planned, live])).total() == 2
    here.clock.advance(3 * DAY)
    start = Submission(uuid4(), planned, Start())
    await desk.store.execute([start])
    assert (await desk.types(planned))[-2:] == ["assignment.started", "assignment.plan_asked"]
    assert await marked(desk, member) == [live]


async def marked(desk: Replica, member: str) -> list[str]:
    rows = await desk.pool.fetch("SELECT referral FROM assignment WHERE conflicted AND member = $1", member)
    return [row["referral"] for row in rows]
