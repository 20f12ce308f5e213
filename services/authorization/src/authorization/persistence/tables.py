"""Authorization's tables: the request's row, the directory copy, and files of decisions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from authorization.domain.deadlines import due
from authorization.domain.state import Authorization, status
from authorization.persistence.case_claims import claim_table
from authorization.persistence.open_authorizations import lookup_table
from loopkeeper.store.file_tables import file_tables
from loopkeeper.store.provider_copy import provider_table
from loopkeeper.store.schema import chassis_tables, moment, stream_table

metadata = sa.MetaData()
chassis_tables(metadata)
provider_table(metadata)
lookup_table(metadata)
claim_table(metadata)
file_tables(metadata)

# What a route reads of a row to show it.
READ_COLUMNS = 'authorization_id AS id, id AS referral, state, n, due_at, "at"'

# How often an organization looked something up of late.
audit = metadata.tables["audit"]
sa.Index("audit_asked", audit.c.organization, audit.c.why, audit.c["at"])

WAITS = sa.text("waits_for <> ''")
HELD = sa.text("provider_id <> ''")
HELD_WAITS = sa.text("waits_for <> '' AND provider_id <> ''")

referral = stream_table(
    metadata,
    "referral",
    sa.Column("authorization_id", sa.Text, nullable=False),
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    # What waits for the plan: decision, reauthorization, discontinuation; empty for nothing.
    sa.Column("waits_for", sa.Text, nullable=False),
    moment("due_at"),
    moment("at_risk_at"),
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
    sa.Index(
        "referral_waiting",
        "plan_id",
        "due_at",
        "authorization_id",
        postgresql_where=WAITS,
    ),
    sa.Index(
        "referral_held",
        "provider_id",
        "at",
        "authorization_id",
        postgresql_where=HELD,
    ),
    # A provider of two thousand members looks for the few that wait.
    sa.Index(
        "referral_provider_status", "provider_id", "status", "at", "authorization_id", postgresql_where=HELD
    ),
    sa.Index(
        "referral_provider_waiting", "provider_id", "due_at", "authorization_id", postgresql_where=HELD_WAITS
    ),
    sa.Index(
        "referral_provider_waits",
        "provider_id",
        "waits_for",
        "due_at",
        "authorization_id",
        postgresql_where=HELD_WAITS,
    ),
    sa.Index("referral_plan", "plan_id", "at", "authorization_id"),
    sa.Index("referral_plan_status", "plan_id", "status", "at", "authorization_id"),
    sa.Index(
        "referral_plan_waits", "plan_id", "waits_for", "due_at", "authorization_id", postgresql_where=WAITS
    ),
    # Operations see all.
    sa.Index("referral_at", "at", "authorization_id"),
    sa.Index("referral_status", "status", "at", "authorization_id"),
    sa.Index("referral_due", "due_at", "authorization_id", postgresql_where=WAITS),
    sa.Index("referral_waits", "waits_for", "due_at", "authorization_id", postgresql_where=WAITS),
    sa.Index("referral_member", "plan_id", "member"),
    sa.Index("referral_awaiting", "awaiting_provider", postgresql_where=sa.text("awaiting_provider <> ''")),
)


# While a reauthorization waits, the term lives on, however long.
FOR_NOW = date.max


def columns(state: Authorization) -> Mapping[str, Any]:
    """What is searched and sorted by, computed from the state alone."""
    grant, term, waiting = state.grant, state.term, state.waiting
    undecided = status(state) in ("pending", "started")
    open_through = (FOR_NOW if state.lives_on else term.last_day) if term is not None else None
    return {
        "plan_id": state.plan,
        "provider_id": state.holder or (grant.provider if grant is not None and state.grant_live else ""),
        "authorization_id": state.authorization,
        "member": state.member,
        "status": status(state),
        "waits_for": waits_for(state),
        "due_at": _iso(due_at(state)),
        "at_risk_at": _iso(waiting.at_risk_at if waiting is not None and waiting.pause is None else None),
        "grant_live": state.grant_live,
        "grant_through": grant.through.isoformat() if grant else None,
        "approved_through": open_through.isoformat() if open_through else None,
        "holder": state.holder,
        "awaiting_provider": state.awaited if undecided else "",
    }


def waits_for(state: Authorization) -> str:
    """What of this request waits for a person of the plan."""
    if status(state) == "pending":
        return "decision"
    if state.reauthorization is not None:
        return "reauthorization"
    return "discontinuation" if state.discontinuation is not None else ""


def due_at(state: Authorization) -> datetime | None:
    """The deadline that sorts the queue: the sooner of clock and cap; a discontinuation by when it was opened."""
    if state.waiting is None and state.discontinuation is not None:
        return state.discontinuation.due_at or state.discontinuation.at
    found = due(state, state.received_at) if state.received_at is not None else None
    return found.due_at if found is not None else None


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
