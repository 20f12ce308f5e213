"""What people of operations read and do: keys and their last use, what is parked, a page for each alert."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

from playwright.async_api import expect

from loopkeeper.contract.envelope import Message
from loopkeeper.security import organizations
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HOSPITAL
from tests.console.stage import Stage

ROOT = Path(__file__).parents[2]


async def a_fact_of_a_later_version(at: Stage) -> str:
    """A referral of which the log has a fact that this program does not know yet: it waits, and nothing else does."""
    referral = await at.house.refer(CLINIC, david())
    await at.house.quiet()
    service = at.house.running.contexts["intake"]
    told = Message(
        id=uuid4(), type="ecm.outreach.attempted.v9", source="/notification", subject=referral, time=at.clock.now(), data=b"{}",
    )  # fmt: skip
    await service.event_log.publish([told])
    await at.house.quiet()
    return referral


async def test_each_key_is_listed_with_its_last_use_and_the_command_that_ends_it(at: Stage) -> None:
    await at.house.ask(HOSPITAL, "GET", "/v1/referrals?limit=1")
    folder = at.resources.settings.config_folder
    made, _ = organizations.add_client(folder, CLINIC, ["referrer"])
    ended = made.id
    organizations.revoke_client(folder, ended)
    keys = {
        one["organization"]: one["id"] for one in organizations.list_clients(folder) if one["id"] != ended
    }
    noor = await at.be("Noor Haddad")
    await noor.goto(f"{at.url}/ops/organizations")
    hospital = noor.locator(f"#{HOSPITAL}")
    await expect(hospital.get_by_text(keys[HOSPITAL])).to_be_visible()
    await expect(hospital).to_contain_text("last used")
    await expect(noor.locator(f"#{CLINIC} .undone")).to_contain_text(ended)
    await expect(noor.get_by_text("loopkeeper client revoke KEY")).to_be_visible()
    for key in at.house.keys.values():
        assert key not in await noor.content(), "only its hash is kept"


async def test_what_is_parked_is_shown_by_its_cause_and_tried_before_it_is_replayed(at: Stage) -> None:
    referral = await a_fact_of_a_later_version(at)
    noor = await at.be("Noor Haddad")
    await noor.goto(f"{at.url}/ops")
    await noor.locator("#services").get_by_role("link", name=re.compile(r"^\d+$")).first.click()
    await expect(noor.locator("h1")).to_contain_text("parked")
    await expect(noor.locator("main")).to_contain_text("ecm.outreach.attempted.v9")
    await noor.get_by_role("link", name=f"…{referral[-6:]}").first.click()
    await expect(noor.locator("h1")).to_contain_text("1 fact waits")
    await noor.get_by_role("button", name="Try").click()
    await expect(noor.get_by_role("status").first).to_contain_text("A try: 0 applied, 1 left.")
    await noor.get_by_role("button", name="Replay").click()
    await expect(noor.get_by_role("alert")).to_contain_text("fails again")
    assert david()["member"]["last_name"] not in await noor.content()


async def test_each_alert_of_the_runbook_links_a_page_that_is_there(at: Stage) -> None:
    runbook = (ROOT / "docs/guides/runbook.md").read_text()
    sections = re.split(r"^## ", runbook, flags=re.MULTILINE)[1:]
    named = {
        part.split()[0]: re.search(r"^In the console: `([^`]+)`", part, re.MULTILINE) for part in sections
    }
    alerts = {
        name
        for file in ("alerts.yml", "alerts-cluster.yml")
        for name in re.findall(r"alert: (\w+)", (ROOT / "deploy/prometheus" / file).read_text())
    }
    assert {name for name in alerts if not named.get(name)} == set()
    noor = await at.be("Noor Haddad")
    for path in {found[1] for found in named.values() if found}:
        # Two alerts may name two places of one page: from one to the other nothing would be loaded.
        await noor.goto("about:blank")
        answer = await noor.goto(at.url + path)
        assert answer is not None
        assert answer.status == 200, path
        anchor = path.partition("#")[2]
        if anchor:
            await expect(noor.locator(f"#{anchor}")).to_be_visible()


async def test_a_plans_people_see_none_of_it(at: Stage) -> None:
    maria = await at.be("Maria Chen")
    for path in ("/ops", "/ops/parked", "/ops/organizations"):
        answer = await maria.goto(at.url + path)
        assert answer is not None
        assert answer.status == 404, path
