"""Rows that an older version wrote, with less in their states: after the upgrade nothing of them is called damage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.postgres.migrations import upgrade
from loopkeeper.runtime.service import installed
from loopkeeper.runtime.verify.opening import reconciling
from notification.domain.outreach.state import Outreach
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, STREET
from tests.databases import Databases
from tests.loop.house import house
from tests.loop.set_backs import member

MARIA = {"acted_by": {"person": "maria-chen"}}
# As rows were before an assignment that another follows was kept, and before its last day was.
AS_BEFORE = """
UPDATE referral SET formerly_held_by = NULL, state = state - 'former'
    #- '{assignment,ended_on}'
"""


# What came after the revision that fills them in.
LATER = "DROP FUNCTION begin_batch_2; DROP FUNCTION hold_subscriptions_1"


async def told(connection: Connection) -> list[tuple[Outreach, Sequence[str] | None]]:
    rows = await connection.fetch("SELECT state, formerly_held_by FROM referral ORDER BY id")
    return [(Outreach.model_validate_json(row["state"]), row["formerly_held_by"]) for row in rows]


async def test_an_assignment_that_was_followed_before_former_ones_were_kept_is_known_after_the_upgrade(
    databases: Databases, tmp_path: Path
) -> None:
    async with house(databases, tmp_path) as opened:
        for each in (david(), david(member=member(500))):
            await opened.refer(CLINIC, each)
        await opened.quiet()
        await opened.accept(STREET)
        await opened.pass_time(timedelta(days=2))
        for held in (await opened.ask(HARBOR, "GET", "/v1/assignments?status=accepted"))["items"]:
            await opened.ask(HARBOR, "POST", f"/v1/assignments/{held['id']}:end", MARIA)
        await opened.quiet()
        assert opened.addresses is not None
        at, settings = opened.addresses, opened.running.settings
    url = at.databases["notification"]
    connection = await connect(url)
    try:
        now = await told(connection)
        await connection.execute(AS_BEFORE)
        assert await told(connection) != now
        await connection.execute(LATER)
        await connection.execute("UPDATE alembic_version SET version_num = '0017'")
        await upgrade(url, "notification")
        assert await told(connection) == now
    finally:
        await connection.close()
    async with reconciling(settings, installed(), at) as found:
        assert [each async for each in found] == []
    await databases.drop()
