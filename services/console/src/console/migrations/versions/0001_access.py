"""Who may sign in and how, who is signed in, what they opened. Never a member's identity."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    # `state`: invited, waiting (enrolled, the inviter has not confirmed the words yet), active, suspended, ended.
    """
    create table person (
        id text primary key,
        organization text not null,
        name text not null,
        email text not null,
        title text not null default '',
        licence text not null default '',
        roles text[] not null,
        admin boolean not null default false,
        state text not null,
        words text not null default '',
        language text not null default '',
        theme text not null default '',
        keys boolean not null default true,
        created_at timestamptz not null,
        created_by text not null,
        confirmed_at timestamptz,
        confirmed_by text,
        ended_at timestamptz,
        last_seen_at timestamptz
    )
    """,
    "create unique index person_email on person (organization, lower(email)) where state <> 'ended'",
    """
    create table invitation (
        hash bytea primary key,
        person text not null references person,
        created_at timestamptz not null,
        expires_at timestamptz not null,
        used_at timestamptz
    )
    """,
    "create index invitation_person on invitation (person)",
    """
    create table passkey (
        id bytea primary key,
        person text not null references person,
        public_key bytea not null,
        sign_count bigint not null,
        label text not null,
        created_at timestamptz not null,
        used_at timestamptz
    )
    """,
    "create index passkey_person on passkey (person)",
    """
    create table recovery_code (
        person text not null references person,
        hash bytea not null,
        used_at timestamptz,
        primary key (person, hash)
    )
    """,
    """
    create table federated (
        issuer text not null,
        subject text not null,
        organization text not null,
        person text not null references person,
        primary key (issuer, subject, organization)
    )
    """,
    # `asked_at`: when the organization's own sign-in was asked last whether the person is still theirs.
    """
    create table session (
        hash bytea primary key,
        id text not null unique,
        person text not null references person,
        how text not null,
        browser text not null,
        started_at timestamptz not null,
        seen_at timestamptz not null,
        asked_at timestamptz,
        provider_session text not null default '',
        ended_at timestamptz,
        ended_why text not null default ''
    )
    """,
    "create index session_person on session (person, started_at)",
    # Before anybody is signed in: a challenge, where to go on, what an identity provider is asked. A few minutes each.
    """
    create table entry (
        hash bytea primary key,
        kept jsonb not null,
        expires_at timestamptz not null
    )
    """,
    """
    create table opening (
        session text not null,
        person text not null,
        organization text not null,
        referral text not null,
        reason text not null,
        at timestamptz not null,
        until timestamptz not null,
        primary key (session, referral, at)
    )
    """,
    "create index opening_person on opening (person, at)",
    "create index opening_organization on opening (organization, at)",
    """
    create table access_event (
        n bigint generated always as identity primary key,
        at timestamptz not null,
        organization text not null,
        person text,
        by text not null default '',
        what text not null,
        how text not null default ''
    )
    """,
    "create index access_event_organization on access_event (organization, at)",
    "create index access_event_person on access_event (person, at)",
    # The database's own birth: a copy that was put back has an older one than the keeper of its key remembers.
    "create table born (incarnation text primary key, at timestamptz not null)",
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("who signed in is not taken back; restore a backup instead")
