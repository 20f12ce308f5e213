"""How does a service's database get its tables? Once, however many replicas start, whole or not at all; and with a
reader role that changes nothing and sees what it was told to see."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from loopkeeper.kernel.errors import StartError
from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.postgres.migrating import LOCK, sqlalchemy_url
from loopkeeper.postgres.migrations import tables as tables_in
from loopkeeper.postgres.migrations import upgrade
from loopkeeper.postgres.revisions import newest
from tests.databases import Fresh, Migrated
from tests.shared.filled import fill, tables
from tests.shared.replica import until

SERVICES = ("intake", "authorization", "assignment", "notification")
# What a schema is made of, but for the order in which it was made.
SCHEMA = (
    """SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity
       FROM information_schema.columns WHERE table_schema = 'public'""",
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT tablename, policyname, cmd, roles::text, qual, with_check FROM pg_policies",
    "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal",
    """SELECT relname, relrowsecurity, relforcerowsecurity, relacl::text, reloptions::text FROM pg_class
       WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace""",
    "SELECT version_num FROM alembic_version",
)


def package(service: str) -> str:
    (point,) = entry_points(group="loopkeeper.services", name=service)
    return point.module.partition(".")[0]


async def schema(url: str) -> list[list[tuple[Any, ...]]]:
    connection = await connect(url)
    try:
        return [sorted(tuple(row) for row in await connection.fetch(part)) for part in SCHEMA]
    finally:
        await connection.close()


# ── once, and whole ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("service", SERVICES)
async def test_replicas_that_migrate_at_once_give_one_schema(
    service: str, migrated: Migrated, fresh_database: Fresh
) -> None:
    url = await fresh_database(service)
    await asyncio.gather(*(upgrade(url, package(service)) for _ in range(2)))
    assert await schema(url) == await schema(await migrated(service))


@pytest.mark.parametrize("service", SERVICES)
async def test_a_second_migration_changes_nothing(service: str, migrated: Migrated) -> None:
    url = await migrated(service)
    connection = await connect(url)
    await connection.execute("INSERT INTO claim VALUES (gen_random_uuid(), 'ref_1', '', now())")
    claims, before = await connection.fetch("SELECT * FROM claim"), await schema(url)
    await upgrade(url, package(service))
    assert (await connection.fetch("SELECT * FROM claim"), await schema(url)) == (claims, before)
    await connection.close()


async def test_while_another_migrates_nothing_is_touched(fresh_database: Fresh) -> None:
    url = await fresh_database("intake")
    holder = await connect(url)
    await holder.execute("SELECT pg_advisory_lock($1)", LOCK)
    migrating = asyncio.create_task(upgrade(url, "referral_intake"))

    async def waits() -> bool:
        asking = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_try_advisory_lock%' AND pid <> pg_backend_pid()"
        return await holder.fetchval(asking) > 0

    await until(waits)
    assert await tables(holder) == []
    await holder.execute("SELECT pg_advisory_unlock($1)", LOCK)
    await migrating
    assert "journal" in await tables(holder)
    await holder.close()


async def test_a_migration_that_fails_leaves_nothing_behind_and_holds_up_nobody(
    fresh_database: Fresh,
) -> None:
    url = await fresh_database("intake")
    connection = await connect(url)
    await connection.execute("CREATE TABLE timer (a int)")
    with pytest.raises(Exception, match="already exists"):
        await upgrade(url, "referral_intake")
    assert await tables(connection) == ["timer"]
    await connection.execute("DROP TABLE timer")
    await upgrade(url, "referral_intake")
    assert "journal" in await tables(connection)
    await connection.close()


@pytest.mark.parametrize("service", SERVICES)
def test_revisions_are_numbers_in_one_line_and_begin_their_files_names(service: str) -> None:
    """By the names alone a start knows the newest; and whether tables are older, newer or of a later thousand."""
    config = Config()
    config.set_main_option("script_location", f"{package(service)}:migrations")
    line = [each.revision for each in ScriptDirectory.from_config(config).walk_revisions()]
    assert line == sorted(line, reverse=True)
    assert all(each.isdigit() and len(each) == 4 for each in line)
    assert line[0] == newest(package(service))
    names = (each.path for each in ScriptDirectory.from_config(config).walk_revisions())
    assert all(Path(path).name.startswith(f"{each}_") for each, path in zip(line, names, strict=True))


async def test_tables_of_another_program_are_refused_by_name(migrated: Migrated) -> None:
    url = await migrated("intake")
    connection = await connect(url)
    await connection.execute("UPDATE alembic_version SET version_num = 'ae1027a6acf'")
    await connection.close()
    for asked in (upgrade(url, "referral_intake"), tables_in("intake", url, "referral_intake")):
        with pytest.raises(StartError, match="'ae1027a6acf', which is none of Loopkeeper's"):
            await asked


@pytest.mark.parametrize("service", SERVICES)
async def test_an_event_of_usual_size_is_one_row_though_nothing_can_compress_it(
    service: str, migrated: Migrated
) -> None:
    connection = await connect(await migrated(service))
    await connection.execute(
        """INSERT INTO journal (stream, n, id, own, sequence, type, source, at, causation, traceparent, origin_chain, payload,
             chain) VALUES ('ref_1', 1, gen_random_uuid(), true, 1, 't', 's', now(), '', '', '', $1, '')""",
        random.Random(1).randbytes(5_000),
    )
    apart = "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'journal'::regclass"
    assert await connection.fetchval(apart) == 0
    states = (
        "SELECT 'toast_tuple_target=8160' = ANY(reloptions) FROM pg_class WHERE oid = 'referral'::regclass"
    )
    assert await connection.fetchval(states)
    await connection.close()


# An index over an expression with an operator class is compared by its name only.
@pytest.mark.filterwarnings("ignore:Expression #1 .* include an operator clause:UserWarning")
@pytest.mark.parametrize("service", SERVICES)
async def test_a_services_tables_are_those_of_its_models(service: str, migrated: Migrated) -> None:
    models = import_module(f"{package(service)}.persistence.tables")
    engine = create_async_engine(sqlalchemy_url(await migrated(service)))
    try:
        async with engine.connect() as connection:
            assert await connection.run_sync(differences, models.metadata) == []
    finally:
        await engine.dispose()


def differences(connection: sa.Connection, metadata: sa.MetaData) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


# ── the reader role ───────────────────────────────────────────────────────────────────────────────────────


async def seen(reader: Connection, names: Sequence[str]) -> dict[str, int]:
    """How many rows the reader sees of each table that it may read at all."""
    found: dict[str, int] = {}
    for table in names:
        try:
            found[table] = await reader.fetchval(f'SELECT count(*) FROM "{table}"')
        except asyncpg.InsufficientPrivilegeError:
            continue
    return found


@pytest.mark.parametrize("service", SERVICES)
async def test_the_reader_role_writes_nothing(service: str, migrated: Migrated) -> None:
    reader = await connect(await migrated(service), role=f"{service}_reader")
    for table in await tables(reader):
        for harm in ("INSERT INTO {} DEFAULT VALUES", "DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.execute(harm.format(f'"{table}"'))
        columns = await reader.fetch(
            """SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0
               AND has_column_privilege(attrelid, attnum, 'INSERT, UPDATE, REFERENCES')""",
            f'"{table}"',
        )
        assert columns == []
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reader.execute("CREATE TABLE notes (a int)")
    await reader.close()


@pytest.mark.parametrize("service", SERVICES)
async def test_the_reader_role_sees_nothing_until_it_is_told_who_reads(
    service: str, migrated: Migrated
) -> None:
    """But for the directory, which is public. An empty setting is nobody's, even where a row's key is empty."""
    url = await migrated(service)
    owner, reader = await connect(url), await connect(url, role=f"{service}_reader")
    await fill(owner, "harbor-health-plan")
    names = await tables(owner)
    directory = {"provider"} & set(names)
    assert {table for table, count in (await seen(reader, names)).items() if count} <= directory
    await reader.execute("SELECT set_config('app.plan', 'harbor-health-plan', false)")
    mine = await seen(reader, names)
    assert mine["referral"] == mine["journal"] == 1
    assert not {"claim", "outbox", "consumed", "timer", "shared", "parked", "parked_stream"} & set(mine)
    # Who opened an identity is read by the organization that did and by the member's plan.
    assert mine["audit"] == 1
    await owner.execute("UPDATE referral SET plan_id = '', referrer_id = '', provider_id = ''")
    for setting in ("plan", "referrer", "provider", "operations"):
        await reader.execute("SELECT set_config($1, '', false)", f"app.{setting}")
    assert {table for table, count in (await seen(reader, names)).items() if count} <= directory
    await owner.close()
    await reader.close()
