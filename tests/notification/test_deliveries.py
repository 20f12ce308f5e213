"""Does what must be heard arrive, in order, once, and does one bad endpoint hurt nobody else?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from loopkeeper.contract import ids
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.postgres.connections import Pool
from loopkeeper.store.transient import transient
from loopkeeper.testing.partner import Answer
from notification import workers
from notification.delivery.lease import RENEW_AFTER
from notification.delivery.statements import RECORDING
from notification.delivery.webhook import SCHEDULE
from notification.persistence import notice_proof
from notification.persistence.notice_proof import Told
from notification.persistence.outgoing import LEASE
from notification.workers import tell_once
from tests.builders.facts import closed
from tests.builders.notification import DAVID, approved, made, received
from tests.builders.organizations import HARBOR, OTHER, REFERRER, STREET
from tests.databases import Migrated
from tests.notification.deliveries import attempts, heard, partner, sender, subscribe, sweep
from tests.notification.house import House, house


@pytest_asyncio.fixture
async def opened(migrated: Migrated, tmp_path: Path) -> AsyncGenerator[House]:
    async with house(await migrated("notification"), tmp_path) as found:
        yield found


async def test_a_failed_delivery_is_tried_again_after_the_schedules_wait_under_the_same_id(
    opened: House,
) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        subscription = await subscribe(opened, REFERRER, clinic)
        clinic.next_answers.append(Answer(503))
        await opened.hear(received())
        assert await sweep(deliverer) == 1
        assert await sweep(deliverer) == 0
        opened.clock.advance(SCHEDULE[1])
        assert await sweep(deliverer) == 1
        assert await sweep(deliverer) == 0
        first, second = heard(clinic)
        assert first.webhook_id == second.webhook_id
        assert first.body == second.body
        assert second.signed
        told = await attempts(opened, REFERRER, subscription)
        assert [(a["number"], a["outcome"], a["status"]) for a in told] == [
            (1, "failed", 503),
            (2, "delivered", 204),
        ]


async def test_the_tenth_failure_is_the_last(opened: House) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        subscription = await subscribe(opened, REFERRER, clinic)
        clinic.answer = Answer(500)
        await opened.hear(received())
        for wait in SCHEDULE:
            opened.clock.advance(wait)
            assert await sweep(deliverer) == 1
        opened.clock.advance(timedelta(days=30))
        assert await sweep(deliverer) == 0
        assert (await attempts(opened, REFERRER, subscription))[-1]["outcome"] == "exhausted"


async def test_an_endpoint_that_hangs_delays_no_other(opened: House) -> None:
    async with partner(opened) as plan, partner(opened) as clinic, sender(opened) as deliverer:
        await subscribe(opened, HARBOR, plan)
        await subscribe(opened, REFERRER, clinic)
        plan.answer = Answer(manner="hang")
        for _ in range(30):
            await opened.hear(received(), stream=ids.new("ref"))
        async with asyncio.TaskGroup() as tasks:
            while len(heard(clinic)) < 30:
                await deliverer.sweep(tasks)
                await asyncio.sleep(0.01)
            # What hangs is still under way, and no more of it than an endpoint may hold.
            assert len(heard(plan)) <= 8
            for task in asyncio.all_tasks():
                if task.get_name().startswith("deliver "):
                    task.cancel()


async def test_what_waits_for_its_turn_goes_as_soon_as_there_is_room_and_not_at_the_next_look(
    opened: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint takes eight at a time."""
    monkeypatch.setattr(workers, "EVERY", 3600.0)
    async with partner(opened) as clinic, sender(opened) as deliverer:
        await subscribe(opened, REFERRER, clinic)
        for _ in range(40):
            await opened.hear(received(), stream=ids.new("ref"))
        running = asyncio.create_task(deliverer.run(Heartbeat(time.monotonic, transient)))
        await clinic.came(1 + 40)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert len({taken.webhook_id for taken in heard(clinic)}) == 40


async def test_a_failing_delivery_holds_back_its_own_referral_only(opened: House) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        await subscribe(opened, REFERRER, clinic)
        clinic.next_answers.append(Answer(503))
        other = ids.new("ref")
        await opened.hear(received())
        await sweep(deliverer)
        await opened.hear(approved())
        await opened.hear(received(), stream=other)
        await sweep(deliverer, rounds=2)
        assert [taken.json()["data"]["referral"] for taken in heard(clinic)] == [DAVID, other]
        opened.clock.advance(SCHEDULE[1])
        await sweep(deliverer, rounds=2)
        mine = [t.json()["type"] for t in heard(clinic) if t.json()["data"]["referral"] == DAVID]
        assert mine == ["ecm.notice.received.v1", "ecm.notice.received.v1", "ecm.notice.authorized.v1"]


async def test_a_sender_that_died_before_recording_sends_again_under_the_same_id(opened: House) -> None:
    async with partner(opened) as clinic:
        await subscribe(opened, REFERRER, clinic)
        await opened.hear(received())
        async with sender(opened) as dying, asyncio.TaskGroup() as tasks:
            # It sends, hears the 2xx, and is gone before it wrote that down.
            assert await dying.sweep(tasks) == 1
        async with sender(opened) as living:
            assert await sweep(living) == 0
            opened.clock.advance(LEASE)
            assert await sweep(living) == 1
            opened.clock.advance(LEASE)
            assert await sweep(living) == 0
        first, second = heard(clinic)
        assert first.webhook_id == second.webhook_id


async def test_a_living_senders_lease_never_runs_out_under_it_however_slow_the_endpoint(
    opened: House,
) -> None:
    async with partner(opened) as clinic, sender(opened) as slow, sender(opened) as idle:
        await subscribe(opened, REFERRER, clinic)
        clinic.answer = Answer(manner="hang")
        await opened.hear(received())
        async with asyncio.TaskGroup() as tasks:
            assert await slow.sweep(tasks) == 1
            for _ in range(6):
                opened.clock.advance(RENEW_AFTER)
                assert await slow.sweep(tasks) == 0
                assert await sweep(idle) == 0
            # Dead, it renews no more.
            opened.clock.advance(LEASE)
            clinic.answer = Answer()
            assert await sweep(idle) == 1
            for task in asyncio.all_tasks():
                if task.get_name().startswith("deliver "):
                    task.cancel()


async def test_what_is_being_sent_is_not_sent_again_by_the_same_sender_when_the_clock_jumps(
    opened: House,
) -> None:
    async with partner(opened) as plan, partner(opened) as clinic, sender(opened) as deliverer:
        await subscribe(opened, HARBOR, plan)
        await subscribe(opened, REFERRER, clinic)
        plan.answer = Answer(manner="hang")
        sending = asyncio.create_task(deliverer.run(Heartbeat(time.monotonic, transient)))
        for number in range(8):
            referral = ids.new("ref")
            await opened.hear(received(), stream=referral)
            await opened.hear(approved(), stream=referral)
            # What is behind the first of each pair is leased with its record.
            while len(heard(clinic)) < 2 * number + 1:  # noqa: ASYNC110 the endpoint is where it is seen
                await asyncio.sleep(0.005)
            opened.clock.advance(LEASE)
        while len(heard(clinic)) < 16:  # noqa: ASYNC110 the same
            await asyncio.sleep(0.005)
        sending.cancel()
        await asyncio.wait([sending])
        for endpoint in (plan, clinic):
            sent = [taken.webhook_id for taken in heard(endpoint)]
            assert len(sent) == len(set(sent))


async def test_two_senders_at_once_send_nothing_twice(opened: House) -> None:
    async with partner(opened) as clinic, sender(opened) as one, sender(opened) as two:
        await subscribe(opened, REFERRER, clinic)
        for _ in range(20):
            await opened.hear(received(), stream=ids.new("ref"))
        for _ in range(4):
            await asyncio.gather(sweep(one), sweep(two))
        sent = [taken.webhook_id for taken in heard(clinic)]
        assert len(sent) == len(set(sent)) == 20


async def test_an_endpoint_that_is_gone_is_left_alone_and_what_arises_is_kept(opened: House) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        subscription = await subscribe(opened, REFERRER, clinic)
        clinic.next_answers.append(Answer(410))
        await opened.hear(received())
        await sweep(deliverer)
        await opened.hear(approved())
        opened.clock.advance(timedelta(days=1))
        assert await sweep(deliverer) == 0
        async with opened.caller(REFERRER) as caller:
            assert (await caller.get(f"/v1/subscriptions/{subscription}")).json()["state"] == "disabled"
            await caller.post(f"/v1/subscriptions/{subscription}:verify")
        await sweep(deliverer, rounds=2)
        assert [taken.json()["type"] for taken in heard(clinic)][1:] == [
            "ecm.notice.received.v1", "ecm.notice.authorized.v1",
        ]  # fmt: skip


async def test_attempts_are_read_by_their_owner_and_by_nobody_else(opened: House) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        subscription = await subscribe(opened, REFERRER, clinic)
        await opened.hear(received())
        await sweep(deliverer)
        assert len(await attempts(opened, REFERRER, subscription)) == 1
        for stranger in (HARBOR, STREET, OTHER):
            assert await attempts(opened, stranger, subscription) == [404]


async def test_an_endpoints_own_words_are_read_by_its_owner_and_kept_sealed(opened: House) -> None:
    """An error page may quote the person it was told about."""
    words = "cannot file notice: chart of Zebediah Quillfeather is locked"
    async with partner(opened) as clinic, sender(opened) as deliverer:
        subscription = await subscribe(opened, REFERRER, clinic)
        clinic.next_answers.append(Answer(500, words.encode()))
        await opened.hear(received())
        await sweep(deliverer)
        (shown,) = await attempts(opened, REFERRER, subscription)
        assert shown["response"] == words
        (kept,) = await opened.rows("SELECT a::text AS row FROM attempt a")
        assert "Quillfeather" not in kept["row"]


async def test_a_feed_is_numbered_without_a_gap_whoever_writes_at_once(opened: House) -> None:
    async with partner(opened) as plan:
        await subscribe(opened, HARBOR, plan)
        streams = [ids.new("ref") for _ in range(12)]
        await asyncio.gather(*(opened.hear(received(), made(), approved(), stream=s) for s in streams))
        rows = await opened.rows("SELECT sequence FROM feed ORDER BY sequence")
        assert [row["sequence"] for row in rows] == list(range(1, 37))
        bodies = await opened.rows("SELECT body, sequence FROM feed")
        assert all(f'"sequence":{row["sequence"]}' in row["body"] for row in bodies)


async def test_the_closings_arrival_is_published_once_and_only_after_it_arrived(opened: House) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        await subscribe(opened, REFERRER, clinic)
        await opened.hear(received(), closed())
        assert await tell_once(opened.context) == 0
        await sweep(deliverer, rounds=2)
        # Both notices are told; only the closing's arrival is news for the others, and still to be written down.
        arrived = await opened.rows(
            "SELECT told FROM delivery WHERE delivered_at IS NOT NULL AND notice <> ''"
        )
        assert sorted(each["told"] for each in arrived) == [False, True]
        assert await tell_once(opened.context) == 1
        assert await tell_once(opened.context) == 0
        assert await opened.rows(
            "SELECT count(*) AS n FROM notice WHERE told_at IS NULL AND recipient <> ''"
        ) == [{"n": 0}]
        told = await opened.rows("SELECT count(*) AS n FROM journal WHERE type = 'ecm.notice.delivered.v1'")
        assert told == [{"n": 1}]


@dataclass
class Explained:
    """Takes statements, and keeps how they would be run."""

    pool: Pool
    plans: list[str] = field(default_factory=list[str])

    async def execute(self, query: str, *args: object) -> None:
        self.plans += [row[0] for row in await self.pool.fetch(f"EXPLAIN {query}", *args)]


async def test_what_became_of_a_delivery_is_written_by_its_id_however_much_waits_for_others(
    opened: House,
) -> None:
    """Before PostgreSQL has analyzed a table it takes what is pending, or not told, for one row."""
    pool = opened.context.pool
    await pool.execute(
        """INSERT INTO delivery (id, subscription, sequence, referral, notice, told, trigger, asked, state, number,
             next_attempt_at, lease)
           SELECT 'dlv_' || i, 'sub_dead', i, 'ref_' || i, '', false, 'scheduled', '', 'pending', 0, now(), ''
           FROM generate_series(1, 2000) i"""
    )
    await pool.execute(
        """INSERT INTO notice (id, referral, plan, event, code, recipient, recipient_kind, addressee, words, needs, closing,
             published, at, told_how, told_by)
           SELECT 'ntc_' || i, 'ref_' || i, 'p', gen_random_uuid(), 'c', 'org', 'pcp', '', '{}', '{}', false, false, now(), '',
             '{}' FROM generate_series(1, 2000) i"""
    )
    now = opened.clock.now()
    recorded = await pool.fetch(
        f"EXPLAIN {RECORDING}", ["dlv_1"], ["l"], ["delivered"], [1], [None], [now], [False]
    )
    marked = Explained(pool)
    await notice_proof.mark(marked, [Told("ntc_1", now, "webhook")])
    plan = "\n".join((*(row[0] for row in recorded), *marked.plans))
    assert {"delivery_pkey", "notice_pkey"} <= set(plan.split())
    assert not {"delivery_due", "delivery_order", "notice_untold", "notice_untold_kind"} & set(plan.split())
