"""Who may read which row? What a key's roles name, enforced by PostgreSQL and narrowed by every query itself.

Two fences, because either alone is one forgotten clause from a leak: row-level security on a reader role, told
who reads by settings local to the transaction, and a WHERE naming the caller's own key, which also makes the
index usable (the policy alone scanned 147 000 rows for 50; protocols.md §9).
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.kernel.errors import Busy, not_found
from loopkeeper.postgres.connections import TRANSIENT, Connection, Pool
from loopkeeper.postgres.turns import FairPool
from loopkeeper.security.organizations import Client, Role

KEYS = ("plan_id", "referrer_id", "provider_id")
ROLE_OF_KEY = {"plan_id": Role.PLAN, "referrer_id": Role.REFERRER, "provider_id": Role.PROVIDER}
# Longer than any reading takes, shorter than a caller's patience; past it the answer is 503.
SECONDS_FOR_A_CONNECTION = 2.0
NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

SET_VISIBILITY = """
select set_config('app.plan', $1, true), set_config('app.referrer', $2, true),
       set_config('app.provider', $3, true), set_config('app.operations', $4, true), set_config('enable_sort', $5, true)
"""


@dataclass(frozen=True, slots=True)
class Visibility:
    """What a client sees: rows of the organization named, and everything (never identity) for operations.

    An empty string sees nothing: that is what a setting is after its transaction, too.
    """

    plan: str = ""
    referrer: str = ""
    provider: str = ""
    operations: bool = False

    def settings(self) -> tuple[str, str, str, str]:
        return self.plan, self.referrer, self.provider, "yes" if self.operations else ""


NOTHING = Visibility()


def visibility_of(client: Client | None) -> Visibility:
    """A setting is filled only if the key holds that role; nobody (a public route) sees no protected row."""
    if client is None:
        return NOTHING
    held = {role: client.organization if role in client.roles else "" for role in ROLE_OF_KEY.values()}
    return Visibility(
        held[Role.PLAN], held[Role.REFERRER], held[Role.PROVIDER], operations=Role.OPERATIONS in client.roles
    )


def one_moment(connection: Connection) -> AbstractAsyncContextManager[None]:
    """Everything read within is as of one moment, and nothing can be written."""
    return connection.transaction(isolation="repeatable_read", readonly=True)


@asynccontextmanager
async def reading(pool: Pool, client: Client | None, *, ordered: bool = False) -> AsyncGenerator[Connection]:
    """A connection in one read-only snapshot that sees what this client may see. `ordered`: what is read has an index in its
    order, however few rows PostgreSQL expects to sort.

    Raises `Busy` where no connection comes free in time or the database is away, `TooMany` where the client's own others
    are in its way: nothing was changed, so the caller may simply ask again. No network call belongs inside.
    """
    organization = client.organization if client is not None else ""
    try:
        async with (
            _turn(pool, organization),
            cast("Any", pool).acquire(timeout=SECONDS_FOR_A_CONNECTION) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute(
                SET_VISIBILITY, *visibility_of(client).settings(), "off" if ordered else "on"
            )
            yield connection
    except TRANSIENT as error:
        raise Busy("the reading pool") from error


def _turn(pool: Pool, organization: str) -> AbstractAsyncContextManager[None]:
    if isinstance(pool, FairPool):
        return pool.turns.turn(organization, SECONDS_FOR_A_CONNECTION)
    return nullcontext()


# Marks in a query of `visible_rows` where the clause that names the caller's own key goes.
OWN = "(the caller's own)"


async def visible_rows(
    readers: Pool, client: Client, query: str, *values: object, keys: Sequence[str] = KEYS
) -> Sequence[Mapping[str, Any]]:
    """The rows of this query that the client may see, in one snapshot. `keys`: the columns by which a row is someone's.

    The query names `OWN` in its WHERE: f"SELECT … WHERE status = $1 AND {OWN} ORDER BY at". Raises `Busy` as `reading`.
    """
    narrowed, mine = _narrowed(query, client, len(values) + 1, keys)
    async with reading(readers, client) as connection:
        return await connection.fetch(narrowed, *values, *mine)


async def visible_row(
    readers: Pool, client: Client, query: str, *values: object, keys: Sequence[str] = KEYS
) -> Mapping[str, Any]:
    """The one row of this query that the client may see. Raises 404 for none: what others own is not there."""
    narrowed, mine = _narrowed(query, client, len(values) + 1, keys)
    async with reading(readers, client) as connection:
        row = await connection.fetchrow(narrowed, *values, *mine)
    if row is None:
        raise not_found()
    return row


def _narrowed(query: str, client: Client, first: int, keys: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    if OWN not in query:
        raise InvariantBroken("a query for a client does not say where its own key is named")
    own, mine = own_key(client, first, keys)
    return query.replace(OWN, own), mine


def own_key(client: Client, first: int, columns: Sequence[str] = KEYS) -> tuple[str, tuple[str, ...]]:
    """The WHERE fragment naming the caller's own key, and its parameters, numbered from `$first`.

    Operations name none; a client whose roles see none of `columns` gets a fragment that is never true.
    """
    if Role.OPERATIONS in client.roles:
        return "true", ()
    mine = [column for column in columns if ROLE_OF_KEY[column] in client.roles]
    if not mine:
        return "false", ()
    return "(" + " or ".join(f"{column} = ${first}" for column in mine) + ")", (client.organization,)


def row_security(table: str, service: str, columns: Sequence[str] = KEYS) -> tuple[str, ...]:
    """The statements, for a migration run as the owner, that let the service's reader role see only own rows.

    The owner, who is the store, keeps full access through a policy of its own, since FORCE binds owners too.
    `nullif` keeps an empty setting from matching a row whose column is empty. Sub-selects make PostgreSQL read
    each setting once a query instead of once a row.
    """
    reader = f"{service}_reader"
    for name in (table, reader):
        if not NAME.fullmatch(name):
            raise InvariantBroken("a table or role has no plain name")
    seen = [
        f"{column} = (select nullif(current_setting('app.{ROLE_OF_KEY[column]}', true), ''))"
        for column in columns
    ]
    seen.append("(select current_setting('app.operations', true)) = 'yes'")
    return (
        f"alter table {table} enable row level security",
        f"alter table {table} force row level security",
        f"create policy {table}_written on {table} for all to current_user using (true) with check (true)",
        f"create policy {table}_seen on {table} for select to {reader} using ({' or '.join(seen)})",
        f"grant select on {table} to {reader}",
    )


def chassis_security(service: str) -> tuple[str, ...]:
    """The statements, for a service's first migration, that make its journal append-only, let the reader role see
    the journal of the referrals it sees, and have the two busiest queues vacuumed by count instead of by share."""
    reader = f"{service}_reader"
    if not NAME.fullmatch(reader):
        raise InvariantBroken("a role has no plain name")
    return (
        "create function journal_is_append_only() returns trigger language plpgsql as "
        "$$begin raise exception 'the journal is append-only'; end$$",
        "create trigger journal_append_only before update or delete or truncate on journal "
        "for each statement execute function journal_is_append_only()",
        "alter table journal enable row level security",
        "alter table journal force row level security",
        "create policy journal_written on journal for all to current_user using (true) with check (true)",
        f"create policy journal_seen on journal for select to {reader} "  # noqa: S608 the role's name was checked
        "using (exists (select 1 from referral r where r.id = stream))",
        f"grant select on journal to {reader}",
        "alter table outbox set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)",
        "alter table timer set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)",
    )


def audit_security(service: str) -> tuple[str, ...]:
    """The statements that let the service's reader role see who opened what: the organization that did it its own
    openings, a plan those of its members' identities, operations all."""
    reader = f"{service}_reader"
    if not NAME.fullmatch(reader):
        raise InvariantBroken("a role has no plain name")

    def setting(name: str) -> str:
        return f"(select nullif(current_setting('app.{name}', true), ''))"

    own = ", ".join(setting(role) for role in ROLE_OF_KEY.values())
    return (
        "alter table audit enable row level security",
        "alter table audit force row level security",
        "create policy audit_written on audit for all to current_user using (true) with check (true)",
        f"create policy audit_seen on audit for select to {reader} using (organization in ({own}) "
        f"or plan = {setting(Role.PLAN)} or (select current_setting('app.operations', true)) = 'yes')",
        f"grant select on audit to {reader}",
    )
