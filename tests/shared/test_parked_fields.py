"""A parked fact has a way out without a release: its field is named, a correction that names it lets the referral go on,
and the law's clocks run meanwhile. Tried with a claim whose first day is beyond every calendar: nobody can send one any
more, and a log may have it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import date, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization
from loopkeeper.contract import ids
from loopkeeper.contract.events import CATALOG
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.runtime.service import installed
from loopkeeper.store.blame import as_corrected, field_of
from tests.builders.authorization import ENTRY, TEAM, UNSURE, amended, claim, received
from tests.builders.facts import TODAY
from tests.databases import Fresh, Migrated
from tests.shared.replica import Replica, site

NEVER = date(9999, 12, 31)


@pytest_asyncio.fixture
async def desk(
    migrated: Migrated, fresh_database: Fresh, tmp_path: Path, clock: ManualClock
) -> AsyncGenerator[Replica]:
    log = await fresh_database("log")
    async with site(
        installed()["authorization"], await migrated("authorization"), log, tmp_path, clock
    ) as made:
        opened = await made.replica()
        await opened.hear(TEAM, ENTRY)
        yield opened


async def parked_by_its_claim(desk: Replica) -> str:
    """A referral whose corrected claim begins in the year 9999, its review waiting for a person."""
    stream = ids.new("ref")
    await desk.hear(stream, received(eligibility=UNSURE, claim=None))
    await desk.hear(stream, amended("corrected", claim=claim(from_=NEVER)))
    assert [each.stream for each in await desk.parked.listed()] == [stream]
    return stream


async def test_the_field_is_named_and_never_its_value(desk: Replica) -> None:
    stream = await parked_by_its_claim(desk)
    (fact,) = await desk.parked.facts(stream)
    assert (fact["type"], fact["field"]) == ("ecm.referral.amended.v1", "/claim/from")
    assert "9999" not in str(fact)
    await desk.parked.replay(stream)
    (shown,) = await desk.parked.listed()
    assert shown.error.endswith(", by its field /claim/from")


async def test_a_correction_that_names_the_field_lets_the_referral_go_on_at_once(
    desk: Replica, clock: ManualClock
) -> None:
    stream = await parked_by_its_claim(desk)
    # Every timed replay is over: only a person would try again.
    for wait in (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1)):
        clock.advance(wait)
        await desk.sweep._round()
    (waiting,) = await desk.parked.listed()
    assert waiting.next_retry_at is None

    # What corrects something else changes nothing.
    await desk.hear(stream, amended("corrected", county="alameda"))
    await desk.sweep._round()
    assert [each.facts for each in await desk.parked.listed()] == [2]

    await desk.hear(stream, amended("corrected", claim=claim(from_=TODAY)))
    await desk.sweep._round()
    assert await desk.parked.listed() == []
    # Noted as they came, the wrong one and its correction.
    assert await desk.types(stream, own=False) == ["referral.received"] + ["referral.amended"] * 3
    assert await folded(desk, stream) == await state_of(desk, stream)
    assert "authorization.presumptive_granted" in await desk.types(stream)


async def test_the_laws_clocks_of_a_parked_referral_go_on(desk: Replica, clock: ManualClock) -> None:
    """At risk, breached and the cap are told when they come, and nothing stays due."""
    stream = await parked_by_its_claim(desk)
    before = await desk.types(stream)
    for _ in range(10):
        due = await desk.pool.fetchval("SELECT min(due_at) FROM timer WHERE stream = $1", stream)
        if due is None:
            break
        clock.set(max(due, clock.now()))
        await desk.sweep.sweep()
    told = (await desk.types(stream))[len(before) :]
    assert told.count("authorization.overdue") == 2
    assert "authorization.deemed_adverse" in told
    assert await desk.pool.fetchval("SELECT count(*) FROM timer WHERE due_at <= $1", clock.now()) == 0
    assert [each.stream for each in await desk.parked.listed()] == [stream]


async def state_of(desk: Replica, stream: str) -> Authorization:
    return Authorization.model_validate_json(
        await desk.pool.fetchval("SELECT state FROM referral WHERE id = $1", stream)
    )


async def folded(desk: Replica, stream: str) -> Authorization | None:
    """What the journal makes of it: the proof of the row does the same."""
    rows = await desk.pool.fetch("SELECT type, payload FROM journal WHERE stream = $1 ORDER BY n", stream)
    events = [CATALOG.read(row["type"], row["payload"]) for row in rows]
    return DECIDER.fold(event for event in events if event is not None)


# ── by itself ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "fails", "field"),
    [
        ({"claim": claim(from_=NEVER)}, lambda fact: fact.claim and fact.claim.from_ == NEVER, "/claim/from"),
        (
            {"release_on": NEVER},
            lambda fact: fact.release_on == NEVER,
            "/release_on",
        ),
        ({"urgency": "expedited"}, lambda fact: fact.urgency == "expedited", "/urgency"),
        # Two that only together fail are told by the first without which the fact applies.
        (
            {"claim": claim(from_=NEVER), "urgency": "expedited"},
            lambda fact: fact.claim is not None and fact.urgency == "expedited",
            "/urgency",
        ),
        ({}, lambda fact: True, ""),
    ],
)
def test_the_field_is_the_one_without_whose_value_the_fact_applies(changes, fails, field) -> None:  # type: ignore[no-untyped-def]
    fact = amended("corrected", **changes)
    assert field_of(fact, lambda tried: not fails(tried)) == field


def test_a_correction_takes_the_place_of_what_it_names_and_of_nothing_else() -> None:
    fact = received(claim=claim(from_=NEVER), county="alameda")
    (one,) = as_corrected(fact, amended("corrected", claim=claim()))
    assert one == fact.model_copy(update={"claim": claim()})
    each = list(as_corrected(fact, amended("corrected", claim=claim(), county="contra-costa")))
    assert [(tried.claim, tried.county) for tried in each] == [
        (fact.claim, "contra-costa"), (claim(), "alameda"), (claim(), "contra-costa"),
    ]  # fmt: skip
    assert list(as_corrected(fact, ENTRY)) == []
