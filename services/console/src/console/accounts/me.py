"""One's own page: passkeys, codes, sessions, language, colours, keys; and whom one opened, when and why."""

from __future__ import annotations

from typing import Annotated

import htpy as h
from fastapi import APIRouter, Depends
from starlette.responses import HTMLResponse, Response

from console.access import openings, passkeys, recovery, sessions
from console.access.openings import REASONS
from console.accounts.entry import goes_to, ours
from console.accounts.visitor import Visitor, visitor
from console.parts import account, entrance
from console.parts.account import HOW, Row
from console.parts.basics import blocks, html, times
from console.web.forms import form_of
from console.words import LANGUAGES

router = APIRouter()
Mine = Annotated[Visitor, Depends(visitor)]
THEMES = ("system", "light", "dark")


@router.get("/me")
async def me(mine: Mine) -> Response:
    """Everything the console keeps of this person."""
    _, access, signed = mine.words, mine.access, mine.signed
    made = await passkeys.of_person(access, signed.id)
    left = await recovery.left(access, signed.id)
    live = await sessions.of_person(access, signed.id)
    opened = await openings.of_person(access, signed.id)
    return mine.page(
        _("You"),
        blocks.head(signed.name, html.joined([signed.title, signed.organization.name])),
        h.div(".cols")[
            h.div(".case")[
                account.passkey_card([_passkey(mine, each) for each in made], left, _),
                blocks.card(
                    _("Where you are signed in"),
                    account.rows([_session(mine, each) for each in live], _),
                    account.action("/me/sessions/others", _("End all others")) if len(live) > 1 else None,
                ),
            ],
            h.aside(".facts")[
                blocks.card(
                    _("Whose identity you opened"),
                    account.openings(
                        [(o.referral, REASONS.get(o.reason, o.reason), o.at, "") for o in opened], _
                    ),
                ),
                blocks.card(
                    _("What happened to your account"), account.events(await access.noted(signed.id), {}, _)
                ),
            ],
        ],
        script="signin.js",
    )


def _passkey(mine: Visitor, made: passkeys.Passkey) -> Row:
    _ = mine.words
    used = _("last used {at}", at=times.moment(made.used_at, _)) if made.used_at else _("not used yet")
    return Row(
        made.label,
        f"{_('made {at}', at=times.moment(made.created_at, _))}, {used}",
        account.action("/me/passkeys/remove", _("Remove"), id=made.id),
    )


def _session(mine: Visitor, found: sessions.Shown) -> Row:
    _ = mine.words
    current = found.id == mine.signed.session
    ended = found.ended_at is not None
    said = (
        _("ended {at}", at=times.moment(found.ended_at, _))
        if found.ended_at
        else _("seen {at}", at=times.moment(found.seen_at, _))
    )
    return Row(
        found.browser,
        f"{_(HOW.get(found.how, found.how))}, {said}",
        None if current or ended else account.action("/me/sessions/end", _("End"), id=found.id),
        current=current,
    )


@router.post("/me/passkeys/remove")
async def remove_passkey(mine: Mine) -> Response:
    """A lost or unwanted passkey; never the last way in."""
    form = await form_of(mine.request)
    await passkeys.remove(mine.access, await mine.person(mine.signed.id), form.text("id"))
    return goes_to("/me")


@router.post("/me/codes")
async def codes(mine: Mine) -> Response:
    """Ten new codes, shown this once; the old ones end."""
    made = recovery.fresh()
    async with mine.access.changing() as connection:
        await recovery.replace(mine.access, connection, await mine.person(mine.signed.id), made)
    return HTMLResponse(str(entrance.enrolled(mine.words, made, "", waits=False)))


@router.post("/me/sessions/end")
async def end_session(mine: Mine) -> Response:
    """One of the person's own sessions."""
    wanted = (await form_of(mine.request)).text("id")
    if wanted in {each.id for each in await sessions.of_person(mine.access, mine.signed.id)}:
        await sessions.finish(mine.access, wanted, "by the person")
    return goes_to("/me")


@router.post("/me/sessions/others")
async def end_others(mine: Mine) -> Response:
    """Every other one."""
    for each in await sessions.of_person(mine.access, mine.signed.id):
        if each.id != mine.signed.session and each.ended_at is None:
            await sessions.finish(mine.access, each.id, "by the person")
    return goes_to("/me")


@router.post("/me/language")
async def language(mine: Mine) -> Response:
    """English or Spanish from now on."""
    return await _set(mine, "language", tuple(LANGUAGES))


@router.post("/me/theme")
async def theme(mine: Mine) -> Response:
    """Light, dark, or as the machine prefers."""
    return await _set(mine, "theme", THEMES)


@router.post("/me/keys")
async def keys(mine: Mine) -> Response:
    """Single keys on or off (WCAG 2.1.4)."""
    form = await form_of(mine.request)
    await mine.access.pool.execute(
        "UPDATE person SET keys = $2 WHERE id = $1", mine.signed.id, form.text("keys") == "on"
    )
    return goes_to(ours(form.text("back")))


async def _set(mine: Visitor, name: str, known: tuple[str, ...]) -> Response:
    form = await form_of(mine.request)
    if form.text(name) in known:
        value = "" if form.text(name) == "system" else form.text(name)
        await mine.access.pool.execute(f"UPDATE person SET {name} = $2 WHERE id = $1", mine.signed.id, value)  # noqa: S608
    return goes_to(ours(form.text("back")))
