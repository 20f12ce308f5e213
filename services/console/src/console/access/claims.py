"""Who of an organization works on a case, so that two people do not decide the same one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.access.store import Access
from console.web.refusals import Refusal

# A claim nobody came back to is free again.
HELD_FOR = timedelta(hours=8)


@dataclass(frozen=True, slots=True)
class Claim:
    """Who holds a case, since when."""

    person: str
    name: str
    at: datetime


async def of(access: Access, organization: str, subjects: Collection[str]) -> Mapping[str, Claim]:
    """Who holds these cases, where somebody does."""
    rows = await access.pool.fetch(
        """SELECT c.subject, c.person, p.name, c.at FROM claim c JOIN person p ON p.id = c.person
           WHERE c.organization = $1 AND c.subject = ANY($2::text[]) AND c.at > $3""",
        organization,
        list(subjects),
        access.now() - HELD_FOR,
    )
    return {row["subject"]: Claim(row["person"], row["name"], row["at"]) for row in rows}


async def take(access: Access, organization: str, subject: str, person: str) -> None:
    """Hold this case. Raises `Refusal` where a colleague does."""
    now = access.now()
    kept = await access.pool.fetchval(
        """INSERT INTO claim (organization, subject, person, at) VALUES ($1, $2, $3, $4)
           ON CONFLICT (organization, subject) DO UPDATE SET person = excluded.person, at = excluded.at
           WHERE claim.person = excluded.person OR claim.at <= $5 RETURNING 1""",
        organization,
        subject,
        person,
        now,
        now - HELD_FOR,
    )
    if not kept:
        raise Refusal(409, "A colleague works on this", "Ask them to give it back, or take the next one.")


async def give_back(access: Access, organization: str, subject: str, person: str) -> None:
    await access.pool.execute(
        "DELETE FROM claim WHERE organization = $1 AND subject = $2 AND person = $3",
        organization,
        subject,
        person,
    )


async def hand_to(access: Access, organization: str, subject: str, person: str) -> None:
    """A colleague holds it from now on. Raises `Refusal` where they are not of the organization."""
    done = await access.pool.fetchval(
        """INSERT INTO claim (organization, subject, person, at)
           SELECT organization, $2, id, $4 FROM person WHERE id = $3 AND organization = $1 AND state = 'active'
           ON CONFLICT (organization, subject) DO UPDATE SET person = excluded.person, at = excluded.at RETURNING 1""",
        organization,
        subject,
        person,
        access.now(),
    )
    if not done:
        raise Refusal(422, "There is no such colleague", "Choose somebody of your organization.")
