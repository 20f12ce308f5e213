"""Signing in and out: by passkey, by a printed code, and in a demo as somebody invented."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from console.access import entries, passkeys, recovery, sessions
from console.access.people import COLUMNS, Person, person_of
from console.access.session import COOKIE
from console.access.store import Access
from console.accounts.entry import (
    LANGUAGE,
    access_of,
    entry_of,
    goes_to,
    hold,
    json_of,
    keep_entry,
    let_in,
    said,
    words_of,
)
from console.parts import entrance
from console.parts.entrance import Named, Trouble
from console.parts.places import start_of
from console.parts.shell import rehearsal
from console.running import running_of
from console.web.forms import form_of
from console.web.refusals import NotHere, Refusal
from console.words import LANGUAGES
from loopkeeper.security.organizations import Role

router = APIRouter()
CHALLENGE = "challenge"
PICKED = "picker"
DOES = {
    Role.OPERATIONS: "sees the board, services and parked facts",
    Role.PLAN: "decides, and sees to what only the plan can",
    Role.PROVIDER: "answers offers and reaches members",
    Role.REFERRER: "refers, and hears what came of it",
}


@router.get("/signin")
async def sign_in(request: Request) -> Response:
    """The ways in."""
    return await _door(request)


async def _door(request: Request, trouble: Trouble | None = None, status: int = 200) -> Response:
    running = running_of(request)
    named = await _named(running.people.access) if running.picker else []
    page = entrance.sign_in(
        words_of(request),
        named,
        trouble,
        rehearsal=rehearsal(running.rehearsal, running.clock.now(), words_of(request)),
    )
    return HTMLResponse(str(page), status)


@router.post("/signin/language")
async def language(request: Request) -> Response:
    """The language of the pages before sign-in."""
    asked = (await form_of(request)).text("language")
    answer = goes_to("/signin")
    if asked in LANGUAGES:
        site = access_of(request).site
        answer.set_cookie(
            LANGUAGE, asked, max_age=31536000, secure=site.secure, httponly=True, samesite="lax", path="/"
        )
    return answer


# ── passkey ───────────────────────────────────────────────────────────────────────────────────────────────


@router.post("/signin/passkey:ask")
async def ask(request: Request) -> Response:
    """A challenge for whichever passkey the person chooses."""
    access = access_of(request)
    asked, challenge = passkeys.ask_to_prove(access)
    token = await entries.remember(access, entry_of(request), **{CHALLENGE: challenge})
    return keep_entry(request, JSONResponse(asked), token)


@router.post("/signin/passkey")
async def with_passkey(request: Request) -> Response:
    """The device answered the challenge."""
    access = access_of(request)
    try:
        shown = await json_of(request)
        challenge = await entries.take(access, entry_of(request), CHALLENGE)
        if not isinstance(challenge, str):
            raise Refusal(403, "This took too long", "Try again.")
        person = await passkeys.prove(access, shown, challenge)
        token, following = await let_in(request, person, how="passkey")
    except Refusal as refusal:
        return said(refusal)
    return hold(request, JSONResponse({"next": following}), token)


# ── printed code ──────────────────────────────────────────────────────────────────────────────────────────


@router.post("/signin/recovery")
async def with_code(request: Request) -> Response:
    """A printed code lets in once; after it the person makes a new passkey."""
    form = await form_of(request)
    try:
        person = await recovery.use(
            access_of(request), form.text("of"), form.text("email"), form.text("code")
        )
        token, _ = await let_in(request, person, how="recovery code")
    except Refusal as refusal:
        return await _door(request, Trouble(*refusal.in_words(words_of(request))), refusal.status)
    return hold(request, goes_to("/me"), token)


# ── the demo's picker ─────────────────────────────────────────────────────────────────────────────────────


@router.post("/signin/picker")
async def pick(request: Request) -> Response:
    """Be somebody invented: only with its own switch, synthetic members on, and on this machine's own address."""
    running = running_of(request)
    if not running.picker:
        raise NotHere
    wanted = (await form_of(request)).text("person")
    row = await running.people.access.pool.fetchrow(
        f"SELECT {COLUMNS} FROM person WHERE id = $1 AND created_by = $2 AND state = 'active'",  # noqa: S608 own columns
        wanted,
        PICKED,
    )
    if row is None:
        raise NotHere
    token, following = await let_in(request, person_of(row), how="picker")
    return hold(request, goes_to(following), token)


async def _named(access: Access) -> list[Named]:
    rows = await access.pool.fetch(
        f"SELECT {COLUMNS} FROM person WHERE created_by = $1 AND state = 'active' ORDER BY created_at, id LIMIT 24",  # noqa: S608
        PICKED,
    )
    return [_as_named(access, person_of(row)) for row in rows]


def _as_named(access: Access, person: Person) -> Named:
    of = access.organization(person.organization)
    does = next((text for role, text in DOES.items() if role in person.roles), "")
    return Named(person.id, person.name, person.title, of.name if of else person.organization, does)


# ── out ───────────────────────────────────────────────────────────────────────────────────────────────────


@router.post("/signout")
async def sign_out(request: Request) -> Response:
    """The session ends here and at the server; the browser forgets what it kept of our pages."""
    access = access_of(request)
    token = request.cookies.get(access.site.cookie(COOKIE), "")
    session = await sessions.current(access, token, touched=False) if token else None
    if session is not None:
        await sessions.finish(access, session.id, "by the person")
    answer = goes_to("/signed-out")
    answer.delete_cookie(
        access.site.cookie(COOKIE), path="/", secure=access.site.secure, httponly=True, samesite="lax"
    )
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


@router.get("/signed-out")
async def signed_out(request: Request) -> Response:
    """Nothing is left."""
    return HTMLResponse(str(entrance.signed_out(words_of(request))))


@router.post("/session/seen")
async def seen(request: Request) -> Response:
    """The person touched the page."""
    access = access_of(request)
    token = request.cookies.get(access.site.cookie(COOKIE), "")
    found = await sessions.current(access, token, touched=True) if token else None
    return Response(status_code=204 if found is not None else 401)


@router.get("/")
async def first(request: Request) -> Response:
    """The page this person begins with."""
    signed = await running_of(request).people.signed_in(request, ())
    return goes_to(start_of(signed.roles))
