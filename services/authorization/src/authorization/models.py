"""Authorization's tables: the request's row and the directory copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from authorization.rules import Authorization, status
from loopkeeper.provider_copy import provider_table
from loopkeeper.tables import chassis_tables, moment, stream_table

metadata = sa.MetaData()
chassis_tables(metadata)
provider_table(metadata)

# What a route reads of a row to show it.
READ_COLUMNS = 'authorization_id AS id, id AS referral, state, n, due_at, "at"'

referral = stream_table(
    metadata,
    "referral",
    sa.Column("authorization_id", sa.Text, nullable=False),
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    moment("due_at"),
    sa.Column("grant_live", sa.Boolean, nullable=False),
    sa.Column("grant_through", sa.Date),
    sa.Column("approved_through", sa.Date),
    # Who serves under the approved term; empty while nobody does.
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("awaiting_provider", sa.Text, nullable=False),
    sa.Index(
        "referral_authorization",
        "authorization_id",
        unique=True,
        postgresql_where=sa.text("authorization_id <> ''"),
    ),
    sa.Index("referral_queue", "plan_id", "status", "due_at", "authorization_id"),
    sa.Index("referral_plan", "plan_id", "at", "authorization_id"),
    sa.Index("referral_member", "plan_id", "member"),
    sa.Index("referral_awaiting", "awaiting_provider", postgresql_where=sa.text("awaiting_provider <> ''")),
)


def columns(state: Authorization) -> Mapping[str, Any]:
    """What is searched and sorted by, computed from the state alone."""
    decision, grant = state.decision, state.grant
    waits = (
        state.grant_refused == "awaiting_provider" and status(state) == "pending" and state.claim is not None
    )
    approved = decision is not None and decision.kind == "approved"
    return {
        "plan_id": state.plan,
        "authorization_id": state.review.authorization if state.review else "",
        "member": state.member,
        "status": status(state),
        "due_at": state.review.due_at.isoformat() if state.review else None,
        "grant_live": state.grant_live,
        "grant_through": grant.through.isoformat() if grant else None,
        "approved_through": decision.through.isoformat()
        if decision and approved and decision.through
        else None,
        "holder": state.holder,
        "awaiting_provider": state.claim.provider if waits and state.claim else "",
    }
