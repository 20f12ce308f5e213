"""Each service in a process of its own, with its own database only: the loop is the same, and waits for who is away."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from loopkeeper.postgres.connections import connect
from loopkeeper.runtime.service import installed
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, STREET
from tests.chaos import invariants
from tests.chaos.cluster import Cluster
from tests.chaos.lives import Lives
from tests.chaos.town import Town, town
from tests.databases import SERVICES
from tests.loop.david import davids_story
from tests.loop.house import put_roster

ALONE = [(name,) for name in installed()]
# Whom the clinic refers while somebody is away, each with a birth date of her own.
MEMBERS = {
    "intake": {"first_name": "Marisol", "cin": "90000011S", "birth_date": "1971-09-30"},
    "authorization": {"first_name": "Thanh", "cin": "90000012S", "birth_date": "1958-01-12"},
    "assignment": {"first_name": "Rosa", "cin": "90000013S", "birth_date": "1980-06-05"},
    "notification": {"first_name": "Calvin", "cin": "90000014S", "birth_date": "1966-11-23"},
}
LOOP = [
    "referral.received", "authorization.review_opened", "authorization.approved", "assignment.made",
    "assignment.accepted", "outreach.attempted", "outreach.services_started", "referral.closed",
]  # fmt: skip


@pytest_asyncio.fixture(scope="module")
async def four(
    lives: Lives, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Town]:
    async with town(lives, cluster, tmp_path_factory.mktemp("four"), *ALONE) as opened:
        people = [david()["member"], *MEMBERS.values()]
        known = [{"cin": each["cin"], "birth_date": each["birth_date"]} for each in people]
        await put_roster(opened, HARBOR, known)
        yield opened


async def test_davids_loop_is_the_same_through_four_processes(four: Town, cluster: Cluster) -> None:
    """His whole story, told by the very test that tells it in one process."""
    assert len({*four.places.values()}) == len(four.living) == 4
    await davids_story(four)
    assert await invariants.everything_broken(cluster.addresses(), four.home / "config") == []


@pytest.mark.parametrize("service", installed())
async def test_a_process_is_given_its_own_database_and_the_log_and_can_reach_no_other(
    four: Town, service: str
) -> None:
    environment = four.living[service,].environment
    given = {name: value for name, value in environment.items() if value.startswith("postgresql://")}
    assert given.keys() == {f"LOOPKEEPER_{service.upper()}_DATABASE", "LOOPKEEPER_BUS"}
    for own, url in zip((service, "log"), (given[f"LOOPKEEPER_{service.upper()}_DATABASE"], given["LOOPKEEPER_BUS"]), strict=True):  # fmt: skip
        await (await connect(url)).close()
        for other in {*SERVICES, "postgres"} - {own}:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connect(url.replace(f"@/{own}?", f"@/{other}?"))


async def test_nobody_but_its_own_role_has_a_session_with_a_database(four: Town, cluster: Cluster) -> None:
    admin = await connect(cluster.server.admin())
    try:
        rows = await admin.fetch(
            """SELECT DISTINCT datname, usename FROM pg_stat_activity
               WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
        )
    finally:
        await admin.close()
    assert {(row["datname"], row["usename"]) for row in rows} == {
        (name, name) for name in SERVICES if name != "console"
    }


@pytest.mark.parametrize("away", installed())
async def test_the_loop_goes_on_as_far_as_it_can_and_who_was_away_catches_up(
    four: Town, cluster: Cluster, away: str
) -> None:
    form = david(member={**david()["member"], **MEMBERS[away]})
    if away == "intake":
        # Nobody can refer without it; what providers do goes on.
        referral = await four.refer(CLINIC, form)
        await four.quiet()
        assert await four.stop(away) == 0
        await four.accept(STREET)
        await four.quiet()
        await serve(four, referral)
    else:
        assert await four.stop(away) == 0
        referral = await four.refer(CLINIC, form)
        await four.quiet()
        reached = await four.timeline(referral)
        # Without authorization nothing is decided, without assignment nobody is asked; notification is not waited for.
        assert reached == LOOP[: {"authorization": 1, "assignment": 3, "notification": 4}[away]]
        if away == "notification":
            await four.accept(STREET)
            await four.quiet()
    await four.begin(away)
    await four.quiet()
    if away in ("authorization", "assignment"):
        await four.accept(STREET)
        await four.quiet()
    if away != "intake":
        await serve(four, referral)
        await four.quiet()
    timeline = await four.timeline(referral)
    assert [kind for kind in timeline if kind != "notice.delivered"] == LOOP
    assert await invariants.everything_broken(cluster.addresses(), four.home / "config") == []


async def serve(four: Town, referral: str) -> Any:
    """The street team finds the member, and serves."""
    await four.attempt(STREET, referral, "in_person", "engaged")
    today = four.today()
    await four.ask(STREET, "POST", f"/v1/outreach/{referral}:start-services", {"on": today})
