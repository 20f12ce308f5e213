"""What is rare is recorded on pages: a death, an error, another provider, custody, an appeal."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.async_api import Page, expect

from loopkeeper.contract.calendar import la_date
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR
from tests.console.loops import PROVIDERS, accepted_by, half_answered, the_loop_is
from tests.console.stage import Stage
from tests.loop.house import put_roster


@pytest.fixture(scope="module")
def number() -> list[int]:
    """The number of the last member referred here."""
    return [200]


async def referred(at: Stage, number: list[int], **changes: object) -> str:
    """A member whom a rule authorizes."""
    number[0] += 1
    member = david()["member"] | {"cin": f"90000{number[0]}S", "first_name": "Amara"}
    await put_roster(at.house, HARBOR, [{"cin": f"90000{each}S", "birth_date": member["birth_date"]} for each in range(201, number[0] + 1)])  # fmt: skip
    referral = await at.house.refer(CLINIC, david(member=member, **changes))
    await at.house.quiet()
    return referral


async def accepted(at: Stage, number: list[int], **changes: object) -> tuple[str, str]:
    """A member whom a provider has accepted: the referral, and who of the provider is signed in."""
    referral = await referred(at, number, **changes)
    provider = await accepted_by(at, referral)
    return referral, PROVIDERS[provider]


async def unfold(page: Page, at: Stage, referral: str, name: str) -> None:
    await page.goto(f"{at.url}/referrals/{referral}/record")
    await page.locator(f"#{name} summary").first.click()


async def done(page: Page, button: str, said: str) -> None:
    await page.get_by_role("button", name=button, exact=True).click()
    await expect(page.get_by_role("status").filter(has_text=said)).to_be_visible()


async def test_a_death_that_the_referrer_tells_stops_contact_and_the_plan_confirms_it(
    at: Stage, number: list[int]
) -> None:
    referral, who = await accepted(at, number)
    rosa = await at.be("Rosa Diaz")
    await unfold(rosa, at, referral, "death")
    await done(rosa, "Tell the plan", "Nobody contacts the member now.")
    await at.house.quiet()

    luis = await at.be(who, width=360)
    await luis.goto(f"{at.url}/care/people/{referral}")
    await expect(luis.get_by_text("Contact nobody")).to_be_visible()
    await expect(luis.locator("#attempt")).to_have_count(0)

    maria = await at.be("Maria Chen")
    await maria.goto(f"{at.url}/plan/asked/{referral}")
    await done(maria, "Confirm it", "It is confirmed.")
    await at.house.quiet()
    assert (await at.house.referral(HARBOR, referral))["closing"]["outcome"] == "no_longer_eligible"


async def test_a_death_told_in_error_is_taken_back_by_the_plan(at: Stage, number: list[int]) -> None:
    referral, who = await accepted(at, number)
    luis = await at.be(who)
    await unfold(luis, at, referral, "death")
    await done(luis, "Tell the plan", "Nobody contacts the member now.")
    await at.house.quiet()
    maria = await at.be("Maria Chen")
    await unfold(maria, at, referral, "death-not-so")
    await done(maria, "Take it back", "Contact may go on.")
    await at.house.quiet()
    await luis.goto(f"{at.url}/care/people/{referral}")
    await expect(luis.locator("#attempt")).to_be_visible()


async def test_an_attempt_recorded_twice_is_taken_back_by_who_recorded_it(
    at: Stage, number: list[int]
) -> None:
    referral, who = await accepted(at, number)
    provider = next(slug for slug, name in PROVIDERS.items() if name == who)
    await at.house.attempt(provider, referral, "phone", "no_answer")
    luis = await at.be(who, width=360)
    await luis.goto(f"{at.url}/care/people/{referral}")
    await luis.locator(".tried .undo summary").click()
    await luis.locator(".tried").get_by_label("Why").select_option("recorded_twice")
    await done(luis, "Take it back", "It is taken back.")
    await expect(luis.locator(".tried").get_by_text("taken back")).to_be_visible()


async def test_a_start_of_services_recorded_in_error_is_taken_back(at: Stage, number: list[int]) -> None:
    referral, who = await accepted(at, number)
    provider = next(slug for slug, name in PROVIDERS.items() if name == who)
    await at.house.ask(provider, "POST", f"/v1/outreach/{referral}:start-services", {"on": at.house.today()})
    await at.house.quiet()
    luis = await at.be(who)
    await luis.goto(f"{at.url}/care/people/{referral}")
    await luis.locator(".card.error .undo summary").click()
    await luis.locator(".card.error").get_by_label("Why").select_option("another_member")
    await done(luis, "Take it back", "It is taken back.")
    await at.house.quiet()
    assert "outreach.taken_back" in await at.house.timeline(referral)


async def test_who_referred_records_an_attempt_before_anybody_accepted(at: Stage, number: list[int]) -> None:
    referral = await referred(at, number)
    rosa = await at.be("Rosa Diaz", width=360)
    await unfold(rosa, at, referral, "attempt")
    await rosa.get_by_role("radio", name="In person", exact=True).check()
    await rosa.get_by_role("radio", name="Not found at the place").check()
    await done(rosa, "Record it", "The attempt is recorded.")
    await at.house.quiet()
    assert "outreach.attempted" in await at.house.timeline(referral)
    assert (await at.house.referral(HARBOR, referral))["status"] == "assigned"


async def test_the_member_wishes_another_provider_and_the_plan_hears_it(at: Stage, number: list[int]) -> None:
    referral, who = await accepted(at, number)
    luis = await at.be(who)
    await unfold(luis, at, referral, "another-provider")
    await done(luis, "Pass the wish on", "The wish is passed on to the plan.")
    await at.house.quiet()
    step = (await at.house.referral(HARBOR, referral))["next_step"]
    assert (step["actor"], step["code"]) == ("plan", "change_requested")


async def test_a_provider_that_can_serve_no_longer_ends_its_assignment(at: Stage, number: list[int]) -> None:
    referral, who = await accepted(at, number)
    luis = await at.be(who)
    await unfold(luis, at, referral, "no-longer")
    await done(luis, "End the assignment", "The assignment ends.")
    await at.house.quiet()
    assert "assignment.ended" in await at.house.timeline(referral)


async def test_a_day_of_release_moves_and_custody_takes_the_start_back(at: Stage, number: list[int]) -> None:
    today = la_date(at.clock.now())
    inside = {**david()["answers"], "leaving_incarceration": True, "pre_release_services": True}
    referral = await referred(at, number, answers=inside, release_on=(today + timedelta(days=9)).isoformat())
    maria = await at.be("Maria Chen")
    await unfold(maria, at, referral, "release")
    sooner = today + timedelta(days=4)
    await maria.get_by_label("Day of release").fill(sooner.isoformat())
    await done(maria, "Record the day", "The day of release is recorded.")
    await at.house.quiet()
    assert (await at.house.referral(HARBOR, referral))["release_on"] == sooner.isoformat()
    await unfold(maria, at, referral, "custody")
    await done(maria, "Record it", "Outreach waits.")
    await at.house.quiet()
    assert "referral.back_in_custody" in await at.house.timeline(referral)


async def test_who_speaks_for_a_member_changes_at_once(at: Stage, number: list[int]) -> None:
    referral, who = await accepted(at, number)
    luis = await at.be(who)
    await unfold(luis, at, referral, "consent")
    await luis.get_by_label("Who", exact=True).select_option("authorized_representative")
    await luis.get_by_label("Their name").fill("Robin Vale")
    await done(luis, "Record it", "It is recorded, and counts from now on.")
    await at.house.quiet()
    found = await at.house.referral(HARBOR, referral)
    assert found["consent_holder"] == "authorized_representative"


async def test_the_plan_closes_by_hand_and_the_referrer_contests_it(at: Stage, number: list[int]) -> None:
    referral = await referred(at, number)
    maria = await at.be("Maria Chen")
    await unfold(maria, at, referral, "close")
    await maria.get_by_label("Outcome").select_option("other")
    await maria.get_by_role("button", name="Close the loop").click()
    await expect(maria.get_by_role("alert")).to_be_visible()
    assert await maria.get_by_label("Outcome").input_value() == "other", "what was chosen is kept"
    await maria.get_by_label("In words").fill("The family takes care of it.")
    await done(maria, "Close the loop", "The loop is closed.")
    await at.house.quiet()
    rosa = await at.be("Rosa Diaz")
    await unfold(rosa, at, referral, "contest")
    await rosa.get_by_label("Why?").fill("Nobody of the family was asked.")
    await done(rosa, "Contest it", "It goes on as a new referral.")
    assert rosa.url.split("?")[0] != f"{at.url}/referrals/{referral}"


async def test_an_appeal_against_an_end_lets_the_term_go_on_until_it_is_resolved(
    at: Stage, number: list[int]
) -> None:
    referral, who = await accepted(at, number)
    provider = next(slug for slug, name in PROVIDERS.items() if name == who)
    await at.house.ask(provider, "POST", f"/v1/outreach/{referral}:start-services", {"on": at.house.today()})
    await at.house.quiet()
    terms = (await at.house.ask(HARBOR, "GET", "/v1/authorizations?status=approved&limit=200"))["items"]
    term = next(each["id"] for each in terms if each["referral"] == referral)
    maria = await at.be("Maria Chen")
    await maria.goto(f"{at.url}/plan/terms/{term}")
    await maria.get_by_text("End the term").click()
    await maria.get_by_label("Why").select_option("1")
    await done(maria, "End it", "The term ends")
    await at.house.quiet()
    await maria.goto(f"{at.url}/plan/terms/{term}")
    await maria.get_by_text("The member appeals against the end").click()
    await done(maria, "Record the appeal", "The appeal is recorded.")
    await maria.get_by_text("The term goes on", exact=True).wait_for()
    await done(maria, "It goes on", "The term goes on.")


async def test_a_denial_says_which_criterion_is_not_met(at: Stage) -> None:
    referral = await at.house.refer(CLINIC, half_answered(7))
    await at.house.quiet()
    case = (await at.house.referral(HARBOR, referral))["authorization"]["id"]
    maria = await at.be("Maria Chen")
    await maria.goto(f"{at.url}/plan/decide/{case}")
    await maria.locator("label[for=choice-deny]").click()
    await maria.get_by_label("Reason", exact=True).select_option("criteria_not_met")
    await maria.get_by_role("button", name="Review before sending").click()
    await expect(maria.get_by_role("alert")).to_contain_text("Which criterion is not met is missing")
    await maria.locator("select[name^=criterion-]").first.select_option("place_not_for_sleeping")
    await maria.locator("textarea[name^=unmet-]").first.fill("You told us that you sleep at home.")
    await maria.get_by_role("button", name="Review before sending").click()
    await the_loop_is(maria, "Deny this?")
    await maria.get_by_role("button", name="Deny").click()
    await at.house.quiet()
    assert (await at.house.referral(HARBOR, referral))["closing"]["outcome"] == "not_authorized"
