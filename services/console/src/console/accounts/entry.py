"""What the routes before sign-in share: the words, the browser's entry, the session that begins."""

from __future__ import annotations

from typing import Any, cast

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from console.access import entries, sessions
from console.access.people import Person
from console.access.session import COOKIE, ENTRY
from console.access.store import Access
from console.running import running_of
from console.web.refusals import Refusal
from console.words import Words, chosen
from loopkeeper.postgres.connections import Queryable

LANGUAGE = "language"
MOST_JSON = 64 * 1024


def access_of(request: Request) -> Access:
    return running_of(request).people.access


def words_of(request: Request) -> Words:
    """In the language chosen here, or the browser's."""
    return Words(chosen(request.cookies.get(LANGUAGE, ""), request.headers.get("accept-language", "")))


def entry_of(request: Request) -> str:
    """What the browser holds before anybody is signed in."""
    return request.cookies.get(access_of(request).site.cookie(ENTRY), "")


def keep_entry(request: Request, answer: Response, token: str) -> Response:
    site = access_of(request).site
    answer.set_cookie(
        site.cookie(ENTRY), token, max_age=900, secure=site.secure, httponly=True, samesite="lax", path="/"
    )
    return answer


async def begin(
    request: Request, connection: Queryable, person: Person, *, how: str, provider_session: str = ""
) -> str:
    """A new session for this person; the one this browser had ends, so that nobody goes on in it."""
    access = access_of(request)
    before = request.cookies.get(access.site.cookie(COOKIE), "")
    if before:
        old = await sessions.current(access, before, touched=False)
        if old is not None:
            await sessions.finish(access, old.id, "signed in again")
    browser = sessions.browser_of(request.headers.get("user-agent", ""))
    return await sessions.begin(
        access, connection, person, how=how, browser=browser, provider_session=provider_session
    )


async def let_in(
    request: Request, person: Person, *, how: str, provider_session: str = ""
) -> tuple[str, str]:
    """Sign this person in: what the browser is to hold, and where they go on. Raises `Refusal` for who may not be here."""
    access = access_of(request)
    if person.state in ("suspended", "ended") or access.organization(person.organization) is None:
        raise Refusal(403, "You cannot sign in now", "Ask an admin of your organization.")
    kept = await entries.recall(access, entry_of(request)) or {}
    async with access.changing() as connection:
        token = await begin(request, connection, person, how=how, provider_session=provider_session)
    if entry_of(request):
        await entries.forget(access, entry_of(request))
    return token, ours(str(kept.get("next", "/")))


def ours(path: str) -> str:
    """A path of ours, or the first page."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain and len(path) < 300 else "/"


def hold(request: Request, answer: Response, token: str) -> Response:
    """The browser holds the session from now on: no script reads it, no other host gets it."""
    site = access_of(request).site
    answer.set_cookie(site.cookie(COOKIE), token, secure=site.secure, httponly=True, samesite="lax", path="/")
    answer.delete_cookie(site.cookie(ENTRY), path="/", secure=site.secure, httponly=True, samesite="lax")
    return answer


def goes_to(path: str) -> Response:
    return RedirectResponse(path, 303)


async def json_of(request: Request) -> dict[str, Any]:
    """What our own script sent. Raises `Refusal` for anything else."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_JSON:
            raise Refusal(413, "This is too long", "Try again.")
    try:
        found: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise Refusal(400, "What was sent cannot be read", "Open the page again.")
    return cast("dict[str, Any]", found)


def said(refusal: Refusal) -> Response:
    """A refusal for our own script."""
    return JSONResponse({"title": refusal.title, "fix": refusal.fix}, refusal.status)
