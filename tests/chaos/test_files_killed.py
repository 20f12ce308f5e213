"""Kill -9 while a file is taken in, judged or acting: it comes to the end it would have come to, and nothing is twice.

`FILE_KILLS=30 SEED=7` in the environment makes a longer campaign.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, OPERATIONS, STREET
from tests.chaos.cluster import Cluster
from tests.chaos.lives import Lives
from tests.chaos.town import Town, town
from tests.loop.filing import LEAD, OTF, PROFILE, day, sheet
from tests.loop.house import put_roster

KILLS = int(os.environ.get("FILE_KILLS", "3"))
SEED = int(os.environ.get("SEED", "2026"))
MEMBERS, ATTEMPTS = 2, 24
# A file that is sent is done within this on two idle cores; the kills are drawn from it.
LONGEST_WAIT = 0.6
A_FILE = 3
NAMES = ("Okafor", "Ibarra", "Nguyen", "Castro", "Weiss", "Tran", "Lopez", "Haddad")


def cin(n: int) -> str:
    return f"900007{n:02}S"


def content(opened: Town, kind: str, part: int, people: Sequence[int]) -> bytes:
    """The same rows of whichever members: an acceptance and a wrong word each, or their attempts."""
    today = day(opened)
    if kind == "rtf":
        rows = [{"CIN": cin(n), "Last Name": NAMES[n], "Referral Status": "Accepted", "Status Date": today,
                 "Lead Care Manager": LEAD, "In Person": "2", "Period": "10/01/2026-10/31/2026"} for n in people]  # fmt: skip
        return sheet([*rows, {**rows[0], "Referral Status": "Gone"}])
    rows = [
        {"CIN": cin(n), "Last Name": NAMES[n], "When": today, "How": "Phone", "Reached": "N", "Minutes": str(1 + each)}
        for n in people
        for each in range(ATTEMPTS)
    ]  # fmt: skip
    return sheet([*rows, {**rows[0], "How": "Mailer"}], OTF)


class Campaign:
    """Deaths at moments drawn from the seed."""

    def __init__(self, opened: Town) -> None:
        self._opened = opened
        self._chance = random.Random(SEED)
        self.kills = self.in_the_middle = 0

    async def disturb(self, kind: str, id: str, most: int) -> None:
        """Kill until the file is done, `most` times at most."""
        for _ in range(most):
            await asyncio.sleep(self._chance.uniform(0, LONGEST_WAIT))
            await self._opened.kill()
            self.kills += 1
            await self._opened.begin()
            if await state(self._opened, kind, id) in ("done", "refused"):
                return
            self.in_the_middle += 1


async def state(opened: Town, kind: str, id: str) -> str:
    return (await opened.ask(STREET, "GET", f"/v1/files/{kind}/{id}"))["state"]


async def send(opened: Town, kind: str, part: int, people: Sequence[int], campaign: Campaign | None) -> Any:
    """What became of the file's rows, by result and code."""
    key = f"{kind}-{part}-{people[0]}"
    bytes_ = content(opened, kind, part, people)

    async def sent() -> str:
        answer = await opened.as_(STREET).post(
            f"/v1/files/{kind}?plan={HARBOR}", content=bytes_, headers={"Content-Type": "text/csv", "Idempotency-Key": key}
        )  # fmt: skip
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    sending = asyncio.create_task(sent())
    if campaign is not None and part == 0:
        # The first one dies while it comes in, as well; its sender asks again under the same key.
        await opened.kill()
        campaign.kills += 1
        await opened.begin()
    id = await sending
    if campaign is not None:
        await campaign.disturb(kind, id, A_FILE)
    await opened.quiet()
    assert await state(opened, kind, id) == "done"
    rows = await opened.ask(STREET, "GET", f"/v1/files/{kind}/{id}/rows?limit=1000")
    return [(each["row"], each["result"], each["code"]) for each in rows["items"]]


async def told(opened: Town, referrals: Mapping[int, str], people: Sequence[int]) -> list[Counter[str]]:
    """Of each member how often each thing happened."""
    return [Counter(await opened.timeline(referrals[n])) for n in people]


@pytest.mark.timeout(600 + 20 * KILLS)
async def test_a_file_whose_services_are_killed_comes_to_the_same_end(
    lives: Lives, cluster: Cluster, tmp_path: Path
) -> None:
    profiles = tmp_path / "profiles"
    profiles.mkdir()
    (profiles / PROFILE.name).write_bytes(PROFILE.read_bytes())
    async with town(lives, cluster, tmp_path) as opened:
        opened.through = {"LOOPKEEPER_PROFILES": str(profiles)}
        await opened.stop()
        await opened.begin()
        await opened.ask(OPERATIONS, "PUT", f"/v1/providers/{STREET}", {"answers_by": "file"})
        everybody = range(2 * MEMBERS)
        await put_roster(opened, HARBOR, [{"cin": cin(n), "birth_date": "1964-02-17"} for n in everybody])
        referrals = {
            n: await opened.refer(CLINIC, david(member={**david()["member"], "cin": cin(n), "last_name": NAMES[n]}))
            for n in everybody
        }  # fmt: skip
        await opened.quiet()
        calm, killed = everybody[:MEMBERS], everybody[MEMBERS:]
        campaign = Campaign(opened)
        files = 0
        while files < 2 or campaign.kills < KILLS:
            # Attempts of another day: what one file told of a day, another one does not tell again.
            opened.clock.advance(timedelta(days=1))
            await opened.quiet()
            kind = "otf" if files else "rtf"
            expected = await send(opened, kind, files, calm, None)
            assert await send(opened, kind, files, killed, campaign) == expected
            files += 1
        assert await told(opened, referrals, killed) == await told(opened, referrals, calm)
        (first, *_) = await told(opened, referrals, killed)
        assert first["outreach.attempted"] == ATTEMPTS * (files - 1)
        print(f"{campaign.kills} kills, {campaign.in_the_middle} of them in the middle of a file")
