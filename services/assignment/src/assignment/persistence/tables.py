"""Assignment's tables: the referral's row, one row for each provider's turn, and the directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from assignment.domain.state import Assignment, Offer, status
from loopkeeper.store.gathered import Writes
from loopkeeper.store.schema import chassis_tables, moment, stream_table

metadata = sa.MetaData()
chassis_tables(metadata)

referral = stream_table(
    metadata,
    "referral",
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Index("referral_plan", "plan_id", "at", "id"),
    # Of those about whose provider the plan is asked.
    sa.Index("referral_left", "id", postgresql_where=sa.text("state -> 'change' ->> 'left' = 'true'")),
)

# One provider's turn. What an offer may show is here, so that no offer needs the referral's own row.
assignment = sa.Table(
    "assignment",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("referral", sa.Text, nullable=False),
    sa.Column("plan_id", sa.Text, nullable=False),
    sa.Column("referrer_id", sa.Text, nullable=False),
    sa.Column("provider_id", sa.Text, nullable=False),
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("basis", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    # Takes a place; counts for the member, which has one; is the younger of two that an identity brought together.
    sa.Column("held", sa.Boolean, nullable=False),
    sa.Column("live", sa.Boolean, nullable=False),
    sa.Column("conflicted", sa.Boolean, nullable=False),
    sa.Column("starts_on", sa.Date),
    moment("made_at", nullable=False),
    moment("answer_due_at", nullable=False),
    moment("accepted_at"),
    sa.Column("lead", sa.Text, nullable=False),
    sa.Column("county", sa.Text, nullable=False),
    sa.Column("age_band", sa.Text, nullable=False),
    sa.Column("language", sa.Text, nullable=False),
    sa.Column("needs", ARRAY(sa.Text), nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    moment("at", nullable=False),
    sa.Index(
        "assignment_member_live", "member", unique=True, postgresql_where=sa.text("live AND NOT conflicted")
    ),
    sa.Index("assignment_conflicted", "member", postgresql_where=sa.text("conflicted")),
    sa.Index("assignment_provider_held", "provider_id", postgresql_where=sa.text("held")),
    sa.Index("assignment_member", "member", postgresql_where=sa.text("accepted_at IS NOT NULL")),
    sa.Index("assignment_referral", "referral"),
    sa.Index("assignment_provider", "provider_id", "at", "id"),
    sa.Index("assignment_plan", "plan_id", "at", "id"),
    # Of a member two may live, one of them conflicted.
    sa.Index("assignment_live", "member", postgresql_where=sa.text("live")),
    sa.Index("assignment_at", "at", "id"),
    sa.Index("assignment_status", "status", "at", "id"),
    sa.Index("assignment_plan_status", "plan_id", "status", "at", "id"),
    sa.Index("assignment_provider_status", "provider_id", "status", "at", "id"),
)

# How many places each provider has given to each plan's members, kept by the database itself as assignments change.
places = sa.Table(
    "places",
    metadata,
    sa.Column("provider_id", sa.Text, primary_key=True),
    sa.Column("plan_id", sa.Text, primary_key=True),
    sa.Column("taken", sa.Integer, nullable=False),
)

# The directory: each entry is a stream of its own, with journal, chain and version.
provider = sa.Table(
    "provider",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("npi", sa.Text, nullable=False),
    sa.Column("entry", JSONB, nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("head", sa.Text, nullable=False),
    moment("at", nullable=False),
    sa.Index("provider_at", "at", "id"),
    sa.Index("provider_contracts", sa.text("(entry -> 'contracts') jsonb_path_ops"), postgresql_using="gin"),
)


def columns(state: Assignment) -> Mapping[str, Any]:
    """What is searched and seen by, computed from the state alone. Only who accepted sees the referral's row."""
    held = state.held_offer
    accepted = held is not None and held.status == "accepted"
    return {
        "plan_id": state.plan,
        "referrer_id": state.referrer,
        "provider_id": held.provider if held is not None and accepted else "",
        "member": state.member,
        "status": status(state),
    }


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
