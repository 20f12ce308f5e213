"""What open loops are listed and counted by: their county, the code of the next step, and indexes that hold it all."""

from alembic import op

from loopkeeper.postgres.indexes import build

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# What the next step was called before it had a code.
CODES = {
    "open the plan's review": "open_review",
    "answer the open questions": "answer_questions",
    "decide the authorization": "decide",
    "offer the referral to a provider": "offer_referral",
    "accept or decline the offer": "answer_offer",
    "make the first outreach attempt": "reach_out_first",
    "keep reaching out until the member answers": "reach_out",
}
HELD = "plan_id, referrer_id, provider_id, status, next_actor, next_step, county, next_due_at"
DUE = "(coalesce(next_due_at, '9999-12-31 00:00:00+00'::timestamptz)), id"
OPEN = "status NOT IN ('closed', '')"


def upgrade() -> None:
    # Cut off while an index was made, it begins again: what was done is left as it is.
    op.execute("ALTER TABLE referral ADD COLUMN IF NOT EXISTS county text NOT NULL DEFAULT ''")
    op.execute(
        "UPDATE referral SET county = state ->> 'county' WHERE county = '' AND coalesce(state ->> 'county', '') <> ''"
    )
    codes = " ".join(
        f"WHEN '{said.replace(chr(39), chr(39) * 2)}' THEN '{code}'" for said, code in CODES.items()
    )
    op.execute(
        f"""UPDATE referral SET next_step = CASE
              WHEN next_step LIKE 'send the full referral%' THEN 'send_full_referral'
              WHEN next_actor = 'plan' AND next_step <> 'decide the authorization'
                THEN coalesce(state -> 'plan_asked' ->> 'reason', '')
              ELSE CASE next_step {codes} ELSE next_step END END
            WHERE next_step LIKE '% %'"""  # noqa: S608 own words
    )
    build(
        op,
        [
            f"referral_due{name} ON referral ({first}{DUE}) INCLUDE ({HELD}) WHERE {OPEN}{also}"
            for name, first, also in (
                ("", "", ""),
                ("_plan", "plan_id, ", ""),
                ("_referrer", "referrer_id, ", ""),
                ("_provider", "provider_id, ", " AND provider_id <> ''"),
            )
        ],
    )


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
