"""The people of an organization, for its admins: invite, confirm, set roles, end; and who opened whose identity."""

from __future__ import annotations

from typing import Annotated

import htpy as h
from fastapi import APIRouter, Depends
from starlette.responses import Response

from console.access import openings, people
from console.access.openings import REASONS
from console.access.people import Invited, Person
from console.accounts.entry import goes_to
from console.accounts.visitor import Visitor, admin
from console.parts import account
from console.parts.account import Member
from console.parts.basics import blocks, html, times
from console.parts.basics.html import href
from console.parts.entrance import Trouble, field, trouble
from console.web.forms import EMPTY, Form, form_of
from console.web.refusals import NotHere, Refusal
from loopkeeper.security.organizations import ROLES

router = APIRouter()
Admin = Annotated[Visitor, Depends(admin)]


@router.get("/people")
async def everybody(at: Admin) -> Response:
    """Who is here, and the form that invites."""
    return await _people(at)


async def _people(
    at: Visitor, *, invited: Invited | None = None, found: Trouble | None = None, typed: Form = EMPTY
) -> Response:
    _, of = at.words, at.signed.organization
    known = await people.of_organization(at.access, of.id)
    opened = await openings.of_organization(at.access, of.id)
    by_id = {one.id: one.name for one in known}
    here = sum(one.state == "active" for one in known)
    link = f"{at.access.site.origin}/enrol/{invited.token}" if invited else ""
    return at.page(
        _("People"),
        trouble(found, _),
        blocks.head(
            _.many("{count} person works here", "{count} people work here", here),
            _(
                "At {name}. Whom you invite may do what you choose once you confirmed three words.",
                name=of.name,
            ),
        ),
        account.invitation(link, invited.person.name, _) if invited else None,
        h.div(".cols")[
            h.div(".case")[blocks.card(_("People"), account.people([_member(at, one) for one in known], _))],
            h.aside(".facts")[
                blocks.card(
                    _("Invite somebody"),
                    html.form_to("/people")[
                        field(_("Name"), "name", typed.text("name")),
                        field(_("Work e-mail"), "email", typed.text("email"), kind="email"),
                        account.role_boxes(ROLES[of.kind], typed.all("roles"), _),
                        account.person_fields(
                            typed.text("title"), typed.text("licence"), "admin" in typed, _
                        ),
                        h.button(".primary", type="submit")[_("Invite")],
                    ],
                ),
                blocks.card(
                    _("Whose identity was opened"),
                    account.openings(
                        [
                            (o.referral, REASONS.get(o.reason, o.reason), o.at, by_id.get(o.person, ""))
                            for o in opened[:20]
                        ],
                        _,
                    ),
                ),
            ],
        ],
        status=(found is not None and 422) or 200,
    )


def _member(at: Visitor, one: Person) -> Member:
    _ = at.words
    seen = _("seen {at}", at=times.moment(one.last_seen_at, _)) if one.last_seen_at else _("not seen yet")
    return Member(
        id=one.id,
        name=one.name,
        email=one.email,
        title=one.title,
        licence=one.licence,
        roles=sorted(one.roles),
        admin=one.admin,
        state=one.state,
        seen=seen,
        mine=one.id == at.signed.id,
    )


@router.post("/people")
async def invite(at: Admin) -> Response:
    """Somebody may enrol; the link is shown this once, to be handed on."""
    form = await form_of(at.request)
    try:
        invited = await people.invite(
            at.access,
            at.signed.organization,
            name=form.text("name"),
            email=form.text("email"),
            roles=form.all("roles"),
            title=form.text("title"),
            licence=form.text("licence"),
            admin="admin" in form,
            by=at.signed.id,
        )
    except Refusal as refusal:
        return await _people(at, found=Trouble(*refusal.in_words(at.words)), typed=form)
    return await _people(at, invited=invited)


@router.get("/people/{id}")
async def one(id: str, at: Admin) -> Response:
    """One person, and what can be changed."""
    return await _one(at, await _other(at, id))


async def _one(at: Visitor, person: Person, found: Trouble | None = None) -> Response:
    _, here = at.words, f"/people/{person.id}"
    names = {one.id: one.name for one in await people.of_organization(at.access, at.signed.organization.id)}
    opened = await openings.of_person(at.access, person.id)
    return at.page(
        _("Person"),
        blocks.back("/people", _("People")),
        trouble(found, _),
        blocks.head(html.said(person.name), html.joined([html.said(person.title), html.said(person.email)])),
        h.div(".cols")[
            h.div(".case")[
                _confirm(at, person) if person.state == "waiting" else None,
                _unseen(at, person) if person.state == "suspended" else None,
                blocks.card(
                    _("What they may do"),
                    html.form_to(f"{here}/roles")[
                        account.role_boxes(
                            ROLES[at.signed.organization.kind], [str(role) for role in person.roles], _
                        ),
                        account.person_fields(person.title, person.licence, person.admin, _),
                        h.p(".sub")[
                            _("They are signed out and sign in again, since what they prove has changed.")
                        ],
                        h.button(".primary", type="submit")[_("Set")],
                    ],
                )
                if person.state != "ended"
                else None,
            ],
            h.aside(".facts")[
                _ways_out(at, person) if person.state != "ended" else None,
                blocks.card(
                    _("What happened to their account"),
                    account.events(await at.access.noted(person.id), names, _),
                ),
                blocks.card(
                    _("Whose identity they opened"),
                    account.openings(
                        [(o.referral, REASONS.get(o.reason, o.reason), o.at, "") for o in opened[:20]], _
                    ),
                ),
            ],
        ],
        status=422 if found else 200,
    )


def _ways_out(at: Visitor, person: Person) -> list[h.Element]:
    """A lost device, and leaving."""
    _, here = at.words, f"/people/{person.id}"
    return [
        blocks.card(
            _("They lost their device"),
            h.p(".sub")[
                _(
                    "First call them at the number your organization has. Then everything they proved themselves "
                    "with ends, and you hand on a new link."
                )
            ],
            account.action(f"{here}/again", _("Let them enrol again")),
        ),
        blocks.card(
            _("They leave"),
            h.p(".sub")[_("Nothing of theirs works from this moment. What they held is free for others.")],
            account.action(f"{here}/end", _("End"), tone="danger"),
        ),
    ]


def _unseen(at: Visitor, person: Person) -> h.Element:
    _ = at.words
    return h.section(".card.next")[
        h.h2[_("They were not here for 60 days")],
        h.p[_("What they proved themselves with ends. They enrol again, and read you three words.")],
        account.action(f"/people/{person.id}/again", _("Let them enrol again"), tone="primary"),
    ]


def _confirm(at: Visitor, person: Person) -> h.Element:
    _ = at.words
    return h.section(".card.next")[
        h.h2[_("Confirm that it is {name}", name=person.name)],
        h.p[_("Let them read you three words, by voice or face to face.")],
        html.form_to(f"/people/{person.id}/confirm")[
            field(_("The three words"), "said"), h.button(".primary", type="submit")[_("Confirm")]
        ],
    ]


@router.post("/people/{id}/confirm")
async def confirm(id: str, at: Admin) -> Response:
    """The words were heard."""
    person, form = await _other(at, id), await form_of(at.request)
    try:
        await people.confirm(at.access, person, form.text("said"), at.signed.id)
    except Refusal as refusal:
        return await _one(at, person, Trouble(*refusal.in_words(at.words)))
    return goes_to(href("/people") + f"#{person.id}")


@router.post("/people/{id}/roles")
async def roles(id: str, at: Admin) -> Response:
    """What they may do from now on."""
    person, form = await _other(at, id), await form_of(at.request)
    try:
        await people.set_roles(
            at.access, person, at.signed.organization, roles=form.all("roles"), title=form.text("title"),
            licence=form.text("licence"), admin="admin" in form, by=at.signed.id,
        )  # fmt: skip
    except Refusal as refusal:
        return await _one(at, person, Trouble(*refusal.in_words(at.words)))
    return goes_to(href("/people") + f"#{person.id}")


@router.post("/people/{id}/again")
async def again(id: str, at: Admin) -> Response:
    """Everything they proved themselves with ends; a new link is shown once."""
    person = await _other(at, id)
    if person.state == "invited":
        return await _people(at, invited=await people.invite_again(at.access, person, at.signed.id))
    return await _people(at, invited=await people.start_over(at.access, person, at.signed.id))


@router.post("/people/{id}/end")
async def end(id: str, at: Admin) -> Response:
    """They leave."""
    person = await _other(at, id)
    try:
        await people.end(at.access, person, at.signed.id)
    except Refusal as refusal:
        return await _one(at, person, Trouble(*refusal.in_words(at.words)))
    return goes_to("/people")


async def _other(at: Visitor, id: str) -> Person:
    """Somebody else of the own organization."""
    if id == at.signed.id:
        raise NotHere
    return await at.person(id)
