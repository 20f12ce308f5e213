"""Notification's tables: the outreach row, notices, subscriptions with their feeds, deliveries and attempts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, UUID

from loopkeeper.provider_copy import provider_table
from loopkeeper.tables import chassis_tables, moment, stream_table
from notification.rules import Outreach, seen_by, status

metadata = sa.MetaData()
chassis_tables(metadata)
provider_table(metadata)

referral = stream_table(
    metadata,
    "referral",
    sa.Column("status", sa.Text, nullable=False),
    sa.Index("referral_plan", "plan_id", "at", "id"),
    sa.Index("referral_provider", "provider_id", "at", "id"),
    sa.Index("referral_at", "at", "id"),
)

# One thing one organization is to be told. `told_at`: when a closing's notice was proved to have arrived.
notice = sa.Table(
    "notice",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("referral", sa.Text, nullable=False),
    sa.Column("event", UUID, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("recipient_kind", sa.Text, nullable=False),
    sa.Column("words", JSONB, nullable=False),
    sa.Column("closing", sa.Boolean, nullable=False),
    moment("at", nullable=False),
    moment("told_at"),
    sa.Index("notice_referral", "referral"),
)

# `sequence` is that of the last entry of its feed; `state`: unverified, enabled, disabled or deleted.
subscription = sa.Table(
    "subscription",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("organization", sa.Text, nullable=False),
    sa.Column("url", sa.Text),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    moment("created_at", nullable=False),
    moment("at", nullable=False),
    sa.Index("subscription_organization", "organization", "at", "id"),
)

# What a subscription is to hear, in order and without a gap; `id` is the webhook's id in every attempt.
feed = sa.Table(
    "feed",
    metadata,
    sa.Column("subscription", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("referral", sa.Text, nullable=False),
    sa.Column("notice", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("traceparent", sa.Text, nullable=False),
    moment("at", nullable=False),
)

PENDING = sa.text("state = 'pending'")

# `closing` is the notice of a closing that this delivery proves, else empty; `told` once that proof was published.
delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("subscription", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("referral", sa.Text, nullable=False),
    sa.Column("closing", sa.Text, nullable=False),
    sa.Column("told", sa.Boolean, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    moment("next_attempt_at", nullable=False),
    moment("leased_until"),
    sa.Column("lease", sa.Text, nullable=False),
    moment("delivered_at"),
    sa.Index("delivery_due", "subscription", "next_attempt_at", "sequence", postgresql_where=PENDING),
    sa.Index("delivery_order", "subscription", "referral", "sequence", postgresql_where=PENDING),
    sa.Index(
        "delivery_untold",
        "id",
        postgresql_where=sa.text("state = 'delivered' AND closing <> '' AND NOT told"),
    ),
)

# One try. `response` is the endpoint's own text, for its owner alone.
attempt = sa.Table(
    "attempt",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("subscription", sa.Text, nullable=False),
    sa.Column("organization", sa.Text, nullable=False),
    sa.Column("delivery", sa.Text, nullable=False),
    sa.Column("webhook", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("referral", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    moment("at", nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("error", sa.Text),
    sa.Column("duration_ms", sa.Integer, nullable=False),
    sa.Column("response", sa.Text, nullable=False),
    moment("next_attempt_at"),
    sa.Index("attempt_subscription", "subscription", "at", "id"),
)


def columns(state: Outreach) -> Mapping[str, Any]:
    """What is searched and seen by, computed from the state alone."""
    return {
        "plan_id": state.plan,
        "referrer_id": state.referrer,
        "provider_id": seen_by(state),
        "status": status(state),
    }
