"""What the console refuses before it looks: other hosts, other pages' forms; and what a browser may keep of its answers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio

from console.running import Running
from console.web.site import Site
from tests.console.stage import Stage

OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest_asyncio.fixture
async def http(opened: Stage) -> AsyncGenerator[httpx.AsyncClient]:
    """A client that follows nothing and says nothing by itself."""
    async with httpx.AsyncClient(base_url=opened.url) as client:
        yield client


async def signed_in(at: Stage, http: httpx.AsyncClient, name: str) -> str:
    """This client is this person from now on; the session's cookie."""
    person = await at.asks("SELECT id FROM person WHERE name = $1", name)
    answer = await http.post("/signin/picker", data={"person": person}, headers=OURS)
    assert answer.status_code == 303
    return http.cookies["loopkeeper"]


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, "neither header"),
        ({"Sec-Fetch-Site": "cross-site"}, "another site"),
        ({"Sec-Fetch-Site": "same-site"}, "another port of this machine, which gets our cookie"),
        ({"Sec-Fetch-Site": "none"}, "typed by hand"),
        ({"Origin": "https://evil.example"}, "another origin"),
        ({"Origin": "null"}, "a sandboxed frame"),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"}, "two that differ"),
    ],
)
async def test_a_form_of_another_page_does_nothing(
    at: Stage, http: httpx.AsyncClient, headers: dict[str, str], says: str
) -> None:
    person = await at.asks("SELECT id FROM person WHERE name = 'Maria Chen'")
    answer = await http.post("/signin/picker", data={"person": person}, headers=headers)
    assert answer.status_code == 403, says
    assert "loopkeeper" not in answer.cookies


async def test_a_browser_that_tells_its_origin_alone_is_taken(at: Stage, http: httpx.AsyncClient) -> None:
    person = await at.asks("SELECT id FROM person WHERE name = 'Maria Chen'")
    answer = await http.post("/signin/picker", data={"person": person}, headers={"Origin": at.url})
    assert answer.status_code == 303


async def test_another_host_is_refused(at: Stage, http: httpx.AsyncClient) -> None:
    answer = await http.get("/signin", headers={"Host": "loops.evil.example"})
    assert answer.status_code == 421


async def test_no_page_may_be_kept_framed_or_run_foreign_script(at: Stage, http: httpx.AsyncClient) -> None:
    await signed_in(at, http, "Maria Chen")
    answer = await http.get("/plan/queue")
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert " style=" not in answer.text
    assert "<script>" not in answer.text
    assert " onclick" not in answer.text


async def test_the_session_is_new_at_sign_in_whatever_the_browser_had(
    at: Stage, http: httpx.AsyncClient
) -> None:
    http.cookies.set("loopkeeper", "chosen-by-somebody-else", domain="localhost.local")
    cookie = await signed_in(at, http, "Maria Chen")
    assert cookie != "chosen-by-somebody-else"
    again = await signed_in(at, http, "Maria Chen")
    assert again != cookie
    async with httpx.AsyncClient(base_url=at.url, cookies={"loopkeeper": cookie}) as other:
        answer = await other.get("/plan/queue")
    assert answer.headers["location"] == "/signin", "the session before it has ended"


async def test_an_ended_session_is_refused_by_the_next_request(at: Stage, http: httpx.AsyncClient) -> None:
    await signed_in(at, http, "Maria Chen")
    assert (await http.get("/plan/queue")).status_code == 200
    cookie = http.cookies["loopkeeper"]
    await http.post("/signout", headers=OURS)
    async with httpx.AsyncClient(base_url=at.url, cookies={"loopkeeper": cookie}) as other:
        assert (await other.get("/plan/queue")).headers["location"] == "/signin"
        assert (await other.get("/plan/queue", headers={"X-Live": "1"})).status_code == 401
        assert (await other.post("/session/seen", headers=OURS)).status_code == 401


async def test_sign_out_clears_what_the_browser_kept(at: Stage, http: httpx.AsyncClient) -> None:
    await signed_in(at, http, "Maria Chen")
    answer = await http.post("/signout", headers=OURS)
    assert answer.headers["clear-site-data"] == '"cache", "storage"'


async def test_a_session_ends_after_half_an_hour_without_a_touch_and_a_refresh_is_none(
    at: Stage, http: httpx.AsyncClient
) -> None:
    await signed_in(at, http, "Maria Chen")
    try:
        at.clock.shift = timedelta(minutes=20)
        assert (await http.get("/me", headers={"X-Live": "1"})).status_code == 200
        at.clock.shift = timedelta(minutes=31)
        assert (await http.get("/me")).headers["location"] == "/signin"
    finally:
        at.clock.shift = timedelta()


async def test_where_one_wanted_to_go_is_kept_by_us_and_in_no_address(
    at: Stage, http: httpx.AsyncClient
) -> None:
    asked = await http.get("/plan/terms")
    assert asked.headers["location"] == "/signin"
    person = await at.asks("SELECT id FROM person WHERE name = 'Maria Chen'")
    answer = await http.post("/signin/picker", data={"person": person}, headers=OURS)
    assert answer.headers["location"] == "/plan/terms"


async def test_the_picker_needs_its_switch_invented_members_and_this_machine(at: Stage) -> None:
    settings, own = at.resources.settings, at.own
    running = Running(None, None, lambda _: "", at.clock, Site(at.url), settings, own, lambda: False)  # pyright: ignore[reportArgumentType]
    assert running.picker
    assert not replace(running, own=own.model_copy(update={"picker": "off"})).picker
    assert not replace(running, settings=settings.model_copy(update={"synthetic_members": "off"})).picker
    assert not replace(running, site=Site("https://loops.example.org")).picker


async def test_of_two_admins_who_end_each_other_at_once_one_stays(at: Stage) -> None:
    both = {
        name: await at.asks("SELECT id FROM person WHERE name = $1", name)
        for name in ("Maria Chen", "Dev Patel")
    }
    async with httpx.AsyncClient(base_url=at.url) as maria, httpx.AsyncClient(base_url=at.url) as dev:
        await signed_in(at, maria, "Maria Chen")
        given = {"roles": "plan", "admin": "yes"}
        await maria.post(f"/people/{both['Dev Patel']}/roles", data=given, headers=OURS)
        await signed_in(at, dev, "Dev Patel")
        await asyncio.gather(
            maria.post(f"/people/{both['Dev Patel']}/end", headers=OURS),
            dev.post(f"/people/{both['Maria Chen']}/end", headers=OURS),
        )
    admins = (
        "SELECT count(*) FROM person WHERE organization = 'harbor-health-plan' AND admin AND state = 'active'"
    )
    try:
        assert await at.asks(admins) == 1
    finally:
        await at.asks(
            "UPDATE person SET state = 'active', admin = name = 'Maria Chen' WHERE id = ANY($1)",
            [*both.values()],
        )


async def test_what_is_not_ones_own_looks_like_nothing(at: Stage, http: httpx.AsyncClient) -> None:
    await signed_in(at, http, "Imani Brooks")
    answers = [
        await http.get(path) for path in ("/plan/queue", "/ops", "/people/per_none", "/care", "/nowhere")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({re.sub(r"[0-9a-f]{32}", "", answer.text) for answer in answers}) == 1


async def test_a_form_larger_than_any_of_ours_is_refused(at: Stage, http: httpx.AsyncClient) -> None:
    await signed_in(at, http, "Imani Brooks")
    answer = await http.post("/refer/new/adult", data={"comments": "x" * 200_000}, headers=OURS)
    assert answer.status_code == 413
