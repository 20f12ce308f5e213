"""One person to reach: how to do it safely first, then who and where; an attempt in three taps, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.access.session import REASONS
from console.api.client import Away, Refused
from console.api.models.assignment import AssignedMember
from console.api.models.notification import OutreachShown
from console.pages.care import attempts, outcomes
from console.pages.care import known as what
from console.pages.care.first import PEOPLE, STATUS, Provider, tried
from console.pages.care.whole import Whole, whole_of
from console.pages.record.page import door
from console.pages.refused import field_fix, named, problem
from console.pages.visit import Visit, see
from console.parts import member
from console.parts.basics import blocks, labels, marks, times
from console.parts.basics.html import href, icon
from console.web.forms import EMPTY, Form
from console.web.refusals import NotHere

router = APIRouter()
CHANNEL = "channel_"
RULES = {
    "safe_contact": "There are rules for reaching this person. Open who it is and read them first.",
    "do_not_contact": "Do not contact this person.",
    "restricted_hours": "Only at certain hours.",
}
LATE = {
    "first_outreach": ("The first attempt is late", "The first attempt is due soon"),
    "weekly_visit": ("The weekly visit in person is late", "The weekly visit in person is due soon"),
    "outreach_window": ("The outreach takes longer than it should", "The time for outreach is nearly over"),
}
DONE = {
    "attempts": "The attempt is recorded.",
    "start-services": "Services have started. The referrer is told.",
    "member-declined": "Recorded. The loop closes, and the person may come back.",
    "unable-to-reach": "Recorded. The loop closes.",
    "end-service": "Recorded. The plan decides about the term.",
    "change-contact": "The correction is sealed and passed on.",
    "lead": "The lead is changed.",
    "supports": "Asked for.",
    "reauthorize": "Another term is asked for.",
    "take-back": "It is taken back. Everyone who was told is told.",
}


@router.get("/care/people/{ref}")
async def person(ref: str, visit: Provider, after: str = "") -> Response:
    """The person's page."""
    return await page(await whole_of(ref, visit), visit, after=after)


async def page(
    known: Whole,
    visit: Visit,
    *,
    typed: Form = EMPTY,
    refused: h.Node = None,
    after: str = "",
    status: int = 200,
) -> Response:
    _, found = visit.words, known.outreach
    ref = found.referral
    opening = await visit.people.identity(visit.signed, ref)
    contact: Mapping[str, Any] = {}
    identity: h.Node = member.sealed(ref, REASONS, _, chosen="serve", again=href("/care/people/{}", ref))
    if opening is not None:
        try:
            who = await visit.api.get(
                "assignment", f"/v1/assignments/{ref}/member", AssignedMember, reason=opening.reason
            )
            contact = who.contact
            identity = member.opened(
                ref,
                who.identity,
                who.contact,
                times.clock(opening.until, _),
                _,
                again=href("/care/people/{}", ref),
            )
        except (Refused, Away):
            identity = blocks.card(_("Who it is"), h.p(".sub")[_("It cannot be opened for you now.")])
    may = set(found.allowed)
    return visit.page(
        _("Person"),
        blocks.back(PEOPLE, _("People")),
        h.p(".toast", role="status")[_(DONE[after])] if after in DONE else None,
        blocks.head(
            [_("Person "), h.span(".mono")[ref[-6:]]],
            labels.capital(tried(found, visit.now, _)) + ".",
            marks.chip(
                _(STATUS.get(found.status, found.status)),
                "good" if found.status == "services_started" else "info",
            ),
        ),
        refused,
        _late(found, visit),
        _rules(found, contact, visit),
        h.div(".cols")[
            h.div(".case")[
                identity,
                attempts.card(found, typed, visit)
                if ("attempts" in may or found.status in ("open", "waiting")) and not found.told_dead
                else None,
                outcomes.ways(found, known, typed, visit),
                attempts.tried(found, visit),
            ],
            h.aside(".facts")[
                what.facts(known, visit),
                door(ref, _),
                what.corrections(known, typed, visit),
                what.supports(known, visit),
                visit.away(known.referral, known.assignment, known.supports),
            ],
        ],
        here=PEOPLE,
        status=status,
    )


def _rules(found: OutreachShown, contact: Mapping[str, Any], visit: Visit) -> h.Node:
    """Above everything: that nobody is contacted any more, or how this person may be reached without danger."""
    _ = visit.words
    if found.told_dead:
        return h.section(".card.safe")[
            h.h2[icon("alert"), _("Contact nobody: it is told that this person has died")],
            h.p[_("A person of the plan confirms it, or takes it back. Until then every contact stops.")],
        ]
    opened = member.safe_contact(contact, _)
    if opened is not None:
        return opened
    only = [rule.removeprefix(CHANNEL) for rule in found.contact_rules if rule.startswith(CHANNEL)]
    known = [RULES[rule] for rule in found.contact_rules if rule in RULES]
    if not known and not only:
        return None
    return h.section(".card.safe")[
        h.h2[icon("shield"), _("Read this before you reach out")],
        (h.p[h.strong[_(rule)]] for rule in known),
        h.p[_("Only by {ways}.", ways=", ".join(_(labels.plain(way)) for way in only))] if only else None,
    ]


def _late(found: OutreachShown, visit: Visit) -> h.Node:
    """The clocks of this outreach that ran out, in words."""
    _ = visit.words
    lines: list[h.Node] = []
    for each in found.overdue:
        clock, _gap, how = each.partition(" ")
        late, soon = LATE.get(clock, (labels.capital(labels.plain(clock)),) * 2)
        state: times.DueState = "soon" if how == "at_risk" else "late"
        lines.append(h.li(class_=state)[marks.mark(state), " ", _(soon if how == "at_risk" else late)])
    return h.ul(".lates")[lines] if lines else None


@router.post("/care/people/{ref}/attempts")
async def attempt(ref: str, visit: Provider) -> Response:
    """One attempt, once."""
    form = await visit.form()
    return await _act(
        ref, visit, form, "attempts", attempts.body_of(form, visit.now), path=f"/v1/outreach/{ref}/attempts"
    )


@router.post("/care/people/{ref}/{action}")
async def act(ref: str, action: str, visit: Provider) -> Response:
    """What it came to, or a correction."""
    form = await visit.form()
    on = {"on": form.text("on")} if form.text("on") else {}
    match action:
        case "start-services" | "unable-to-reach":
            return await _act(ref, visit, form, action, on)
        case "member-declined":
            return await _act(ref, visit, form, action, {**on, "how": form.text("how")})
        case "end-service":
            code = int(form.text("code")) if form.text("code").isdigit() else 0
            return await _act(ref, visit, form, action, {**on, "code": code})
        case "take-back":
            number = {"number": int(form.text("number"))} if form.text("number").isdigit() else {}
            body = {"what": form.text("what"), "because": form.text("because"), **number}
            return await _act(ref, visit, form, action, body)
        case "reauthorize":
            path = f"/v1/authorizations/{form.text('authorization')}:request-reauthorization"
            return await _act(ref, visit, form, action, {}, service="authorization", path=path)
        case "change-contact":
            return await _act(ref, visit, form, action, what.contact_of(form), match=form.text("etag"))
        case "lead":
            name = form.text("lead")
            mine = name == visit.signed.name
            lead = {"name": name, "person": visit.signed.id if mine else "-".join(name.casefold().split())}
            return await _act(
                ref,
                visit,
                form,
                action,
                {"lead": lead},
                service="assignment",
                path=f"/v1/assignments/{ref}:change-lead",
            )
        case "supports":
            return await _act(
                ref,
                visit,
                form,
                action,
                {"code": form.text("code")},
                service="intake",
                path=f"/v1/referrals/{ref}/supports",
            )
        case "support":
            move = form.text("move")
            if move not in ("accept", "decline", "done"):
                raise NotHere
            path = f"/v1/supports/{form.text('support')}:{move}"
            return await _act(ref, visit, form, "supports", {}, service="intake", path=path)
        case _:
            raise NotHere


async def _act(
    ref: str,
    visit: Visit,
    form: Form,
    action: str,
    body: Mapping[str, Any],
    *,
    service: str = "notification",
    path: str = "",
    match: str = "",
) -> Response:
    """Send it; what is refused is said on the page, with what was typed."""
    _ = visit.words
    try:
        await visit.api.act(
            service, path or f"/v1/outreach/{ref}:{action}", body, once=form.once, match=match
        )
    except Refused as refusal:
        lines = [("", named(at, _), field_fix(fix, _)) for at, fix in refusal.fields]
        shown = problem(refusal, _, lines)
        return await page(await whole_of(ref, visit), visit, typed=form, refused=shown, status=refusal.status)
    return see(href("/care/people/{}", ref, after=action))
