"""Every failure protocols.md §1 names, reproduced on real PostgreSQL, and what the store makes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from loopkeeper.contract import events, ids
from loopkeeper.contract.decider import Refused
from loopkeeper.kernel.errors import Busy, Problem
from loopkeeper.postgres.connections import connect
from loopkeeper.store import proof
from loopkeeper.store.batch import Outcome
from loopkeeper.store.definition import Submission
from loopkeeper.store.offsets import Overtaken
from loopkeeper.store.store import CommandFailed
from tests.databases import Migrated
from tests.shared.cut_line import cut_line
from tests.shared.events import REVIEW, STARTED
from tests.shared.stores import (
    fact,
    opened,
    read_to,
    received,
    reception,
    withdrawal,
)

# A text PostgreSQL cannot keep in a state: whatever reads it fails, every time.
POISON = REVIEW.model_copy(update={"authorization": "a\0b"})


# ── one command ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_command_writes_row_journal_and_outbox_in_one_go(migrated: Migrated, tmp_path: Path) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        outcome = await bench.store.submit(reception())
        row = await bench.pool.fetchrow("SELECT * FROM referral")
        assert row is not None
        assert (row["id"], row["n"], row["sequence"], row["status"]) == (outcome.stream, 1, 1, "received")
        (entry,) = await bench.pool.fetch("SELECT * FROM journal")
        assert (entry["own"], entry["sequence"], entry["chain"]) == (True, 1, row["head"])
        assert await bench.count("outbox") == 1


async def test_the_same_key_answers_with_the_same_referral(migrated: Migrated, tmp_path: Path) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        key = uuid4()
        first = await bench.store.submit(reception(command_id=key, body=b"a"))
        again = await bench.store.submit(reception(command_id=key, body=b"a"))
        assert (again.stream, again.repeated, again.state) == (first.stream, True, first.state)
        assert await bench.count("referral") == 1
        with pytest.raises(Problem) as reused:
            await bench.store.submit(reception(command_id=key, body=b"b"))
        assert (reused.value.status, reused.value.slug) == (422, "key-reused")


async def test_the_same_key_twice_in_one_batch_is_one_referral(migrated: Migrated, tmp_path: Path) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        key = uuid4()
        twice = await asyncio.gather(*(bench.store.submit(reception(command_id=key)) for _ in range(5)))
        assert len({outcome.stream for outcome in twice}) == 1
        assert await bench.count("referral") == 1


async def test_the_same_key_at_once_on_two_replicas_waits_and_gets_the_one_referral(
    migrated: Migrated, tmp_path: Path
) -> None:
    url = await migrated("example")
    async with opened(url, tmp_path) as one, opened(url, tmp_path) as two:
        for _ in range(20):
            key = uuid4()
            outcomes = await asyncio.gather(
                *(each.store.submit(reception(command_id=key)) for each in (one, two))
            )
            assert len({outcome.stream for outcome in outcomes}) == 1
        assert await one.count("referral") == 20


async def test_a_refusal_claims_nothing_so_the_same_key_may_succeed_later(
    migrated: Migrated, tmp_path: Path
) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        stream, key = ids.new("ref"), uuid4()
        with pytest.raises(Refused):
            await bench.store.submit(withdrawal(stream, command_id=key))
        assert await bench.count("claim") == 0
        await bench.store.submit(Submission(uuid4(), stream, received()))
        outcome = await bench.store.submit(withdrawal(stream, command_id=key))
        assert outcome.state.closing.outcome == "withdrawn"


# ── batches ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_one_refused_command_among_256_spoils_nothing(migrated: Migrated, tmp_path: Path) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        batch = [reception() for _ in range(255)]
        batch.insert(100, withdrawal(ids.new("ref")))
        outcomes = await bench.store.execute(batch)
        assert isinstance(outcomes[batch[100].id], Refused)
        assert await bench.count("referral") == 255
        assert await bench.count("claim") == 255


async def test_several_commands_of_one_referral_see_each_other(migrated: Migrated, tmp_path: Path) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        first = reception()
        closing, again = withdrawal(first.stream), withdrawal(first.stream)
        outcomes = await bench.store.execute([first, closing, again])
        assert isinstance(outcomes[closing.id], Outcome)
        assert isinstance(outcomes[again.id], Refused)
        assert [row["n"] for row in await bench.pool.fetch("SELECT n FROM journal ORDER BY n")] == [1, 2]


async def test_a_guilty_command_is_found_and_answered_alone(migrated: Migrated, tmp_path: Path) -> None:
    """A text PostgreSQL cannot store gets past the rules; only its own caller hears of it."""
    async with opened(await migrated("example"), tmp_path) as bench:
        bad = Submission(uuid4(), ids.new("ref"), received(county="a\0b"))
        batch = [*(reception() for _ in range(40)), bad, *(reception() for _ in range(40))]
        outcomes = await bench.store.execute(batch)
        assert isinstance(outcomes[bad.id], CommandFailed)
        assert await bench.count("referral") == 80
        assert await bench.pool.fetchval("SELECT count(*) FROM claim WHERE id = $1", bad.id) == 0


async def test_requests_gather_while_a_commit_is_under_way(migrated: Migrated, tmp_path: Path) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        await asyncio.gather(*(bench.store.submit(reception()) for _ in range(300)))
        transactions = await bench.pool.fetchval("SELECT count(DISTINCT xmin::text) FROM referral")
        assert transactions <= 10


async def test_past_the_queues_bound_the_answer_is_busy(migrated: Migrated, tmp_path: Path) -> None:
    async with opened(await migrated("example"), tmp_path, queue=3) as bench:
        waiting = [asyncio.create_task(bench.store.submit(reception())) for _ in range(10)]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(isinstance(outcome, Busy) for outcome in outcomes) == 7
        assert await bench.count("referral") == 3


async def test_a_cancelled_callers_command_still_commits_and_the_writer_lives(
    migrated: Migrated, tmp_path: Path
) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        caller = asyncio.create_task(bench.store.submit(reception()))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        await bench.store.submit(reception())
        assert await bench.count("referral") == 2


# ── locks ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_referrals_of_one_person_at_once_get_one_member(migrated: Migrated, tmp_path: Path) -> None:
    """What is loaded after a lock wait must be what the other committed, not what was there before it."""
    url = await migrated("example")
    async with opened(url, tmp_path) as one, opened(url, tmp_path) as two:
        for number in range(30):
            key = f"harbor-health-plan:{number}"
            outcomes = await asyncio.gather(*(each.store.submit(reception(key)) for each in (one, two)))
            assert len({outcome.state.member for outcome in outcomes}) == 1


async def test_batches_in_opposite_orders_never_deadlock(migrated: Migrated, tmp_path: Path) -> None:
    url = await migrated("example")
    async with opened(url, tmp_path) as one, opened(url, tmp_path) as two:
        known = [reception(f"plan:{n}") for n in range(40)]
        await one.store.execute(known)
        before = await one.pool.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )

        async def work(bench: Any, order: list[Submission], turn: int) -> None:
            facts = [fact(s.stream, REVIEW, offset=n) for n, s in enumerate(order)]
            fresh = [reception(f"plan:{n}") for n in range(40)]
            await bench.store.execute(facts + (fresh if turn else fresh[::-1]), patience=10.0)

        for _ in range(10):
            await asyncio.gather(work(one, known, 0), work(two, known[::-1], 1))
        after = await one.pool.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        assert after == before
        assert await one.count("referral") == 40 + 2 * 10 * 40


async def test_a_paused_replicas_open_transaction_stalls_nobody_for_long(
    migrated: Migrated, tmp_path: Path
) -> None:
    url = await migrated("example")
    async with opened(url, tmp_path) as bench:
        known = await bench.store.submit(reception())
        paused = await connect(url)
        await paused.execute("BEGIN")
        await paused.execute("SELECT 1 FROM referral WHERE id = $1 FOR UPDATE", known.stream)
        outcome = await bench.store.execute([fact(known.stream, REVIEW)], patience=12.0)
        assert all(isinstance(each, Outcome) for each in outcome.values())
        paused.terminate()


# ── facts ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_fact_delivered_twice_has_one_effect(migrated: Migrated, tmp_path: Path) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        known = await bench.store.submit(reception())
        sent = fact(known.stream, STARTED)
        first = await bench.store.execute([sent], await read_to(bench.store, 2))
        again = await bench.store.execute([sent], await read_to(bench.store, 2))
        assert [type(first[sent.id]), type(again[sent.id])] == [Outcome, Outcome]
        closed = "journal WHERE type = 'ecm.referral.closed.v1'"
        assert await bench.count(closed) == 1
        assert await bench.pool.fetchval("SELECT next_offset FROM consumed") == 2


async def test_a_zombie_consumers_late_batch_changes_nothing_and_moves_no_offset_back(
    migrated: Migrated, tmp_path: Path
) -> None:
    url = await migrated("example")
    async with opened(url, tmp_path) as living, opened(url, tmp_path) as zombie:
        known = await living.store.submit(reception())
        early, late = fact(known.stream, REVIEW, 1), fact(known.stream, STARTED, 2)
        old = await read_to(zombie.store, 2)
        await living.store.execute([early, late], await read_to(living.store, 3))
        with pytest.raises(Overtaken):
            await zombie.store.execute([early], old)
        assert await living.pool.fetchval("SELECT next_offset FROM consumed") == 3
        assert await living.count("journal") == 4


async def test_a_fact_about_an_unknown_referral_leaves_a_bare_row(migrated: Migrated, tmp_path: Path) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        stream = ids.new("ref")
        await bench.store.execute([fact(stream, REVIEW)])
        row = await bench.pool.fetchrow("SELECT status, plan_id FROM referral WHERE id = $1", stream)
        assert row is not None
        assert (row["status"], row["plan_id"]) == ("", "")


async def test_a_fact_whose_rule_fails_is_parked_alone_with_what_follows_it(
    migrated: Migrated, tmp_path: Path
) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        one, other = reception(), reception()
        await bench.store.execute([one, other])
        poison = fact(one.stream, POISON, 1)
        behind, free = fact(one.stream, STARTED, 2), fact(other.stream, REVIEW, 3)
        await bench.store.execute([poison, behind, free], await read_to(bench.store, 4))
        parked = await bench.pool.fetch('SELECT stream, "offset" FROM parked ORDER BY "offset"')
        assert [(row["stream"], row["offset"]) for row in parked] == [(one.stream, 1), (one.stream, 2)]
        assert (
            await bench.pool.fetchval("SELECT status FROM referral WHERE id = $1", other.stream)
            == "pending_authorization"
        )
        assert await bench.pool.fetchval("SELECT next_offset FROM consumed") == 4


async def test_a_person_goes_on_with_a_parked_referral(migrated: Migrated, tmp_path: Path) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        known = reception()
        poison = fact(known.stream, POISON, 1)
        await bench.store.execute([known, poison])
        outcome = await bench.store.submit(withdrawal(known.stream))
        assert outcome.state.closing.outcome == "withdrawn"


# ── journal ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_folding_the_journal_gives_the_row_with_every_derived_column(
    migrated: Migrated, tmp_path: Path
) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        known = reception()
        await bench.store.execute([known, fact(known.stream, REVIEW, 1), fact(known.stream, STARTED, 2)])
        await assert_folded(bench)


async def assert_folded(bench: Any) -> None:
    domain = bench.store.domain
    for row in await bench.pool.fetch("SELECT *, to_jsonb(referral) AS whole FROM referral"):
        entries = await bench.pool.fetch("SELECT * FROM journal WHERE stream = $1 ORDER BY n", row["id"])
        read = [events.read(entry["type"], entry["payload"]) for entry in entries]
        state = domain.decider.fold(event for event in read if event is not None)
        assert state == domain.decider.state.model_validate_json(row["state"])
        for name, value in domain.columns(state).items():
            kept = row[name].isoformat() if hasattr(row[name], "isoformat") else row[name]
            assert kept == value, name


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        ("UPDATE journal SET payload = '{}' WHERE n = 2", "a journal row was changed"),
        ("DELETE FROM journal WHERE n = 2", "a journal row is missing"),
        ("DELETE FROM journal WHERE n = 3", "the journal ends elsewhere than its row says"),
        ("TRUNCATE journal", "the journal of this row is missing"),
        ("DELETE FROM referral", "the row of this journal is missing"),
        ("UPDATE journal SET at = at + interval '1 day' WHERE n = 1", "a journal row was changed"),
    ],
)
async def test_whoever_harms_the_journal_is_found(
    migrated: Migrated, tmp_path: Path, harm: str, what: str
) -> None:
    url = await migrated("example")
    async with opened(url, tmp_path) as bench:
        known = reception()
        await bench.store.execute([known, fact(known.stream, REVIEW, 1), withdrawal(known.stream)])
        connection = await connect(url)
        key = bench.sealer.chain_key()
        assert await proof.verify(connection, key, "/intake", ["referral"]) == []
        await connection.execute("DROP TRIGGER journal_append_only ON journal")
        await connection.execute(harm)
        flaws = await proof.verify(connection, key, "/intake", ["referral"])
        assert [flaw.what for flaw in flaws] == [what]
        await connection.close()


async def test_the_journal_cannot_be_changed_by_accident(migrated: Migrated, tmp_path: Path) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        await bench.store.submit(reception())
        for harm in ("UPDATE journal SET n = 7", "DELETE FROM journal", "TRUNCATE journal"):
            with pytest.raises(Exception, match="append-only"):
                await bench.pool.execute(harm)


# ── a line that breaks ────────────────────────────────────────────────────────────────────────────────────


async def test_a_lost_reply_to_a_commit_doubles_nothing(migrated: Migrated, tmp_path: Path) -> None:
    url = await migrated("example")
    async with cut_line(url) as line, opened(line.through, tmp_path) as bench:
        await bench.store.submit(reception())
        read = await read_to(bench.store, 7)
        line.cut_commits = 1
        batch = [reception() for _ in range(50)]
        outcomes = await bench.store.execute(batch, read, patience=5.0)
        assert line.cut_commits == 0
        assert {outcome.stream for outcome in outcomes.values() if isinstance(outcome, Outcome)} == {
            submission.stream for submission in batch
        }
        assert await bench.count("referral") == 51
        assert await bench.count("journal") == 51
        assert await bench.count("outbox") == 51


async def test_a_request_whose_commit_reply_was_lost_is_answered_with_its_own_referral(
    migrated: Migrated, tmp_path: Path
) -> None:
    url = await migrated("example")
    async with cut_line(url) as line, opened(line.through, tmp_path) as bench:
        await bench.store.submit(reception())
        line.cut_commits = 1
        outcome = await bench.store.submit(reception())
        assert await bench.count("referral") == 2
        assert await bench.pool.fetchval("SELECT count(*) FROM referral WHERE id = $1", outcome.stream) == 1
