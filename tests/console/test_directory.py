"""The directory in the console: a provider changes its places and how it is found; operations take an entry out, and back."""

from __future__ import annotations

from typing import Any

from playwright.async_api import expect

from tests.builders.organizations import NAVIGATORS, STREET
from tests.console.loops import the_loop_is
from tests.console.stage import Stage


async def entry(at: Stage, id: str) -> dict[str, Any]:
    return await at.house.ask("", "GET", f"/v1/providers/{id}")


async def test_a_provider_has_one_place_more_by_one_tap_on_a_phone_without_script(at: Stage) -> None:
    before = (await at.house.ask(STREET, "GET", f"/v1/providers/{STREET}/places"))["capacity"]
    luis = await at.be("Luis Ortega", width=360, script=False)
    await luis.goto(f"{at.url}/care")
    await luis.locator("a[href='/care/entry']").click()
    await the_loop_is(luis, f"0 of {before} places are taken")
    await luis.get_by_role("button", name="One place more").click()
    await expect(luis.get_by_text("Your entry is changed.")).to_be_visible()
    await the_loop_is(luis, f"0 of {before + 1} places are taken")
    await luis.get_by_role("button", name="One place less").click()
    await the_loop_is(luis, f"0 of {before} places are taken")
    await luis.get_by_label("Or so many").fill("100001")
    await luis.locator("form", has=luis.get_by_label("Or so many")).evaluate("form => form.noValidate = true")
    await luis.get_by_role("button", name="Set").click()
    await expect(luis.get_by_role("alert")).to_contain_text("100000 or less")


async def test_a_provider_says_how_it_is_found_and_no_more(at: Stage) -> None:
    before = await entry(at, NAVIGATORS)
    mei = await at.be("Mei Tran")
    await mei.goto(f"{at.url}/care/entry")
    await mei.get_by_label("Phone").fill("555-0144")
    await mei.locator("summary", has_text="language").click()
    await mei.get_by_role("checkbox", name="Hmong").check()
    await mei.get_by_role("button", name="Change it").click()
    await expect(mei.get_by_text("Your entry is changed.")).to_be_visible()
    after = await entry(at, NAVIGATORS)
    assert after["phone"] == "555-0144"
    assert set(after["languages"]) == {*before["languages"], "hmn"}
    same = ("types", "populations", "counties", "contracts", "age_bands")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}


async def test_two_who_change_an_entry_at_once_do_not_write_over_each_other(at: Stage) -> None:
    mei = await at.be("Mei Tran")
    await mei.goto(f"{at.url}/care/entry")
    await at.house.ask(NAVIGATORS, "PUT", f"/v1/providers/{NAVIGATORS}", {"capacity": 31})
    await mei.get_by_role("button", name="One place more").click()
    await expect(mei.get_by_role("alert")).to_contain_text("changed since it was read")
    await mei.get_by_role("button", name="One place more").click()
    await the_loop_is(mei, "of 32 places are taken")


async def test_operations_take_an_entry_out_of_the_directory_and_put_it_back(at: Stage) -> None:
    noor = await at.be("Noor Haddad")
    await noor.goto(f"{at.url}/ops/organizations")
    await noor.get_by_role("link", name="Entry of Harbor Street Medicine").click()
    await noor.get_by_text("Take it out of the directory").click()
    await expect(noor.get_by_text("gets no further offers")).to_be_visible()
    await noor.get_by_role("button", name="Take it out").click()
    await expect(noor.get_by_text("not in the directory")).to_be_visible()
    listed = (await at.house.ask("", "GET", "/v1/providers"))["items"]
    assert STREET not in {each["id"] for each in listed}
    await noor.get_by_role("button", name="Put it back").click()
    await expect(noor.get_by_text("in the directory", exact=True)).to_be_visible()
    assert (await entry(at, STREET))["active"]
    luis = await at.be("Luis Ortega")
    answer = await luis.goto(f"{at.url}/ops/directory/{STREET}")
    assert answer is not None
    assert answer.status == 404
