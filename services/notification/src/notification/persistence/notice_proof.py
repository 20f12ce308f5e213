"""What it means that a notice was told: written once, whatever way it went, and its deadline with it.

Told is one of three: a 2xx of the recipient's endpoint, a mailbox item opened by its recipient, a hand-over recorded
by a person (loop.md 7.4). Waiting is not told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from loopkeeper.postgres.connections import Connection
from loopkeeper.store.gathered import Writes

# A notice's deadline is a timer of its referral, under this kind and the notice's id.
TIMER = "notice "
# That a notice arrived is one command, whichever way it came first.
CLAIMS = UUID("b1d6f2a4-33c1-5c0e-8d0f-2f6f5f1a9c55")


@dataclass(frozen=True, slots=True)
class Told:
    """One notice, when and how it was told, and by whom where a person did."""

    notice: str
    at: datetime
    how: str
    by: Mapping[str, Any] = field(default_factory=dict[str, Any])


def kind_of(notice: str) -> str:
    """The kind of the timer by which a notice must be told."""
    return f"{TIMER}{notice}"


def notice_of(kind: str) -> str:
    return kind.removeprefix(TIMER)


async def expect(writes: Writes, notices: Sequence[Mapping[str, Any]]) -> None:
    """The deadlines of notices just written, as timers of their referrals."""
    due = [each for each in notices if each["due_at"] is not None]
    if not due:
        return
    await writes.execute(
        """INSERT INTO timer (stream, kind, due_at) SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])
           ON CONFLICT DO NOTHING""",
        [each["referral"] for each in due],
        [kind_of(each["id"]) for each in due],
        [each["due_at"] for each in due],
    )


async def name_who_serves(writes: Writes, referrals: Collection[str]) -> None:
    """The members' notices of these referrals are its serving provider's to hand over too; the rows are written already."""
    if not referrals:
        return
    await writes.execute(
        """UPDATE notice n SET serving = r.provider_id FROM referral r
           WHERE n.referral = ANY($1::text[]) AND n.recipient_kind = 'member' AND r.id = n.referral
             AND n.serving <> r.provider_id""",
        sorted(referrals),
    )


async def pass_on(writes: Writes, serving: Mapping[str, str]) -> None:
    """The members' notices that were written before, of these referrals, are these providers' to hand over now."""
    if not serving:
        return
    await writes.execute(
        """UPDATE notice n SET serving = s.provider FROM unnest($1::text[], $2::text[]) AS s (referral, provider)
           WHERE n.referral = s.referral AND n.recipient_kind = 'member' AND n.serving <> s.provider""",
        list(serving),
        list(serving.values()),
    )


async def readdress(writes: Writes, addressees: Mapping[str, str]) -> None:
    """The members' notices of these referrals that are not told yet are for this person now; for nobody, where it is not
    known who holds consent."""
    if not addressees:
        return
    await writes.execute(
        """UPDATE notice n SET addressee = t.addressee,
             needs = CASE WHEN t.addressee = '' THEN array_append(array_remove(n.needs, $3), $3)
                          ELSE array_remove(n.needs, $3) END
           FROM unnest($1::text[], $2::text[]) AS t (referral, addressee)
           WHERE n.referral = t.referral AND n.recipient_kind = 'member' AND n.told_at IS NULL""",
        list(addressees),
        list(addressees.values()),
        "consent_holder",
    )


async def mark(writes: Writes, told: Sequence[Told]) -> None:
    """Write these down; what was told before stays as it was. Their deadlines are met."""
    if not told:
        return
    # Each is looked up by its id: `told_at IS NULL` would invite PostgreSQL to read all that is not told.
    await writes.execute(
        """UPDATE notice n SET told_at = t.at, told_how = t.how, told_by = t.by::jsonb
           FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[]) AS t (id, at, how, by)
           WHERE n.id = t.id AND coalesce(n.told_at, 'infinity') = 'infinity'""",
        [each.notice for each in told],
        [each.at for each in told],
        [each.how for each in told],
        [orjson.dumps(each.by).decode() for each in told],
    )
    await _no_longer_due(writes, [each.notice for each in told])


async def fall_silent(writes: Writes, referrals: Collection[str]) -> None:
    """Nobody writes to the dead: what their letters were due by goes (loop.md 7.7)."""
    if not referrals:
        return
    await writes.execute(
        """DELETE FROM timer t USING notice n WHERE n.referral = ANY($1::text[]) AND n.recipient_kind = 'member'
             AND t.stream = n.referral AND t.kind = $2 || n.id""",
        sorted(referrals),
        TIMER,
    )


async def speak_again(connection: Connection, referrals: Collection[str]) -> Sequence[datetime]:
    """It was not so: what their letters were due by, untold and not missed before, lives again; returns when."""
    if not referrals:
        return ()
    rows = await connection.fetch(
        """INSERT INTO timer (stream, kind, due_at)
           SELECT referral, $2 || id, due_at FROM notice
           WHERE referral = ANY($1::text[]) AND recipient_kind = 'member' AND due_at IS NOT NULL AND told_at IS NULL
             AND overdue_at IS NULL
           ON CONFLICT DO NOTHING RETURNING due_at""",
        sorted(referrals),
        TIMER,
    )
    return [row["due_at"] for row in rows]


async def unmark(connection: Connection, notices: Sequence[str]) -> Sequence[datetime]:
    """These were not told after all; returns the deadlines that live again, those that were not missed."""
    if not notices:
        return ()
    await connection.execute(
        "UPDATE notice SET told_at = NULL, told_how = '', told_by = '{}' WHERE id = ANY($1::text[])",
        list(notices),
    )
    rows = await connection.fetch(
        """INSERT INTO timer (stream, kind, due_at)
           SELECT referral, $2 || id, due_at FROM notice
           WHERE id = ANY($1::text[]) AND due_at IS NOT NULL AND overdue_at IS NULL
           ON CONFLICT DO NOTHING RETURNING due_at""",
        list(notices),
        TIMER,
    )
    return [row["due_at"] for row in rows]


async def mark_late(writes: Writes, late: Mapping[str, datetime]) -> None:
    """These were due and are not told: their deadline is over, their being told is not."""
    if not late:
        return
    await writes.execute(
        """UPDATE notice n SET overdue_at = t.at FROM unnest($1::text[], $2::timestamptz[]) AS t (id, at)
           WHERE n.id = t.id""",
        list(late),
        list(late.values()),
    )
    await _no_longer_due(writes, list(late))


async def _no_longer_due(writes: Writes, notices: Sequence[str]) -> None:
    await writes.execute(
        """DELETE FROM timer t USING notice n
           WHERE n.id = ANY($1::text[]) AND t.stream = n.referral AND t.kind = $2 || n.id""",
        notices,
        TIMER,
    )
