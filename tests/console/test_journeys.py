"""Four people in four browsers play a loop from refer to told; one of them by keyboard, one without script on a phone."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from playwright.async_api import expect

from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR
from tests.console.loops import PROVIDERS, accepted_by, approved, half_answered, the_loop_is, who_is_offered
from tests.console.stage import Stage

# `make test` runs these too.
pytestmark = pytest.mark.journey


@pytest.mark.parametrize(("script", "width"), [(True, 1280), (False, 360)])
async def test_four_people_in_four_browsers_play_a_loop_from_refer_to_told(
    at: Stage, script: bool, width: int
) -> None:
    """With script on a laptop, and without it on a phone."""
    rosa = await at.be("Rosa Diaz", width=width, script=script)
    await rosa.goto(f"{at.url}/refer/new/adult")
    await rosa.get_by_label("Health plan").select_option(HARBOR)
    await rosa.get_by_label("First name").fill("Elias")
    await rosa.get_by_label("Last name").fill("Quillfeather")
    await rosa.get_by_label("CIN", exact=True).fill("90000100S" if script else "90000200S")
    await rosa.get_by_label("Birth date").fill("1964-02-17")
    await rosa.get_by_label("County", exact=True).select_option("alameda")
    await rosa.get_by_label("Usual place").fill("A green tent behind the gas station")
    await rosa.locator("label[for=pop-homelessness]").click()
    await (
        rosa.get_by_role("group", name=re.compile("place not meant for sleeping"))
        .get_by_role("radio", name="Yes")
        .check()
    )
    await rosa.get_by_label(re.compile("What I say here is true")).check()
    await rosa.get_by_role("button", name="Send the referral").click()
    await the_loop_is(rosa, "Your referral is received")
    referral = await rosa.locator("code.whole").inner_text()
    await at.house.quiet()

    maria = await at.be("Maria Chen", width=width, script=script)
    await the_loop_is(maria, "One waits for a decision")
    await maria.get_by_role("link", name="Experiencing homelessness").click()
    await expect(maria.get_by_text("Quillfeather")).to_have_count(0)
    await maria.get_by_label("Why do you open it?").select_option("decide")
    await maria.get_by_role("button", name="Open for ten minutes").click()
    await expect(maria.get_by_text("Quillfeather")).to_be_visible()
    await maria.locator("label[for=choice-approve]").click()
    await maria.get_by_role("button", name="Review before sending").click()
    await the_loop_is(maria, "Approve this?")
    await maria.get_by_role("button", name="Approve").click()
    await the_loop_is(maria, "Nothing waits for a decision")

    provider = PROVIDERS[await who_is_offered(at, referral)]
    luis = await at.be(provider, width=360, dark=True, script=script)
    await the_loop_is(luis, "1 offer waits for your answer")
    await luis.locator(".headline").first.click()
    await luis.locator("label[for=answer-accept]").click()
    await luis.get_by_role("button", name="Send the answer").click()
    await the_loop_is(luis, f"Person {referral[-6:]}")
    await luis.get_by_role("radio", name="In person").first.check()
    await luis.get_by_role("radio", name="Reached the member").check()
    await luis.get_by_role("button", name="Record it").click()
    await expect(luis.get_by_text("The attempt is recorded.")).to_be_visible()
    await luis.get_by_text("Services started").click()
    await luis.get_by_role("button", name="Record the start").click()
    await expect(luis.get_by_text("The referrer is told.")).to_be_visible()
    await at.house.quiet()

    await rosa.goto(f"{at.url}/mailbox")
    closed = rosa.locator("li", has_text=referral[-6:]).filter(has_text="losed")
    await closed.get_by_role("link").click()
    assert await told(at, referral) is None, "looking at the envelope tells nothing"
    await rosa.get_by_role("button", name="Open it").click()
    await at.house.quiet()
    assert await told(at, referral) is not None
    await rosa.goto(f"{at.url}/referrals/{referral}")
    await expect(rosa.locator(".ring.large .tick")).to_have_count(1)
    await expect(rosa.locator(".proved")).to_be_visible()


async def told(at: Stage, referral: str) -> str | None:
    return (await at.house.referral(HARBOR, referral))["closing"]["told_at"]


async def test_a_decision_is_made_with_the_keyboard_alone(at: Stage) -> None:
    referral = await at.house.refer(CLINIC, half_answered(1))
    await at.house.quiet()
    maria = await at.be("Maria Chen")
    press = maria.keyboard.press
    await press("j")
    await press("Enter")
    await expect(maria.locator(".decision")).to_be_visible()
    await press("d")
    await expect(maria.locator("#choice-deny")).to_be_checked()
    await maria.get_by_label("Reason", exact=True).focus()
    await maria.keyboard.type("No active")
    await maria.locator("#decision button.primary").focus()
    await press("Enter")
    await the_loop_is(maria, "Deny this?")
    assert (await at.house.referral(HARBOR, referral))["status"] != "closed", "a review sends nothing"
    await maria.get_by_role("button", name="Deny").focus()
    await press("Enter")
    await maria.wait_for_url(f"{at.url}/plan/queue")
    await at.house.quiet()
    closing = (await at.house.referral(HARBOR, referral))["closing"]
    assert closing["outcome"] == "not_authorized"


async def test_an_offer_is_accepted_and_an_attempt_recorded_with_the_keyboard_alone(at: Stage) -> None:
    referral = await at.house.refer(CLINIC, david(member={**david()["member"], "cin": "90000300S"}))
    await approved(at, referral)
    luis = await at.be(PROVIDERS[await who_is_offered(at, referral)])
    press = luis.keyboard.press
    await press("j")
    await press("Enter")
    await the_loop_is(luis, "Can you take this person?")
    await press("y")
    await expect(luis.locator("#answer-accept")).to_be_checked()
    await luis.get_by_role("button", name="Send the answer").focus()
    await press("Enter")
    await the_loop_is(luis, f"Person {referral[-6:]}")
    for group, name in (("modality", "In person"), ("outcome", "No answer")):
        await luis.locator(f"input[name={group}]").first.focus()
        for _ in range(8):
            if await luis.get_by_role("radio", name=name, exact=True).first.is_checked():
                break
            await press("ArrowRight")
        await expect(luis.get_by_role("radio", name=name, exact=True).first).to_be_checked()
    await luis.get_by_role("button", name="Record it").focus()
    await press("Enter")
    await expect(luis.get_by_text("The attempt is recorded.")).to_be_visible()


async def test_who_decided_is_the_signed_in_person_and_proved(at: Stage) -> None:
    referral = await at.house.refer(CLINIC, half_answered(2))
    await at.house.quiet()
    maria = await at.be("Maria Chen")
    await maria.locator(".headline").first.click()
    await maria.locator("label[for=choice-approve]").click()
    await maria.get_by_role("button", name="Review before sending").click()
    await maria.get_by_role("button", name="Approve").click()
    await maria.wait_for_url(f"{at.url}/plan/queue")
    await at.house.quiet()
    events = (await at.house.ask(HARBOR, "GET", f"/v1/referrals/{referral}/timeline"))["items"]
    approved = next(each for each in events if each["type"] == "authorization.approved")
    maria_id = await at.asks("SELECT id FROM person WHERE name = 'Maria Chen'")
    assert approved["person"] == maria_id
    await maria.goto(f"{at.url}/referrals/{referral}")
    await expect(maria.locator(".timeline").get_by_text("Maria Chen")).to_be_visible()


async def test_an_attempt_is_recorded_on_a_phone_without_script(at: Stage) -> None:
    referral = await at.house.refer(CLINIC, david())
    provider = await accepted_by(at, referral)
    luis = await at.be(PROVIDERS[provider], width=360, script=False)
    await luis.goto(f"{at.url}/care/people/{referral}")
    await luis.get_by_role("radio", name="Phone", exact=True).first.check()
    await luis.get_by_role("radio", name="No answer").check()
    await luis.get_by_role("button", name="Record it").click()
    await expect(luis.get_by_text("1 attempt, last")).to_be_visible()
    found = await at.house.ask(provider, "GET", f"/v1/outreach/{referral}")
    assert [each["modality"] for each in found["attempts"]] == ["phone"]


async def test_a_page_follows_what_happens_and_keeps_focus(at: Stage) -> None:
    maria = await at.be("Maria Chen")
    before = await maria.locator("[data-row]").count()
    await maria.locator("#find").focus()
    at.clock.advance(timedelta(seconds=5))
    await at.house.refer(CLINIC, half_answered(3))
    await at.house.quiet()
    await expect(maria.locator("[data-row]")).to_have_count(before + 1, timeout=8000)
    assert await maria.evaluate("document.activeElement.id") == "find"


async def test_what_is_unfolded_stays_so_while_the_page_follows(at: Stage) -> None:
    noor = await at.be("Noor Haddad")
    await noor.locator("summary", has_text="The same as a table").click()
    open_now = await noor.locator("h1").inner_text()
    at.clock.advance(timedelta(seconds=5))
    await at.house.refer(CLINIC, half_answered(4))
    await at.house.quiet()
    await expect(noor.locator("h1")).not_to_have_text(open_now, timeout=8000)
    await expect(noor.locator("details", has_text="The same as a table")).to_have_attribute("open", "")


async def test_a_form_that_is_refused_keeps_what_was_typed_and_repeats_under_its_key(at: Stage) -> None:
    imani = await at.be("Imani Brooks")
    await imani.goto(f"{at.url}/refer/new/adult")
    await imani.get_by_label("Health plan").select_option(HARBOR)
    await imani.get_by_label("First name").fill("Nobody")
    once = await imani.locator("form.refer input[name=once]").get_attribute("value")
    await imani.get_by_role("button", name="Send the referral").click()
    await expect(imani.get_by_role("alert")).to_be_visible()
    assert await imani.get_by_label("First name").input_value() == "Nobody"
    assert await imani.locator("form.refer input[name=once]").get_attribute("value") == once
