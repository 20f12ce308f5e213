"""Enrolling: an invited person makes a passkey, gets ten codes once, and reads three words to the inviter."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from console.access import entries, passkeys, people, recovery
from console.access.people import Person
from console.access.session import COOKIE
from console.access.sessions import current
from console.accounts.entry import (
    access_of,
    begin,
    entry_of,
    goes_to,
    hold,
    json_of,
    keep_entry,
    said,
    words_of,
)
from console.parts import entrance
from console.parts.entrance import Trouble
from console.web.refusals import Refusal

router = APIRouter()
CHALLENGE, CODES = "made", "codes"
GONE = Trouble(
    "This invitation is not good any more", "It was used, or is older than 72 hours. Ask for another one."
)


@router.get("/enrol/{token}")
async def enrol(token: str, request: Request) -> Response:
    """The page of an invitation. Looking at it uses nothing."""
    access, words = access_of(request), words_of(request)
    person = await people.invited_by(access, token)
    of = access.organization(person.organization) if person else None
    if person is None or of is None:
        return HTMLResponse(str(entrance.sign_in(words, [], GONE)), 404)
    return HTMLResponse(str(entrance.enrol(words, person.name, of.name, token)))


@router.post("/enrol/passkey:ask")
async def ask(request: Request) -> Response:
    """What the device is asked to make: for an invitation, or for somebody who is signed in."""
    access = access_of(request)
    try:
        person, _ = await _who(request, (await json_of(request)).get("token"))
        asked, challenge = await passkeys.ask_to_make(access, person)
        token = await entries.remember(access, entry_of(request), **{CHALLENGE: challenge})
    except Refusal as refusal:
        return said(refusal)
    return keep_entry(request, JSONResponse(asked), token)


@router.post("/enrol/passkey")
async def made(request: Request) -> Response:
    """The device made a passkey. With an invitation it is used now, and the codes are made."""
    access = access_of(request)
    try:
        sent = await json_of(request)
        person, invitation = await _who(request, sent.get("token"))
        challenge = await entries.take(access, entry_of(request), CHALLENGE)
        if not isinstance(challenge, str):
            raise Refusal(403, "This took too long", "Try again.")
        label = people.checked(str(sent.get("label", "")), "Name", needed=False) or "Passkey"
        async with access.changing() as connection:
            await passkeys.keep(access, connection, person, sent.get("made"), challenge, label[:40])
            if not invitation:
                return JSONResponse({"next": "/me"})
            codes = recovery.fresh()
            await recovery.replace(access, connection, person, codes)
            await people.enrolled(access, connection, person, invitation)
            found = await people.find(connection, person.id)
            token = (
                await begin(request, connection, person, how="passkey")
                if found and found.state == "active"
                else ""
            )
        entry = await entries.remember(access, entry_of(request), **{CODES: codes, "person": person.id})
    except Refusal as refusal:
        return said(refusal)
    answer: Response = JSONResponse({"next": "/enrolled"})
    if token:
        answer = hold(request, answer, token)
    return keep_entry(request, answer, entry)


@router.get("/enrolled")
async def enrolled(request: Request) -> Response:
    """The codes, this once, and the three words while they are waited for."""
    access, words = access_of(request), words_of(request)
    codes = await entries.take(access, entry_of(request), CODES)
    kept = await entries.recall(access, entry_of(request)) or {}
    person = await people.find(access.pool, str(kept.get("person", "")))
    if person is None:
        return goes_to("/signin")
    if not isinstance(codes, list):
        return (
            HTMLResponse(str(entrance.waiting(words, person.words)))
            if person.state == "waiting"
            else goes_to("/")
        )
    shown = [str(code) for code in codes]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return HTMLResponse(str(entrance.enrolled(words, shown, person.words, waits=person.state == "waiting")))


async def _who(request: Request, invitation: object) -> tuple[Person, str]:
    """The invited person and the invitation, or who is signed in. Raises `Refusal` for neither."""
    access = access_of(request)
    if isinstance(invitation, str) and invitation:
        person = await people.invited_by(access, invitation)
        if person is None:
            raise Refusal(403, GONE.title, GONE.fix)
        return person, invitation
    token = request.cookies.get(access.site.cookie(COOKIE), "")
    session = await current(access, token, touched=True) if token else None
    if session is None:
        raise Refusal(401, "You are signed out", "Sign in again.")
    return session.person, ""
