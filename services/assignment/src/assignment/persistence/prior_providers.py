"""Who served a member before, and who serves their family? Read once for all commands of a batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from assignment.domain.state import Assignment
from loopkeeper.postgres.connections import Connection

# Providers by member and by referral.
Served = Mapping[str, Collection[str]]
# Providers by referral, plan and referrer: another's referral makes nobody a relative.
Families = Mapping[tuple[str, str, str], Collection[str]]


async def served(connection: Connection, states: Sequence[Assignment]) -> Served:
    """Who served these members, and the referrals theirs are linked to, before."""
    members = sorted({state.member for state in states if state.member})
    linked = sorted({state.linked.to for state in states if state.linked is not None})
    rows = await connection.fetch(
        """SELECT member, referral, provider_id FROM assignment
           WHERE accepted_at IS NOT NULL AND (member = ANY($1::text[]) OR referral = ANY($2::text[]))""",
        members,
        linked,
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        for known_as in (row["member"], row["referral"]):
            found.setdefault(known_as, set()).add(row["provider_id"])
    return found


async def families(connection: Connection, states: Sequence[Assignment]) -> Families:
    """Who is asked to serve, or serves, the parents and siblings that these referrals name."""
    named = sorted({state.family_of for state in states if state.family_of})
    if not named:
        return {}
    rows = await connection.fetch(
        """SELECT referral, plan_id, referrer_id, provider_id FROM assignment
           WHERE held AND referral = ANY($1::text[])""",
        named,
    )
    return {(row["referral"], row["plan_id"], row["referrer_id"]): {row["provider_id"]} for row in rows}
