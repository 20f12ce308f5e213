"""Whose identity a person opened, and why: ten minutes for one session and one referral, and the list of it afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from console.access.sessions import OPEN_FOR
from console.access.store import Access
from loopkeeper.contract.vocabulary.openings import OpeningReason

# Why a person opens an identity, by the code that the services write down with each fetch.
REASONS: Mapping[str, str] = {reason.value: reason.label for reason in OpeningReason}


@dataclass(frozen=True, slots=True)
class Opening:
    """One referral whose member a person may see now."""

    referral: str
    reason: str
    at: datetime
    until: datetime
    person: str = ""


async def open_for(
    access: Access, session: str, person: str, organization: str, referral: str, reason: str
) -> Opening:
    """From now for ten minutes."""
    now = access.now()
    await access.pool.execute(
        """INSERT INTO opening (session, person, organization, referral, reason, at, until) VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT DO NOTHING""",
        session,
        person,
        organization,
        referral,
        reason,
        now,
        now + OPEN_FOR,
    )
    return Opening(referral, reason, now, now + OPEN_FOR, person)


async def opened(access: Access, session: str, referral: str) -> Opening | None:
    """Whether this session has this referral's identity open."""
    row = await access.pool.fetchrow(
        """SELECT referral, reason, at, until, person FROM opening WHERE session = $1 AND referral = $2 AND until > $3
           ORDER BY at DESC LIMIT 1""",
        session,
        referral,
        access.now(),
    )
    return Opening(**row) if row is not None else None


async def close(access: Access, session: str, referral: str) -> None:
    """Shut it before its time."""
    await access.pool.execute(
        "UPDATE opening SET until = $3 WHERE session = $1 AND referral = $2 AND until > $3",
        session,
        referral,
        access.now(),
    )


async def of_person(access: Access, person: str) -> Sequence[Opening]:
    """What a person opened, newest first."""
    rows = await access.pool.fetch(
        "SELECT referral, reason, at, until, person FROM opening WHERE person = $1 ORDER BY at DESC LIMIT 100",
        person,
    )
    return [Opening(**row) for row in rows]


async def of_organization(access: Access, organization: str) -> Sequence[Opening]:
    """What everybody of an organization opened, newest first: for its admins."""
    rows = await access.pool.fetch(
        """SELECT referral, reason, at, until, person FROM opening WHERE organization = $1
           ORDER BY at DESC LIMIT 100""",
        organization,
    )
    return [Opening(**row) for row in rows]
