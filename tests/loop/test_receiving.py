"""Receiving over HTTP: both forms, under the standard of the member's age. Nothing here waits for what travels in the
log, so one log is enough."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest_asyncio

from referral_intake.domain.form.examples import example_child
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, HOSPITAL, VALLEY
from tests.databases import Databases
from tests.loop.house import House, house


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def town(databases: Databases, tmp_path_factory: Any) -> AsyncGenerator[House]:
    folder: Path = tmp_path_factory.mktemp("receiving")
    async with house(databases, folder) as opened:
        yield opened
    await databases.drop()


async def test_a_childs_referral_is_screened_by_the_child_criteria(town: House) -> None:
    receipt = await town.ask(HOSPITAL, "POST", "/v1/referrals", example_child(), 201)
    met = [each["code"] for each in receipt["screening"] if each["result"] == "met"]
    assert met == ["child_welfare"]
    assert "nf_transition" not in {each["code"] for each in receipt["screening"]}
    assert receipt["questions"] == []
    shown = await town.referral(HARBOR, receipt["id"])
    assert (shown["form"], shown["consent_holder"]) == ("child_youth", "county")


async def test_the_wrong_form_for_the_age_is_screened_under_the_right_standard(town: House) -> None:
    """loop.md 2.3"""
    member = david()["member"] | {"birth_date": "2011-02-17", "cin": "90000011S"}
    receipt = await town.ask(CLINIC, "POST", "/v1/referrals", david(member=member), 201)
    met = {each["code"]: each for each in receipt["screening"] if each["result"] == "met"}
    assert set(met) == {"homelessness"}
    # The youth criteria hold no test of complex needs.
    assert "complex_need" not in {each["answer"] for each in met["homelessness"]["criteria"]}
    assert {"age-group", "consent-holder"} <= {each["id"] for each in receipt["questions"]}
    assert (await town.referral(CLINIC, receipt["id"]))["form"] == "child_youth"


async def test_the_receipt_says_what_only_a_person_can_judge(town: House) -> None:
    """loop.md 2.4; domain.md 1.3, A3"""
    factors = {"lacks_food": True, "smhs_dmc_access": True, "pregnant_or_postpartum": True}
    nothing = {"high_risk": False, "crisis_care_primary": False}
    counts = {"smi_sud_ed_visits_12m": 0, "smi_sud_hospitalizations_12m": 0}
    member = david()["member"] | {"cin": "90000012S"}
    body = david(member=member, populations=["smi_sud"], answers=factors | nothing | counts)
    receipt = await town.ask(CLINIC, "POST", "/v1/referrals", body, 201)
    (judged,) = [each for each in receipt["screening"] if each["code"] == "smi_sud"]
    assert judged["result"] == "unknown"
    assert "a person decides" in judged["notes"][0]


async def test_a_roster_comes_in_parts_over_http_and_says_how_far_it_is(town: House) -> None:
    kept = {"county": "alameda", "covered_from": "2025-01-01"}

    def rows(*numbers: int) -> str:
        members = ({"cin": f"9{n:07d}S", "birth_date": "1964-02-17"} | kept for n in numbers)
        return "\n".join(json.dumps(member) for member in members)

    async def put(text: str, status: int, key: str = "march-roster-2026", **query: Any) -> Any:
        answer = await town.as_(HARBOR).put(
            "/v1/roster", params=query, content=text,
            headers={"Content-Type": "application/x-ndjson", "Idempotency-Key": key},
        )  # fmt: skip
        assert answer.status_code == status, answer.text
        return answer.json()

    first = await put(rows(1, 2), 202, more="true")
    assert (first["state"], first["lines"]) == ("waiting", 2)
    assert (await town.ask(HARBOR, "GET", "/v1/roster"))["lines"] == 2
    refused = await town.as_(HARBOR).put(
        "/v1/roster", content=rows(5), headers={"Content-Type": "application/x-ndjson"}
    )
    assert (refused.status_code, refused.json()["slug"]) == (409, "import-running")
    last = await put(rows(3), 200, from_line=3)
    assert (last["state"], last["accepted"], last["errors"]) == ("done", 3, [])
    # Two of three are not in the next file: nobody leaves before somebody has looked at that.
    looked = await put(rows(3), 200, "april-roster-2026", dry_run="true")
    assert looked["removed"] == 2
    held = await put(rows(3), 409, "april-roster-2026")
    assert (held["slug"], held["removals"], held["standing"]) == ("removals-unconfirmed", 2, 3)
    assert (await town.ask(HARBOR, "GET", "/v1/roster"))["state"] == "held"
    left = await put(rows(3), 200, "april-roster-2026", confirm_removals="true")
    assert (left["state"], left["removed"]) == ("done", 2)
    await town.ask(VALLEY, "GET", "/v1/roster", status=404)
    await town.ask(CLINIC, "GET", "/v1/roster", status=403)


async def test_what_was_erased_is_gone_for_everybody_and_the_answer_says_so(town: House) -> None:
    """Destroying a plan's keys erases its members' identities; the loops themselves stay countable."""
    member = david()["member"] | {"cin": "90000013S"}
    first = await town.ask(CLINIC, "POST", "/v1/referrals", david(plan=VALLEY, member=member), 201)
    path = f"/v1/referrals/{first['id']}"
    opened = await town.ask(VALLEY, "GET", f"{path}/member")
    assert opened["identity"]["last_name"] == "Okafor"
    for context in town.running.contexts.values():
        context.sealer.keyring.destroy(VALLEY)
    gone = await town.ask(VALLEY, "GET", f"{path}/member", status=410)
    assert gone["slug"] == "erased"
    assert (await town.referral(VALLEY, first["id"]))["status"] != "closed"
    late = david()["member"] | {"cin": "90000014S"}
    refused = await town.ask(CLINIC, "POST", "/v1/referrals", david(plan=VALLEY, member=late), 410)
    assert (refused["slug"], "ask the plan" in refused["fix"]) == ("erased", True)
