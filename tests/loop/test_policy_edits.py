"""Policy is data: an operator edits one row in the policy folder, starts again, and the next referral is decided by
it, from the day it holds. What was decided before stays as it was decided."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import pytest_asyncio

from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.settings import Settings
from loopkeeper.runtime.run import Addresses, Running
from loopkeeper.runtime.service import installed
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, NAVIGATORS, VALLEY
from tests.databases import Databases, NewLog
from tests.loop.house import House, house, put_roster

TWO_STAYS = """
    table: populations
    rows:
      - id: harbor-two-stays
        plan: harbor-health-plan
        population: avoidable_utilization
        form: adult
        condition: {any: [{count: avoidable_ed_visits_6m, at_least: 5}, {count: avoidable_stays_6m, at_least: 2}]}
        effective_from: 2026-03-03
        source: the plan's decision of 2026-02-20
        confidence: ours
    """
COMMUNITY_ORGANIZATIONS = """
    table: presumptive
    rows:
      - {id: harbor-community, plan: harbor-health-plan, population: homelessness, provider_type: community_organization,
         effective_from: 2025-01-01, source: the plan's decision of 2026-02-20, confidence: ours}
    """


@pytest_asyncio.fixture
async def open_house(databases: Databases, tmp_path: Path, new_log: NewLog) -> AsyncGenerator[House]:
    async with house(databases, tmp_path, event_log=await new_log()) as opened:
        for plan in (HARBOR, VALLEY):
            contract = {"plan": plan, "populations": ["avoidable_utilization"], "from": "2025-01-01"}
            await opened.ask(plan, "PUT", f"/v1/providers/{CLINIC}", {"contracts": [contract]})
        await opened.quiet()
        yield opened
    await databases.drop()


@asynccontextmanager
async def restarted(opened: House) -> AsyncGenerator[House]:
    """The same databases, log and policy folder under a program that has just been started."""
    assert opened.addresses is not None
    await opened.running.stop()
    async with Running(opened.running.settings, installed(), clock=opened.clock) as running:
        await running.start(opened.addresses)
        again = House(running, opened.clock, opened.keys, opened.partner, opened.home, opened.addresses)
        yield again
        await again.close()


def write(opened: House, name: str, text: str) -> None:
    """A file of the operator's own next to the plans'."""
    (policy_folder(opened) / name).write_text(dedent(text))


def policy_folder(opened: House) -> Path:
    return opened.running.settings.policy_folder


def member(cin: str, **changes: Any) -> dict[str, Any]:
    return david(member={**david()["member"], "cin": cin}, **changes)


async def refer(opened: House, organization: str, body: dict[str, Any]) -> tuple[str, list[str]]:
    """A referral and what follows it at once."""
    referral = await opened.refer(organization, body)
    await opened.quiet()
    return referral, await opened.timeline(referral, body["plan"])


async def explained(opened: House, referral: str) -> Any:
    found = await opened.ask(HARBOR, "GET", "/v1/authorizations")
    (request,) = [item for item in found["items"] if item["referral"] == referral]
    return await opened.ask(HARBOR, "GET", f"/v1/authorizations/{request['id']}/explanation")


REFUSED = ["referral.received", "authorization.review_opened", "authorization.presumptive_refused"]
GRANTED = ["referral.received", "authorization.review_opened", "authorization.presumptive_granted"]


async def test_a_lower_threshold_lets_more_in_from_its_day_on_and_for_its_plan_only(
    open_house: House,
) -> None:
    def two_stays(opened: House, cin: str, plan: str = HARBOR) -> dict[str, Any]:
        claimed = {"population": "avoidable_utilization", "from": opened.today()}
        return member(
            cin, plan=plan, populations=["avoidable_utilization"],
            answers={"avoidable_ed_visits_6m": 0, "avoidable_stays_6m": 2}, presumptive=claimed,
        )  # fmt: skip

    first, types = await refer(open_house, CLINIC, two_stays(open_house, "90000011S"))
    assert types == REFUSED
    as_decided = await explained(open_house, first)
    write(open_house, "thresholds.yaml", TWO_STAYS)
    async with restarted(open_house) as again:
        # The row holds from tomorrow on.
        _, types = await refer(again, CLINIC, two_stays(again, "90000012S"))
        assert types == REFUSED
        await again.pass_time(timedelta(days=1))
        second, types = await refer(again, CLINIC, two_stays(again, "90000013S"))
        assert types[:3] == GRANTED
        _, types = await refer(again, CLINIC, two_stays(again, "90000014S", VALLEY))
        assert types == REFUSED
        timeline = await again.ask(HARBOR, "GET", f"/v1/referrals/{second}/timeline")
        assert "harbor-health-plan/populations/harbor-two-stays@2026-03-03" in timeline["items"][0]["policy"]
        assert await explained(again, first) == as_decided
        assert await again.timeline(first) == REFUSED


async def test_a_provider_type_added_to_the_table_is_granted_what_it_was_refused(open_house: House) -> None:
    def claimed(cin: str) -> dict[str, Any]:
        today = open_house.today()
        return member(cin, presumptive={"population": "homelessness", "from": today})

    first, types = await refer(open_house, NAVIGATORS, claimed("90000021S"))
    assert types == REFUSED
    write(open_house, "types.yaml", COMMUNITY_ORGANIZATIONS)
    async with restarted(open_house) as again:
        second, types = await refer(again, NAVIGATORS, claimed("90000022S"))
        assert types[:3] == GRANTED
        ref = "harbor-health-plan/presumptive/harbor-community@2025-01-01"
        assert ref in (await explained(again, second))["policy"]
        # Decided by the table of its hour: nobody looks at it again.
        await again.pass_time(timedelta(days=2))
        assert await again.timeline(first) == REFUSED


async def test_another_date_on_the_plans_switch_sends_the_decision_to_a_person(open_house: House) -> None:
    confirmed = ("90000031S", "90000032S", "90000033S")
    born = david()["member"]["birth_date"]
    await put_roster(open_house, HARBOR, [{"cin": cin, "birth_date": born} for cin in confirmed])
    first, types = await refer(open_house, CLINIC, member(confirmed[0]))
    assert types[:3] == ["referral.received", "authorization.review_opened", "authorization.approved"]
    as_decided = await explained(open_house, first)
    plans = policy_folder(open_house) / "plans.yaml"
    switched_on = "switched_on: true, sample: 0.0,\n     effective_from: 2025-01-01"
    assert plans.read_text().count(switched_on) == 1
    plans.write_text(plans.read_text().replace(switched_on, switched_on.replace("2025-01-01", "2026-03-05")))
    async with restarted(open_house) as again:
        second, types = await refer(again, CLINIC, member(confirmed[1]))
        assert types == ["referral.received", "authorization.review_opened"]
        assert "switch_off" in (await explained(again, second))["needs_person"]
        await again.pass_time(timedelta(days=3))
        third, _ = await refer(again, CLINIC, member(confirmed[2]))
        assert "switch_off" not in (await explained(again, third))["needs_person"]
        assert await explained(again, first) == as_decided


async def test_a_row_that_would_shut_members_out_stops_the_start(tmp_path: Path) -> None:
    """A plan may lower a threshold and never raise one (ECMG26 p19)."""
    (tmp_path / "thresholds.yaml").write_text(dedent(TWO_STAYS).replace("at_least: 2", "at_least: 4"))
    settings = Settings(home=tmp_path / "home", policy=tmp_path)
    async with Running(settings, installed()) as running:
        with pytest.raises(StartError, match="policy is not sound"):
            await running.start(Addresses({}, ""))
