"""The sample plans' files, sent to the service: each row becomes what was expected, by the rules of the routes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from loopkeeper.contract.vocabulary import Population
from loopkeeper.plan_files.mif import judge_mif
from loopkeeper.plan_files.table import open_table, records
from loopkeeper.runtime.files.kinds import Sent
from loopkeeper.security.organizations import Client, Role
from notification.files.members import own_members
from tests.databases import Databases
from tests.notification.house import house
from tests.notification.plan_world import furnish, organizations_of, sent
from tests.plan_files.worlds import PLANS, World

CHAINS = [pytest.param(World(plan), kind, id=f"{plan}-{kind}") for plan in PLANS for kind in ("rtf", "otf")]


def shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row of the service as `expected.json` writes it, without its facts."""
    said: dict[str, Any] = {"row": row["row"], "result": row["result"]}
    said |= {name: row[name] for name in ("code", "column") if row[name]}
    return said | ({"warnings": row["warnings"]} if row["warnings"] else {})


def wanted(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        name: value for name, value in row.items() if name in ("row", "result", "code", "column", "warnings")
    }


@pytest.mark.parametrize(("world", "kind"), CHAINS)
async def test_a_plans_files_become_what_was_expected(
    databases: Databases, tmp_path: Path, world: World, kind: str
) -> None:
    url = await databases.make("notification", await databases.template("notification"))
    async with house(url, tmp_path, more=organizations_of(world)) as opened:
        await furnish(opened, world)
        for said in world.expected:
            if said["kind"] != kind or "file_refused" in said:
                continue
            file = await sent(opened, world, kind, said["file"])
            assert [shown(row) for row in file["items"]] == [wanted(row) for row in said["rows"]]
            assert file["counts"] == said["counts"]


# loop.md 1.5
async def test_a_row_is_judged_knowing_the_senders_own_members_alone(
    databases: Databases, tmp_path: Path
) -> None:
    """Another provider's member and nobody are looked for in the same place: no word and no moment tells them apart."""
    world = World("sampleton")
    plan, sender = world.said["plan"]["id"], world.said["sender"]["slug"]
    elsewhere = {each["cin"] for each in world.said["members"] if each["state"] == "elsewhere"}
    url = await databases.make("notification", await databases.template("notification"))
    async with house(url, tmp_path, more=organizations_of(world)) as opened:
        await furnish(opened, world)
        client = Client("one", sender, "", frozenset({Role.PROVIDER}))
        file = Sent("fil_1", client, plan, "rtf", False, opened.clock.now(), plan)
        own = await own_members(opened.context, file)
    assert elsewhere
    assert elsewhere.isdisjoint(own.members)
    assert set(own.members) <= set(world.members)


# What the loop knows of a member: not whether one is in Medicare; and nobody was told of before, so that all are new.
TOLD = (
    "member.cin", "member.first_name", "member.last_name", "member.birth_date", "member.plan_member_id", "member.language",
    "member.phone", "member.street", "member.city", "member.zip", "member.populations", "member.ecm_status",
    "authorization.number", "authorization.from", "authorization.through", "referral.received_on", "provider.npi",
    "plan.name", "plan.number", *(f"population.{code}" for code in Population.codes()),
)  # fmt: skip


def read(world: World, content: bytes) -> list[Mapping[str, Any]]:
    rows = records(open_table(content, "mif", world.layout("mif")))
    return [{name: record[name] for name in TOLD if record[name] is not None} for record in rows]


@pytest.mark.parametrize("plan", PLANS)
async def test_the_member_file_of_a_plan_is_written_from_the_loops_and_read_back_without_loss(
    databases: Databases, tmp_path: Path, plan: str
) -> None:
    world = World(plan)
    sender, told_by = world.said["sender"]["slug"], world.said["plan"]["id"]
    (golden,) = [said for said in world.expected if said["direction"] == "out"]
    url = await databases.make("notification", await databases.template("notification"))
    async with house(url, tmp_path, more=organizations_of(world)) as opened, opened.caller(sender) as caller:
        await furnish(opened, world)
        file = (await caller.post(f"/v1/files/mif:write?plan={told_by}")).json()
        content = (await caller.get(f"/v1/files/mif/{file['id']}/content")).content
    written, wanted = read(world, content), read(world, world.content(golden["file"]))
    assert len(written) == golden["rows_written"]
    assert written == wanted
    judged = judge_mif(
        records(open_table(content, "mif", world.layout("mif"))),
        world.providers,
        world.layout("mif"),
        world.context,
    )
    assert judged.counts() == {"accepted": golden["rows_written"], "unchanged": 0, "refused": 0}
