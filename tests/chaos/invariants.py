"""Is every promise kept? What is asked of the databases and the log once everything is quiet.

Each check answers sentences about what is broken, naming ids only; none is what a test wants to see. They need
nothing but the addresses of a house, whichever processes ran it and whatever was done to it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

import assignment.domain.deadlines
import assignment.domain.rules
import assignment.domain.state
import assignment.persistence.columns
import authorization.domain.deadlines
import authorization.domain.rules
import authorization.persistence.columns
import notification.domain.outreach.deadlines
import notification.domain.outreach.rules
import notification.persistence.columns
import referral_intake.domain.deadlines
import referral_intake.domain.rules
import referral_intake.persistence.columns
from loopkeeper.contract import events
from loopkeeper.contract.envelope import Message
from loopkeeper.event_log.generations import GENERATION, Generations
from loopkeeper.event_log.port import EventLog
from loopkeeper.flow.consumer import STORED_APART
from loopkeeper.kernel.settings import Settings
from loopkeeper.policy.reading import load
from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.runtime.run import Addresses, make_event_log
from loopkeeper.security.keyring import Keyring
from loopkeeper.security.sealing import Sealer
from loopkeeper.store import journal, proof
from loopkeeper.store.definition import Domain, Loaded, Loader
from loopkeeper.store.journal import Entry
from tests.kafka import PARTITIONS

CLOSED = events.ReferralClosed.wire_type()


class Unasked(Loader[Any, Any]):
    """Nothing is decided here: what was written is folded again."""

    async def load(self, connection: Connection, work: Any, locked: Any) -> Loaded[Any, Any]:
        raise NotImplementedError


UNASKED = Unasked()
DOMAINS: Mapping[str, Domain[Any, Any]] = {
    "intake": Domain(
        "intake",
        referral_intake.domain.rules.DECIDER,
        referral_intake.persistence.columns.columns,
        referral_intake.domain.deadlines.timers,
        loader=UNASKED,
        notes_all=True,
    ),
    "authorization": Domain(
        "authorization",
        authorization.domain.rules.DECIDER,
        authorization.persistence.columns.columns,
        authorization.domain.deadlines.timers,
        loader=UNASKED,
    ),
    "assignment": Domain(
        "assignment",
        assignment.domain.rules.DECIDER,
        assignment.persistence.columns.columns,
        assignment.domain.deadlines.timers,
        loader=UNASKED,
        reference_streams=frozenset({"provider"}),
    ),
    "notification": Domain(
        "notification",
        notification.domain.outreach.rules.DECIDER,
        notification.persistence.columns.columns,
        notification.domain.outreach.deadlines.timers(load(["notification"])),
        loader=UNASKED,
        notes_all=True,
    ),
}
# A notice's deadline is with the notice, until it is told or raised.
NOTICES_DUE = """SELECT referral AS stream, 'notice ' || id AS kind, due_at FROM notice
    WHERE due_at IS NOT NULL AND told_at IS NULL AND overdue_at IS NULL"""


@dataclass(frozen=True)
class Kept:
    """What one service keeps: its referrals' rows, states and journals, each by referral."""

    domain: Domain[Any, Any]
    rows: Mapping[str, Mapping[str, Any]]
    states: Mapping[str, Any]
    journals: Mapping[str, Sequence[Entry]]


@dataclass(frozen=True)
class Found:
    """Everything that is kept anywhere: by service, and what the log has, in its order."""

    services: Mapping[str, Kept]
    log: Sequence[Message]

    @property
    def referrals(self) -> Mapping[str, Mapping[str, Any]]:
        """Intake's rows: every referral there is, and its status."""
        return self.services["intake"].rows

    def published(self, wire_type: str) -> Mapping[str, set[UUID]]:
        """The events of this type by referral, however often each is in the log."""
        ids: dict[str, set[UUID]] = defaultdict(set)
        for message in self.log:
            if message.type == wire_type:
                ids[message.subject].add(message.id)
        return ids


async def everything_broken(addresses: Addresses, config: Path) -> list[str]:
    """Every check of this file."""
    found = await look(addresses)
    return [
        *await unsound(addresses, config),
        *await unfolded(addresses, found),
        *disordered(found.log),
        *unnoted(found),
        *disagreeing(found),
        *stalled(found),
        *closed_twice(found),
        *await left_over(addresses),
        *await doubled_or_untold(addresses),
    ]


def log_at(addresses: Addresses) -> EventLog:
    """The log, in PostgreSQL or in Kafka."""
    return make_event_log(addresses.event_log, Settings(kafka_partitions=PARTITIONS))


async def look(addresses: Addresses) -> Found:
    """Read it all."""
    services: dict[str, Kept] = {}
    for name, domain in DOMAINS.items():
        connection = await connect(addresses.databases[name])
        try:
            services[name] = await _kept(connection, domain)
        finally:
            await connection.close()
    event_log = log_at(addresses)
    try:
        generations = Generations()
        log = [
            r.message async for r in event_log.history() if not generations.void(r) and r.message is not None
        ]
    finally:
        await event_log.close()
    return Found(services, [message for message in log if message.type != GENERATION])


async def _kept(connection: Connection, domain: Domain[Any, Any]) -> Kept:
    rows = {row["id"]: dict(row) for row in await connection.fetch(f'SELECT * FROM "{domain.table}"')}
    states = {id: domain.decider.state.model_validate_json(row["state"]) for id, row in rows.items()}
    journals: dict[str, list[Entry]] = defaultdict(list)
    for row in await connection.fetch("SELECT * FROM journal ORDER BY stream, n"):
        journals[row["stream"]].append(journal.read_entry(row))
    return Kept(domain, rows, states, journals)


# ── journals, rows, log ───────────────────────────────────────────────────────────────────────────────────


async def unsound(addresses: Addresses, config: Path) -> list[str]:
    """Where journal, row and log do not prove each other."""
    key = Sealer(Keyring.open(config)).chain_key()
    broken: list[str] = []
    for name, domain in DOMAINS.items():
        connection, event_log = await connect(addresses.databases[name]), log_at(addresses)
        try:
            tables = (domain.table, *domain.reference_streams)
            flaws = await proof.verify(connection, key, f"/{name}", tables, event_log.history())
        finally:
            await connection.close()
            await event_log.close()
        broken += [f"{name}: {flaw.stream} at {flaw.n}: {flaw.what}" for flaw in flaws]
    return broken


async def unfolded(addresses: Addresses, found: Found) -> list[str]:
    """Rows that their journals do not give: state, columns, deadlines, and how far they are."""
    broken: list[str] = []
    for name, kept in found.services.items():
        documents: list[dict[str, Any]] = []
        deadlines: set[tuple[str, str, Any]] = set()
        for referral in kept.rows:
            entries = kept.journals.get(referral, ())
            facts = [events.read(entry.type, entry.payload) for entry in entries]
            folded = kept.domain.decider.fold(fact for fact in facts if fact is not None)
            if folded != kept.states[referral]:
                broken.append(f"{name}: the journal of {referral} folds to another state")
                continue
            deadlines |= {(referral, kind, at) for kind, at in kept.domain.timers(folded).items()}
            sequence = sum(entry.own for entry in entries)
            documents.append(
                {"id": referral, **kept.domain.columns(folded), "n": len(entries), "sequence": sequence}
            )
            if [entry.sequence for entry in entries if entry.own] != list(range(1, sequence + 1)):
                broken.append(f"{name}: the own events of {referral} are not numbered 1 to {sequence}")
        broken += [f"{name}: {what}" for what in await _rows_unlike(addresses, name, documents, deadlines)]
    return broken


async def _rows_unlike(
    addresses: Addresses,
    name: str,
    documents: Sequence[Mapping[str, Any]],
    deadlines: set[tuple[str, str, Any]],
) -> list[str]:
    """Filling a row with what its journal gives must leave it as it is; so must its deadlines."""
    connection = await connect(addresses.databases[name])
    try:
        table = DOMAINS[name].table
        unlike = await connection.fetch(
            f"""SELECT r.id FROM jsonb_array_elements($1::jsonb) AS x (document)
                JOIN "{table}" r ON r.id = document ->> 'id'
                WHERE to_jsonb(r) <> to_jsonb(jsonb_populate_record(r, document))""",
            orjson.dumps(documents).decode(),
        )
        timers = await connection.fetch("SELECT stream, kind, due_at FROM timer")
        due = await connection.fetch(NOTICES_DUE) if name == "notification" else []
    finally:
        await connection.close()
    standing = {(row["stream"], row["kind"], row["due_at"]) for row in timers}
    deadlines |= {(row["stream"], row["kind"], row["due_at"]) for row in due}
    return [
        *(f"the row of {row['id']} has other columns than its state" for row in unlike),
        *(f"{stream} has {kind} wrong" for stream, kind, _ in sorted(standing ^ deadlines)),
    ]


def disordered(log: Sequence[Message]) -> Iterator[str]:
    """Events that are first in the log out of their publisher's order, after a gap, or otherwise than before."""
    next_of: Counter[tuple[str, str]] = Counter()
    seen: dict[UUID, Message] = {}
    for message in log:
        if message.id in seen:
            if message != seen[message.id]:
                yield f"{message.id} of {message.subject} stands in the log in two ways"
            continue
        seen[message.id] = message
        line = (message.source, message.subject)
        next_of[line] += 1
        if message.sequence != next_of[line]:
            yield f"{message.source}: {message.subject} has {message.sequence} where {next_of[line]} is due"


def unnoted(found: Found) -> Iterator[str]:
    """Facts of a loop that a service which notes all has not, has twice, or has from nowhere."""
    published = Counter({(m.subject, m.id): 1 for m in found.log if m.subject.startswith("ref_")})
    for name, kept in found.services.items():
        noted = Counter((e.stream, e.id) for es in kept.journals.values() for e in es)
        ours = Counter({key: count for key, count in noted.items() if key[0].startswith("ref_")})
        for stream, id in ours - published:
            yield f"{name}: {stream} has {id} twice, or the log does not have it"
        if kept.domain.notes_all:
            yield from (f"{name}: {stream} has not noted {id}" for stream, id in published - ours)


# ── loops ─────────────────────────────────────────────────────────────────────────────────────────────────


def disagreeing(found: Found) -> Iterator[str]:
    """Referrals that the services know differently: whether they exist, how they ended, who serves."""
    intake, others = found.services["intake"].states, found.services
    for referral, ours in intake.items():
        missing = [name for name, kept in others.items() if referral not in kept.rows]
        if missing:
            yield f"{referral} is unknown to {', '.join(missing)}"
            continue
        assigned = others["assignment"].states[referral]
        reached = others["notification"].states[referral]
        outcome = ours.closing.outcome if ours.closing else ""
        told = reached.closing.outcome if reached.closing else ""
        if {outcome} != {told, assigned.outcome, others["authorization"].states[referral].outcome}:
            yield f"{referral} ended as {outcome!r} for intake, otherwise for others"
        held = ours.offer.assignment if ours.offer else ""
        # Held, if from a later day on.
        held_offer = assigned.held_offer.assignment if assigned.held_offer else ""
        street = reached.assignment
        if not held == held_offer == (street.assignment if street and not street.ended else ""):
            yield f"{referral} is not served by the same provider everywhere"


def stalled(found: Found) -> Iterator[str]:
    """Open loops in which nobody must act but Loopkeeper, which is quiet (loop.md 7.6)."""
    for referral, row in found.referrals.items():
        if row["status"] != "closed" and row["next_actor"] in ("", "loopkeeper"):
            yield f"{referral} is {row['status']}, and nobody must act"


def closed_twice(found: Found) -> Iterator[str]:
    """Loops with two closings, or a closed one without any."""
    closings = found.published(CLOSED)
    for referral, row in found.referrals.items():
        count = len(closings.get(referral, ()))
        if count != (row["status"] == "closed"):
            yield f"{referral} is {row['status']} with {count} closings"


# ── what waits, who was told ──────────────────────────────────────────────────────────────────────────────


async def left_over(addresses: Addresses) -> list[str]:
    """Anything unsent, unread or parked."""
    event_log = log_at(addresses)
    try:
        ends = await event_log.ends()
    finally:
        await event_log.close()
    broken: list[str] = []
    for name in DOMAINS:
        connection = await connect(addresses.databases[name])
        try:
            for table in ("outbox", "parked", "parked_stream"):
                if count := await connection.fetchval(f"SELECT count(*) FROM {table}"):
                    broken.append(f"{name}: {count} in {table}")
            if read := await _not_at(ends, connection):
                broken.append(f"{name} has read to {read}, the log ends at {ends}")
        finally:
            await connection.close()
    return broken


async def _not_at(ends: Mapping[int, int], connection: Connection) -> Mapping[int, int]:
    """Where else than at these ends the service stays; empty where it is there. What brought it nothing is stored within a
    second of being read."""
    deadline = asyncio.get_running_loop().time() + 3 * STORED_APART
    while True:
        read = {row["partition"]: row["next_offset"] for row in await connection.fetch(CONSUMED)}
        # Of a partition that nobody wrote to nothing was read.
        if read == {partition: end for partition, end in ends.items() if end or partition in read}:
            return {}
        if asyncio.get_running_loop().time() > deadline:
            return read
        await asyncio.sleep(0.02)


CONSUMED = "SELECT partition, next_offset FROM consumed"

# What each of these finds is told by its first column.
TELLING = {
    "is in one feed twice": """SELECT id FROM feed GROUP BY subscription, id HAVING count(*) > 1""",
    "has a feed with gaps": """SELECT s.id FROM subscription s LEFT JOIN feed f ON f.subscription = s.id
        GROUP BY s.id HAVING count(f.id) <> s.sequence OR coalesce(max(f.sequence), 0) <> s.sequence""",
    "is two notices of one event": """SELECT min(id) FROM notice GROUP BY event, recipient, code HAVING count(*) > 1""",
    "was not delivered": """SELECT d.id FROM delivery d JOIN subscription s ON s.id = d.subscription
        WHERE s.state = 'enabled' AND d.state <> 'delivered'""",
    "has no delivery": """SELECT f.id FROM feed f JOIN subscription s ON s.id = f.subscription AND s.url IS NOT NULL
        LEFT JOIN delivery d ON d.subscription = f.subscription AND d.sequence = f.sequence WHERE d.id IS NULL""",
    "was tried under another id": """SELECT d.id FROM delivery d JOIN attempt a ON a.delivery = d.id
        JOIN feed f ON f.subscription = d.subscription AND f.sequence = d.sequence WHERE a.webhook <> f.id""",
    "has not one recorded success": """SELECT d.id FROM delivery d LEFT JOIN attempt a
        ON a.delivery = d.id AND a.outcome = 'delivered' WHERE d.state = 'delivered'
        GROUP BY d.id HAVING count(a.id) <> 1""",
    "is a closing that was heard, which nobody was told": """SELECT n.id FROM notice n JOIN feed f ON f.notice = n.id
        JOIN delivery d ON d.subscription = f.subscription AND d.sequence = f.sequence
        WHERE n.closing AND n.told_at IS NULL AND d.delivered_at IS NOT NULL""",
}  # fmt: skip


async def doubled_or_untold(addresses: Addresses) -> list[str]:
    """Notices and deliveries that are missing, twice, or without their one recorded success."""
    connection = await connect(addresses.databases["notification"])
    try:
        found = {words: await connection.fetch(query) for words, query in TELLING.items()}
    finally:
        await connection.close()
    return [f"{row[0]} {words}" for words, rows in found.items() for row in rows]


async def feeds(addresses: Addresses) -> Mapping[str, set[str]]:
    """The webhook ids that each organization is to hear."""
    connection = await connect(addresses.databases["notification"])
    try:
        rows = await connection.fetch(
            "SELECT s.organization, f.id FROM feed f JOIN subscription s ON s.id = f.subscription"
        )
    finally:
        await connection.close()
    due: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        due[row["organization"]].add(row["id"])
    return due
