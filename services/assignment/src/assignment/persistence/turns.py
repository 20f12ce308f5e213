"""The rows of `assignment`, one for each provider's turn: what they have of a referral's state, and in which order they are
written, since a member has one live assignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from assignment.domain.state import Assignment, Offer
from loopkeeper.store.gathered import Writes


def offer_row(referral: str, state: Assignment, offer: Offer) -> dict[str, Any]:
    """The row of one provider's turn, but for `n` and `at`."""
    return {
        "id": offer.assignment,
        "referral": referral,
        "plan_id": state.plan,
        "referrer_id": state.referrer,
        "provider_id": offer.provider,
        "kind": offer.kind,
        "basis": offer.basis,
        "status": offer.status,
        "reason": offer.reason,
        "held": offer.held,
        "live": offer.live,
        "conflicted": False,
        "starts_on": offer.starts_on,
        "made_at": offer.made_at,
        "answer_due_at": offer.answer_due_at,
        "accepted_at": offer.accepted_at,
        "lead": offer.lead.name if offer.lead else "",
        **shown(state),
    }


# What an offer does not show before it is accepted: that the member was in custody (loop.md 3.7).
TELLS_CUSTODY = frozenset({"pre_release_services"})


def shown(state: Assignment) -> dict[str, Any]:
    """What every turn's row repeats of the referral."""
    return {
        "member": state.member,
        "county": state.county,
        "age_band": state.age_band,
        "language": state.language,
        "needs": tuple(flag for flag in state.flags if flag not in TELLS_CUSTODY),
    }


async def write_assignments(writes: Writes, rows: Sequence[Mapping[str, Any]], moved: bool) -> None:
    """Write these rows, what is no longer live before what is. `moved`: a member changed, or a planned turn started,
    which may give a member two live ones: the younger is marked until one of them is over (loop.md 2.12)."""
    text = orjson.dumps(rows, default=list).decode()
    if moved:
        await writes.execute(
            """UPDATE assignment a SET conflicted = true
               FROM jsonb_populate_recordset(NULL::assignment, $1::jsonb) x
               WHERE a.live AND a.member = ANY($2::text[]) AND x.live AND a.member = x.member AND a.id <> x.id
                 AND (x.made_at, x.id) < (a.made_at, a.id)""",
            text,
            sorted({row["member"] for row in rows if row["live"]}),
        )
    names = list(rows[0])
    sets = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name not in ("id", "conflicted"))
    listed = ", ".join(f'"{name}"' for name in names)
    younger = """EXISTS (SELECT 1 FROM assignment a WHERE a.live AND NOT a.conflicted AND x.live
                 AND a.member = x.member AND a.id <> x.id AND (a.made_at, a.id) < (x.made_at, x.id))"""
    taken = ", ".join(younger if name == "conflicted" and moved else f'x."{name}"' for name in names)
    keeps = "excluded.live AND (excluded.conflicted OR assignment.conflicted)"
    await writes.execute(
        f"""INSERT INTO assignment ({listed}) SELECT {taken} FROM
            jsonb_populate_recordset(NULL::assignment, $1::jsonb) x ORDER BY x.live, x.id
            ON CONFLICT (id) DO UPDATE SET {sets}, conflicted = {keeps}""",  # noqa: S608 own names
        text,
    )
    over = sorted({row["member"] for row in rows if not row["live"]})
    if over:
        await writes.execute(
            """UPDATE assignment a SET conflicted = false WHERE a.conflicted AND a.member = ANY($1::text[])
               AND NOT EXISTS (SELECT 1 FROM assignment b WHERE b.live AND NOT b.conflicted AND b.member = a.member)""",
            over,
        )
