"""Kill -9 at any moment: of the services, of PostgreSQL under them. Nothing that was answered is lost, nothing doubled.

`KILLS=500 SEED=7` in the environment makes a longer campaign, checked whole after every fifty.
"""

from __future__ import annotations

import asyncio
import os
import random
from datetime import timedelta
from pathlib import Path

import pytest

from loopkeeper.kernel.clock import FileClock
from tests.chaos import invariants
from tests.chaos.cluster import Cluster
from tests.chaos.hearing import unheard, unkept
from tests.chaos.lives import Lives
from tests.chaos.load import People
from tests.chaos.town import Town, town

KILLS = int(os.environ.get("KILLS", "30"))
SEED = int(os.environ.get("SEED", "2026"))
# After so many the campaign rests, and everything is checked.
ROUND = 50
# Of so many kills of the services, PostgreSQL dies once.
POSTGRES_EVERY = 10
FORMS_A_LIFE = 5
# Within this most lives have requests, commits, relays and webhooks under way, and few get to rest.
LONGEST_WAIT = 0.25
# A webhook that died on its way is sent again when its lease runs out, a minute later: so much passes in each death.
DEAD_FOR = timedelta(seconds=61)
# Of a service that has just begun, or finds its PostgreSQL back.
ANSWERS_WITHIN = 20.0


# A minute for fifty on two idle cores; a machine that others share may take many times that.
@pytest.mark.timeout(900 + 6 * KILLS)
async def test_whatever_dies_at_any_moment_every_loop_comes_to_its_end_once(
    lives: Lives, cluster: Cluster, tmp_path: Path
) -> None:
    async with town(lives, cluster, tmp_path) as opened, People(opened, SEED) as people:
        campaign = Campaign(opened, cluster, people)
        await people.expect(KILLS * FORMS_A_LIFE + KILLS // POSTGRES_EVERY + 1)
        while campaign.kills < KILLS:
            await campaign.kill_some(min(ROUND, KILLS - campaign.kills))
            await people.settled()
            assert people.mishaps == []
            assert await broken(opened, cluster, people) == []
        assert campaign.postgres_kills >= KILLS // POSTGRES_EVERY
        # A campaign that never interrupts anything proves nothing.
        assert campaign.interrupted >= KILLS / 2
        print(campaign.told())


class Campaign:
    """Deaths at moments drawn from the seed. `interrupted`: how many found requests sent and not answered."""

    def __init__(self, opened: Town, cluster: Cluster, people: People) -> None:
        self.town, self.cluster, self.people = opened, cluster, people
        self.kills = self.postgres_kills = self.interrupted = 0
        self._chance = random.Random(SEED)

    async def kill_some(self, count: int) -> None:
        for _ in range(count):
            await self.people.release(FORMS_A_LIFE)
            if self.kills % POSTGRES_EVERY == POSTGRES_EVERY // 2:
                await self._kill_postgres()
            await self._kill_services()
            assert self.people.mishaps == []

    async def _kill_services(self) -> None:
        # Half of the lives die in their first moments, half in their first work.
        if self.kills % 2:
            await self._answering()
        await self._some_moment()
        self.interrupted += self.town.under_way > 0
        await self.town.kill()
        self.kills += 1
        assert isinstance(self.town.clock, FileClock)
        self.town.clock.advance(DEAD_FOR)
        await self.town.begin()

    async def _kill_postgres(self) -> None:
        """The services live on, and go on by themselves once it is back. It dies while it commits what is answered."""
        await self._answering()
        await self._some_moment()
        self.cluster.kill()
        self.town.answers.clear()
        await self.cluster.recover()
        self.postgres_kills += 1
        await self.people.release(1)
        await self._answering()

    async def _answering(self) -> None:
        async with asyncio.timeout(ANSWERS_WITHIN):
            await self.town.answers.wait()

    async def _some_moment(self) -> None:
        """No waiting for anything: the moment itself is what is tried."""
        await asyncio.sleep(self._chance.uniform(0, LONGEST_WAIT))

    def told(self) -> str:
        return (
            f"{self.kills} kills of the services ({self.interrupted} under requests), {self.postgres_kills} of "
            f"PostgreSQL: {len(self.people.referred)} referrals, {self.town.broken} lines broken"
        )


async def broken(opened: Town, cluster: Cluster, people: People) -> list[str]:
    """What must hold of any house, and what these people were promised."""
    found = await invariants.look(cluster.addresses())
    return [
        *await invariants.everything_broken(cluster.addresses(), opened.home / "config"),
        *unkept(found, people),
        *unheard(await invariants.feeds(cluster.addresses()), opened),
    ]
