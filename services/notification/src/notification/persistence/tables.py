"""Notification's tables: the outreach row, notices, subscriptions with their feeds, deliveries and attempts, and what is
forwarded. What a row has of its state is in columns.py."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from loopkeeper.store.schema import chassis_tables, file_tables, moment, provider_table, stream_table

metadata = sa.MetaData()
chassis_tables(metadata)
provider_table(metadata)
file_tables(metadata)

# The member files of a plan for a provider, the newest of which says what it was told of.
_file = metadata.tables["file"]
sa.Index(
    "file_member",
    _file.c.plan,
    _file.c.provider_id,
    _file.c.received_at,
    postgresql_where=sa.text("kind = 'mif'"),
)

SERVED = sa.text("provider_id <> ''")

referral = stream_table(
    metadata,
    "referral",
    sa.Column("status", sa.Text, nullable=False),
    # Whose the newest offer or assignment is, answered or not.
    sa.Column("held_by", sa.Text, nullable=False, server_default=""),
    # Who held a former one: it still tells of its own days. Null where nobody did.
    sa.Column("formerly_held_by", ARRAY(sa.Text)),
    sa.Index("referral_plan", "plan_id", "at", "id"),
    sa.Index("referral_provider", "provider_id", "at", "id"),
    sa.Index("referral_at", "at", "id"),
    # A provider's own members, whether it has answered or not.
    sa.Index("referral_held", "plan_id", "held_by"),
    sa.Index(
        "referral_formerly_held",
        "formerly_held_by",
        postgresql_using="gin",
        postgresql_where=sa.text("formerly_held_by IS NOT NULL"),
    ),
    sa.Index("referral_status", "status", "at", "id"),
    sa.Index("referral_plan_status", "plan_id", "status", "at", "id"),
    sa.Index("referral_provider_status", "provider_id", "status", "at", "id", postgresql_where=SERVED),
)

UNTOLD = sa.text("told_at IS NULL")

# One thing one recipient is to be told; `recipient` is the organization in whose mailbox it lies, for a member the plan
# that hands it over. `needs`: why it cannot simply be handed over; `told_at`, `told_how`, `told_by`: that it was told.
# `serving` is the provider that serves the member of a member's notice, as it is now.
notice = sa.Table(
    "notice",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("referral", sa.Text, nullable=False),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("event", UUID, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("recipient_kind", sa.Text, nullable=False),
    sa.Column("addressee", sa.Text, nullable=False),
    sa.Column("words", JSONB, nullable=False),
    sa.Column("needs", ARRAY(sa.Text), nullable=False),
    sa.Column("closing", sa.Boolean, nullable=False),
    sa.Column("published", sa.Boolean, nullable=False),
    moment("at", nullable=False),
    moment("due_at"),
    moment("overdue_at"),
    moment("told_at"),
    sa.Column("told_how", sa.Text, nullable=False),
    sa.Column("told_by", JSONB, nullable=False),
    sa.Column("serving", sa.Text, nullable=False, server_default=""),
    sa.Index("notice_referral", "referral"),
    sa.Index("notice_recipient", "recipient", "at", "id"),
    sa.Index("notice_kind", "recipient", "recipient_kind", "at", "id"),
    sa.Index("notice_untold", "recipient", "at", "id", postgresql_where=UNTOLD),
    sa.Index("notice_untold_kind", "recipient", "recipient_kind", "at", "id", postgresql_where=UNTOLD),
    sa.Index("notice_told", "recipient", "at", "id", postgresql_where=sa.text("told_at IS NOT NULL")),
    sa.Index(
        "notice_serving_told",
        "serving",
        "at",
        "id",
        postgresql_where=sa.text("serving <> '' AND told_at IS NOT NULL"),
    ),
    sa.Index("notice_serving", "serving", "at", "id", postgresql_where=sa.text("serving <> ''")),
    sa.Index(
        "notice_serving_untold",
        "serving",
        "at",
        "id",
        postgresql_where=sa.text("serving <> '' AND told_at IS NULL"),
    ),
)

# `sequence` is that of the last entry of its feed; `state`: unverified, enabled, disabled or deleted. The old secret
# signs with the new one until its grace is over; `disabled_why`: owner, gone (410) or failing. `epoch` names the
# numbering of its feed: a restored database begins a new one, in which the entries up to `kept` are as before.
subscription = sa.Table(
    "subscription",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("organization", sa.Text, nullable=False),
    sa.Column("url", sa.Text),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("old_secret", sa.Text, nullable=False),
    moment("old_secret_until"),
    sa.Column("state", sa.Text, nullable=False),
    moment("enabled_at"),
    sa.Column("disabled_why", sa.Text, nullable=False),
    moment("disabled_at"),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    moment("created_at", nullable=False),
    moment("at", nullable=False),
    sa.Column("epoch", sa.Text, nullable=False),
    sa.Column("kept", sa.BigInteger, nullable=False),
    sa.Column("host", sa.Text, nullable=False, server_default=""),
    # The last entry of its feed that was too old to keep.
    sa.Column("pruned", sa.BigInteger, nullable=False, server_default="0"),
    sa.Index("subscription_organization", "organization", "at", "id"),
)

# Since when an endpoint has answered nothing but failures, how many attempts in a row had no answer, and until when none is
# made; apart from its subscription, since no batch reads it.
endpoint = sa.Table(
    "endpoint",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    moment("failing_since"),
    moment("heard_at"),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    moment("open_until"),
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
LEASED = sa.text("state = 'pending' AND leased_until IS NOT NULL")

# `notice` is the one whose arrival this delivery proves, else empty; `told` once that proof was written down.
# `trigger`: scheduled, manual (resent) or recovery; `asked` is the request that asked for it last.
delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("subscription", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("referral", sa.Text, nullable=False),
    sa.Column("notice", sa.Text, nullable=False),
    sa.Column("told", sa.Boolean, nullable=False),
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("asked", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    moment("next_attempt_at", nullable=False),
    moment("leased_until"),
    sa.Column("lease", sa.Text, nullable=False),
    moment("delivered_at"),
    sa.Index("delivery_due", "subscription", "next_attempt_at", "sequence", postgresql_where=PENDING),
    sa.Index("delivery_notice", "notice", postgresql_where=sa.text("notice <> ''")),
    sa.Index("delivery_order", "subscription", "referral", "sequence", postgresql_where=PENDING),
    sa.Index("delivery_delivered", "delivered_at", postgresql_using="brin"),
    sa.Index("delivery_leased", "leased_until", postgresql_where=LEASED),
    sa.Index(
        "delivery_untold",
        "id",
        postgresql_where=sa.text("delivered_at IS NOT NULL AND notice <> '' AND NOT told"),
    ),
)

FAILED = sa.text("outcome <> 'delivered'")

# One try. `response` is the endpoint's own text, sealed, for its owner alone.
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
    sa.Column("trigger", sa.Text, nullable=False),
    moment("at", nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("error", sa.Text),
    sa.Column("duration_ms", sa.Integer, nullable=False),
    sa.Column("response", sa.Text, nullable=False),
    moment("next_attempt_at"),
    sa.Index("attempt_subscription", "subscription", "at", "id"),
    sa.Index("attempt_since", "at", "id"),
    sa.Index("attempt_type", "subscription", "type", "at", "id"),
    sa.Index("attempt_outcome", "subscription", "outcome", "at", "id", postgresql_where=FAILED),
    sa.Index("attempt_failed", "subscription", "at", "id", postgresql_where=FAILED),
)


# Since when deliveries are kept: what was delivered before may be gone. One row, once anything is.
retention = sa.Table(
    "retention",
    metadata,
    sa.Column(
        "id",
        sa.Integer,
        sa.CheckConstraint("id = 1"),
        primary_key=True,
        autoincrement=False,
        server_default="1",
    ),
    moment("deliveries_before", nullable=False),
)

# What plans' own topics in Kafka do not have yet, in order; published, then deleted (forwarding.py).
forward = sa.Table(
    "forward",
    metadata,
    sa.Column("position", sa.BigInteger, sa.Identity(cache=1), primary_key=True),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("headers", sa.LargeBinary, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Index("forward_plan", "plan", "position"),
)
