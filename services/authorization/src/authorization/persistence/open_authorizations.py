"""Does a member have an open authorization? Matched by a keyed index, so that asking opens nobody's identity.

The index of CIN and birth date is made once, when the sealed identity comes in, and is next to the request. It
tells nothing without the plan's key, and is gone with it. Nothing readable leaves `index`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from authorization.domain.presumptive import covered, hubs_of
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import ProviderRecorded
from loopkeeper.contract.vocabulary.identifiers import cin, cin_valid
from loopkeeper.kernel.errors import Problem
from loopkeeper.postgres.connections import Connection, Pool
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.keyring import Unsealable
from loopkeeper.security.organizations import Client
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.gathered import Writes
from loopkeeper.store.provider_copy import read_text

WHY = "to look up whether an authorization is open"


def member_index(sealer: Sealer, plan: str, cin: str, birth_date: str) -> str:
    """The same for the same person of a plan, as intake tells members apart (loop.md 2.7)."""
    return sealer.blind_index(plan, cin, birth_date)


def index(sealer: Sealer, plan: str, stream: str, sealed: str) -> str:
    """The index of a sealed identity; empty where CIN or birth date is missing or the plan's key was destroyed."""
    try:
        identity = sealer.open(plan, stream, "identity", sealed)
        cin, born = identity.get("cin"), identity.get("birth_date")
        return member_index(sealer, plan, cin, born) if cin and born else ""
    except Unsealable:
        return ""


async def remember(writes: Writes, found: Mapping[str, tuple[str, str]]) -> None:
    """Write the indexes of a batch with one statement."""
    if not found:
        return
    streams = sorted(found)
    await writes.execute(
        """INSERT INTO lookup (id, plan, member_index) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
           ON CONFLICT (id) DO UPDATE SET member_index = excluded.member_index""",
        streams,
        [found[stream][0] for stream in streams],
        [found[stream][1] for stream in streams],
    )


async def contracted(pool: Pool, provider: str, plan: str, today: date) -> bool:
    """Whether this plan contracts the provider today, itself or through a hub, as the directory says."""
    entries = await read_entries(pool, [provider])
    hubs = await read_entries(pool, sorted(hubs_of(entries.values())))
    return provider in entries and bool(covered(entries[provider], plan, today, hubs))


async def read_entries(connection: Connection | Pool, ids: Sequence[str]) -> dict[str, ProviderRecorded]:
    """These entries of the directory's copy, by id."""
    if not ids:
        return {}
    rows = await connection.fetch("SELECT id, entry FROM provider WHERE id = ANY($1::text[])", list(ids))
    return {row["id"]: read_text(row["entry"]) for row in rows}


async def ask(context: RunningService, client: Client, plan: str, number: str, birth_date: date) -> str:
    """The index to look for; the question is written down first, and counted against the hour's bound. Empty for a
    number that is none. Raises 429 `rate-limited`."""
    now = context.clock.now()
    bound = context.policy.row("look_up", on=la_date(now))
    try:
        wanted = member_index(context.sealer, plan, cin(number), birth_date.isoformat())
    except Unsealable:
        # The plan's key was destroyed, and with it everything that could be found.
        wanted = ""

    async def steps(connection: Connection) -> bool:
        # One at a time per asker, so that questions at once are counted one after the other.
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", client.organization)
        asked = await connection.fetchval(
            "SELECT count(*) FROM audit WHERE organization = $1 AND why = $2 AND at > $3",
            client.organization,
            WHY,
            now - timedelta(minutes=bound["minutes"]),
        )
        if asked >= bound["most"]:
            return False
        await connection.execute(
            """INSERT INTO audit (at, organization, client, plan, stream, parts, fields, why, person, proved)
               VALUES ($1, $2, $3, $4, $5, '', 'cin,birth_date', $6, $7, $8)""",
            now,
            client.organization,
            client.id,
            plan,
            f"lookup_{wanted[:32]}",
            WHY,
            client.person.id if client.person is not None else "",
            client.person is not None,
        )
        return True

    if not await context.store.transact(steps, concurrent=True):
        raise Problem(
            429,
            "rate-limited",
            "The limit of look-ups an hour is reached.",
            fix="Ask again later; for many members, ask the plan for a file.",
            headers={"Retry-After": str(bound["minutes"] * 60)},
        )
    return wanted if cin_valid(number, synthetic=context.settings.synthetic_members == "on") else ""


async def open_authorization(pool: Pool, plan: str, wanted: str, today: date) -> bool:
    """Whether this member of the plan has a running term or grant, through whichever referral."""
    found: Any = await pool.fetchval(
        """SELECT EXISTS (
               SELECT 1 FROM lookup l JOIN referral r ON r.id = l.id
               WHERE l.plan = $1 AND l.member_index = $2 AND (r.grant_live OR r.approved_through >= $3))""",
        plan,
        wanted,
        today,
    )
    return bool(found)
