"""What is kept of a report: its sealed bytes, its figures, and of each referral in which of them it counts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import orjson

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.event import Event
from loopkeeper.contract.events import CATALOG, ProviderRecorded, read
from loopkeeper.postgres.connections import Connection
from loopkeeper.runtime.service import RunningService
from loopkeeper.store.definition import Recorded, Reference
from loopkeeper.store.provider_copy import on_provider_recorded, read_entry
from referral_intake.domain.reports.counting import Counted
from referral_intake.domain.reports.figures import Value
from referral_intake.domain.reports.history import FOLD
from referral_intake.domain.reports.period import Period

# Referrals that one statement reads, and under which names their events lie in journals.
PAGE = 500
TYPES = tuple(name for kind in FOLD for name in CATALOG.wire_types(kind))


READ = """id, plan_id, kind, period, state, code, digest, bytes, referrals, asked_at, ready_at, submitted_at, forgotten_at,
  at"""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for which report, and when."""

    id: str
    plan: str
    kind: str
    period: str
    client: str
    person: str
    proved: bool
    at: datetime


async def ask(context: RunningService, asked: Asked) -> None:
    """The report is to be built; one that was asked for by the same request is there already."""
    await context.store.transact(
        lambda c: c.execute(
            """INSERT INTO report (id, plan_id, kind, period, state, client, person, proved, code, digest, bytes, referrals,
                 figures, rows, asked_at, submitted_by, at)
               VALUES ($1, $2, $3, $4, 'building', $5, $6, $7, '', '', 0, 0, '[]', '[]', $8, '{}', $8)
               ON CONFLICT DO NOTHING""",
            asked.id,
            asked.plan,
            asked.kind,
            asked.period,
            asked.client,
            asked.person,
            asked.proved,
            asked.at,
        )
    )


async def submit(context: RunningService, report: str, said: Mapping[str, str]) -> bool:
    """These figures were submitted; whether that was not said before."""
    now = context.clock.now()
    done = await context.store.transact(
        lambda c: c.execute(
            """UPDATE report SET submitted_at = $2, submitted_by = $3::jsonb, at = $2
               WHERE id = $1 AND submitted_at IS NULL""",
            report,
            now,
            orjson.dumps(said).decode(),
        ),
        concurrent=True,
        wakes=False,
    )
    return done == "UPDATE 1"


# ── built ─────────────────────────────────────────────────────────────────────────────────────────────────


async def waiting(context: RunningService, most: int) -> Sequence[Mapping[str, Any]]:
    """The reports that are to be built, oldest first; those whose key was not here come last."""
    return await context.pool.fetch(
        "SELECT * FROM report WHERE state = 'building' ORDER BY code <> '', asked_at, id LIMIT $1", most
    )


async def begin(context: RunningService, report: str, plan: str, period: Period) -> None:
    """One line for each referral of the plan that there was by the period's end; what an earlier try left is gone."""

    async def steps(connection: Connection) -> None:
        await connection.execute("DELETE FROM report_part WHERE report = $1", report)
        await connection.execute("DELETE FROM report_line WHERE report = $1", report)
        await connection.execute(
            """INSERT INTO report_line (report, referral, figures, names)
               SELECT $1, id, '{}', '{}' FROM referral
               WHERE plan_id = $2 AND status <> '' AND (created_at AT TIME ZONE 'America/Los_Angeles')::date <= $3""",
            report,
            plan,
            period.last,
        )

    await context.store.transact(steps, concurrent=True, wakes=False)


async def pages(context: RunningService, report: str) -> AsyncIterator[Sequence[str]]:
    """The referrals of the report, some hundred at a time."""
    after = ""
    while True:
        rows = await context.pool.fetch(
            "SELECT referral FROM report_line WHERE report = $1 AND referral > $2 ORDER BY referral LIMIT $3",
            report,
            after,
            PAGE,
        )
        if not rows:
            return
        after = rows[-1]["referral"]
        yield [row["referral"] for row in rows]


async def journals(
    context: RunningService, referrals: Sequence[str], known_through: datetime
) -> Sequence[Mapping[str, Any]]:
    """What was noted of these referrals by that moment, of the events that figures are made of."""
    return await context.pool.fetch(
        """SELECT stream, type, payload FROM journal
           WHERE stream = ANY($1::text[]) AND type = ANY($2::text[]) AND at <= $3 ORDER BY stream, n""",
        referrals,
        TYPES,
        known_through,
    )


def events_of(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[Event]]:
    """Their events, by referral."""
    found: dict[str, list[Event]] = {}
    for row in rows:
        event = read(row["type"], row["payload"])
        if event is not None:
            found.setdefault(row["stream"], []).append(event)
    return found


async def keep_lines(
    context: RunningService, report: str, looked_at: Sequence[str], counted: Sequence[Counted]
) -> None:
    """In which figures each of these counts; those that count in none are no lines of the report."""
    lines = [
        {"referral": each.referral, "figures": dict(each.figures), "names": {by: list(of) for by, of in each.names.items()}}
        for each in counted
    ]  # fmt: skip
    kept = {each.referral for each in counted}

    async def steps(connection: Connection) -> None:
        await connection.execute(
            "DELETE FROM report_line WHERE report = $1 AND referral = ANY($2::text[])",
            report,
            [each for each in looked_at if each not in kept],
        )
        await connection.execute(
            """UPDATE report_line l SET figures = x.figures, names = x.names
               FROM jsonb_to_recordset($2::jsonb) AS x (referral text, figures jsonb, names jsonb)
               WHERE l.report = $1 AND l.referral = x.referral""",
            report,
            orjson.dumps(lines).decode(),
        )

    await context.store.transact(steps, concurrent=True, wakes=False)


async def keep_part(context: RunningService, report: str, n: int, sealed: str) -> None:
    await context.store.transact(
        lambda c: c.execute("INSERT INTO report_part VALUES ($1, $2, $3)", report, n, sealed),
        concurrent=True,
        wakes=False,
    )


@dataclass(frozen=True, slots=True)
class Built:
    """What a report came to."""

    digest: str
    size: int
    referrals: int
    values: Sequence[Value]
    rows: Sequence[Mapping[str, Any]]


async def keep_built(context: RunningService, report: str, built: Built) -> None:
    """The report is ready."""
    now = context.clock.now()
    await context.store.transact(
        lambda c: c.execute(
            """UPDATE report SET state = 'ready', code = '', digest = $2, bytes = $3, referrals = $4, figures = $5::jsonb,
                 rows = $6::jsonb, ready_at = $7, at = $7 WHERE id = $1""",
            report,
            built.digest,
            built.size,
            built.referrals,
            orjson.dumps([asdict(each) for each in built.values]).decode(),
            orjson.dumps(built.rows).decode(),
            now,
        ),
        concurrent=True,
    )


async def say(context: RunningService, report: str, state: str, code: str) -> None:
    """Why it waits, or failed."""
    now = context.clock.now()
    await context.store.transact(
        lambda c: c.execute(
            "UPDATE report SET state = $2, code = $3, at = $4 WHERE id = $1 AND (state, code) <> ($2, $3)",
            report,
            state,
            code,
            now,
        ),
        concurrent=True,
        wakes=False,
    )


async def forget(context: RunningService, before: datetime) -> int:
    """Delete what is too old: the bytes and lines of each report, and all of one that was not submitted."""
    now = context.clock.now()

    async def steps(connection: Connection) -> int:
        rows = await connection.fetch(
            """UPDATE report SET forgotten_at = $1, at = $1 WHERE id IN (SELECT id FROM report WHERE asked_at < $2
               AND forgotten_at IS NULL AND state <> 'building' ORDER BY asked_at LIMIT 20) RETURNING id""",
            now,
            before,
        )
        gone = [row["id"] for row in rows]
        for table in ("report_part", "report_line"):
            await connection.execute(f"DELETE FROM {table} WHERE report = ANY($1::text[])", gone)  # noqa: S608 own names
        await connection.execute(
            "DELETE FROM report WHERE id = ANY($1::text[]) AND submitted_at IS NULL", gone
        )
        return len(gone)

    return await context.store.transact(steps, concurrent=True, wakes=False)


# ── the directory as it was ───────────────────────────────────────────────────────────────────────────────


def on_entry(event: ProviderRecorded, message: Message) -> Reference:
    """Keep this entry unless a newer one is here; the one before it stays as that of its month, where it was the last."""
    newest = on_provider_recorded(event, message)

    def change(row: Mapping[str, Any] | None, at: datetime) -> Recorded | None:
        recorded = newest.change(row, at)
        if recorded is None:
            return None
        was: dict[str, Any] = dict(row.get("was") or {}) if row is not None else {}
        if row is not None and (before := _month(read_entry(row["entry"]))) < _month(event):
            was[before] = row["entry"]
        return Recorded({**recorded.row, "was": was})

    return Reference(newest.table, newest.id, change)


def _month(entry: ProviderRecorded) -> str:
    return f"{la_date(entry.occurred_at):%Y-%m}"


def entry_at(row: Mapping[str, Any], day: date) -> ProviderRecorded:
    """The entry at the end of the month of this day; of a month before the first that is known, the first."""
    month, newest = f"{day:%Y-%m}", read_entry(orjson.loads(row["entry"]))
    was: Mapping[str, Any] = orjson.loads(row["was"] or b"{}")
    if _month(newest) <= month or not was:
        return newest
    earlier = [each for each in was if each <= month]
    return read_entry(was[max(earlier) if earlier else min(was)])


async def directory(context: RunningService, day: date) -> Sequence[ProviderRecorded]:
    """Every provider's entry at the end of that month."""
    rows = await context.pool.fetch("SELECT entry, was FROM provider ORDER BY id")
    return [entry_at(row, day) for row in rows]
