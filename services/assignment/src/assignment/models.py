"""Assignment's tables: the referral's row, one row for each provider's turn, and the directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from assignment.rules import Assignment, Offer, status
from loopkeeper.tables import chassis_tables, moment, stream_table

metadata = sa.MetaData()
chassis_tables(metadata)

referral = stream_table(
    metadata,
    "referral",
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Index("referral_plan", "plan_id", "at", "id"),
)

# One provider's turn. What an offer may show stands here, so that no offer needs the referral's own row.
assignment = sa.Table(
    "assignment",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("referral", sa.Text, nullable=False),
    sa.Column("plan_id", sa.Text, nullable=False),
    sa.Column("provider_id", sa.Text, nullable=False),
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("basis", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("live", sa.Boolean, nullable=False),
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
    sa.Index("assignment_member_live", "member", unique=True, postgresql_where=sa.text("live")),
    sa.Index("assignment_provider_live", "provider_id", postgresql_where=sa.text("live")),
    sa.Index("assignment_provider", "provider_id", "at", "id"),
    sa.Index("assignment_plan", "plan_id", "at", "id"),
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
    live = state.live
    held = live is not None and live.status == "accepted"
    return {
        "plan_id": state.plan,
        "provider_id": live.provider if live is not None and held else "",
        "member": state.member,
        "status": status(state),
    }


def turn(referral: str, state: Assignment, offer: Offer) -> dict[str, Any]:
    """The row of one provider's turn, but for `n` and `at`."""
    return {
        "id": offer.assignment,
        "referral": referral,
        "plan_id": state.plan,
        "provider_id": offer.provider,
        "member": state.member,
        "kind": offer.kind,
        "basis": offer.basis,
        "status": offer.status,
        "reason": offer.reason,
        "live": offer.live,
        "made_at": offer.made_at,
        "answer_due_at": offer.answer_due_at,
        "accepted_at": offer.accepted_at,
        "lead": offer.lead.name if offer.lead else "",
        "county": state.county,
        "age_band": state.age_band,
        "language": state.language,
        "needs": state.flags,
    }
