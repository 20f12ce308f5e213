"""How does what a batch decided become rows? States, deadlines, parked facts, audit and reference rows, each kind with
one bulk statement in the batch's own transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson

from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.event_log.commands import carried
from loopkeeper.event_log.port import Received
from loopkeeper.postgres.connections import Connection
from loopkeeper.security.sealing import AuditRow, Sealer
from loopkeeper.store.definition import Change, Domain, Row, Submission
from loopkeeper.store.gathered import Writes

# First timed replays of a parked stream, then a person.
# How the reason begins of a deadline that failed: it is not tried again before the stream's next replay.
DEADLINE = "deadline "
RETRIES = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))


async def insert(writes: Writes, domain: Domain[Any, Any], rows: Sequence[Row[Any]]) -> None:
    """New streams' rows."""
    await writes.execute(
        f"""INSERT INTO "{domain.table}" SELECT * FROM
            jsonb_populate_recordset(NULL::"{domain.table}", $1::jsonb) ORDER BY id""",  # noqa: S608 own name
        orjson.dumps([_columns(domain, row) for row in rows]).decode(),
    )


async def update(writes: Writes, domain: Domain[Any, Any], rows: Sequence[Row[Any]]) -> None:
    """The rows of streams whose locks are held."""
    dumped = [_columns(domain, row) for row in rows]
    names = [name for name in dumped[0] if name not in ("id", "created_at")]
    await writes.execute(
        f"""UPDATE "{domain.table}" AS r
            SET ({", ".join(f'"{n}"' for n in names)}) = ROW({", ".join(f'x."{n}"' for n in names)})
            FROM jsonb_populate_recordset(NULL::"{domain.table}", $1::jsonb) AS x WHERE r.id = x.id""",  # noqa: S608 own names
        orjson.dumps(dumped).decode(),
    )


def _columns(domain: Domain[Any, Any], row: Row[Any]) -> dict[str, Any]:
    if row.state is None:
        raise InvariantBroken("a changed row has no state")
    return {
        "id": row.id,
        "plan_id": "",
        "referrer_id": "",
        "provider_id": "",
        **domain.columns(row.state),
        # As it is: it is part of what is dumped.
        "state": orjson.Fragment(row.state.__pydantic_serializer__.to_json(row.state)),
        "n": row.n,
        "sequence": row.sequence,
        "head": row.head,
        "created_at": row.created_at,
        "at": row.at,
    }


async def timers(
    writes: Writes, domain: Domain[Any, Any], changes: Sequence[Change[Any]]
) -> tuple[datetime, ...]:
    """The deadlines that live after these changes, and no others; returns when the new ones come."""
    first: dict[str, Any] = {}
    last: dict[str, Any] = {}
    for change in changes:
        first.setdefault(change.stream, change.before)
        last[change.stream] = change.after
    before, after = _timers(domain, first), _timers(domain, last)
    gone = [(s, k) for s, timers in before.items() for k in timers if k not in after[s]]
    due = [(s, k, at) for s, timers in after.items() for k, at in timers.items() if before[s].get(k) != at]
    if gone:
        await writes.execute(
            "DELETE FROM timer t USING unnest($1::text[], $2::text[]) AS g (stream, kind) "
            "WHERE t.stream = g.stream AND t.kind = g.kind",
            [s for s, _ in gone],
            [k for _, k in gone],
        )
    if due:
        await writes.execute(
            """INSERT INTO timer (stream, kind, due_at) SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])
               ON CONFLICT (stream, kind) DO UPDATE SET due_at = excluded.due_at""",
            [s for s, _, _ in due],
            [k for _, k, _ in due],
            [at for _, _, at in due],
        )
    return tuple(at for _, _, at in due)


def _timers(domain: Domain[Any, Any], states: Mapping[str, Any]) -> Mapping[str, Mapping[str, datetime]]:
    return {stream: domain.timers(state) if state else {} for stream, state in states.items()}


async def parked(
    connection: Connection, sealer: Sealer, failed: Sequence[tuple[Submission, str]], now: datetime
) -> None:
    """The facts that failed, sealed, behind one mark per stream; of a command that was no fact, the mark alone."""
    if not failed:
        return
    first: dict[str, str] = {}
    for submission, error in failed:
        first.setdefault(submission.stream, error)
    await connection.execute(
        """INSERT INTO parked_stream (stream, since, tries, next_retry_at, error)
           SELECT stream, $3, 0, $4, error FROM unnest($1::text[], $2::text[]) AS t (stream, error) ORDER BY stream
           ON CONFLICT (stream) DO UPDATE SET error = excluded.error WHERE starts_with(excluded.error, $5)""",
        list(first),
        list(first.values()),
        now,
        now + RETRIES[0],
        DEADLINE,
    )
    if corrected := sorted({s.stream for s, _ in failed if _corrects(s)}):
        # What it corrects may be what failed: tried at once. What is set aside for other reasons has no tries to come.
        await connection.execute(
            """UPDATE parked_stream SET next_retry_at = $2
               WHERE stream = ANY($1::text[]) AND (next_retry_at IS NOT NULL OR tries > 0)""",
            corrected,
            now,
        )
    received = [(s, s.received, error) for s, error in failed if s.received is not None]
    await connection.execute(
        """INSERT INTO parked (stream, partition, "offset", event_id, type, error, body, of_several, at)
           SELECT stream, partition, "offset", event_id, type, error, body, of_several, $9
           FROM unnest($1::text[], $2::int[], $3::bigint[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::bool[])
             WITH ORDINALITY AS t (stream, partition, "offset", event_id, type, error, body, of_several, nth)
           ORDER BY nth ON CONFLICT DO NOTHING""",
        [s.stream for s, _, _ in received],
        [r.partition for _, r, _ in received],
        [r.offset for _, r, _ in received],
        [s.id for s, _, _ in received],
        [r.message.type if r.message else "unreadable" for _, r, _ in received],
        [error for _, _, error in received],
        [_sealed(sealer, s.stream, r) for s, r, _ in received],
        [r.message is not None and r.message.part is not None for _, r, _ in received],
        now,
    )


def _corrects(submission: Submission) -> bool:
    fact = submission.command.fact if submission.command is not None else None
    return fact is not None and type(fact).corrects


def _sealed(sealer: Sealer, stream: str, received: Received) -> str:
    message = received.message
    body: dict[str, Any] = {"key": received.key, "problem": received.problem}
    if message is not None:
        body |= {"headers": message.headers(), "data": message.data.decode("utf-8", "surrogateescape")}
        if message.rest:
            body["rest"] = carried(message.rest)
    else:
        body |= {"raw": received.raw.decode("latin-1")}
    return sealer.seal("system", stream, "parked", body)


async def audit(writes: Writes, rows: Sequence[AuditRow]) -> None:
    """Who opened or decided what."""
    if rows:
        await writes.execute(
            """INSERT INTO audit (at, organization, client, plan, stream, parts, fields, why, person, proved)
               SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                 $7::text[], $8::text[], $9::text[], $10::bool[])""",
            [r.at for r in rows],
            [r.organization for r in rows],
            [r.client for r in rows],
            [r.plan for r in rows],
            [r.stream for r in rows],
            [",".join(r.parts) for r in rows],
            [",".join(r.fields) for r in rows],
            [r.why for r in rows],
            [r.person for r in rows],
            [r.proved for r in rows],
        )


async def upsert(writes: Writes, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert or replace rows of an own table with an `id`, in one statement."""
    if not rows:
        return
    names = list(rows[0])
    sets = ", ".join(f'"{n}" = excluded."{n}"' for n in names if n != "id")
    listed = ", ".join(f'"{n}"' for n in names)
    await writes.execute(
        f"""INSERT INTO "{table}" ({listed}) SELECT {listed} FROM
            jsonb_populate_recordset(NULL::"{table}", $1::jsonb) ORDER BY id
            ON CONFLICT (id) DO UPDATE SET {sets}""",  # noqa: S608 own names
        orjson.dumps(rows).decode(),
    )
